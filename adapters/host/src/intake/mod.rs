//! Where callbacks come in: moves bytes and completions between an HTTP server, the store and the core's receptions, which decide
//! every answer.
//!
//! ```text
//!   your server ─▶ receive (blocks) ─────────┐
//!   your server ─▶ receive_async (a future) ─┼─▶ Reception ─▶ recorders ─▶ the answer
//!   a listener ──▶ begin, chunk, complete ───┘                 (store)  └─▶ the driver
//! ```
//!
//! Recorders are threads, for a store may take its time. One that never does ([`Journal::never_blocks`](idv_core::store::Journal::never_blocks))
//! is asked where the callback came in, which saves the way to a recorder and back.
//!
//! What was begun is finished by threads of the intake's own: a commit survives the peer that goes away and the future that is
//! dropped, and an answer's deadline holds on any runtime.

mod deadlines;
mod inbox;
mod room;

use crate::clock::Clock;
use crate::pool::Pool;
use crate::spans;
use crate::store::{AnyStore, StoreError};
use deadlines::{Deadlines, Timed};
use futures_core::Stream;
use idv_core::engine::reception::{Action, Examine, Recording};
use idv_core::engine::{Arrived, CallbackEvent, Endpoint, Reception};
use idv_core::http::Headers;
use idv_core::machine::Next;
use idv_core::receipt::Answer;
use idv_core::store::{CommitReceipt, Journal as _};
use idv_core::time::Instant;
pub use inbox::Inbox;
use room::{Room, Share};
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

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

/// The bounds an intake works within.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IntakeBounds {
    /// The most callbacks that the store is asked to record at the same time, each on a thread. Default: 8.
    pub records_at_once: usize,
    /// The most callbacks that wait for such a thread; past it they are answered 503 at once. Default: 256.
    pub most_waiting: usize,
    /// The most bytes of bodies that are held at the same time, from their arrival until the driver has them; past it callbacks are
    /// answered 503 at once. One that is alone is taken whatever its size. Default: 128 MiB.
    pub most_bytes: u64,
}

impl Default for IntakeBounds {
    fn default() -> Self {
        Self { records_at_once: 8, most_waiting: 256, most_bytes: 128 << 20 }
    }
}

/// Bodies up to this length are hashed and read where they arrive, in some hundred microseconds; larger ones on a thread of their
/// own, so that other connections are served meanwhile.
const READ_AT_ONCE: usize = 64 << 10;

/// How many threads hash and read the larger bodies. Not those that record: a store that stalls must not keep bodies unread.
const READERS: usize = 2;

/// A callback on its way to the driver, with the room that its body takes: dropped once the driver has taken it in.
pub struct Delivered {
    /// The callback.
    pub arrived: Arrived,
    share: Arc<Share>,
}

impl fmt::Debug for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.arrived.fmt(f)
    }
}

impl Delivered {
    fn another(&self) -> Self {
        Self { arrived: self.arrived.clone(), share: Arc::clone(&self.share) }
    }
}

type Observer = Box<dyn Fn(CallbackEvent) + Send + Sync>;

