//! The driver's one thread: steps the engine, starts what it asks for, and waits for whatever comes next.
//!
//! ```text
//!   inbox ─▶ engine ─▶ tasks ─▶ calls · store · handlers, on threads of their own
//!     ▲                                   │
//!     └──────────── completions ──────────┘
//! ```
//!
//! Nothing here waits for the network, the store or the application, and nothing here decides.

use crate::inside::Inside;
use crate::transport::Transport;
use idv_core::engine::{
    Call, Completion, Created, Engine, HandOver, Moment, Opened, Revision, StoreTask, Task,
};
use idv_core::evidence::FaultKind;
use idv_core::fleet::{AccountId, Key, OpenError, Wake};
use idv_core::http::Failure;
use idv_host::{
    AnyStore, Clock, Delivered, Entropy, HandOverError, Observers, Pool, WORK, spans, until_wake, word_given,
};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::Duration;

pub(crate) type Handler = Arc<dyn Fn(&Revision) -> Result<(), HandOverError> + Send + Sync>;

/// A question or a command to the engine.
pub(crate) type Ask = Box<dyn FnOnce(&mut Engine, Moment, &mut dyn FnMut(Task)) + Send>;

/// What comes into the inbox.
pub(crate) enum Message {
    Open {
        account: AccountId,
        id: String,
        created: Option<Created>,
        reply: SyncSender<Result<Opened, OpenError>>,
    },
    Ask(Ask),
    Callback(Delivered),
    Completion(Completion),
    Stop,
}

/// What the loop is made of.
pub(crate) struct Run {
    pub(crate) engine: Engine,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Entropy,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) store: AnyStore,
    pub(crate) handler: Handler,
    pub(crate) observers: Observers,
    pub(crate) calls: Pool,
    pub(crate) handlers: Pool,
    pub(crate) storing: Pool,
    pub(crate) outbox: SyncSender<Message>,
    pub(crate) drain: Duration,
    /// Who waits to hear what became of an opening.
    pub(crate) opening: BTreeMap<Key, SyncSender<Result<Opened, OpenError>>>,
    /// Hand-overs that wait for a thread are not begun any more.
    pub(crate) stopping: Arc<AtomicBool>,
    /// What the engine asked for, until it is started.
    pub(crate) tasks: Vec<Task>,
    /// Completions of what could not be started.
    pub(crate) at_once: VecDeque<Completion>,
}

/// Nobody is left to send anything.
struct Closed;

impl Run {
    /// Runs until it is told to stop, or nobody is left to tell it anything.
    pub(crate) fn run(mut self, inbox: &Receiver<Message>) {
        self.start_tasks();
        loop {
            let wake = self.advance();
            match self.wait(inbox, wake) {
                Ok(Some(Message::Stop)) | Err(Closed) => break,
                Ok(Some(message)) => self.take(message),
                Ok(None) => {}
            }
        }
        self.stop(inbox);
    }

    /// Lets the application finish what it was handed, and saves its word. Nothing new is started.
    fn stop(mut self, inbox: &Receiver<Message>) {
        let deadline = std::time::Instant::now() + self.drain;
        self.engine.stop();
        self.stopping.store(true, Ordering::SeqCst);
        self.transport.shutdown();
        self.calls.close(false, Duration::ZERO);
        while !self.engine.is_finished() {
            let wake = self.advance();
            let Some(left) = deadline.checked_duration_since(std::time::Instant::now()) else {
                tracing::warn!(
                    "stopped while a hand-over or a save was still under way; it will be repeated"
                );
                break;
            };
            // A callback on the way was recorded, not applied: the next process applies it (R10).
            if let Ok(Message::Completion(completion)) =
                inbox.recv_timeout(until_wake(wake, self.clock.now()).min(left))
            {
                self.take(Message::Completion(completion));
            }
        }
        self.handlers.close(false, Duration::ZERO);
        self.storing.close(true, Duration::ZERO);
    }

    /// Does everything that is due.
    fn advance(&mut self) -> Wake {
        while let Some(completion) = self.at_once.pop_front() {
            self.take(Message::Completion(completion));
        }
        let moment = self.moment();
        let wake = self.engine.run(moment, WORK, &mut |task| self.tasks.push(task));
        self.start_tasks();
        if self.at_once.is_empty() { wake } else { Wake::More }
    }

