//! The driver loop: one thread that steps the fleet, starts what it asks for, and waits for whatever comes next.
//!
//! ```text
//!              ┌──────────────── fleet ─▶ actions ─▶ save, then start ──┐
//!              │                                                        ▼
//!   inbox ─▶ message ◀─ completions, callbacks, commands ─── calls · recorders · handlers, on threads of their own
//! ```
//!
//! Nothing here waits for the network or the application, and nothing here decides: the fleet says what to do and when to come back.

use crate::calls::{Caller, Pulled, no_thread};
use crate::report::{Event, Revision, Status};
use crate::session::{Body, HandOver, Kept, Session};
use crate::transport::{Failure, Received};
use idv_core::delivery::{self, Delivery};
use idv_core::evidence::{Evidence, FaultKind, Outcome};
use idv_core::fleet::{AccountId, Action, At, Fleet, Key, OpenError, Wake};
use idv_core::machine::{Describe, Disposition};
use idv_core::provider::{Provider, TokenAnswer};
use idv_core::secret::Secret;
use idv_core::time::{Instant, Span};
use idv_host::{AnyStore, Clock, Delivered, Entropy, Pool};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::Duration;

mod callbacks;
mod hand_over;
mod persist;

use callbacks::Recorded;
pub use persist::RestoreError;

/// The most steps of the fleet before the inbox is looked at again.
const WORK: u32 = 256;

/// The longest wait without looking at the clock: the standard library's timers stand still while the computer sleeps, our clock
/// does not.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How soon a save that failed is tried again.
const STORE_RETRY: Span = Span::secs(1);

pub(crate) type Handler = Arc<dyn Fn(&Revision) -> Result<(), HandOverError> + Send + Sync>;
pub(crate) type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Why the application did not take a revision.
pub type HandOverError = Box<dyn std::error::Error + Send + Sync>;

/// What comes into the inbox.
pub(crate) enum Message {
    Open {
        account: AccountId,
        id: String,
        created: Option<Received>,
        /// `None`: the store has it already, from another process or before this one forgot it.
        reply: SyncSender<Result<Option<Key>, OpenError>>,
    },
    Cancel {
        key: Key,
    },
    Look {
        key: Key,
        reply: SyncSender<Option<Status>>,
    },
    Callback(Delivered),
    Pulled {
        key: Key,
        op: u32,
        generation: u32,
        pulled: Pulled,
    },
    Token {
        account: AccountId,
        op: u32,
        answer: TokenAnswer,
    },
    Handled {
        key: Key,
        number: u32,
        attempt: u8,
        result: Result<(), String>,
    },
    Stop,
}

/// What the engine is made of.
pub(crate) struct Parts {
    pub(crate) fleet: Fleet,
    pub(crate) accounts: BTreeMap<AccountId, AccountEntry>,
    pub(crate) store: AnyStore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Entropy,
    pub(crate) caller: Caller,
    pub(crate) calls: Pool,
    pub(crate) handlers: Pool,
    pub(crate) handler: Handler,
    pub(crate) hand_over: delivery::Policy,
    pub(crate) observer: Observer,
    pub(crate) outbox: SyncSender<Message>,
    pub(crate) drain: Duration,
}

pub(crate) struct AccountEntry {
    pub(crate) provider: Arc<dyn Provider>,
    /// Tells the accounts of one provider apart in the store: where it pulls.
    pub(crate) label: String,
    pub(crate) tokens: BTreeMap<u32, Arc<Secret>>,
    /// Why there is no token, while there is none.
    pub(crate) trouble: Option<String>,
}

pub(crate) struct Engine {
    parts: Parts,
    sessions: BTreeMap<Key, Session>,
    /// When a hand-over wants to be told the time.
    hand_overs: BTreeSet<(Instant, Key)>,
    /// Sessions with a save that failed.
    unsaved: BTreeSet<Key>,
    retry_saves: Option<Instant>,
    /// Records of verifications that nobody opened yet.
    unknown: VecDeque<(&'static str, String, Recorded)>,
    /// Completions of what could not even be started.
    at_once: VecDeque<Message>,
}

/// The body that is fed in with an input, should the fleet want it kept.
struct Fed<'a> {
    evidence: Evidence,
    unsigned_answer: bool,
    body: &'a Body,
}

