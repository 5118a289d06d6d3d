//! Where callbacks come in: moves bytes and completions between an HTTP server, the store and the receipt machine, which decides
//! every answer.

use crate::session::Body;
use idv_core::evidence::{Callback, Verdict};
use idv_core::http::Headers;
use idv_core::machine::{Cx, Machine, Next};
use idv_core::provider::{Authenticity, CallbackCheck, CallbackReading, Checked, Provider, Unreadable};
use idv_core::receipt::{Action, Answer, Input, Policy, Receipt};
use idv_core::store::{CommitReceipt, Record};
use idv_core::time::Instant;
use idv_host::{AnyStore, Clock, Pool};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// One place where a provider's callbacks arrive.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) policy: Policy,
}

/// A callback on its way to the driver.
pub(crate) struct Arrived {
    pub(crate) provider: &'static str,
    /// Where the record stands; `None` for what is no evidence and was not recorded.
    pub(crate) position: Option<u64>,
    /// The verdict that the body of a record claims.
    pub(crate) claims: Option<Verdict>,
    pub(crate) callback: Callback,
    pub(crate) payload: Arc<Payload>,
}

/// What was read from one callback.
pub(crate) struct Payload {
    pub(crate) body: Body,
    pub(crate) checked: Checked,
    pub(crate) reading: CallbackReading,
    received_unix_ms: u64,
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

/// A callback that somebody else's server has read whole.
#[derive(Clone, Copy)]
pub struct CallbackRequest<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// The header fields, as received.
    pub headers: Headers<'a>,
    /// The raw body: not decoded, not parsed, not trimmed.
    pub body: &'a [u8],
    /// When the first byte of the head came, where the server tells; the answer's deadline counts from there.
    pub received_at: Option<std::time::Instant>,
}

impl fmt::Debug for CallbackRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.method, self.body.len())
    }
}

/// The receipt machine counts chunks in 32 bits.
const LARGEST_CHUNK: usize = 1 << 20;

type Observer = Arc<dyn Fn(&CallbackEvent) + Send + Sync>;
type Forward = Arc<dyn Fn(Arrived) + Send + Sync>;

/// Takes callbacks in. Clones share everything.
#[derive(Clone)]
pub(crate) struct Intake {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    recorders: Pool,
    store: Mutex<AnyStore>,
    /// To the driver.
    forward: Forward,
    observer: Observer,
    last_op: AtomicU64,
}

impl Intake {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        recorders: Pool,
        store: AnyStore,
        forward: Forward,
        observer: Observer,
    ) -> Self {
        let store = Mutex::new(store);
        let last_op = AtomicU64::new(0);
        Self { shared: Arc::new(Shared { clock, recorders, store, forward, observer, last_op }) }
    }

    /// A callback whose head began to arrive at `first_byte`. `on_answer` is called once, unless the peer goes away first.
    pub(crate) fn begin(
        &self,
        endpoint: &Endpoint,
        first_byte: Instant,
        on_answer: impl FnOnce(Answer) + Send + 'static,
    ) -> Incoming {
        let op = self.shared.last_op.fetch_add(1, Ordering::Relaxed) + 1;
        let receipt = Receipt::start(op, first_byte, &endpoint.policy);
        let ongoing = Ongoing {
            intake: Arc::clone(&self.shared),
            endpoint: endpoint.clone(),
            state: Mutex::new(State { receipt, answer: None, on_answer: Some(Box::new(on_answer)) }),
            answered: Condvar::new(),
            payload: OnceLock::new(),
        };
        Incoming { ongoing: Arc::new(ongoing), check: None, body: Zeroizing::default() }
    }

    /// A complete request, answered before this returns: for servers whose handlers may block.
    pub(crate) fn receive(&self, endpoint: &Endpoint, request: &CallbackRequest<'_>) -> Answer {
        let mut incoming = self.begin(endpoint, self.first_byte(request.received_at), |_| ());
        incoming.head(request.method, request.headers, Some(request.body.len() as u64));
        for chunk in request.body.chunks(LARGEST_CHUNK) {
            incoming.chunk(chunk);
        }
        incoming.complete();
        incoming.ongoing.wait()
    }

    /// The moment `received_at` on the driver's clock; now, where the server does not tell.
    pub(crate) fn first_byte(&self, received_at: Option<std::time::Instant>) -> Instant {
        let ago = received_at.map_or(Duration::ZERO, |at| at.elapsed());
        let now = self.shared.clock.now();
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        Instant::from_millis(now.as_millis().saturating_sub(ago))
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Intake")
    }
}