/// Takes callbacks in. Clones share everything.
#[derive(Clone)]
pub struct Intake {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Arc<dyn Clock>,
    store: Mutex<AnyStore>,
    /// Commits need no thread of their own.
    store_never_blocks: bool,
    inbox: Box<dyn Inbox>,
    observer: Observer,
    recorders: Pool,
    readers: Pool,
    deadlines: Deadlines,
    room: Arc<Room>,
    last_op: AtomicU64,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, AnyStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intake {
    /// An intake that records in `store`.
    ///
    /// What arrived goes to `inbox`: a callback that is recorded waits for room there, on a thread of the intake's; one that is not, and is
    /// only a hint, is dropped where there is none. `observer` is told what became of each, and must return at once.
    pub fn new(
        clock: Arc<dyn Clock>,
        store: AnyStore,
        bounds: IntakeBounds,
        inbox: impl Inbox,
        observer: impl Fn(CallbackEvent) + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared {
            store_never_blocks: store.never_blocks(),
            deadlines: Deadlines::new(Arc::clone(&clock)),
            clock,
            store: Mutex::new(store),
            inbox: Box::new(inbox),
            observer: Box::new(observer),
            recorders: Pool::new("record", bounds.records_at_once, bounds.most_waiting),
            readers: Pool::new("read", READERS, bounds.most_waiting),
            room: Room::new(bounds.most_bytes),
            last_op: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A complete request, answered before this returns: for servers whose handlers may block. That takes until the answer's deadline
    /// at most; a 200 means that it is recorded (G5).
    #[must_use]
    pub fn receive(&self, endpoint: &Endpoint, request: &CallbackRequest<'_>) -> Answer {
        self.whole(endpoint, request, true).wait()
    }

    /// As [`Intake::receive`], as a future for any runtime. Everything that takes time goes on without it; whoever drops it says that
    /// the peer is gone.
    pub fn receive_async(
        &self,
        endpoint: &Endpoint,
        request: &CallbackRequest<'_>,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let incoming = self.whole(endpoint, request, false);
        async move { incoming.answered().await }
    }

    fn whole(&self, endpoint: &Endpoint, request: &CallbackRequest<'_>, may_block: bool) -> Incoming {
        let CallbackRequest { method, headers, body, received_at } = *request;
        let mut incoming = self.start(endpoint, (method, headers), received_at, may_block);
        incoming.chunk(body);
        incoming.complete();
        incoming
    }

    /// A request whose head has arrived; its body follows. For servers that read piece by piece.
    /// `received_at` is as in [`CallbackRequest`].
    #[must_use]
    pub fn begin(
        &self,
        endpoint: &Endpoint,
        method: &str,
        headers: Headers<'_>,
        received_at: Option<std::time::Instant>,
    ) -> Incoming {
        self.start(endpoint, (method, headers), received_at, false)
    }

    fn start(
        &self,
        endpoint: &Endpoint,
        (method, headers): (&str, Headers<'_>),
        received_at: Option<std::time::Instant>,
        may_block: bool,
    ) -> Incoming {
        let op = self.shared.last_op.fetch_add(1, Ordering::Relaxed) + 1;
        let reception = Reception::begin(endpoint.clone(), op, self.first_byte(received_at));
        let next = reception.next();
        let due = if let Next::At(at) = next { Some((at, op)) } else { None };
        let ongoing = Arc::new(Ongoing {
            span: spans::callback(endpoint.provider.name(), op),
            share: Arc::new(self.shared.room.share()),
            intake: Arc::clone(&self.shared),
            due,
            may_block,
            state: Mutex::new(State { reception, waker: None, is_timed: false, is_waited_for: false }),
            answered: Condvar::new(),
        });
        ongoing.step(|reception, now| reception.head(now, method, headers));
        if let Err(error) = self.shared.deadlines.start() {
            tracing::error!(%error, "no thread could be started to keep the answers' deadlines");
            ongoing.step(Reception::not_recorded);
        }
        Incoming { ongoing }
    }

    /// The moment `received_at` on the driver's clock; now, where the server does not tell.
    #[must_use]
    pub fn first_byte(&self, received_at: Option<std::time::Instant>) -> Instant {
        let ago = received_at.map_or(Duration::ZERO, |at| at.elapsed());
        let now = self.shared.clock.now();
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        Instant::from_millis(now.as_millis().saturating_sub(ago))
    }

    /// Takes no more callbacks, which are answered 503 from now on, and waits up to `within` for those that are being recorded. Returns
    /// whether all of them were.
    pub fn close(&self, within: Duration) -> bool {
        let began = std::time::Instant::now();
        let read = self.shared.readers.close(true, within);
        let recorded = self.shared.recorders.close(true, within.saturating_sub(began.elapsed()));
        read && recorded
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Intake")
    }
}

/// One callback on its way in. Dropping it says that the peer is gone; what is being recorded goes on.
pub struct Incoming {
    ongoing: Arc<Ongoing>,
}

impl Incoming {
    /// The next bytes of the body, as received.
    pub fn chunk(&mut self, bytes: &[u8]) {
        let there_is_room = self.ongoing.is_answered() || self.ongoing.share.grow(bytes.len() as u64);
        self.ongoing.step(|reception, now| match there_is_room {
            true => reception.chunk(now, bytes),
            false => reception.not_recorded(now),
        });
    }

    /// The body is complete.
    pub fn complete(&mut self) {
        let unix_ms = self.ongoing.intake.clock.unix_ms();
        self.ongoing.step(|reception, now| reception.complete(now, unix_ms));
    }

    /// Takes the body in piece by piece, until the answer is known: at its deadline at the latest.
    ///
    /// # Errors
    /// The body broke off, and this is what the stream said. Nothing of it is kept, as if the peer had gone.
    pub async fn body<B: AsRef<[u8]>, E>(
        mut self,
        pieces: impl Stream<Item = Result<B, E>>,
    ) -> Result<Answer, E> {
        let mut pieces = pin!(pieces);
        loop {
            let piece = poll_fn(|cx| {
                if self.ongoing.is_answered() {
                    return Poll::Ready(None);
                }
                match pieces.as_mut().poll_next(cx) {
                    Poll::Ready(piece) => Poll::Ready(piece),
                    Poll::Pending => self.ongoing.poll_answer(cx).map(|_| None),
                }
            });
            match piece.await {
                Some(piece) => self.chunk(piece?.as_ref()),
                None => break,
            }
        }
        // Nothing happens where the answer is known already.
        self.complete();
        Ok(self.answered().await)
    }

    /// Whether the answer is known: nothing more needs to be read.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.ongoing.step(Reception::tick);
        self.ongoing.is_answered()
    }

    /// Resolves to the answer, at its deadline at the latest. One task at a time can wait for it.
    #[must_use]
    pub fn answered(&self) -> Answered<'_> {
        Answered { ongoing: &self.ongoing }
    }

    /// Waits for the answer of a callback that came in whole.
    fn wait(&self) -> Answer {
        let mut state = self.ongoing.lock();
        loop {
            if let Some(answer) = state.reception.answer() {
                return answer;
            }
            self.ongoing.keep_deadline(&mut state);
            state.is_waited_for = true;
            state = self.ongoing.answered.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.ongoing.is_answered() {
            self.ongoing.step(Reception::disconnected);
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Incoming").field(&self.ongoing.lock().reception).finish()
    }
}

/// See [`Incoming::answered`].
#[derive(Clone, Copy)]
pub struct Answered<'a> {
    ongoing: &'a Arc<Ongoing>,
}

impl Future for Answered<'_> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        self.ongoing.poll_answer(cx)
    }
}

impl fmt::Debug for Answered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answered")
    }
}

