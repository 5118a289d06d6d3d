//! The whole client, without sockets, threads or a clock: a fleet, its accounts, and all that stands beside its sessions. It is what every
//! adapter drives.
//!
//! ```text
//!    open · cancel · callback ──▶ ┌────────┐ ──▶ Task::Call      one HTTP exchange
//!    completions of tasks ──────▶ │ Engine │ ──▶ Task::Store     save, confirm, find
//!    run(now) ──────────────────▶ └────────┘ ──▶ Task::HandOver  revision 1, 2, … to the application
//!             ◀── when to come back             Task::Tell      what happened
//! ```
//!
//! Tasks are owned and may be moved to any thread; their completions come back through [`Engine::complete`], in any order. So a driver is a
//! loop: call [`Engine::run`], start what it asks for, wait for an input or for the moment it named. No task is ever waited for
//! here. [`Queue`] is the same for a loop that takes one task after another.
//!
//! Saving takes time, and nothing that a session asks for is started before the step that asked for it is saved (G9): the engine holds it
//! back meanwhile. A save that fails is tried again; one that finds another process' save gives the session up.

mod account;
mod beside;
mod callbacks;
mod calls;
mod hand_over;
mod performing;
mod queue;
pub mod reception;
mod report;
mod restore;
mod storing;
mod task;

pub use account::{Account, AccountError, CredentialsError};
pub use hand_over::HandOver;
pub use queue::{Queue, Turn};
pub use reception::{Arrived, CallbackEvent, CallbackOutcome, Endpoint, Reception};
pub use report::{Body, Event, Opened, Opening, Revision, Status};
pub use restore::RestoreError;
pub use storing::StoreTask;
pub use task::{Call, Completion, Task, Ticket};

use crate::delivery::{self, Schedule, Success};
use crate::evidence::{Evidence, Outcome, Report};
use crate::fleet::recorder::Recorder;
use crate::fleet::trace::Recording;
use crate::fleet::{AccountId, Action, At, DoorId, FleetPolicy, Key, OpenError, Wake};
use crate::http::Received;
use crate::machine::{Describe, Disposition};
use crate::poller::Class;
use crate::provider::Provider;
use crate::time::{Instant, Span};
use account::{Entry, door_of, label};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use beside::Beside;
use callbacks::{Lookups, Record};
use core::fmt;
use core::time::Duration;
use performing::Fed;
use task::Done;
use zeroize::Zeroizing;

/// How a revision that the application did not take is offered again, unless chosen otherwise: eight attempts over about three hours.
pub const HAND_OVER: delivery::Policy = delivery::Policy {
    // The handler is code of this process: it is waited for.
    timeout: Span::MAX,
    success: Success::Exactly200,
    schedule: Schedule::of([
        Span::secs(1),
        Span::secs(5),
        Span::secs(30),
        Span::mins(2),
        Span::mins(10),
        Span::mins(45),
        Span::hours(2),
    ]),
    jitter_percent: 20,
};

/// How long stopping waits for what the application and the store are at, unless chosen otherwise.
pub const DRAIN: Span = Span::secs(5);

/// The longest that a driver waits without looking at its clock: the timers of operating systems and runtimes may stand still while the
/// computer sleeps, the clock does not.
pub const LONGEST_WAIT: Span = Span::secs(30);

/// The bounds and habits of an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The bounds of its fleet.
    pub fleet: FleetPolicy,
    /// How a revision that was not taken is offered again.
    pub hand_over: delivery::Policy,
    /// How soon the store is asked again after it failed.
    pub store_retry: Span,
}

impl Default for Policy {
    /// A million verifications, [`HAND_OVER`], one second.
    fn default() -> Self {
        Self { fleet: FleetPolicy::default(), hand_over: HAND_OVER, store_retry: Span::secs(1) }
    }
}

/// The moment of an input, and its entropy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// The driver's reading of its clock, which only goes forward.
    pub now: Instant,
    /// The wall clock, in milliseconds since 1970-01-01 UTC. It may jump; snapshots and the detection of time asleep read it.
    pub unix_ms: u64,
    /// Fresh random bits; one draw per input.
    pub entropy: u32,
}

impl Moment {
    /// These three.
    #[must_use]
    pub const fn new(now: Instant, unix_ms: u64, entropy: u32) -> Self {
        Self { now, unix_ms, entropy }
    }

