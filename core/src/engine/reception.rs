//! One callback from the first byte of its head to its answer, and to its session.
//!
//! ```text
//!   head ▶ chunk ▶ … ▶ complete ─▶ Examine ─▶ examined ─▶ Record ─▶ committed ─▶ Answer 200, Arrived
//!     │       │           │ deadline, no room               │ refused   │ failed, late
//!     └───────┴───────────┴──────▶ Answer 4xx or 503 ◀──────┴───────────┘
//! ```
//!
//! A [`Reception`] joins what one HTTP request needs: the receipt machine ([`crate::receipt`]), which decides every answer, the
//! provider's check of who vouches for the bytes, and the body. It is one value without locks, threads and clocks. Whoever serves HTTP
//! tells it what arrived and when, performs the [`Action`]s that come back, and steps it again at [`Reception::next`].
//!
//! # What to do with the actions
//!
//! - [`Action::Examine`]: hash and read the body, here or on another thread, and say [`Reception::examined`].
//! - [`Action::Record`]: commit it, here or on another thread, and say [`Reception::committed`]; or [`Reception::not_recorded`] once it
//!   is certain that no commit will come. Nothing else leads to a 200 (G5).
//! - [`Action::Answer`]: send it. There is at most one.
//! - [`Action::Arrived`]: hand it to the engine, also when it comes after the answer (R10), or after the peer has gone.
//! - [`Action::Tell`]: for logs and listeners.
//!
//! In a program whose handler may block, all of it is one loop:
//!
//! ```
//! use idv_core::engine::reception::{Action, Endpoint, Reception};
//! use idv_core::http::Headers;
//! use idv_core::provider::Provider;
//! use idv_core::receipt::{Answer, Policy};
//! use idv_core::session::EvidencePolicy;
//! use idv_core::shufti;
//! use idv_core::store::MemoryStore;
//! use idv_core::time::Instant;
//! use std::sync::Arc;
//!
//! /// `now` reads a clock that never goes back, `unix_ms` the calendar.
//! fn receive(
//!     endpoint: &Endpoint,
//!     store: &mut MemoryStore,
//!     (method, headers, body): (&str, Headers<'_>, &[u8]),
//!     (now, unix_ms): (impl Fn() -> Instant, u64),
//! ) -> Option<Answer> {
//!     let mut reception = Reception::begin(endpoint.clone(), 1, now());
//!     let mut todo = reception.head(now(), method, headers);
//!     todo.extend(reception.chunk(now(), body));
//!     todo.extend(reception.complete(now(), unix_ms));
//!     while let Some(action) = todo.pop() {
//!         todo.extend(match action {
//!             Action::Examine(task) => reception.examined(now(), task.perform()),
//!             Action::Record(task) => match task.perform(store) {
//!                 Ok(proof) => reception.committed(now(), proof),
//!                 Err(_) => reception.not_recorded(now()),
//!             },
//!             // The answer is kept below; with an engine, what arrived goes there.
//!             Action::Answer(_) | Action::Arrived(_) | Action::Tell(_) => Vec::new(),
//!         });
//!     }
//!     reception.answer()
//! }
//!
//! let account = shufti::Account::builder("client", "secret".into()).build()?;
//! let policy = Policy::builder(account.callback_body_cap()).build()?;
//! let evidence = EvidencePolicy::ConfirmByPull;
//! let endpoint = Endpoint { provider: Arc::new(account), policy, evidence };
//! let mut store = MemoryStore::new(1_000, 16 << 20);
//!
//! let body = br#"{"reference":"kyc-1","event":"verification.accepted"}"#;
//! let signature = b"d9b5eefa7b9a8f5fa1bbf0accd518d3258c42614a579788bffd6690e30fcb518";
//! let fields = [("signature", &signature[..]), ("content-type", b"application/json")];
//! let clock = || Instant::from_millis(1_000);
//! let answer = receive(&endpoint, &mut store, ("POST", Headers(&fields), body), (clock, 0));
//! assert_eq!(answer.map(|answer| answer.status()), Some(200));
//! assert_eq!(store.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod tasks;

pub use tasks::{Arrived, CallbackEvent, CallbackOutcome, Examine, Examined, Recording};