impl Engine {
    pub(crate) const fn new(parts: Parts) -> Self {
        Self {
            parts,
            sessions: BTreeMap::new(),
            hand_overs: BTreeSet::new(),
            unsaved: BTreeSet::new(),
            retry_saves: None,
            unknown: VecDeque::new(),
            at_once: VecDeque::new(),
        }
    }

    /// Runs until it is told to stop, or nobody is left to tell it anything.
    pub(crate) fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let wake = self.advance();
            let message = match self.at_once.pop_front() {
                Some(message) => Some(message),
                None => match self.wait(inbox, wake) {
                    Ok(message) => message,
                    Err(Closed) => break,
                },
            };
            match message {
                Some(Message::Stop) => break,
                Some(message) => self.take(message),
                None => {}
            }
        }
        self.stop(inbox);
    }

    /// Does everything that is due.
    fn advance(&mut self) -> Wake {
        let now = self.now();
        if self.retry_saves.is_some_and(|at| at <= now) {
            self.retry_saves = None;
            for key in std::mem::take(&mut self.unsaved) {
                self.save_again(key);
            }
        }
        while let Some(&(due, key)) = self.hand_overs.first()
            && due <= self.now()
        {
            self.hand_overs.pop_first();
            self.step_hand_over(key, delivery::Input::Tick);
        }
        let at = self.at();
        let mut actions = Vec::new();
        let wake = self.parts.fleet.run(at, WORK, &mut |action| actions.push(action));
        self.perform(actions, None);
        let others = self.retry_saves.into_iter().chain(self.hand_overs.first().map(|(due, _)| *due)).min();
        match (wake, others) {
            (Wake::More, _) => Wake::More,
            (Wake::Input, None) => Wake::Input,
            (Wake::Input, Some(at)) => Wake::At(at),
            (Wake::At(at), other) => Wake::At(other.map_or(at, |other| at.min(other))),
        }
    }

    fn wait(&self, inbox: &Receiver<Message>, wake: Wake) -> Result<Option<Message>, Closed> {
        let longest = match wake {
            Wake::More => {
                return match inbox.try_recv() {
                    Ok(message) => Ok(Some(message)),
                    Err(TryRecvError::Empty) => Ok(None),
                    Err(TryRecvError::Disconnected) => Err(Closed),
                };
            }
            // The clock's reading is rounded down, so this is never too short.
            Wake::At(at) => Duration::from_millis(at.since(self.now())).min(LONGEST_WAIT),
            Wake::Input => LONGEST_WAIT,
        };
        match inbox.recv_timeout(longest) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Closed),
        }
    }

    /// Lets the application finish what it was handed, and saves its word. Nothing new is started.
    fn stop(mut self, inbox: &Receiver<Message>) {
        self.parts.caller.transport.shutdown();
        self.parts.calls.close(false, Duration::ZERO);
        let deadline = std::time::Instant::now() + self.parts.drain;
        loop {
            let all_ended = self.parts.handlers.close(false, Duration::ZERO);
            match inbox.recv_timeout(Duration::from_millis(if all_ended { 0 } else { 10 })) {
                Ok(Message::Handled { key, number, attempt, result: Ok(()) }) => {
                    self.handled(key, number, attempt, Ok(()));
                }
                // A callback on the way was recorded, not applied: the next process applies it (R10).
                Ok(_) => {}
                Err(_) if all_ended => break,
                Err(_) => {}
            }
            if std::time::Instant::now() >= deadline {
                tracing::warn!("stopped while a hand-over was still under way; it will be repeated");
                break;
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Open { account, id, created, reply } => {
                let result = self.open(account, &id, created);
                let _ = reply.try_send(result);
            }
            Message::Cancel { key } => {
                let at = self.at();
                let mut actions = Vec::new();
                self.parts.fleet.cancel(at, key, &mut |action| actions.push(action));
                self.perform(actions, None);
            }
            Message::Look { key, reply } => {
                let _ = reply.try_send(self.status(key));
            }
            Message::Callback(delivered) => {
                let arrived = &delivered.arrived;
                let (ids, claims) = ((arrived.id(), arrived.alias()), arrived.claims());
                let recorded = arrived.position().map(|position| Recorded { position, claims });
                self.callback(arrived.provider(), ids, arrived.callback(), recorded, arrived.body());
            }
            Message::Pulled { key, op, generation, pulled } => self.pulled(key, op, generation, pulled),
            Message::Token { account, op, answer } => self.token(account, op, answer),
            Message::Handled { key, number, attempt, result } => self.handled(key, number, attempt, result),
            // The loop has dealt with it.
            Message::Stop => {}
        }
    }

    fn open(
        &mut self,
        account: AccountId,
        id: &str,
        created: Option<Received>,
    ) -> Result<Option<Key>, OpenError> {
        let provider = Arc::clone(&self.parts.accounts.get(&account).ok_or(OpenError::NoAccount)?.provider);
        let mut report = None;
        let mut unsigned_answer = false;
        let mut body = Body::default();
        if let Some(mut created) = created {
            let unix_seconds = self.parts.clock.unix_ms() / 1_000;
            let answer = created.lend(|answer| provider.read_pull(id, answer, Some(unix_seconds)));
            if let Outcome::Report(stated) = answer.outcome {
                report = Some(stated);
                unsigned_answer = answer.unsigned_answer;
                body = Arc::new(std::mem::take(&mut created.body).into());
            }
        }
        let at = self.at();
        let mut actions = Vec::new();
        let key = self.parts.fleet.open(at, account, id, report, &mut |action| actions.push(action))?;
        self.insert(key, Session::new(account, id.into()));
        self.take_unknown(key, provider.name(), id);
        self.perform(actions, Some(Fed { evidence: Evidence::Pulled, unsigned_answer, body: &body }));
        // Where the store has it already, it was given up just now.
        Ok(self.sessions.contains_key(&key).then_some(key))
    }

    fn insert(&mut self, key: Key, session: Session) {
        self.sessions.insert(key, session);
        // The fleet forgets its oldest tombstones by itself.
        if self.sessions.len() > self.parts.fleet.len() + 1_000 {
            let fleet = &self.parts.fleet;
            self.sessions.retain(|key, _| fleet.session(*key).is_some());
        }
    }

    fn pulled(&mut self, key: Key, op: u32, generation: u32, pulled: Pulled) {
        let Some(session) = self.sessions.get_mut(&key) else { return };
        session.reached |= pulled.reached;
        session.diagnosis.clone_from(&pulled.answer.diagnosis);
        session.outcome = Some(pulled.answer.outcome);
        let (account, id) = (session.account, Arc::clone(&session.id));
        let provider = self.provider_name(account);
        (self.parts.observer)(&Event::Pulled {
            provider,
            id,
            op,
            outcome: pulled.answer.outcome,
            reached: pulled.reached,
            unsigned_answer: pulled.answer.unsigned_answer,
            diagnosis: pulled.answer.diagnosis,
        });
        let at = self.at();
        let mut actions = Vec::new();
        self.parts.fleet.pulled(at, key, op, generation, pulled.answer.outcome, &mut |action| {
            actions.push(action);
        });
        if let Some(alias) = pulled.answer.alias {
            let learned = self.parts.fleet.learn_alias(at, key, &alias, &mut |action| actions.push(action));
            if learned == Disposition::Applied {
                self.take_unknown(key, provider, &alias);
            }
        }
        let awaits = |fleet: &Fleet| fleet.session(key).is_some_and(|session| session.poller().is_demanded());
        if !awaits(&self.parts.fleet)
            && !matches!(pulled.answer.outcome, Outcome::Failed(_) | Outcome::Refused)
            && let Some(session) = self.sessions.get_mut(&key)
        {
            session.confirmed();
        }
        let unsigned_answer = pulled.answer.unsigned_answer;
        self.perform(actions, Some(Fed { evidence: Evidence::Pulled, unsigned_answer, body: &pulled.body }));
    }

    fn token(&mut self, account: AccountId, op: u32, answer: TokenAnswer) {
        let at = self.at();
        let Some(entry) = self.parts.accounts.get_mut(&account) else { return };
        let provider = entry.provider.name();
        let mut actions = Vec::new();
        let mut out = |action| actions.push(action);
        match answer {
            TokenAnswer::Received { token, ttl } => {
                if self.parts.fleet.token_received(at, account, op, ttl, &mut out) == Disposition::Applied {
                    // Pulls under way hold the older ones themselves.
                    entry.trouble = None;
                    entry.tokens.clear();
                    entry.tokens.insert(op, Arc::new(token));
                }
            }
            TokenAnswer::Refused { diagnosis } => {
                self.no_token(account, true, diagnosis);
                self.parts.fleet.token_refused(at, account, op, &mut out);
            }
            TokenAnswer::Failed { fault, diagnosis } => {
                self.no_token(account, false, diagnosis);
                self.parts.fleet.token_failed(at, account, op, fault, &mut out);
            }
        }
        tracing::debug!(provider, op, "a token request ended");
        self.perform(actions, None);
    }

    fn no_token(&mut self, account: AccountId, refused: bool, diagnosis: Option<String>) {
        if let Some(account) = self.parts.accounts.get_mut(&account) {
            account.trouble.clone_from(&diagnosis);
        }
        let provider = self.provider_name(account);
        (self.parts.observer)(&Event::NoToken { provider, refused, diagnosis });
    }

    /// Performs what the fleet asked for, in order; what belongs to a session that could not be saved is held back (G9).
    fn perform(&mut self, actions: Vec<Action>, fed: Option<Fed<'_>>) {
        // Bodies first, so that a save of the same step contains them.
        for action in &actions {
            match action {
                Action::Keep { key, content } => {
                    if let (Some(session), Some(fed)) = (self.sessions.get_mut(key), &fed) {
                        let &Fed { evidence, unsigned_answer, body } = fed;
                        let body = Arc::clone(body);
                        let kept = Kept { content: *content, evidence, unsigned_answer, body };
                        session.latest.put(Some(kept));
                    }
                }
                Action::HandOver { key, revision } => {
                    if let Some(session) = self.sessions.get_mut(key) {
                        session.issue(revision.content);
                    }
                }
                Action::Save { .. }
                | Action::RequestToken { .. }
                | Action::Pull { .. }
                | Action::Ended { .. }
                | Action::CredentialsRefused { .. }
                | Action::Forgotten { .. }
                | Action::Crowded { .. } => {}
            }
        }
        let now = self.now();
        for action in actions {
            let held = session_of(&action)
                .and_then(|key| self.sessions.get_mut(&key))
                .and_then(|session| session.held.as_mut());
            match (held, action) {
                // It waits for the save that failed; that one will save this step as well.
                (Some(_), Action::Save { .. }) => {}
                (Some(held), action) => held.push((action, now)),
                (None, Action::Save { key, .. }) => self.save_or_hold(key),
                (None, action) => self.start(action, now),
            }
        }
    }

    /// Starts one action; its completion comes through the inbox.
    fn start(&mut self, action: Action, asked: Instant) {
        match action {
            Action::Save { .. } | Action::Keep { .. } | Action::Forgotten { .. } => {}
            Action::RequestToken { account, op, within } => {
                self.start_token(account, op, asked.after(within))
            }
            Action::Pull { key, op, account, generation, within } => {
                self.start_pull(key, op, account, generation, asked.after(within));
            }
            Action::HandOver { key, revision } => {
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.hand_over = Some(HandOver { revision, delivery: Delivery::new(), due: None });
                    self.step_hand_over(key, delivery::Input::Tick);
                }
            }
            Action::Ended { key, end, unconfirmed } => {
                let Some(session) = self.sessions.get(&key) else { return };
                (self.parts.observer)(&Event::Ended {
                    provider: self.provider_name(session.account),
                    id: Arc::clone(&session.id),
                    end,
                    unconfirmed,
                    unconfirmed_callbacks: session.unconfirmed(),
                    reached: session.reached,
                    diagnosis: self
                        .diagnosis(session)
                        .or_else(|| session.outcome.and_then(Outcome::why_not_settled).map(str::to_owned)),
                });
            }
            Action::CredentialsRefused { account } => {
                (self.parts.observer)(&Event::CredentialsRefused { provider: self.provider_name(account) });
            }
            Action::Crowded { account, expected, deadline } => {
                let provider = self.provider_name(account);
                (self.parts.observer)(&Event::Crowded { provider, expected, deadline });
            }
        }
    }

    fn start_pull(&mut self, key: Key, op: u32, account: AccountId, generation: u32, until: Instant) {
        let (Some(session), Some(entry)) = (self.sessions.get(&key), self.parts.accounts.get(&account))
        else {
            return;
        };
        let (id, provider) = (Arc::clone(&session.id), Arc::clone(&entry.provider));
        let token = entry.tokens.get(&generation).cloned();
        if generation != 0 && token.is_none() {
            // It waited for the store, and the token was replaced meanwhile.
            let diagnosis = "not sent: its token was replaced meanwhile".to_owned();
            let pulled = Pulled::failed(Failure { kind: FaultKind::TimedOut, diagnosis });
            return self.at_once.push_back(Message::Pulled { key, op, generation, pulled });
        }
        let (caller, outbox) = (self.parts.caller.clone(), self.parts.outbox.clone());
        let taken = self.parts.calls.submit(move || {
            let pulled = unless_panicked(|| caller.pull(&*provider, &id, token.as_deref(), until))
                .unwrap_or_else(Pulled::failed);
            let _ = outbox.send(Message::Pulled { key, op, generation, pulled });
        });
        if taken.is_err() {
            let pulled = Pulled::failed(no_thread());
            self.at_once.push_back(Message::Pulled { key, op, generation, pulled });
        }
    }

    fn start_token(&mut self, account: AccountId, op: u32, until: Instant) {
        let Some(entry) = self.parts.accounts.get(&account) else { return };
        let provider = Arc::clone(&entry.provider);
        let (caller, outbox) = (self.parts.caller.clone(), self.parts.outbox.clone());
        let failed = |failure: Failure| TokenAnswer::Failed {
            fault: failure.fault(),
            diagnosis: Some(failure.diagnosis),
        };
        let taken = self.parts.calls.submit(move || {
            let answer = unless_panicked(|| caller.token(&*provider, until)).unwrap_or_else(failed);
            let _ = outbox.send(Message::Token { account, op, answer });
        });
        if taken.is_err() {
            let answer = failed(no_thread());
            self.at_once.push_back(Message::Token { account, op, answer });
        }
    }

    fn status(&self, key: Key) -> Option<Status> {
        let session = self.parts.fleet.session(key)?;
        let beside = self.sessions.get(&key)?;
        let now = self.now();
        let until = |at: Instant| Duration::from_millis(at.since(now));
        Some(Status {
            state: session.state(),
            verdict: session.verdict(),
            end: session.end(),
            attempts: session.poller().last_op(),
            pulling: session.poller().in_flight().is_some(),
            next_pull: session.poller().next_pull().map(until),
            time_left: session.poller().bound().map(until),
            reached: beside.reached,
            diagnosis: self.diagnosis(beside),
        })
    }

    /// What keeps a session from its verdict: its own last pull, or the lack of a token.
    fn diagnosis(&self, session: &Session) -> Option<String> {
        let account = || self.parts.accounts.get(&session.account)?.trouble.clone();
        session.diagnosis.clone().or_else(account)
    }

    fn provider_name(&self, account: AccountId) -> &'static str {
        self.parts.accounts.get(&account).map_or("", |account| account.provider.name())
    }

    fn now(&self) -> Instant {
        self.parts.clock.now()
    }

    fn at(&mut self) -> At {
        At::new(self.parts.clock.now(), self.parts.entropy.draw())
    }
}

/// Nobody is left to send anything.
struct Closed;

const fn session_of(action: &Action) -> Option<Key> {
    match action {
        Action::Save { key, .. }
        | Action::Pull { key, .. }
        | Action::Keep { key, .. }
        | Action::HandOver { key, .. }
        | Action::Ended { key, .. } => Some(*key),
        Action::RequestToken { .. }
        | Action::CredentialsRefused { .. }
        | Action::Crowded { .. }
        | Action::Forgotten { .. } => None,
    }
}

/// A codec or transport of somebody else's may panic; the call then failed like any other.
fn unless_panicked<T>(call: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|_| Failure { kind: FaultKind::Malformed, diagnosis: "the call panicked".to_owned() })
}