    /// The moment of one more step of the same input, with entropy of its own.
    const fn at(&mut self) -> At {
        let at = At::new(self.now, self.entropy);
        // One round of a linear congruential generator (Numerical Recipes); the fleet mixes the bits.
        self.entropy = self.entropy.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        at
    }
}

/// The reply to the request that created a verification, read (R17).
pub struct Created {
    report: Option<Report>,
    unsigned_answer: bool,
    body: Body,
}

impl Created {
    /// Reads the reply, which takes its time where it is long. `unix_ms` is the wall clock in milliseconds since 1970.
    #[must_use]
    pub fn read(provider: &dyn Provider, id: &str, mut received: Received, unix_ms: u64) -> Self {
        let answer = received.lend(|answer| provider.read_pull(id, answer, Some(unix_ms / 1_000)));
        match answer.outcome {
            Outcome::Report(report) => Self {
                report: Some(report),
                unsigned_answer: answer.unsigned_answer,
                body: Arc::new(Zeroizing::new(core::mem::take(&mut received.body))),
            },
            Outcome::NotReady(_) | Outcome::Refused | Outcome::Failed(_) => {
                Self { report: None, unsigned_answer: false, body: Body::default() }
            }
        }
    }
}

impl fmt::Debug for Created {
    /// Without the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Created").field("report", &self.report).finish_non_exhaustive()
    }
}

/// Whether a call of one's own may be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Permit {
    /// Now; it is counted.
    Granted,
    /// Not before this moment: ask again then.
    After(Instant),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    /// A save that failed is tried again.
    Save,
    /// A hand-over wants to be told the time.
    HandOver,
}

/// The whole client, sans I/O. See the module's text.
///
/// Every method that may ask for something takes the moment, and a sink for tasks: start them there, or collect them; do not wait for them.
pub struct Engine {
    policy: Policy,
    fleet: Recorder,
    accounts: BTreeMap<AccountId, Entry>,
    doors: BTreeMap<String, DoorId>,
    /// In boxes: the nodes of a tree that grows at its end stay half empty.
    sessions: BTreeMap<Key, Box<Beside>>,
    timers: BTreeSet<(Instant, Key, Timer)>,
    /// Records of verifications that nobody opened yet.
    unknown: VecDeque<(&'static str, Arc<str>, Record)>,
    /// What the store is asked about first.
    lookups: Lookups,
    /// The fleet forgot sessions that a store may still have.
    has_forgotten: bool,
    /// Nothing new is started.
    stopping: bool,
    /// How many store tasks and hand-overs are under way.
    awaited: u64,
    /// The newest name of a writer: tells what this engine saves from what others do.
    writer: Option<u64>,
    /// The shortest time without listening in which a callback may be lost.
    callback_window: Option<Span>,
    /// When the engine last ran: on the driver's clock, and on the wall clock.
    last_run: Option<(Instant, u64)>,
}

impl Engine {
    /// An engine without accounts.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self::with(policy, None)
    }

    /// An engine without accounts that has everything recorded that its fleet is told, and what the fleet does then (G8).
    #[must_use]
    pub fn recorded(policy: Policy, recording: Recording) -> Self {
        Self::with(policy, Some(recording))
    }

    fn with(policy: Policy, recording: Option<Recording>) -> Self {
        // What is not saved yet must not be forgotten: the engine does it.
        let fleet = FleetPolicy { tombstones: u32::MAX, ..policy.fleet };
        Self {
            policy,
            fleet: Recorder::new(fleet, recording),
            accounts: BTreeMap::new(),
            doors: BTreeMap::new(),
            sessions: BTreeMap::new(),
            timers: BTreeSet::new(),
            unknown: VecDeque::new(),
            lookups: Lookups::default(),
            has_forgotten: false,
            stopping: false,
            awaited: 0,
            writer: None,
            callback_window: None,
            last_run: None,
        }
    }