use crate::evidence::Callback;
use crate::http::Headers;
use crate::machine::{Cx, Machine, Next};
use crate::provider::{Authenticity, CallbackCheck, Provider};
use crate::receipt::{self, Answer, Input, Policy, Receipt};
use crate::session::EvidencePolicy;
use crate::store::CommitReceipt;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use tasks::Payload;
use zeroize::Zeroizing;

/// One place where a provider's callbacks arrive.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The account they are for.
    pub provider: Arc<dyn Provider>,
    /// The rules they are answered by.
    pub policy: Policy,
    /// What a signed one is to the account's sessions. Where it is no evidence (confirm by pull) its content is not digested, which is most
    /// of the work of reading it.
    pub evidence: EvidencePolicy,
}

/// What must be done for a callback; see the module's documentation.
#[must_use = "an action that is not performed leaves the callback without its answer or its effect"]
#[derive(Debug)]
pub enum Action {
    /// Hash and read the body: [`Examine::perform`].
    Examine(Examine),
    /// Commit it: [`Recording::perform`].
    Record(Recording),
    /// Send this answer.
    Answer(Answer),
    /// Hand this to the engine.
    Arrived(Arrived),
    /// Tell whoever wants to know.
    Tell(CallbackEvent),
}

/// One callback on its way in.
pub struct Reception {
    op: u64,
    endpoint: Endpoint,
    receipt: Receipt,
    stage: Stage,
    answer: Option<Answer>,
}

/// Where the body is.
enum Stage {
    /// It arrives.
    Arriving { check: Option<Box<dyn CallbackCheck>>, body: Buffer },
    /// It is being examined.
    Examining {
        /// The peer went away meanwhile.
        gone: bool,
    },
    /// It was examined.
    Examined(Arc<Payload>),
    /// It is not wanted any more.
    Dropped,
}

impl Reception {
    /// A callback whose request head began to arrive at `first_byte`; where the server does not tell, when its connection was
    /// accepted or became idle. `op` tells it from every other callback in this process.
    #[must_use]
    pub fn begin(endpoint: Endpoint, op: u64, first_byte: Instant) -> Self {
        let receipt = Receipt::start(op, first_byte, &endpoint.policy);
        let stage = Stage::Arriving { check: None, body: Buffer::default() };
        Self { op, endpoint, receipt, stage, answer: None }
    }

    /// The head is complete.
    pub fn head(&mut self, now: Instant, method: &str, headers: Headers<'_>) -> Vec<Action> {
        let content_length = headers.content_length();
        if let Stage::Arriving { check, body } = &mut self.stage {
            *check = Some(self.endpoint.provider.check_callback(headers));
            body.announced = content_length.and_then(|length| usize::try_from(length).ok());
        }
        self.step(now, Input::head(method, headers.first("content-type"), content_length))
    }

    /// The next bytes of the body, as received.
    pub fn chunk(&mut self, now: Instant, bytes: &[u8]) -> Vec<Action> {
        // After `complete` nothing can follow; whoever says so is not heard.
        let Stage::Arriving { .. } = self.stage else { return Vec::new() };
        let mut todo = Vec::new();
        for part in bytes.chunks(LARGEST_CHUNK) {
            todo.extend(self.step(now, Input::Chunk { len: u32::try_from(part.len()).unwrap_or(u32::MAX) }));
            if let Stage::Arriving { body, .. } = &mut self.stage {
                body.extend(part);
            }
        }
        todo
    }

    /// The body is complete. `unix_ms` says when, in milliseconds since 1970-01-01 UTC; nothing is decided by it.
    pub fn complete(&mut self, now: Instant, unix_ms: u64) -> Vec<Action> {
        let mut todo = self.tick(now);
        if let Stage::Arriving { check, body } = &mut self.stage
            && let Some(check) = check.take()
        {
            let (body, endpoint) = (core::mem::take(&mut body.bytes), self.endpoint.clone());
            self.stage = Stage::Examining { gone: false };
            let op = self.op;
            todo.push(Action::Examine(Examine { op, endpoint, check, body, received_unix_ms: unix_ms }));
        }
        todo
    }

