//! A world around an intake: a store whose commits wait for the test's word, and both ends of what the intake reports.

use idv_core::engine::{CallbackEvent, CallbackOutcome, Endpoint};
use idv_core::evidence::Callback;
use idv_core::provider::Provider;
use idv_core::receipt::Policy;
use idv_core::secret::Secret;
use idv_core::session::EvidencePolicy;
use idv_core::shufti::signature::{Rule, sign};
use idv_core::store::{
    Commit, Journal, MemoryStore, Record, Recorded, Save, Saved, SavedSession, Sessions, TooLarge,
};
use idv_core::time::Span;
use idv_core::{shareid, shufti};
use idv_host::{AnyStore, Delivered, Intake, IntakeBounds, SharedMemory, SystemClock};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A store whose commits say that they started, wait for the test's word, and fail when it says so.
#[derive(Clone)]
struct Gate {
    memory: SharedMemory,
    started: Sender<()>,
    words: Arc<Mutex<Receiver<bool>>>,
}

impl Journal for Gate {
    type Error = TooLarge;

    fn commit(&mut self, record: &Record<'_>) -> Result<Commit, TooLarge> {
        let _ = self.started.send(());
        let word = self.words.lock().unwrap().recv();
        match word {
            Ok(true) => self.memory.commit(record),
            Ok(false) | Err(_) => Err(TooLarge { record: 0, most_bytes: 0 }),
        }
    }

    fn mark_applied(&mut self, positions: &[u64]) -> Result<(), TooLarge> {
        self.memory.mark_applied(positions)
    }

    fn unapplied(&mut self, after: u64, at_most: u32) -> Result<Vec<Recorded>, TooLarge> {
        self.memory.unapplied(after, at_most)
    }
}

impl Sessions for Gate {
    type Error = TooLarge;

    fn save(&mut self, save: &Save<'_>) -> Result<Saved, TooLarge> {
        self.memory.save(save)
    }

    fn confirm(&mut self, provider: &str, id: &str, revision: u32) -> Result<bool, TooLarge> {
        self.memory.confirm(provider, id, revision)
    }

    fn load(&mut self, after: Option<(&str, &str)>, at_most: u32) -> Result<Vec<SavedSession>, TooLarge> {
        self.memory.load(after, at_most)
    }
}

/// An intake, and both ends of what it reports.
pub struct World {
    pub intake: Intake,
    /// Says of the next commit whether it succeeds. Dropped: none does.
    pub words: Sender<bool>,
    started: Receiver<()>,
    memory: SharedMemory,
    arrived: Receiver<Delivered>,
    events: Receiver<CallbackEvent>,
}

/// One recorder, and room for ten callbacks to wait.
pub const BOUNDS: IntakeBounds = IntakeBounds { records_at_once: 1, most_waiting: 10, most_bytes: 64 << 20 };

/// Long enough never to pass on a busy machine.
pub const AMPLE: Span = Span::secs(60);

const GENEROUS: Duration = Duration::from_secs(20);
const SECRET: &str = "secret";

pub const ACCEPTED: &[u8] = br#"{"reference":"ab-1","event":"verification.accepted"}"#;
pub const DECLINED: &[u8] = br#"{"reference":"ab-2","event":"verification.declined"}"#;
pub const CAP: u64 = 8 << 20;

pub fn signature(body: &[u8]) -> String {
    sign(Rule::After, &Secret::from(SECRET), body)
}

pub fn signed() -> shufti::Account {
    shufti::Account::builder("client", Secret::from(SECRET)).build().unwrap()
}

pub fn unsigned() -> shareid::Account {
    let flow = shareid::Flow::Authenticate;
    shareid::Account::new("https://api.example", flow, "hash".into(), "key".into()).unwrap()
}

pub fn endpoint(provider: impl Provider + 'static, answer_within: Span) -> Endpoint {
    let policy = Policy::builder(CAP)
        .answer_within(answer_within)
        .provider_waits(answer_within.plus(Span::millis(500)))
        .build()
        .unwrap();
    Endpoint { provider: Arc::new(provider), policy, evidence: EvidencePolicy::TrustSigned }
}

/// A store that waits for words, and says that it started.
pub fn gate(memory: &SharedMemory) -> (AnyStore, Sender<bool>, Receiver<()>) {
    let ((words, held), (starts, started)) = (channel(), channel());
    let gate = Gate { memory: memory.clone(), started: starts, words: Arc::new(Mutex::new(held)) };
    (AnyStore::new(gate), words, started)
}

impl World {
    pub fn new(bounds: IntakeBounds) -> Self {
        let memory = SharedMemory::default();
        let (store, words, started) = gate(&memory);
        let (to_driver, arrived) = channel();
        let (seen, events) = channel();
        let (to_driver, seen) = (Mutex::new(to_driver), Mutex::new(seen));
        let intake = Intake::new(
            Arc::new(SystemClock::new()),
            store,
            bounds,
            move |delivered| to_driver.lock().unwrap().send(delivered).unwrap(),
            move |event| seen.lock().unwrap().send(event).unwrap(),
        );
        Self { intake, words, started, memory, arrived, events }
    }

    /// Until a commit is under way.
    pub fn committing(&self) {
        self.started.recv_timeout(GENEROUS).unwrap();
    }

    /// What comes to the driver next.
    pub fn arrival(&self) -> Delivered {
        self.arrived.recv_timeout(GENEROUS).unwrap()
    }

    /// Its position and meaning.
    pub fn meaning(&self) -> (Option<u64>, Callback) {
        let arrived = self.arrival().arrived;
        (arrived.position(), arrived.callback())
    }

    pub fn event(&self) -> CallbackEvent {
        self.events.recv_timeout(GENEROUS).unwrap()
    }

    /// The status of the answer that is told next.
    pub fn refused(&self) -> u16 {
        match self.event().outcome {
            CallbackOutcome::Refused { status, .. } => status,
            CallbackOutcome::Recorded { .. } => panic!("it was recorded"),
        }
    }

    /// Nothing is told and nothing arrives, for as long as is worth waiting.
    pub fn is_quiet(&self) -> bool {
        self.events.recv_timeout(Duration::from_millis(50)).is_err() && self.arrived.try_recv().is_err()
    }

    pub fn recorded(&self) -> usize {
        self.memory.with(MemoryStore::len)
    }
}
