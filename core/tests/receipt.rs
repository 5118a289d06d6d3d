//! The receipt of one callback: what is answered when, and that 200 follows a commit only.
#![allow(clippy::unwrap_used)]

use idv_core::evidence::{Callback, ContentDigest, Outcome, Report, Verdict};
use idv_core::machine::{Cx, Disposition, Machine, Next};
use idv_core::poller::{self, Class};
use idv_core::provider::Authenticity;
use idv_core::receipt::{Action, Answer, Input, Policy, PolicyError, Receipt};
use idv_core::session::{self, Session};
use idv_core::store::{Commit, CommitReceipt, Journal, MemoryStore, Record, Recorded, TooLarge};
use idv_core::time::{Instant, Span};
use proptest::prelude::*;

const JSON: Option<&[u8]> = Some(b"application/json");
const START: Instant = Instant::from_millis(1_000);

fn policy() -> Policy {
    Policy::builder(100).build().unwrap()
}

fn proof(op: u64, body: &[u8], store: &mut MemoryStore) -> CommitReceipt {
    let record = Record {
        provider: "shufti",
        digest: [body.first().copied().unwrap_or(0); 32],
        authenticity: Authenticity::Signed,
        id: None,
        event: None,
        remark: None,
        received_unix_ms: 0,
        body,
    };
    CommitReceipt::obtain(store, op, &record).unwrap()
}

/// Steps `receipt` through `inputs` a millisecond apart and returns what it asked for.
fn run(receipt: &mut Receipt, inputs: &[Input]) -> Vec<Action> {
    let policy = policy();
    let mut actions = Vec::new();
    for (nth, input) in inputs.iter().enumerate() {
        let now = START.shifted(nth as i64);
        actions.extend(receipt.step(Cx::new(now, &policy, 0), *input).actions);
    }
    actions
}

fn status(actions: &[Action]) -> Vec<u16> {
    let answers = actions.iter().filter_map(|action| match action {
        Action::Answer(answer) => Some(answer.status()),
        Action::Record { .. } | Action::Apply { .. } | Action::Hint(_) => None,
    });
    answers.collect()
}

fn start() -> Receipt {
    Receipt::start(7, START, &policy())
}

fn complete(authenticity: Authenticity, readable: bool) -> Input {
    Input::Complete { authenticity, readable }
}

fn posted(content_type: Option<&[u8]>, authenticity: Authenticity, readable: bool) -> Vec<Action> {
    let head = Input::head("POST", content_type, None);
    run(&mut start(), &[head, Input::Chunk { len: 10 }, complete(authenticity, readable)])
}

#[test]
fn g5_recorded_then_200_then_applied_and_a_twin_again_200() {
    let mut store = MemoryStore::new(10, 1_000);
    for duplicate in [false, true] {
        let mut receipt = start();
        let head = Input::head("POST", JSON, Some(10));
        let complete = complete(Authenticity::Signed, true);
        let asked = run(&mut receipt, &[head, Input::Chunk { len: 10 }, complete]);
        assert_eq!(asked, [Action::Record { op: 7 }]);
        let proof = proof(7, b"{}", &mut store);
        let asked = run(&mut receipt, &[Input::Committed(proof)]);
        assert_eq!(
            asked,
            [Action::Answer(Answer::recorded(&proof)), Action::Apply { position: 1, duplicate }]
        );
        assert_eq!(receipt.next(&policy()), Next::Over);
    }
}

/// Accepted, declined, accepted again, each announced by the provider's callback: the third has the bytes of the first.
#[test]
fn r4_digests_never_silence_the_same_bytes_again_still_hint_and_lead_to_the_third_revision() {
    let pulls = poller::Policy::builder(Span::secs(5), Span::mins(30)).build().unwrap();
    let rules = session::Policy::confirm_by_pull(pulls);
    let mut store = MemoryStore::new(10, 1_000);
    let mut now = START;
    let mut session = Session::new(Cx::new(now, &rules, 0));
    let mut handed = Vec::new();
    let histories = [
        ("accepted", Verdict::Accepted, 1),
        ("declined", Verdict::Declined, 2),
        ("accepted", Verdict::Accepted, 1),
    ];
    for (nth, (body, verdict, content)) in histories.into_iter().enumerate() {
        let report = Report { verdict: Some(verdict), content: ContentDigest(content) };
        let mut receipt = start();
        let head = Input::head("POST", JSON, None);
        run(&mut receipt, &[head, Input::Chunk { len: 8 }, complete(Authenticity::Signed, true)]);
        let actions = run(&mut receipt, &[Input::Committed(proof(7, body.as_bytes(), &mut store))]);
        let duplicate = nth == 2;
        let applied = actions
            .iter()
            .any(|action| matches!(action, Action::Apply { duplicate: known, .. } if *known == duplicate));
        assert!(applied, "{actions:?}");

        let callback = session::Input::Callback(Callback::Signed(report));
        let _ = session.step(Cx::new(now, &rules, 0), callback);
        assert!(session.poller().is_demanded(), "callback {nth} of {body} demands no pull");
        now = now.after(Span::secs(6));
        let _ = session.step(Cx::new(now, &rules, 0), session::Input::Tick);
        assert_eq!(session.wants(), Some(Class::Confirming));
        let _ = session.step(Cx::new(now, &rules, 0), session::Input::Granted);
        let pulled =
            session::Input::Pulled { op: session.poller().last_op(), outcome: Outcome::Report(report) };
        for action in session.step(Cx::new(now, &rules, 0), pulled).actions {
            if let session::Action::HandOver(revision) = action {
                let number = revision.number;
                handed.push((number, revision.verdict));
                let _ =
                    session.step(Cx::new(now, &rules, 0), session::Input::HandedOver { revision: number });
            }
        }
    }
    assert_eq!(handed, [(1, Verdict::Accepted), (2, Verdict::Declined), (3, Verdict::Accepted)]);
}

