use super::{Tabled, Way, words};
use crate::laws::Seen;
use crate::subjects::receipt::{OP, Subjected, proof};
use idv_core::provider::Authenticity::{self, Missing, Signed, Unsigned, Wrong};
use idv_core::receipt::{Action, Input, Policy};

const fn head(method_is_post: bool, media_type_is_json: bool, content_length: Option<u64>) -> Input {
    Input::Head { method_is_post, media_type_is_json, content_length }
}

const fn complete(authenticity: Authenticity, readable: bool) -> Input {
    Input::Complete { authenticity, readable }
}

impl Tabled for Subjected {
    fn ways() -> Vec<Way<Self>> {
        let Ok(policy) = Policy::builder(100).build() else { return Vec::new() };
        let chunk = |len| Input::Chunk { len };
        let begun = |what| Way::new(what, &policy, [head(true, true, None), chunk(60)]);
        let recording = |what| begun(what).after(0, [complete(Signed, true)]);
        vec![
            Way::new("nothing has come", &policy, []),
            Way::new("no byte of the body yet", &policy, [head(true, true, None)]),
            begun("60 of at most 100 bytes"),
            Way::new("60 bytes that are not called JSON", &policy, [head(true, false, None), chunk(60)]),
            recording("the store has it"),
            recording("answered 503, and the store still has it").after(2_500, [Input::Tick]),
            recording("recorded, answered 200").after(0, proof(OP, false).map(Input::Committed)),
        ]
    }

    fn inputs(_: &Seen<'_, Self>) -> Vec<Input> {
        let mut inputs = vec![Input::Tick];
        inputs.extend([
            head(true, true, None),
            head(true, false, Some(100)),
            head(true, true, Some(101)),
            head(false, true, None),
        ]);
        inputs.extend([0, 40, 41, 101].map(|len| Input::Chunk { len }));
        for authenticity in [Signed, Unsigned, Wrong, Missing] {
            inputs.extend([true, false].map(|readable| complete(authenticity, readable)));
        }
        let proofs = [proof(OP, false), proof(OP, true), proof(OP + 1, false)];
        inputs.extend(proofs.into_iter().flatten().map(Input::Committed));
        inputs.extend([OP, OP + 1].map(|op| Input::StorageFailed { op }));
        inputs.push(Input::Disconnected);
        inputs
    }

    fn input_words(input: &Input) -> String {
        match input {
            Input::Committed(proof) => {
                format!("Committed{{op: {}, duplicate: {}}}", proof.op(), proof.duplicate())
            }
            Input::Tick
            | Input::Head { .. }
            | Input::Chunk { .. }
            | Input::Complete { .. }
            | Input::StorageFailed { .. }
            | Input::Disconnected => words(input),
        }
    }

    fn action_words(action: &Action) -> String {
        match action {
            Action::Answer(answer) => {
                let field =
                    answer.field().map(|(name, value)| format!(", {name}: {value}")).unwrap_or_default();
                format!("Answer({}{field}; {})", answer.status(), answer.explanation())
            }
            Action::Record { .. } | Action::Apply { .. } | Action::Hint(_) => words(action),
        }
    }
}