/// What the server's side, the store's side and the clock's side of one callback share.
struct Ongoing {
    intake: Arc<Shared>,
    /// What is done for it is done in here, on whichever thread.
    span: tracing::Span,
    share: Arc<Share>,
    /// Its answer's deadline, and its number.
    due: Option<(Instant, u64)>,
    /// The thread that brought it waits for the answer anyway.
    may_block: bool,
    state: Mutex<State>,
    answered: Condvar,
}

struct State {
    reception: Reception,
    waker: Option<Waker>,
    /// The clock's thread knows of the deadline.
    is_timed: bool,
    /// A thread waits for the answer: else none is woken, which is a call of the system.
    is_waited_for: bool,
}

/// Who runs what is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// The server's, or the clock's: it must not wait.
    Servers,
    /// One of the intake's own.
    Recorders,
}

impl Ongoing {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_answered(&self) -> bool {
        self.lock().reception.answer().is_some()
    }

    fn poll_answer(self: &Arc<Self>, cx: &Context<'_>) -> Poll<Answer> {
        let mut state = self.lock();
        match state.reception.answer() {
            Some(answer) => Poll::Ready(answer),
            None => {
                state.waker = Some(cx.waker().clone());
                self.keep_deadline(&mut state);
                Poll::Pending
            }
        }
    }

    /// Has the clock's thread step it at its deadline, now that somebody waits for the answer: most are answered before anybody does.
    fn keep_deadline(self: &Arc<Self>, state: &mut State) {
        if let Some((at, op)) = self.due.filter(|_| !state.is_timed) {
            let this: Arc<dyn Timed> = Arc::clone(self) as _;
            self.intake.deadlines.set(at, op, Arc::downgrade(&this));
            state.is_timed = true;
        }
    }

    fn step(self: &Arc<Self>, input: impl FnOnce(&mut Reception, Instant) -> Vec<Action>) {
        self.step_on(Thread::Servers, input);
    }

