//! The driver's one task: steps the engine, starts what it asks for, and waits for whatever comes next.
//!
//! ```text
//!   inbox ─▶ ┌────────┐ ─▶ calls, at most so many at once ──────┐
//!   timer ─▶ │ engine │ ─▶ handlers, at most so many at once ───┤ all of them polled by this very task
//!      ┌───▶ └────────┘ ─▶ store, on threads of its own         │
//!      └──────────────── completions ◀──────────────────────────┘
//! ```
//!
//! Nothing here waits for the network, the application or the store alone, and nothing here decides. Dropping the task ends its calls and
//! its handlers where they stand; what the store has not heard of is repeated by the next driver on it.

use crate::client::Transport;
use crate::receiving::Receiving;
use async_channel::{Receiver, Sender};
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt};
use idv_core::engine::{
    Call, Completion, Created, Engine, HandOver, Moment, Opened, Revision, StoreTask, Task,
};
use idv_core::fleet::{AccountId, Key, OpenError, Wake};
use idv_core::time::Instant;
use idv_host::{
    AnyStore, Clock, Delivered, Entropy, HandOverError, Observers, Pool, Runtime, WORK, spans, until_wake,
    word_given,
};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tracing::Instrument;

pub(crate) type Handler =
    Arc<dyn Fn(Revision) -> BoxFuture<'static, Result<(), HandOverError>> + Send + Sync>;

/// A question or a command to the engine.
pub(crate) type Ask = Box<dyn FnOnce(&mut Engine, Moment, &mut dyn FnMut(Task)) + Send>;

/// What comes into the inbox.
pub(crate) enum Message {
    Open {
        account: AccountId,
        id: String,
        created: Option<Created>,
        reply: Sender<Result<Opened, OpenError>>,
    },
    Ask(Ask),
    Callback(Delivered),
    Stop,
}

/// What the task is made of.
pub(crate) struct Parts<R> {
    pub(crate) runtime: R,
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Entropy,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) store: AnyStore,
    pub(crate) handler: Handler,
    pub(crate) observers: Observers,
    pub(crate) inbox: Receiver<Message>,
    pub(crate) receiving: Arc<Receiving>,
    pub(crate) calls_at_once: usize,
    pub(crate) handlers_at_once: usize,
    pub(crate) drain: Duration,
    /// Closed with the task.
    pub(crate) _ending: Sender<()>,
}

/// Futures under way, and what waits for its turn.
struct Bounded<T> {
    most: usize,
    waiting: VecDeque<T>,
    running: FuturesUnordered<BoxFuture<'static, Completion>>,
}

impl<T> Bounded<T> {
    fn new(most: usize) -> Self {
        Self { most: most.max(1), waiting: VecDeque::new(), running: FuturesUnordered::new() }
    }

    fn start(&mut self, begin: impl Fn(T) -> BoxFuture<'static, Completion>) {
        while self.running.len() < self.most
            && let Some(next) = self.waiting.pop_front()
        {
            self.running.push(begin(next));
        }
    }
}

/// What the task waited for.
enum Came {
    Message(Message),
    Completion(Completion),
    Time,
    /// Nobody is left to say anything.
    Closed,
}

pub(crate) struct Run<R> {
    parts: Parts<R>,
    inbox: Pin<Box<Receiver<Message>>>,
    /// Nobody is left to tell it anything.
    closed: bool,
    calls: Bounded<Call>,
    handlers: Bounded<HandOver>,
    storing: Storing,
    stored: Sender<Completion>,
    completions: Pin<Box<Receiver<Completion>>>,
    /// Who waits to hear what became of an opening.
    opening: BTreeMap<Key, Sender<Result<Opened, OpenError>>>,
    timer: Option<(Instant, BoxFuture<'static, ()>)>,
    /// Steps since others on this thread had their turn.
    in_a_row: u32,
    /// What the engine asked for, until it is started.
    tasks: Vec<Task>,
}

impl<R: Runtime> Run<R> {
    pub(crate) fn new(parts: Parts<R>, storing: Storing, asked: Vec<Task>) -> Self {
        let (stored, completions) = async_channel::unbounded();
        let mut run = Self {
            inbox: Box::pin(parts.inbox.clone()),
            closed: false,
            calls: Bounded::new(parts.calls_at_once),
            handlers: Bounded::new(parts.handlers_at_once),
            parts,
            storing,
            stored,
            completions: Box::pin(completions),
            opening: BTreeMap::new(),
            timer: None,
            in_a_row: 0,
            tasks: asked,
        };
        run.start_tasks();
        run
    }