    /// The body was examined. What belongs to another callback is not taken.
    pub fn examined(&mut self, now: Instant, examined: Examined) -> Vec<Action> {
        let Stage::Examining { gone } = self.stage else { return Vec::new() };
        if examined.op != self.op {
            return Vec::new();
        }
        let Payload { checked, reading, .. } = &*examined.payload;
        let (authenticity, readable) = (checked.authenticity, reading.unreadable.is_none());
        self.stage = Stage::Examined(examined.payload);
        let mut todo = self.tick(now);
        let was_answered = self.answer.is_some();
        todo.extend(self.step(now, Input::Complete { authenticity, readable }));
        if was_answered && readable {
            // The deadline came first, and the receipt is over. What arrived is a reason to ask all the same (R10).
            let hint = match authenticity {
                Authenticity::Signed | Authenticity::Unsigned => Callback::Unsigned,
                Authenticity::Wrong | Authenticity::Missing => Callback::WrongSignature,
            };
            todo.extend(self.arrived(None, hint));
        }
        if gone {
            todo.extend(self.step(now, Input::Disconnected));
        }
        todo
    }

    /// The record is durable, and this is the proof. The proof of another callback is not taken.
    pub fn committed(&mut self, now: Instant, proof: CommitReceipt) -> Vec<Action> {
        self.step(now, Input::Committed(proof))
    }

    /// It is certain that this callback will not be recorded: the store failed, or there was no room to keep the body or no thread to
    /// work on it. Answered 503, so that the provider comes again.
    pub fn not_recorded(&mut self, now: Instant) -> Vec<Action> {
        let op = self.op;
        self.step(now, Input::StorageFailed { op })
    }

    /// The peer went away, or the body broke off. What is being examined or recorded goes on.
    pub fn disconnected(&mut self, now: Instant) -> Vec<Action> {
        if let Stage::Examining { gone } = &mut self.stage {
            // Whether there is anything to keep is known once it was examined.
            *gone = true;
            return self.tick(now);
        }
        self.step(now, Input::Disconnected)
    }

    /// Time passed.
    pub fn tick(&mut self, now: Instant) -> Vec<Action> {
        self.step(now, Receipt::TICK)
    }

    /// When to call [`Reception::tick`], unless something else happens before.
    #[must_use]
    pub fn next(&self) -> Next {
        self.receipt.next(&self.endpoint.policy)
    }

    /// What was answered.
    #[must_use]
    pub const fn answer(&self) -> Option<Answer> {
        self.answer
    }

    fn step(&mut self, now: Instant, input: Input) -> Vec<Action> {
        let mut todo = Vec::new();
        for action in self.receipt.step(Cx::new(now, &self.endpoint.policy, 0), input).actions {
            match action {
                receipt::Action::Answer(answer) => {
                    self.answer = Some(answer);
                    todo.push(Action::Answer(answer));
                    if answer.status() != 200 {
                        let (status, explanation) = (answer.status(), answer.explanation());
                        todo.push(Action::Tell(self.event(CallbackOutcome::Refused { status, explanation })));
                    }
                }
                receipt::Action::Record { op } => {
                    todo.extend(self.payload().map(|payload| Action::Record(Recording { op, payload })));
                }
                receipt::Action::Apply { position, duplicate } => {
                    todo.push(Action::Tell(self.event(CallbackOutcome::Recorded { position, duplicate })));
                    let callback = self.payload().map(|payload| payload.reading.callback);
                    todo.extend(callback.and_then(|callback| self.arrived(Some(position), callback)));
                }
                receipt::Action::Hint(callback) => todo.extend(self.arrived(None, callback)),
            }
        }
        // Bytes that came for an answer given already are of no use.
        if self.answer.is_some() && matches!(self.stage, Stage::Arriving { .. }) {
            self.stage = Stage::Dropped;
        }
        todo
    }

    fn arrived(&self, position: Option<u64>, callback: Callback) -> Option<Action> {
        self.payload().map(|payload| Action::Arrived(Arrived { position, callback, payload }))
    }