    fn step_on(self: &Arc<Self>, thread: Thread, input: impl FnOnce(&mut Reception, Instant) -> Vec<Action>) {
        let _entered = self.span.enter();
        let actions = {
            let mut state = self.lock();
            // Read under the lock, so that the time of one callback never goes back.
            let now = self.intake.clock.now();
            input(&mut state.reception, now)
        };
        for action in actions {
            match action {
                Action::Examine(task) => self.examine(task),
                Action::Record(task) => self.record(task),
                Action::Answer(answer) => {
                    self.span.record("status", answer.status());
                    self.release();
                }
                Action::Arrived(arrived) => {
                    self.deliver(thread, Delivered { arrived, share: Arc::clone(&self.share) });
                }
                Action::Tell(event) => {
                    spans::became(&self.span, &event);
                    (self.intake.observer)(event);
                }
            }
        }
    }

    fn deliver(self: &Arc<Self>, thread: Thread, delivered: Delivered) {
        let is_recorded = delivered.arrived.position().is_some();
        if is_recorded && thread == Thread::Recorders {
            // It may wait, and then new callbacks are answered 503 instead of piling up here.
            return self.intake.inbox.send(delivered);
        }
        let again = delivered.another();
        if self.intake.inbox.try_send(delivered) {
            return;
        }
        if !is_recorded {
            // A hint that gets lost costs latency, never a verdict.
            return tracing::debug!("a hint was dropped: the driver is busy or has stopped");
        }
        // The recorders were idle when this was begun, so that of these there are no more than threads of the server's. Until they
        // are idle again, everything else goes through their queue.
        let intake = Arc::clone(&self.intake);
        if self.intake.recorders.submit_the_rest(again, move |again| intake.inbox.send(again)).is_err() {
            tracing::debug!("a recorded callback is left to the next driver: this one has stopped");
        }
    }

    /// Wakes who waits for the answer.
    fn release(&self) {
        let mut state = self.lock();
        let waker = state.waker.take();
        let (is_waited_for, due) = (state.is_waited_for, self.due.filter(|_| state.is_timed));
        drop(state);
        if is_waited_for {
            self.answered.notify_all();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some((at, op)) = due {
            self.intake.deadlines.clear(at, op);
        }
    }

    /// Has the body hashed and read, here where that is quick or nobody minds.
    fn examine(self: &Arc<Self>, task: Examine) {
        if self.may_block || task.bytes() <= READ_AT_ONCE {
            return self.examine_here(task);
        }
        let this = Arc::clone(self);
        if self.intake.readers.submit(task, move |task| this.examine_here(task)).is_err() {
            tracing::warn!("too many callbacks wait to be read");
            self.step(Reception::not_recorded);
        }
    }

    fn examine_here(self: &Arc<Self>, task: Examine) {
        // A codec of somebody else's may panic: the callback cannot be recorded then.
        match catch_unwind(AssertUnwindSafe(|| task.perform())) {
            Ok(examined) => self.step(|reception, now| reception.examined(now, examined)),
            Err(_) => self.step(Reception::not_recorded),
        }
    }

    /// Has it committed: here where the store never blocks and nobody waits for a recorder; else on a recorder's thread, where the store
    /// may take its time. The machine keeps the deadline.
    fn record(self: &Arc<Self>, task: Recording) {
        let recorders = &self.intake.recorders;
        let begun = if self.intake.store_never_blocks {
            recorders.do_here(task, |task| {
                let committed = self.commit(&task, &mut self.intake.store());
                self.recorded(Thread::Servers, committed);
            })
        } else {
            Err(task)
        };
        let Err(task) = begun else { return };
        let this = Arc::clone(self);
        let submitted = recorders.submit(task, move |task| {
            let mut store = this.intake.store().clone();
            let committed = this.commit(&task, &mut store);
            this.recorded(Thread::Recorders, committed);
        });
        if submitted.is_err() {
            tracing::warn!("too many callbacks wait for the store");
            self.step(Reception::not_recorded);
        }
    }

    fn commit(&self, task: &Recording, store: &mut AnyStore) -> Result<CommitReceipt, StoreError> {
        spans::record(&self.span).in_scope(|| task.perform(store))
    }

    fn recorded(self: &Arc<Self>, thread: Thread, committed: Result<CommitReceipt, StoreError>) {
        match committed {
            Ok(proof) => self.step_on(thread, |reception, now| reception.committed(now, proof)),
            Err(error) => {
                tracing::error!(%error, "a callback could not be recorded");
                self.step_on(thread, Reception::not_recorded);
            }
        }
    }
}

impl Timed for Ongoing {
    fn tick(self: Arc<Self>) -> Next {
        self.step(Reception::tick);
        self.lock().reception.next()
    }
}