    /// Runs until it is told to stop, or nobody is left to tell it anything.
    pub(crate) async fn run(mut self) {
        loop {
            let wake = self.advance();
            match self.next(wake).await {
                Came::Message(Message::Stop) | Came::Closed => break,
                Came::Message(message) => self.take(message),
                Came::Completion(completion) => self.complete(completion),
                Came::Time => {}
            }
        }
        self.stop().await;
    }

    /// Ends the servers, then lets the application finish what it was handed, and saves its word. Nothing new is started.
    async fn stop(mut self) {
        self.parts.engine.stop();
        self.calls = Bounded::new(1);
        self.opening.clear();
        while let Some(hand_over) = self.handlers.waiting.pop_front() {
            self.complete(hand_over.withdrawn());
        }
        let (receiving, runtime, drain) =
            (Arc::clone(&self.parts.receiving), self.parts.runtime.clone(), self.parts.drain);
        // What is answered 200 meanwhile is applied, too.
        self.go_on(pin!(receiving.end(drain)), |_| false).await;
        if !self.go_on(pin!(runtime.sleep(drain)), Engine::is_finished).await {
            tracing::warn!("stopped while a hand-over or a save was still under way; it will be repeated");
        }
    }

    /// Goes on with what is under way until it is `enough`, or until `until` is ready; says whether it was enough.
    async fn go_on<F: Future>(&mut self, mut until: Pin<&mut F>, enough: impl Fn(&Engine) -> bool) -> bool {
        while !enough(&self.parts.engine) {
            let wake = self.advance();
            let came = match select(pin!(self.next(wake)), until.as_mut()).await {
                Either::Left((came, _)) => came,
                Either::Right(_) => return false,
            };
            match came {
                Came::Completion(completion) => self.complete(completion),
                Came::Message(Message::Callback(delivered)) => self.take(Message::Callback(delivered)),
                Came::Message(_) | Came::Time | Came::Closed => {}
            }
        }
        true
    }

    /// Does everything that is due.
    fn advance(&mut self) -> Wake {
        let moment = self.moment();
        let wake = self.parts.engine.run(moment, WORK, &mut |task| self.tasks.push(task));
        self.start_tasks();
        wake
    }

    fn take(&mut self, message: Message) {
        let moment = self.moment();
        let out = &mut |task| self.tasks.push(task);
        match message {
            Message::Open { account, id, created, reply } => {
                match self.parts.engine.open(moment, account, &id, created, out) {
                    Ok(key) => {
                        self.opening.insert(key, reply);
                    }
                    Err(error) => {
                        let _ = reply.try_send(Err(error));
                    }
                }
            }
            Message::Ask(ask) => ask(&mut self.parts.engine, moment, out),
            Message::Callback(delivered) => self.parts.engine.callback(moment, delivered.arrived, out),
            // The loop has dealt with it.
            Message::Stop => {}
        }
        self.start_tasks();
    }

    fn complete(&mut self, completion: Completion) {
        let moment = self.moment();
        self.parts.engine.complete(moment, completion, &mut |task| self.tasks.push(task));
        self.start_tasks();
    }

    fn start_tasks(&mut self) {
        for task in std::mem::take(&mut self.tasks) {
            match task {
                Task::Call(call) => self.calls.waiting.push_back(call),
                Task::HandOver(hand_over) => self.handlers.waiting.push_back(hand_over),
                Task::Store(task) => self.store(task),
                Task::Opened(opened) => {
                    if let Some(reply) = self.opening.remove(&opened.key) {
                        let _ = reply.try_send(Ok(opened));
                    }
                }
                Task::Tell(event) => self.parts.observers.tell(&event),
            }
        }
        let (transport, clock) = (&self.parts.transport, &self.parts.clock);
        self.calls.start(|call| call_provider(Arc::clone(transport), Arc::clone(clock), call).boxed());
        let handler = &self.parts.handler;
        self.handlers.start(|hand_over| hand(Arc::clone(handler), hand_over).boxed());
    }