    fn payload(&self) -> Option<Arc<Payload>> {
        match &self.stage {
            Stage::Examined(payload) => Some(Arc::clone(payload)),
            Stage::Arriving { .. } | Stage::Examining { .. } | Stage::Dropped => None,
        }
    }

    fn event(&self, outcome: CallbackOutcome) -> CallbackEvent {
        let payload = self.payload();
        let reading = payload.as_ref().map(|payload| &payload.reading);
        let checked = payload.as_ref().map(|payload| &payload.checked);
        CallbackEvent {
            provider: self.endpoint.provider.name(),
            id: reading.and_then(|reading| reading.id.clone()),
            id_member: reading.and_then(|reading| reading.id_member),
            event: reading.and_then(|reading| reading.event.clone()),
            authenticity: checked.map(|checked| checked.authenticity),
            digest: checked.map(|checked| checked.digest),
            remark: payload.as_ref().and_then(|payload| payload.remark.clone()),
            unreadable: reading.and_then(|reading| reading.unreadable.clone()),
            outcome,
        }
    }
}

impl fmt::Debug for Reception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reception").field("receipt", &self.receipt).finish_non_exhaustive()
    }
}

/// The receipt machine counts chunks in 32 bits.
const LARGEST_CHUNK: usize = 1 << 20;

/// What a body that announces its length may claim of the memory before it has arrived, in bytes.
const TAKEN_ON_TRUST: usize = 64 << 10;

/// A body that arrives. Grows without leaving a copy behind.
#[derive(Default)]
struct Buffer {
    bytes: Zeroizing<Vec<u8>>,
    announced: Option<usize>,
}

impl Buffer {
    fn extend(&mut self, part: &[u8]) {
        let needed = self.bytes.len().saturating_add(part.len());
        if needed > self.bytes.capacity() {
            let doubled = self.bytes.capacity().saturating_mul(2);
            let roomy = match self.announced {
                Some(announced) => announced.min(doubled.max(TAKEN_ON_TRUST)),
                None => doubled,
            };
            let mut larger = Zeroizing::new(Vec::with_capacity(roomy.max(needed)));
            larger.extend_from_slice(&self.bytes);
            // The smaller one is overwritten as it is dropped.
            self.bytes = larger;
        }
        self.bytes.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a body announces of itself.
    #[derive(Clone, Copy, Debug)]
    enum Announced {
        Nothing,
        ItsLength,
        Falsely(usize),
    }

    proptest! {
        /// However a body announces itself and comes: it is kept as it came; it claims no more memory than twice what has arrived, or what
        /// it announces up to 64 KiB; what fits is not moved, and a short body that announces itself never is. Each move
        /// overwrites the old place, which a vector that grows by itself does not.
        #[test]
        fn g6_g10_a_body_claims_little_on_trust_and_leaves_few_places_behind(
            announced in prop_oneof![
                Just(Announced::Nothing),
                Just(Announced::ItsLength),
                prop_oneof![0..400_000_usize, Just(usize::MAX)].prop_map(Announced::Falsely),
            ],
            parts in prop::collection::vec(prop_oneof![3 => 1..5_000_usize, 1 => Just(64 << 10)], 1..20),
        ) {
            let length: usize = parts.iter().sum();
            let announced = match announced {
                Announced::Nothing => None,
                Announced::ItsLength => Some(length),
                Announced::Falsely(length) => Some(length),
            };
            let on_trust = announced.map_or(0, |announced| announced.min(65_536));
            let (mut body, mut whole) = (Buffer { announced, ..Buffer::default() }, Vec::new());
            for (nth, len) in parts.into_iter().enumerate() {
                let part = alloc::vec![b'a' + nth as u8; len];
                whole.extend_from_slice(&part);
                let (place, room) = (body.bytes.as_ptr(), body.bytes.capacity());
                body.extend(&part);
                prop_assert!(**body.bytes == whole);
                prop_assert!(body.bytes.capacity() <= on_trust.max(2 * whole.len()), "it claims too much");
                prop_assert!(body.bytes.capacity() >= on_trust, "it was promised, and is short");
                prop_assert!(whole.len() > room || body.bytes.as_ptr() == place, "it fits, and was moved");
            }
        }
    }
}