    fn wait(&self, inbox: &Receiver<Message>, wake: Wake) -> Result<Option<Message>, Closed> {
        if wake == Wake::More {
            return match inbox.try_recv() {
                Ok(message) => Ok(Some(message)),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(Closed),
            };
        }
        match inbox.recv_timeout(until_wake(wake, self.clock.now())) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Closed),
        }
    }

    fn take(&mut self, message: Message) {
        let moment = self.moment();
        let out = &mut |task| self.tasks.push(task);
        match message {
            Message::Open { account, id, created, reply } => {
                match self.engine.open(moment, account, &id, created, out) {
                    Ok(key) => {
                        self.opening.insert(key, reply);
                    }
                    Err(error) => {
                        let _ = reply.try_send(Err(error));
                    }
                }
            }
            Message::Ask(ask) => ask(&mut self.engine, moment, out),
            Message::Callback(delivered) => self.engine.callback(moment, delivered.arrived, out),
            Message::Completion(completion) => self.engine.complete(moment, completion, out),
            // The loop has dealt with it.
            Message::Stop => {}
        }
        self.start_tasks();
    }

    fn start_tasks(&mut self) {
        for task in std::mem::take(&mut self.tasks) {
            match task {
                Task::Call(call) => self.call(call),
                Task::Store(task) => self.ask_store(task),
                Task::HandOver(hand_over) => self.hand_over(hand_over),
                Task::Opened(opened) => {
                    if let Some(reply) = self.opening.remove(&opened.key) {
                        let _ = reply.try_send(Ok(opened));
                    }
                }
                Task::Tell(event) => self.observers.tell(&event),
            }
        }
    }

    fn call(&mut self, call: Call) {
        let (transport, clock) = (Arc::clone(&self.transport), Arc::clone(&self.clock));
        let make = move |call: Call| {
            let ticket = call.ticket();
            let _entered = spans::call(&call).entered();
            let made = catch_unwind(AssertUnwindSafe(|| {
                let answer =
                    call.within(clock.now()).and_then(|within| transport.send(&call.request(), within));
                spans::exchanged(&answer);
                call.answered(answer, clock.unix_ms())
            }));
            made.unwrap_or_else(|_| ticket.panicked())
        };
        self.submit(&self.calls.clone(), call, make, |call| {
            let diagnosis = "not sent: no thread could be started for the call".to_owned();
            call.ticket().failed(Failure { kind: FaultKind::TimedOut, diagnosis })
        });
    }

    fn ask_store(&mut self, task: StoreTask) {
        let mut store = self.store.clone();
        let ask = move |task: StoreTask| store.perform(task);
        self.submit(&self.storing.clone(), task, ask, |task| {
            task.failed("no thread for the store".to_owned())
        });
    }

    fn hand_over(&mut self, hand_over: HandOver) {
        let (handler, stopping) = (Arc::clone(&self.handler), Arc::clone(&self.stopping));
        let hand = move |hand_over: HandOver| {
            if stopping.load(Ordering::SeqCst) {
                return hand_over.withdrawn();
            }
            let _inside = Inside::enter();
            let _entered = spans::hand_over(&hand_over).entered();
            let word = catch_unwind(AssertUnwindSafe(|| handler(&hand_over.revision())));
            word_given(hand_over, word)
        };
        self.submit(&self.handlers.clone(), hand_over, hand, |it| {
            it.not_taken("no thread for the handler".to_owned())
        });
    }

    /// Has a thread do it; where there is none to be had, completes it as refused.
    fn submit<T: Send + 'static>(
        &mut self,
        pool: &Pool,
        task: T,
        work: impl FnOnce(T) -> Completion + Send + 'static,
        refuse: impl FnOnce(T) -> Completion,
    ) {
        let outbox = self.outbox.clone();
        let submitted = pool.submit(task, move |task| {
            let _ = outbox.send(Message::Completion(work(task)));
        });
        if let Err(task) = submitted {
            self.at_once.push_back(refuse(task));
        }
    }

    fn moment(&mut self) -> Moment {
        Moment::new(self.clock.now(), self.clock.unix_ms(), self.entropy.draw())
    }
}