    /// Adds an account. Accounts at the same provider and host share one budget, that of the first added (R13).
    pub fn add_account(&mut self, account: Account) -> AccountId {
        let Account { provider, policy, door: limit, callback_window, .. } = account;
        let label = label(&*provider);
        let fleet = &mut self.fleet;
        let door =
            *self.doors.entry(door_of(provider.name(), &label)).or_insert_with(|| fleet.add_door(limit));
        let id = self.fleet.add_account(door, policy);
        self.callback_window =
            Some(self.callback_window.map_or(callback_window, |least| least.min(callback_window)));
        self.accounts.insert(
            id,
            Entry { provider, token_mode: policy.token.mode(), label, door, token: None, trouble: None },
        );
        id
    }

    /// Opens a verification; it is pulled at once. `created` is the reply to the request that created it, where there was one.
    /// [`Task::Opened`] says when it is saved, or that the store had it already.
    ///
    /// # Errors
    /// It is open already, the id is empty, the engine is full, or there is no such account.
    pub fn open(
        &mut self,
        mut moment: Moment,
        account: AccountId,
        id: &str,
        created: Option<Created>,
        out: &mut dyn FnMut(Task),
    ) -> Result<Key, OpenError> {
        let m = &mut moment;
        let provider = self.accounts.get(&account).ok_or(OpenError::NoAccount)?.provider.name();
        let created =
            created.unwrap_or(Created { report: None, unsigned_answer: false, body: Body::default() });
        let mut actions = Vec::new();
        let key = self.fleet.open(m.at(), account, id, created.report, &mut |action| actions.push(action))?;
        let mut beside = Box::new(Beside::new(account, id.into(), self.new_writer(m)));
        beside.opening = true;
        self.sessions.insert(key, beside);
        self.take_unknown(key, provider, id);
        let Created { unsigned_answer, body, .. } = &created;
        let fed = Fed { evidence: Evidence::Pulled, unsigned_answer: *unsigned_answer, body };
        self.perform(m, actions, Some(fed), out);
        self.settle(m);
        Ok(key)
    }

    /// Ends a verification: no more pulls. A revision that was handed over already is still confirmed or repeated.
    pub fn cancel(&mut self, mut moment: Moment, key: Key, out: &mut dyn FnMut(Task)) -> Disposition {
        self.input(&mut moment, out, |fleet, at, actions| {
            fleet.cancel(at, key, &mut |action| actions.push(action))
        })
    }

    /// Somebody wants this verification pulled as soon as the cadence allows. One that has ended stays so.
    pub fn hint(&mut self, mut moment: Moment, key: Key, out: &mut dyn FnMut(Task)) -> Disposition {
        self.input(&mut moment, out, |fleet, at, actions| {
            fleet.hint(at, key, Class::Confirming, &mut |action| actions.push(action))
        })
    }

    /// Forgets a verification that has ended, awaits no hand-over and is saved; `Illegal` for another. The store keeps it, and its numbers
    /// go on when it is named again (R8).
    pub fn forget(&mut self, key: Key) -> Disposition {
        if self.sessions.get(&key).is_some_and(|beside| beside.saving.is_owed()) {
            return Disposition::Illegal;
        }
        let disposition = self.fleet.forget(key);
        if disposition == Disposition::Applied {
            self.has_forgotten = true;
            self.remove(key);
        }
        disposition
    }

    /// Other credentials are used for the calls of this account from now on, and a token is asked for anew. Callbacks are checked where
    /// they are received.
    ///
    /// # Errors
    /// They cannot take the place of the account's; says why. Nothing has changed then.
    pub fn credentials_replaced(
        &mut self,
        mut moment: Moment,
        account: AccountId,
        provider: Arc<dyn Provider>,
        out: &mut dyn FnMut(Task),
    ) -> Result<(), CredentialsError> {
        self.accounts.get_mut(&account).ok_or(CredentialsError::NoAccount)?.replace(provider)?;
        let _: Disposition = self.input(&mut moment, out, |fleet, at, actions| {
            fleet.credentials_replaced(at, account, &mut |action| actions.push(action))
        });
        Ok(())
    }

    /// Takes one call of this account's budget for a request of one's own (creating a verification, deleting one): every call counts (R13).
    /// An account that is not this engine's has none.
    pub fn take(&mut self, mut moment: Moment, account: AccountId) -> Permit {
        let later = Permit::After(moment.now.after(Span::secs(1)));
        let Some(entry) = self.accounts.get(&account) else { return later };
        match self.fleet.take(moment.at(), entry.door) {
            Ok(()) => Permit::Granted,
            Err(Wake::At(at)) => Permit::After(at),
            Err(Wake::More | Wake::Input) => later,
        }
    }