#[test]
fn g5_another_callbacks_proof_is_not_taken() {
    let mut store = MemoryStore::new(10, 1_000);
    let mut receipt = start();
    let head = Input::head("POST", JSON, None);
    run(&mut receipt, &[head, Input::Chunk { len: 10 }, complete(Authenticity::Signed, true)]);
    let before = receipt;
    let step = receipt.step(Cx::new(START, &policy(), 0), Input::Committed(proof(8, b"{}", &mut store)));
    assert_eq!((step.disposition, step.actions.len(), receipt), (Disposition::Illegal, 0, before));
}

#[test]
fn other_methods_are_answered_405_and_allow_post() {
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"] {
        let asked = run(&mut start(), &[Input::head(method, JSON, None)]);
        let [Action::Answer(answer)] = asked[..] else { panic!("{asked:?}") };
        assert_eq!((answer.status(), answer.field()), (405, Some(("allow", "POST"))));
    }
}

#[test]
fn a_body_over_the_cap_is_answered_413_at_once_or_as_it_streams() {
    let announced = run(&mut start(), &[Input::head("POST", JSON, Some(101))]);
    assert_eq!(status(&announced), [413]);
    let head = Input::head("POST", JSON, None);
    let streamed = run(&mut start(), &[head, Input::Chunk { len: 60 }, Input::Chunk { len: 41 }]);
    assert_eq!(status(&streamed), [413]);
    let full = [Input::head("POST", JSON, Some(100)), Input::Chunk { len: 60 }, Input::Chunk { len: 40 }];
    assert_eq!(run(&mut start(), &full), []);
}

#[test]
fn media_type_is_judged_after_verification_and_never_against_a_signed_body() {
    let right: [&[u8]; 4] = [
        b"application/json",
        b"Application/JSON",
        b"application/json; charset=utf-8",
        b" application/json ;charset=\"UTF-8\"; x=y",
    ];
    for name in right {
        assert_eq!(posted(Some(name), Authenticity::Unsigned, true), [Action::Record { op: 7 }]);
    }
    let wrong: [Option<&[u8]>; 5] =
        [None, Some(b""), Some(b"text/plain"), Some(b"application/jsonp"), Some(b"x; application/json")];
    for name in wrong {
        assert_eq!(status(&posted(name, Authenticity::Unsigned, true)), [415]);
        assert_eq!(posted(name, Authenticity::Signed, true), [Action::Record { op: 7 }]);
        assert_eq!(status(&posted(name, Authenticity::Missing, true)), [401]);
    }
}

#[test]
fn r16_a_wrong_or_missing_signature_is_answered_401_not_recorded_and_a_hint_if_readable() {
    for authenticity in [Authenticity::Wrong, Authenticity::Missing] {
        let readable = posted(JSON, authenticity, true);
        assert_eq!(readable[0], Action::Hint(Callback::WrongSignature));
        assert_eq!((status(&readable), readable.len()), (vec![401], 2));
        let unreadable = posted(JSON, authenticity, false);
        assert_eq!((status(&unreadable), unreadable.len()), (vec![401], 1));
    }
}

#[test]
fn r19_an_unreadable_body_is_recorded_when_signed_and_answered_400_when_not() {
    assert_eq!(posted(JSON, Authenticity::Signed, false), [Action::Record { op: 7 }]);
    assert_eq!(status(&posted(JSON, Authenticity::Unsigned, false)), [400]);
}

#[test]
fn an_empty_body_is_answered_400_whoever_signed_it() {
    use Authenticity::{Missing, Signed, Unsigned, Wrong};
    for authenticity in [Signed, Unsigned, Wrong, Missing] {
        let head = Input::head("POST", JSON, Some(0));
        let asked = run(&mut start(), &[head, complete(authenticity, false)]);
        assert_eq!(status(&asked), [400]);
    }
}

