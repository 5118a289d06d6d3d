//! The whole way of a callback, from the first byte of its head to the engine, disturbed or not.

use crate::message::Message;
use idv_core::engine::reception::{Action, Arrived, Endpoint, Reception};
use idv_core::evidence::Evidence;
use idv_core::http::Headers;
use idv_core::machine::Next;
use idv_core::provider::{Authenticity, Checked, Provider};
use idv_core::receipt::Policy;
use idv_core::session::EvidencePolicy;
use idv_core::store::MemoryStore;
use idv_core::time::{Instant, Span};
use std::collections::VecDeque;
use std::sync::Arc;

/// What goes wrong, and before which of the things that are told to the reception.
#[derive(Clone, Copy)]
enum Disturbance {
    None,
    Late { before: usize },
    Gone { before: usize },
    StorageFails,
}

pub(super) fn goes_its_way(
    message: &Message<'_>,
    account: &Arc<dyn Provider>,
    checked: &Checked,
    expected: u16,
) {
    let announced = message.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let announced = announced.and_then(|(_, value)| announced_length(value));
    let is_too_long = announced.is_some_and(|length| length > account.callback_body_cap());
    let expected = if message.method == "POST" && is_too_long { 413 } else { expected };
    let before = message.disturbance / 4;
    let disturbances = [
        Disturbance::None,
        Disturbance::Late { before },
        Disturbance::Gone { before },
        Disturbance::StorageFails,
    ];
    for evidence in [EvidencePolicy::ConfirmByPull, EvidencePolicy::TrustSigned] {
        for disturbance in disturbances {
            let way = Way::of(message, account, evidence, disturbance);
            way.is_right(message, checked);
            match disturbance {
                Disturbance::None => assert_eq!(way.answers, [expected]),
                // Nobody is there to be answered, or was before that.
                Disturbance::Gone { .. } => {}
                Disturbance::Late { .. } => assert_eq!(way.answers.len(), 1, "answered in time"),
                Disturbance::StorageFails => {
                    assert_eq!(way.answers, [if expected == 200 { 503 } else { expected }]);
                }
            }
        }
    }
}

/// RFC 9110, 8.6: digits; a number that does not fit is not looked at.
fn announced_length(value: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(value.trim_ascii()).ok()?;
    digits.parse().ok().filter(|_| !digits.starts_with('+'))
}

/// What a callback's way came to.
struct Way {
    answers: Vec<u16>,
    arrived: Vec<Arrived>,
    store: MemoryStore,
}

impl Way {
    fn of(
        message: &Message<'_>,
        account: &Arc<dyn Provider>,
        evidence: EvidencePolicy,
        disturbance: Disturbance,
    ) -> Self {
        let policy = Policy::builder(account.callback_body_cap()).build().expect("the cap is not zero");
        let endpoint = Endpoint { provider: Arc::clone(account), policy, evidence };
        let mut way = Self { answers: Vec::new(), arrived: Vec::new(), store: MemoryStore::new(8, 1 << 26) };
        let mut now = Instant::from_millis(1_000);
        let mut reception = Reception::begin(endpoint, 1, now);
        let media_type = ("content-type", message.media_type.as_bytes());
        let others = message.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let fields: Vec<(&str, &[u8])> = [media_type].into_iter().chain(others).collect();
        let mut chunks = message.chunks();
        let mut todo = VecDeque::new();
        for told in 0.. {
            now = now.after(Span::MIN);
            match disturbance {
                Disturbance::Late { before } if before == told => {
                    if let Next::At(due) = reception.next() {
                        now = due.max(now);
                    }
                }
                Disturbance::Gone { before } if before == told => todo.extend(reception.disconnected(now)),
                Disturbance::None
                | Disturbance::Late { .. }
                | Disturbance::Gone { .. }
                | Disturbance::StorageFails => {}
            }
            let next = todo.pop_front();
            todo.extend(match (told, next) {
                (_, Some(Action::Examine(examine))) => reception.examined(now, examine.perform()),
                (_, Some(Action::Record(_))) if matches!(disturbance, Disturbance::StorageFails) => {
                    reception.not_recorded(now)
                }
                (_, Some(Action::Record(recording))) => {
                    let proof = recording.perform(&mut way.store).expect("there is room");
                    reception.committed(now, proof)
                }
                (_, Some(Action::Answer(answer))) => {
                    way.answers.push(answer.status());
                    assert!(answer.status() != 200 || way.store.len() == 1, "G5: 200 without a record");
                    continue;
                }
                (_, Some(Action::Arrived(arrived))) => {
                    way.arrived.push(arrived);
                    continue;
                }
                (_, Some(Action::Tell(event))) => {
                    super::discreet(event.remark.as_deref());
                    continue;
                }
                (0, None) => reception.head(now, &message.method, Headers(&fields)),
                (_, None) => match chunks.next() {
                    Some(chunk) => reception.chunk(now, chunk),
                    None => {
                        let todo = reception.complete(now, 0);
                        if todo.is_empty() {
                            break;
                        }
                        todo
                    }
                },
            });
        }
        assert!(matches!(reception.next(), Next::Over), "a callback that arrived whole is answered");
        assert_eq!(reception.answer().map(|answer| answer.status()), way.answers.first().copied());
        way
    }

    fn is_right(&self, message: &Message<'_>, checked: &Checked) {
        assert!(self.answers.len() <= 1, "answered more than once: {:?}", self.answers);
        for arrived in &self.arrived {
            let is_vouched_for = arrived.callback().evidence() == Evidence::Signed;
            assert!(
                !is_vouched_for || checked.authenticity == Authenticity::Signed,
                "G4: nobody signed this"
            );
            assert!(!is_vouched_for || arrived.position().is_some(), "R10: evidence without a record");
            assert_eq!(arrived.body().as_slice(), message.body, "what is handed on is what came");
        }
        // R10: what is recorded steps its session, whatever was answered.
        let applied = self.arrived.iter().filter_map(Arrived::position);
        assert_eq!(applied.count(), self.store.len(), "R10: a record that nobody is told of");
        if let Some(position) = self.arrived.iter().find_map(Arrived::position) {
            let record = self.store.record(position).expect("it is there");
            assert_eq!(&*record.body, message.body, "what is recorded is what came");
            assert_eq!(record.digest, checked.digest);
        }
    }
}