    /// The verification with this id, or else the first that has it as its alias.
    #[must_use]
    pub fn find(&self, provider: &str, id: &str) -> Option<Key> {
        self.fleet.find(provider, id)
    }

    /// Callbacks could not be received for longer than the provider repeats them: every settled verification is pulled once, spread by the
    /// budget (R9).
    pub fn listening_had_a_gap(&mut self, out: &mut dyn FnMut(Task)) {
        self.gap(None, out);
    }

    /// A task came to its end.
    pub fn complete(&mut self, mut moment: Moment, completion: Completion, out: &mut dyn FnMut(Task)) {
        let m = &mut moment;
        self.completed(m, completion, out);
        self.settle(m);
    }

    /// Does what is due, at most about `work` steps of it, and says when to come back. An input may come earlier.
    pub fn run(&mut self, mut moment: Moment, work: u32, out: &mut dyn FnMut(Task)) -> Wake {
        let m = &mut moment;
        self.notice_time_asleep(m, out);
        let mut left = work.max(1);
        while let Some(&(due, key, timer)) = self.timers.first()
            && due <= m.now
        {
            if left == 0 {
                return Wake::More;
            }
            left -= 1;
            self.timers.pop_first();
            match timer {
                Timer::Save => self.save_again(m, key, out),
                Timer::HandOver => self.hand_over_due(m, key, out),
            }
        }
        if self.lookups.again.take_if(|at| *at <= m.now).is_some() {
            self.look_up_next(out);
        }
        let mut actions = Vec::new();
        let wake = self.fleet.run(m.at(), left, &mut |action| actions.push(action));
        self.perform(m, actions, None, out);
        self.settle(m);
        if wake == Wake::More {
            return Wake::More;
        }
        let fleet = match wake {
            Wake::At(at) => Some(at),
            Wake::Input | Wake::More => None,
        };
        let own = self.timers.first().map(|(due, _, _)| *due);
        [fleet, own, self.lookups.again, self.look_again(m)]
            .into_iter()
            .flatten()
            .min()
            .map_or(Wake::Input, Wake::At)
    }

    /// Where a verification stands; `None` when the engine does not know it.
    #[must_use]
    pub fn status(&self, key: Key, now: Instant) -> Option<Status> {
        let session = self.fleet.session(key)?;
        let beside = self.sessions.get(&key)?;
        let until = |at: Instant| Duration::from_millis(at.since(now));
        Some(Status {
            state: session.state(),
            verdict: session.verdict(),
            end: session.end(),
            attempts: session.poller().last_op(),
            pulling: session.poller().in_flight().is_some(),
            next_pull: session.wants().map(|_| Duration::ZERO).or(session.poller().next_pull().map(until)),
            time_left: session.poller().bound().map(until),
            reached: beside.reached,
            diagnosis: self.diagnosis(beside),
        })
    }