    /// Asks the store, on a thread: it may block.
    fn store(&self, task: StoreTask) {
        let (mut store, stored) = (self.parts.store.clone(), self.stored.clone());
        let submitted = self.storing.0.submit(task, move |task| {
            let _ = stored.try_send(store.perform(task));
        });
        if let Err(task) = submitted {
            let _ = self.stored.try_send(task.failed("no thread could be started for the store".to_owned()));
        }
    }

    /// Waits for what comes first.
    async fn next(&mut self, wake: Wake) -> Came {
        self.in_a_row += 1;
        if self.in_a_row >= WORK {
            // However much there is to do, others on this thread have their turn: timers, sockets, other tasks.
            self.in_a_row = 0;
            give_way().await;
        }
        match wake {
            Wake::More => {}
            Wake::At(_) | Wake::Input => self.set_timer(wake),
        }
        let mut yielded = false;
        poll_fn(|cx| {
            let came = self.poll_sources(cx);
            if came.is_ready() || wake != Wake::More {
                return if came.is_ready() { came } else { self.poll_timer(cx) };
            }
            // There is more to do; but first others on this thread have their turn.
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(Came::Time);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    fn poll_sources(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        // What was begun comes before what is new: there is only so much of it.
        if let Poll::Ready(Some(completion)) = self.completions.as_mut().poll_next(cx) {
            return Poll::Ready(Came::Completion(completion));
        }
        if let Poll::Ready(Some(completion)) = self.handlers.running.poll_next_unpin(cx) {
            return Poll::Ready(Came::Completion(completion));
        }
        if let Poll::Ready(Some(completion)) = self.calls.running.poll_next_unpin(cx) {
            return Poll::Ready(Came::Completion(completion));
        }
        if !self.closed
            && let Poll::Ready(message) = self.inbox.as_mut().poll_next(cx)
        {
            self.closed = message.is_none();
            return Poll::Ready(message.map_or(Came::Closed, Came::Message));
        }
        Poll::Pending
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        let Some((_, timer)) = &mut self.timer else { return Poll::Ready(Came::Time) };
        timer.poll_unpin(cx).map(|()| {
            self.timer = None;
            Came::Time
        })
    }

    /// Keeps the timer that is set where it comes no later; one that comes too early does no harm.
    fn set_timer(&mut self, wake: Wake) {
        let now = self.parts.clock.now();
        let wait = until_wake(wake, now);
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let due = Instant::from_millis(now.as_millis().saturating_add(millis));
        if self.timer.as_ref().is_none_or(|(set, _)| *set > due) {
            let runtime = self.parts.runtime.clone();
            let timer = async move { runtime.sleep(wait).await };
            self.timer = Some((due, timer.boxed()));
        }
    }

    fn moment(&mut self) -> Moment {
        let Parts { clock, entropy, .. } = &mut self.parts;
        Moment::new(clock.now(), clock.unix_ms(), entropy.draw())
    }
}

/// The threads on which the store is asked. What it was asked for already is finished when this is dropped.
pub(crate) struct Storing(pub(crate) Pool);

impl Drop for Storing {
    fn drop(&mut self) {
        self.0.close(true, Duration::ZERO);
    }
}

impl<R> Drop for Run<R> {
    /// Whoever waits for a reply hears that none will come.
    fn drop(&mut self) {
        self.inbox.close();
        while self.inbox.try_recv().is_ok() {}
        self.parts.receiving.break_off();
        self.parts.observers.close();
    }
}

/// Lets whoever else runs on this thread have a turn.
pub(crate) async fn give_way() {
    let mut given = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// One exchange. A codec or a transport that panics costs its own call.
async fn call_provider(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>, call: Call) -> Completion {
    let span = spans::call(&call);
    let ticket = call.ticket();
    let exchange = async move {
        let result = match call.within(clock.now()) {
            Ok(within) => transport.send(&call.request(), within).await,
            Err(failure) => Err(failure),
        };
        spans::exchanged(&result);
        call.answered(result, clock.unix_ms())
    };
    AssertUnwindSafe(exchange.instrument(span)).catch_unwind().await.unwrap_or_else(|_| ticket.panicked())
}

/// Gives one revision to the application. A handler that panics has not taken it.
async fn hand(handler: Handler, hand_over: HandOver) -> Completion {
    let span = spans::hand_over(&hand_over);
    let word = async { handler(hand_over.revision()).await };
    let word = AssertUnwindSafe(word.instrument(span.clone())).catch_unwind().await;
    span.in_scope(|| word_given(hand_over, word))
}