/// One callback on its way in. Dropping it says that the peer is gone.
pub(crate) struct Incoming {
    ongoing: Arc<Ongoing>,
    check: Option<Box<dyn CallbackCheck>>,
    body: Zeroizing<Vec<u8>>,
}

impl Incoming {
    /// The head is complete.
    pub(crate) fn head(&mut self, method: &str, headers: Headers<'_>, content_length: Option<u64>) {
        self.check = Some(self.ongoing.endpoint.provider.check_callback(headers));
        self.ongoing.step(Input::head(method, headers.first("content-type"), content_length));
    }

    /// The next bytes of the body, at most [`LARGEST_CHUNK`].
    pub(crate) fn chunk(&mut self, bytes: &[u8]) {
        self.ongoing.step(Input::Chunk { len: u32::try_from(bytes.len()).unwrap_or(u32::MAX) });
        if self.is_answered() {
            self.body = Zeroizing::default();
            return;
        }
        if let Some(check) = &mut self.check {
            check.update(bytes);
        }
        self.body.extend_from_slice(bytes);
    }

    /// The body is complete.
    pub(crate) fn complete(&mut self) {
        let Some(check) = self.check.take() else { return };
        if self.is_answered() {
            return;
        }
        let checked = check.finish();
        let reading = self.ongoing.endpoint.provider.read_callback(&self.body, &checked);
        let complete =
            Input::Complete { authenticity: checked.authenticity, readable: reading.unreadable.is_none() };
        let received_unix_ms = self.ongoing.intake.clock.unix_ms();
        let body = Arc::new(std::mem::take(&mut self.body));
        let _ = self.ongoing.payload.set(Arc::new(Payload { body, checked, reading, received_unix_ms }));
        self.ongoing.step(complete);
    }

    /// Time passed.
    pub(crate) fn tick(&self) {
        self.ongoing.step(Receipt::TICK);
    }

    pub(crate) fn next(&self) -> Next {
        self.ongoing.lock().receipt.next(&self.ongoing.endpoint.policy)
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.ongoing.lock().answer.is_some()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.ongoing.step(Input::Disconnected);
    }
}

/// What the server's side and the store's side of one callback share.
struct Ongoing {
    intake: Arc<Shared>,
    endpoint: Endpoint,
    state: Mutex<State>,
    answered: Condvar,
    payload: OnceLock<Arc<Payload>>,
}

struct State {
    receipt: Receipt,
    answer: Option<Answer>,
    on_answer: Option<Box<dyn FnOnce(Answer) + Send>>,
}

impl Ongoing {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(self: &Arc<Self>, input: Input) {
        let now = self.intake.clock.now();
        let mut state = self.lock();
        let actions = state.receipt.step(Cx::new(now, &self.endpoint.policy, 0), input).actions;
        let mut on_answer = None;
        for action in actions {
            if let Action::Answer(answer) = action {
                state.answer = Some(answer);
                on_answer = state.on_answer.take();
            }
        }
        drop(state);
        for action in actions {
            match action {
                Action::Answer(answer) => {
                    self.answered.notify_all();
                    if let Some(on_answer) = on_answer.take() {
                        on_answer(answer);
                    }
                    if answer.status() != 200 {
                        self.observe(CallbackOutcome::Refused {
                            status: answer.status(),
                            explanation: answer.explanation(),
                        });
                    }
                }
                Action::Record { op } => self.record(op),
                Action::Apply { position, duplicate } => {
                    self.observe(CallbackOutcome::Recorded { position, duplicate });
                    self.forward(Some(position), None);
                }
                Action::Hint(callback) => self.forward(None, Some(callback)),
            }
        }
    }