#[test]
fn r10_a_commit_after_the_503_still_applies() {
    let mut store = MemoryStore::new(10, 1_000);
    let policy = policy();
    let mut receipt = start();
    let head = Input::head("POST", JSON, None);
    run(&mut receipt, &[head, Input::Chunk { len: 10 }, complete(Authenticity::Signed, true)]);
    let before = receipt.step(Cx::new(START.shifted(2_499), &policy, 0), Input::Tick);
    assert!(before.actions.is_empty(), "a deadline is not reached early");
    let late = receipt.step(Cx::new(START.shifted(2_500), &policy, 0), Input::Tick);
    let asked: Vec<_> = late.actions.iter().collect();
    assert_eq!((status(&asked), asked[1]), (vec![503], Action::Hint(Callback::Unsigned)));
    assert_eq!(late.next, Next::Input);
    assert_eq!(receipt.outstanding(&policy).iter().collect::<Vec<_>>(), [Action::Record { op: 7 }]);
    let applied = run(&mut receipt, &[Input::Committed(proof(7, b"{}", &mut store))]);
    assert_eq!(applied, [Action::Apply { position: 1, duplicate: false }]);
}

#[test]
fn r10_failed_storage_answers_503_and_hints() {
    struct Broken;
    impl Journal for Broken {
        type Error = TooLarge;
        fn commit(&mut self, _: &Record<'_>) -> Result<Commit, TooLarge> {
            Err(TooLarge { record: 1, most_bytes: 0 })
        }
        fn mark_applied(&mut self, _: &[u64]) -> Result<(), TooLarge> {
            Ok(())
        }
        fn unapplied(&mut self, _: u64, _: u32) -> Result<Vec<Recorded>, TooLarge> {
            Ok(Vec::new())
        }
    }
    let record = Record {
        provider: "shufti",
        digest: [0; 32],
        authenticity: Authenticity::Signed,
        id: None,
        event: None,
        remark: None,
        received_unix_ms: 0,
        body: b"{}",
    };
    assert!(CommitReceipt::obtain(&mut Broken, 7, &record).is_err());
    let head = Input::head("POST", JSON, None);
    let failed = Input::StorageFailed { op: 7 };
    let complete = complete(Authenticity::Unsigned, true);
    let asked = run(&mut start(), &[head, Input::Chunk { len: 2 }, complete, failed]);
    assert_eq!(asked[1], Action::Hint(Callback::Unsigned));
    assert_eq!(status(&asked), [503]);
}

#[test]
fn a_policy_under_which_no_callback_could_succeed_is_refused_with_the_reason() {
    assert_eq!(Policy::builder(0).build(), Err(PolicyError::NoBody));
    let late = Policy::builder(1).answer_within(Span::secs(3)).build().unwrap_err();
    assert_eq!(
        format!("{late}"),
        "answer_within is 3000ms but the provider gives up after 3000ms: answer sooner"
    );
    assert!(Policy::builder(1).answer_within(Span::secs(3)).provider_waits(Span::secs(15)).build().is_ok());
}

fn any_input() -> impl Strategy<Value = u8> {
    0..8_u8
}

proptest! {
    /// Whatever happens and whenever: at most one answer; 200 only as the answer to a commit, and only before the deadline; by the
    /// deadline there has been an answer, unless nobody is left to answer.
    #[test]
    fn g5_answered_once_in_time_and_200_only_from_a_commit(
        script in prop::collection::vec((any_input(), 0..1_500_u32, any::<u8>()), 1..12),
    ) {
        let policy = policy();
        let mut store = MemoryStore::new(10, 1_000);
        let mut receipt = start();
        let deadline = START.after(policy.answer_within());
        let (mut now, mut answered, mut gone, mut asked) = (START, None, false, false);
        for (kind, wait, detail) in script {
            now = now.shifted(i64::from(wait));
            let input = match kind {
                0 => Input::Tick,
                1 => Input::head("POST", JSON, None),
                2 | 3 => Input::Chunk { len: u32::from(detail) },
                4 => complete(Authenticity::Signed, detail > 100),
                5 => complete(Authenticity::Unsigned, detail > 100),
                6 => Input::Committed(proof(7, &[detail], &mut store)),
                _ if detail > 128 => Input::StorageFailed { op: 7 },
                _ => Input::Disconnected,
            };
            let step = receipt.step(Cx::new(now, &policy, 0), input);
            for action in step.actions {
                match action {
                    Action::Answer(answer) => {
                        prop_assert_eq!(answered.replace(answer.status()), None);
                        if answer.status() == 200 {
                            prop_assert!(asked && now < deadline && matches!(input, Input::Committed(_)));
                        }
                    }
                    Action::Record { .. } => asked = true,
                    Action::Apply { .. } => prop_assert!(matches!(input, Input::Committed(_))),
                    Action::Hint(_) => {}
                }
            }
            gone |= input == Input::Disconnected;
            if now >= deadline && !gone {
                prop_assert!(answered.is_some());
            }
        }
    }
}
