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

use crate::evidence::{Callback, Verdict};
use crate::http::Headers;
use crate::lifecycle;
use crate::machine::{Cx, Machine, Next};
use crate::provider::{Authenticity, CallbackCheck, CallbackReading, Checked, Provider, Unreadable};
use crate::receipt::{self, Answer, Input, Policy, Receipt};
use crate::session::EvidencePolicy;
use crate::store::{AsyncJournal, CommitReceipt, Journal, Record};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
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

/// A body to be hashed and read.
pub struct Examine {
    op: u64,
    endpoint: Endpoint,
    check: Box<dyn CallbackCheck>,
    body: Zeroizing<Vec<u8>>,
    received_unix_ms: u64,
}

impl Examine {
    /// The length of the body, in bytes: what [`Examine::perform`] takes grows with it, some milliseconds for the largest.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Finds out who vouches for the body and what it says.
    #[must_use]
    pub fn perform(self) -> Examined {
        let Self { op, endpoint: Endpoint { provider, evidence, .. }, mut check, body, received_unix_ms } =
            self;
        check.update(&body);
        let checked = check.finish();
        let reading = match evidence {
            EvidencePolicy::ConfirmByPull => provider.read_hint(&body, &checked),
            EvidencePolicy::TrustSigned => provider.read_callback(&body, &checked),
        };
        let remark = remark(&checked, &reading);
        let (provider, body) = (provider.name(), Arc::new(body));
        let payload = Payload { provider, body, checked, reading, remark, received_unix_ms };
        Examined { op, payload: Arc::new(payload) }
    }
}

impl fmt::Debug for Examine {
    /// Without the body: it is about a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Examine({}, {} bytes)", self.op, self.body.len())
    }
}

/// What checking it and reading it had to remark.
fn remark(checked: &Checked, reading: &CallbackReading) -> Option<String> {
    let remarks: Vec<&str> = checked.remark.as_deref().into_iter().chain(reading.deviation).collect();
    (!remarks.is_empty()).then(|| remarks.join("; "))
}

/// A body that was examined.
#[derive(Debug)]
pub struct Examined {
    op: u64,
    payload: Arc<Payload>,
}

/// What was read from one callback.
struct Payload {
    provider: &'static str,
    body: Arc<Zeroizing<Vec<u8>>>,
    checked: Checked,
    reading: CallbackReading,
    remark: Option<String>,
    received_unix_ms: u64,
}

impl fmt::Debug for Payload {
    /// Without what the body says: it is about a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("provider", &self.provider)
            .field("authenticity", &self.checked.authenticity)
            .field("id", &self.reading.id)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A callback to be recorded.
#[derive(Debug)]
pub struct Recording {
    op: u64,
    payload: Arc<Payload>,
}

impl Recording {
    /// The number that the proof must carry: that of the [`Reception`].
    #[must_use]
    pub const fn op(&self) -> u64 {
        self.op
    }

    /// What is to be committed.
    #[must_use]
    pub fn record(&self) -> Record<'_> {
        let Payload { provider, body, checked, reading, remark, received_unix_ms } = &*self.payload;
        Record {
            provider,
            digest: checked.digest,
            authenticity: checked.authenticity,
            id: reading.id.as_deref(),
            event: reading.event.as_deref(),
            remark: remark.as_deref(),
            received_unix_ms: *received_unix_ms,
            body,
        }
    }

    /// Commits it. May block for as long as the journal does.
    ///
    /// # Errors
    /// What the journal says: [`Reception::not_recorded`].
    pub fn perform<J: Journal + ?Sized>(&self, journal: &mut J) -> Result<CommitReceipt, J::Error> {
        CommitReceipt::obtain(journal, self.op, &self.record())
    }

    /// As [`Recording::perform`], with a journal that does not block.
    ///
    /// # Errors
    /// As [`Recording::perform`].
    pub async fn perform_async<J: AsyncJournal>(&self, journal: &mut J) -> Result<CommitReceipt, J::Error> {
        CommitReceipt::obtain_async(journal, self.op, &self.record()).await
    }
}

/// A callback on its way to the engine, which steps the session that it names.
#[derive(Clone, Debug)]
pub struct Arrived {
    position: Option<u64>,
    callback: Callback,
    payload: Arc<Payload>,
}

impl Arrived {
    /// The provider's name.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        self.payload.provider
    }

    /// The verification that the body names, as the provider spells it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.payload.reading.id.as_deref()
    }

    /// A second id of the same verification.
    #[must_use]
    pub fn alias(&self) -> Option<&str> {
        self.payload.reading.alias.as_deref()
    }

    /// Where the record stands in the journal; `None` for what is only a hint, and no record or not yet one.
    #[must_use]
    pub const fn position(&self) -> Option<u64> {
        self.position
    }

    /// What it means to the session.
    #[must_use]
    pub const fn callback(&self) -> Callback {
        self.callback
    }

    /// The verdict that the body states, whoever vouches for it.
    #[must_use]
    pub fn claims(&self) -> Option<Verdict> {
        self.payload.reading.claims
    }

    /// The documented event that the body states.
    pub(super) fn stated(&self) -> Option<lifecycle::Event> {
        self.payload.reading.stated
    }

    /// The raw body. Personal data: overwritten when the last copy is dropped.
    #[must_use]
    pub fn body(&self) -> &Arc<Zeroizing<Vec<u8>>> {
        &self.payload.body
    }
}

/// What became of one callback, for logs and listeners; without its contents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallbackEvent {
    /// The provider's name.
    pub provider: &'static str,
    /// The verification that the body names. Of a body that nobody vouches for this is a claim.
    pub id: Option<String>,
    /// The member of the body that the id stood in (ShareID: `flow_id`, `applicant_id`).
    pub id_member: Option<&'static str>,
    /// The provider's own event word, as the body gives it.
    pub event: Option<String>,
    /// Who vouches for the bytes; `None` when the body did not arrive whole.
    pub authenticity: Option<Authenticity>,
    /// SHA-256 of the raw body; `None` when it did not arrive whole.
    pub digest: Option<[u8; 32]>,
    /// What checking and reading it had to remark: which rule and which secret matched, that it departs from the documents, ….
    pub remark: Option<String>,
    /// Why it could not be read.
    pub unreadable: Option<Unreadable>,
    /// What became of it.
    pub outcome: CallbackOutcome,
}

/// What became of one callback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallbackOutcome {
    /// It is recorded.
    Recorded {
        /// Where it stands in the journal.
        position: u64,
        /// The same bytes had been recorded before.
        duplicate: bool,
    },
    /// It was answered with something other than 200. An event [`CallbackOutcome::Recorded`] may still follow a 503.
    Refused {
        /// The status of the answer.
        status: u16,
        /// Why, in one line.
        explanation: &'static str,
    },
}