    /// Starts the commit. The store may take its time, the machine keeps the deadline.
    fn record(self: &Arc<Self>, op: u64) {
        let this = Arc::clone(self);
        let taken = self.intake.recorders.submit(move || {
            let input = this.commit(op).unwrap_or(Input::StorageFailed { op });
            this.step(input);
        });
        if taken.is_err() {
            tracing::warn!(provider = self.endpoint.provider.name(), "too many callbacks wait for the store");
            self.step(Input::StorageFailed { op });
        }
    }

    fn commit(&self, op: u64) -> Option<Input> {
        let payload = self.payload.get()?;
        let remark = remark(Some(&payload.checked), Some(&payload.reading));
        let record = Record {
            provider: self.endpoint.provider.name(),
            digest: payload.checked.digest,
            authenticity: payload.checked.authenticity,
            id: payload.reading.id.as_deref(),
            event: payload.reading.event.as_deref(),
            remark: remark.as_deref(),
            received_unix_ms: payload.received_unix_ms,
            body: &payload.body,
        };
        let mut store = self.intake.store.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match CommitReceipt::obtain(&mut store, op, &record) {
            Ok(proof) => Some(Input::Committed(proof)),
            Err(error) => {
                tracing::error!(%error, provider = record.provider, "a callback could not be recorded");
                None
            }
        }
    }

    fn forward(&self, position: Option<u64>, hint: Option<Callback>) {
        let Some(payload) = self.payload.get() else { return };
        let provider = &self.endpoint.provider;
        let statement = position.and_then(|_| provider.statement(&payload.body).ok());
        (self.intake.forward)(Arrived {
            provider: provider.name(),
            position,
            claims: statement.and_then(|statement| statement.verdict),
            callback: hint.unwrap_or(payload.reading.callback),
            payload: Arc::clone(payload),
        });
    }

    fn observe(&self, outcome: CallbackOutcome) {
        let payload = self.payload.get();
        let reading = payload.map(|payload| &payload.reading);
        let checked = payload.map(|payload| &payload.checked);
        (self.intake.observer)(&CallbackEvent {
            provider: self.endpoint.provider.name(),
            id: reading.and_then(|reading| reading.id.clone()),
            id_member: reading.and_then(|reading| reading.id_member),
            event: reading.and_then(|reading| reading.event.clone()),
            authenticity: checked.map(|checked| checked.authenticity),
            digest: checked.map(|checked| checked.digest),
            remark: remark(checked, reading),
            unreadable: reading.and_then(|reading| reading.unreadable.clone()),
            outcome,
        });
    }

    /// Waits for the answer. The machine answers every callback that came in whole, at its deadline at the latest.
    fn wait(self: &Arc<Self>) -> Answer {
        let mut state = self.lock();
        loop {
            if let Some(answer) = state.answer {
                return answer;
            }
            match state.receipt.next(&self.endpoint.policy) {
                Next::At(at) => {
                    let left = at.since(self.intake.clock.now());
                    if left == 0 {
                        drop(state);
                        self.step(Receipt::TICK);
                        state = self.lock();
                    } else {
                        let left = Duration::from_millis(left);
                        state =
                            self.answered.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                    }
                }
                Next::Input | Next::Over => {
                    state = self.answered.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

/// What checking it and reading it had to remark.
fn remark(checked: Option<&Checked>, reading: Option<&CallbackReading>) -> Option<String> {
    let checked = checked.and_then(|checked| checked.remark.as_deref());
    let deviation = reading.and_then(|reading| reading.deviation);
    let remarks: Vec<&str> = checked.into_iter().chain(deviation).collect();
    (!remarks.is_empty()).then(|| remarks.join("; "))
}