    /// How many verifications there are, tombstones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fleet.len()
    }

    /// Whether there is no verification.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fleet.is_empty()
    }

    /// From now on no call and no hand-over is started. What the application is handed already may still be completed, and its word is
    /// saved.
    pub const fn stop(&mut self) {
        self.stopping = true;
    }

    /// Whether nothing is under way that would be repeated by the next process if it were broken off now: no hand-over, no save. Store
    /// tasks and hand-overs count until they are completed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.awaited == 0
            && self.timers.iter().all(|(_, key, timer)| match timer {
                Timer::Save => false,
                Timer::HandOver => {
                    let hand_over = self.sessions.get(key).and_then(|beside| beside.hand_over.as_ref());
                    hand_over.is_none_or(|hand_over| !hand_over.taken)
                }
            })
    }

    fn input(
        &mut self,
        m: &mut Moment,
        out: &mut dyn FnMut(Task),
        step: impl FnOnce(&mut Recorder, At, &mut Vec<Action>) -> Disposition,
    ) -> Disposition {
        let mut actions = Vec::new();
        let disposition = step(&mut self.fleet, m.at(), &mut actions);
        self.perform(m, actions, None, out);
        self.settle(m);
        disposition
    }

    /// Drops what is of no more use: tokens, and tombstones beyond those that are kept.
    fn settle(&mut self, m: &mut Moment) {
        self.forget_oldest();
        let at = m.at();
        for (id, account) in &mut self.accounts {
            if let Some((generation, _)) = account.token
                && self.fleet.usable_token(at, *id) != Some(generation)
            {
                account.token = None;
            }
        }
    }

    /// Forgets tombstones beyond those that are kept.
    fn forget_oldest(&mut self) {
        while let Some(oldest) = self.fleet.oldest_tombstone(self.policy.fleet.tombstones)
            && self.forget(oldest) == Disposition::Applied
        {}
    }

    fn completed(&mut self, m: &mut Moment, Completion(done): Completion, out: &mut dyn FnMut(Task)) {
        match &done {
            Done::Pulled { .. } | Done::Token { .. } => {}
            Done::Handled { .. }
            | Done::Withdrawn
            | Done::Saved { .. }
            | Done::Confirmed { .. }
            | Done::Marked { .. }
            | Done::Looked { .. } => self.awaited = self.awaited.saturating_sub(1),
        }
        match done {
            Done::Pulled { key, op, account, generation, answer, body, reached } => {
                self.pulled(m, (key, op, account, generation), answer, &body, reached, out);
            }
            Done::Token { account, op, answer } => self.token(m, account, op, answer, out),
            Done::Handled { key, number, attempt, result } => {
                self.handled(m, (key, number, attempt), result, out);
            }
            Done::Withdrawn => {}
            Done::Saved { key, number, result } => self.saved(m, key, number, result, out),
            Done::Confirmed { key, number, result } => self.word_saved(m, key, number, result, out),
            Done::Marked { result: Ok(()) } => {}
            Done::Marked { result: Err(error) } => out(Task::Tell(Event::StoreFailed { error })),
            Done::Looked { lookup, result } => self.looked(m, lookup, result, out),
        }
    }

    /// Where nobody ran the engine for longer than the provider repeats a callback, some may be lost: the computer slept, or the driver stood
    /// still (R9). The wall clock is asked too, for a clock that stands still while the computer sleeps.
    fn notice_time_asleep(&mut self, m: &Moment, out: &mut dyn FnMut(Task)) {
        let before = self.last_run.replace((m.now, m.unix_ms));
        if let (Some((now, unix_ms)), Some(window)) = (before, self.callback_window) {
            let asleep = m.now.since(now).max(m.unix_ms.saturating_sub(unix_ms));
            if asleep >= u64::from(window.as_millis()) {
                self.gap(Some(asleep), out);
            }
        }
    }

    /// When to look at the clock at the latest, so that time asleep shows: twice in the time in which nothing is lost.
    fn look_again(&self, m: &Moment) -> Option<Instant> {
        let window = self.callback_window.filter(|_| !self.fleet.is_empty())?;
        Some(m.now.after(Span::millis(window.as_millis() / 2)))
    }

    fn gap(&mut self, millis: Option<u64>, out: &mut dyn FnMut(Task)) {
        if !self.fleet.is_empty() {
            self.fleet.listening_had_a_gap();
            out(Task::Tell(Event::ListeningGap { millis }));
        }
    }

    /// A name for whoever saves one session in this process.
    fn new_writer(&mut self, m: &Moment) -> u64 {
        let begins = || m.unix_ms.rotate_left(32) ^ u64::from(m.entropy);
        let writer = self.writer.unwrap_or_else(begins).wrapping_add(1);
        self.writer = Some(writer);
        writer
    }

    /// What keeps a session from its verdict: its own last pull, or the lack of a token.
    fn diagnosis(&self, beside: &Beside) -> Option<String> {
        let account = || self.accounts.get(&beside.account)?.trouble.clone();
        beside.diagnosis.clone().or_else(account)
    }

    fn provider_name(&self, account: AccountId) -> &'static str {
        self.accounts.get(&account).map_or("", |account| account.provider.name())
    }

    fn provider_name_of(&self, key: Key) -> &'static str {
        self.sessions.get(&key).map_or("", |beside| self.provider_name(beside.account))
    }

    fn id_of(&self, key: Key) -> Arc<str> {
        self.sessions.get(&key).map_or_else(|| "".into(), |beside| Arc::clone(&beside.id))
    }
}

impl fmt::Debug for Engine {
    /// Counts only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("accounts", &self.accounts.len())
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}
