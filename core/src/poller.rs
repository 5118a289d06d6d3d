//! When to pull one verification: cadence, back-off, `Retry-After`, deadline and grace, and what a hint may bring forward.
//!
//! ```text
//!         until               Granted               Answered, Failed, Refused, given up, Restored
//!   Waiting ────▶ Asking ──────────────▶ InFlight ────────────────────────────────────────────────┐
//!    ▲ ▲ ▲          │                       │                                                     │
//!    │ │ └──────────┘ a late completion,    │ Answered, and nothing is scheduled                  │
//!    │ │              Restored              ▼                                                     │
//!    │ └─────────────────────────── Hint ─ Resting                                                │
//!    └────────────────────────────────────────────────────────────────────────────────────────────┘
//!   any ── deadline or grace over, Stop, second refusal in a row ──▶ Ended ── reopened by the session ──▶ Waiting
//! ```
//!
//! A pull is permitted from outside ([`Action::Ask`], [`Input::Granted`]), so that token and budget gate the same door, and a pull that
//! waits there does not burn its own timeout. Each pull has an operation number that its completion repeats; numbers only grow.
//!
//! The cadence counts from the end of the previous call. A hint shortens only the routine part of a wait: never the cadence, a back-off or
//! a `Retry-After` (R13). At the deadline no new routine pull starts; one in flight, or demanded by a hint, is finished within the grace
//! (R12). After a settling verdict the poller *watches*: nothing is scheduled but an audit, and the deadline becomes the end of the watch.
//! Reopened after its end, it schedules nothing either, and it ends again once no hint is open (R8).

mod interface;
mod policy;
mod table;

pub use interface::{Action, Class, End, Input, Then};
pub use policy::{Builder, MAX_RECHECKS, Policy, PolicyError};

use crate::machine::{Actions, Cx, Disposition, Machine, Next, Step};
use crate::time::{Instant, Span};
use serde::{Deserialize, Serialize};

/// The state of the pulls of one verification.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Poller {
    phase: Phase,
    /// The deadline while polling or reopened, the end of the watch (or none) while watching.
    bound: Option<Instant>,
    /// The number of the newest pull; zero before the first.
    ops: u32,
    drive: Drive,
    /// A hint that no answer has satisfied yet, with the class it asks in.
    demand: Option<Class>,
    /// Which further pull a signed change signal demands next (R9); zero when none is owed.
    recheck: u8,
    /// The last demanded pull showed nothing new (R13).
    fruitless: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
enum Phase {
    /// The next pull is asked for at `until`; a hint brings it forward by `slack` milliseconds.
    Waiting { until: Instant, slack: u32, trouble: Trouble },
    /// Permission has been asked for.
    Asking { trouble: Trouble },
    /// Pull number `ops` is under way and counts as failed from `give_up` on.
    InFlight { give_up: Instant, trouble: Trouble },
    /// Nothing is scheduled; a hint may pull from `earliest` on.
    Resting { earliest: Instant },
    /// Finished; if it is reopened, no pull before `earliest`.
    Ended { earliest: Instant, end: End },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
enum Drive {
    Polling,
    Watching,
    /// Nothing is scheduled, and when no hint is open any more it ends again.
    Reopened,
}

/// What went wrong since the last usable answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Trouble {
    /// How many pulls failed.
    failures: u8,
    /// The latest pull was refused: another refusal would be the second in a row (R14).
    refused: bool,
}

impl Trouble {
    const NONE: Self = Self { failures: 0, refused: false };
}

impl Poller {
    /// A poller whose first pull is due at once. The deadline counts from now; step it with a tick to have it ask.
    #[must_use]
    pub const fn new(cx: Cx<'_, Policy>) -> Self {
        Self {
            phase: Phase::Waiting { until: cx.now, slack: 0, trouble: Trouble::NONE },
            bound: Some(cx.now.after(cx.policy.deadline)),
            ops: 0,
            drive: Drive::Polling,
            demand: None,
            recheck: 0,
            fruitless: false,
        }
    }

    /// The number that the next pull will have.
    #[must_use]
    pub const fn next_op(&self) -> u32 {
        self.ops.saturating_add(1)
    }

    /// The number of the newest pull; zero before the first.
    #[must_use]
    pub const fn last_op(&self) -> u32 {
        self.ops
    }

    /// The class in which permission is being asked for, while it is.
    #[must_use]
    pub const fn wants(&self) -> Option<Class> {
        match self.phase {
            Phase::Asking { .. } => Some(self.class()),
            Phase::Waiting { .. } | Phase::InFlight { .. } | Phase::Resting { .. } | Phase::Ended { .. } => {
                None
            }
        }
    }

    /// The number of the pull in flight, while one is.
    #[must_use]
    pub const fn in_flight(&self) -> Option<u32> {
        match self.phase {
            Phase::InFlight { .. } => Some(self.ops),
            Phase::Waiting { .. } | Phase::Asking { .. } | Phase::Resting { .. } | Phase::Ended { .. } => {
                None
            }
        }
    }

    /// Whether everything but the routine is the same: what a restored machine could not find out again. A back-off and a
    /// `Retry-After` belong to what must be found again, or a restart would break them.
    pub(crate) fn same_knowledge(&self, other: &Self) -> bool {
        let knowledge = |poller: &Self| {
            (
                poller.bound,
                poller.drive,
                poller.demand,
                poller.recheck,
                poller.fruitless,
                poller.trouble(),
                poller.end(),
            )
        };
        knowledge(self) == knowledge(other)
    }

    const fn trouble(&self) -> Trouble {
        match self.phase {
            Phase::Waiting { trouble, .. } | Phase::Asking { trouble } | Phase::InFlight { trouble, .. } => {
                trouble
            }
            Phase::Resting { .. } | Phase::Ended { .. } => Trouble::NONE,
        }
    }

    /// How it ended, once it has.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        match self.phase {
            Phase::Ended { end, .. } => Some(end),
            Phase::Waiting { .. } | Phase::Asking { .. } | Phase::InFlight { .. } | Phase::Resting { .. } => {
                None
            }
        }
    }

    /// Whether a hint waits for an answer that satisfies it.
    #[must_use]
    pub const fn is_demanded(&self) -> bool {
        self.demand.is_some()
    }

    /// The deadline, or the end of the watch; `None` when it watches for ever.
    #[must_use]
    pub const fn bound(&self) -> Option<Instant> {
        self.bound
    }

    /// When the next pull is asked for, while that is known.
    #[must_use]
    pub const fn next_pull(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { until, .. } => Some(until),
            Phase::Asking { .. } | Phase::InFlight { .. } | Phase::Resting { .. } | Phase::Ended { .. } => {
                None
            }
        }
    }

    /// After the end, a hint of this class reopens it for its own answer: nothing is scheduled, and once no hint is open it ends again. No
    /// pull before the last one is surely over.
    ///
    /// It is as if the deadline were now, and the hint had come just before it: what it demands is finished within the grace (R12). One that
    /// somebody vouches for may be confirmed for a whole deadline, an outage of the provider included.
    pub(crate) fn reopen(&mut self, cx: Cx<'_, Policy>, class: Class, vouched: bool) {
        let deadline = if vouched { cx.now.after(cx.policy.deadline) } else { cx.now };
        match self.phase {
            Phase::Ended { earliest, .. } => {
                let phase = Phase::Waiting { until: earliest, slack: 0, trouble: Trouble::NONE };
                let (drive, demand) = (Drive::Reopened, Some(class));
                *self = Self { phase, bound: Some(deadline.max(earliest)), drive, demand, ..*self };
            }
            Phase::Waiting { .. } | Phase::Asking { .. } | Phase::InFlight { .. } | Phase::Resting { .. } => {
                if self.drive == Drive::Reopened && vouched {
                    self.bound = self.bound.max(Some(deadline));
                }
            }
        }
    }

    /// Reopened, and now it lives on: it polls until a new deadline.
    pub(crate) fn revive(&mut self, cx: Cx<'_, Policy>) {
        if self.drive == Drive::Reopened {
            self.drive = Drive::Polling;
            self.bound = Some(cx.now.after(cx.policy.deadline));
        }
    }

    const fn idle_class(&self) -> Class {
        match self.drive {
            Drive::Polling => Class::Routine,
            Drive::Watching | Drive::Reopened => Class::Audit,
        }
    }

    const fn class(&self) -> Class {
        let demanded = match self.demand {
            Some(Class::Confirming) if self.fruitless => Class::Routine,
            Some(class) => class,
            None => return self.idle_class(),
        };
        match (demanded, self.idle_class()) {
            (Class::Confirming, _) => Class::Confirming,
            (Class::Routine, _) | (_, Class::Routine) => Class::Routine,
            (Class::Audit, Class::Confirming | Class::Audit) => Class::Audit,
        }
    }

    /// Whether a pull is under way, or demanded by a hint: the deadline waits for it, up to the grace.
    const fn is_finishing(&self) -> bool {
        self.demand.is_some() || matches!(self.phase, Phase::InFlight { .. })
    }

    /// When the poller ends if nothing changes.
    fn end_at(&self, policy: &Policy) -> Option<Instant> {
        self.bound.map(|bound| if self.is_finishing() { bound.after(policy.grace) } else { bound })
    }

    /// Whether it is to end now.
    fn is_due_to_end(&self, cx: Cx<'_, Policy>) -> bool {
        let answered = self.drive == Drive::Reopened && !self.is_finishing();
        answered || self.end_at(cx.policy).is_some_and(|end| cx.now >= end)
    }

    /// The deadlines that decide an outcome: the end of everything, and the end of the call in flight.
    pub(crate) fn pass_deadlines(&mut self, cx: Cx<'_, Policy>) -> bool {
        let mut passed = false;
        if self.end().is_none() && self.is_due_to_end(cx) {
            self.finish(cx, End::Elapsed);
            return true;
        }
        if let Phase::InFlight { give_up, trouble } = self.phase
            && cx.now >= give_up
        {
            self.fail(cx, trouble, None);
            passed = true;
            // Nothing is in flight any more: past the deadline, and without a demand, that is the end.
            if self.is_due_to_end(cx) {
                self.finish(cx, End::Elapsed);
            }
        }
        passed
    }

    fn finish(&mut self, cx: Cx<'_, Policy>, end: End) {
        let earliest = match self.phase {
            Phase::Waiting { until, slack, .. } => until.before_millis(slack),
            Phase::Asking { .. } => cx.now,
            // The call may still be under way at our side: its completion is awaited, then the cadence.
            Phase::InFlight { give_up, .. } => give_up.after(cx.policy.cadence),
            Phase::Resting { earliest } | Phase::Ended { earliest, .. } => earliest,
        };
        self.phase = Phase::Ended { earliest, end };
        self.demand = None;
        self.recheck = 0;
    }

    fn fail(&mut self, cx: Cx<'_, Policy>, trouble: Trouble, retry_after: Option<Span>) {
        let trouble = Trouble { failures: trouble.failures.saturating_add(1), refused: false };
        let backoff = cx.policy.backoff.delay(trouble.failures, cx.entropy);
        let wait = silence(cx, retry_after).max(backoff);
        self.phase = Phase::Waiting { until: cx.now.after(wait), slack: 0, trouble };
    }

    /// The completion of pull `op`: in flight (`Ok`, with the trouble so far), or what else it is.
    const fn completed(&self, op: u32) -> Result<Trouble, Disposition> {
        if op == 0 || op > self.ops {
            return Err(Disposition::Illegal);
        }
        match self.phase {
            Phase::InFlight { trouble, .. } if op == self.ops => Ok(trouble),
            Phase::InFlight { .. }
            | Phase::Waiting { .. }
            | Phase::Asking { .. }
            | Phase::Resting { .. }
            | Phase::Ended { .. } => Err(Disposition::Stale),
        }
    }

    fn hint(&mut self, cx: Cx<'_, Policy>, class: Class, signal: bool) -> Disposition {
        if let Phase::Ended { .. } = self.phase {
            return Disposition::NoOp;
        }
        self.demand = Some(self.demand.map_or(class, |demand| demand.min(class)));
        match self.phase {
            Phase::Waiting { until, slack, trouble } => {
                if slack > 0 && cx.now < until && self.recheck > 1 {
                    // The further pull that a change signal demanded is still owed at its own distance: what brings a pull forward,
                    // a forgery perhaps, must not use it up.
                    self.recheck -= 1;
                }
                self.phase = Phase::Waiting { until: until.before_millis(slack), slack: 0, trouble };
            }
            Phase::Resting { earliest } => {
                self.phase = Phase::Waiting { until: earliest, slack: 0, trouble: Trouble::NONE };
            }
            Phase::Asking { .. } | Phase::InFlight { .. } | Phase::Ended { .. } => {}
        }
        if signal {
            self.recheck = 1;
        }
        Disposition::Applied
    }

    fn answered(&mut self, cx: Cx<'_, Policy>, op: u32, then: Then) -> Disposition {
        match self.completed(op) {
            Ok(_) => {
                let until = cx.now.after(cx.policy.cadence);
                self.phase = Phase::Waiting { until, slack: 0, trouble: Trouble::NONE };
            }
            // A late answer changes the plan all the same, and its call ended only now.
            Err(Disposition::Stale) if self.end().is_none() => self.put_off(cx.now.after(cx.policy.cadence)),
            Err(other) => return other,
        }
        match then {
            Then::Demand { news } => self.fruitless &= !news,
            Then::Rest { news } => self.satisfied(cx, news),
            Then::Watch { news } => {
                self.watch(cx);
                self.satisfied(cx, news);
            }
        }
        Disposition::Applied
    }

    /// No pull before `earliest`.
    fn put_off(&mut self, earliest: Instant) {
        match &mut self.phase {
            Phase::Waiting { until, slack, .. } => {
                let from = until.before_millis(*slack).max(earliest);
                *until = (*until).max(from);
                *slack = u32::try_from(until.since(from)).unwrap_or(u32::MAX);
            }
            Phase::Asking { trouble } => {
                self.phase = Phase::Waiting { until: earliest, slack: 0, trouble: *trouble };
            }
            Phase::Resting { earliest: from } | Phase::Ended { earliest: from, .. } => {
                *from = (*from).max(earliest);
            }
            Phase::InFlight { .. } => {}
        }
    }

    fn watch(&mut self, cx: Cx<'_, Policy>) {
        if self.drive == Drive::Polling {
            self.drive = Drive::Watching;
            self.bound = cx.policy.watch.map(|watch| cx.now.after(watch));
        }
    }

    /// No hint is open any more, unless a change signal still owes its effect.
    fn satisfied(&mut self, cx: Cx<'_, Policy>, news: bool) {
        let recheck = (self.recheck as usize)
            .checked_sub(1)
            .filter(|_| !news)
            .and_then(|nth| cx.policy.rechecks.get(nth).copied().flatten());
        if news {
            self.fruitless = false;
        } else if self.demand.is_some() {
            self.fruitless = true;
        }
        let wait = match (recheck, self.drive) {
            (Some(wait), _) => {
                self.recheck = self.recheck.saturating_add(1);
                self.demand = self.demand.or(Some(Class::Confirming));
                Some(wait)
            }
            (None, drive) => {
                self.recheck = 0;
                self.demand = None;
                match drive {
                    Drive::Polling => Some(cx.policy.interval),
                    Drive::Watching => cx.policy.audit.map(|audit| audit.jittered(10, cx.entropy)),
                    Drive::Reopened => None,
                }
            }
        };
        let (earliest, trouble) = match self.phase {
            Phase::Waiting { until, slack, trouble } => (until.before_millis(slack), trouble),
            Phase::Resting { earliest } => (earliest, Trouble::NONE),
            Phase::Asking { .. } | Phase::InFlight { .. } | Phase::Ended { .. } => return,
        };
        self.phase = match wait {
            Some(wait) => {
                let until = earliest.max(cx.now.after(wait));
                let slack = u32::try_from(until.since(earliest)).unwrap_or(u32::MAX);
                Phase::Waiting { until, slack, trouble }
            }
            None => Phase::Resting { earliest },
        };
    }

    fn refused(&mut self, cx: Cx<'_, Policy>, op: u32) -> Disposition {
        match self.completed(op) {
            Ok(Trouble { refused: true, .. }) => {
                // The call is over: a reopened session waits for the cadence only.
                self.phase = Phase::Resting { earliest: cx.now.after(cx.policy.cadence) };
                self.finish(cx, End::Refused);
            }
            Ok(trouble) => {
                let until = cx.now.after(cx.policy.cadence);
                self.phase =
                    Phase::Waiting { until, slack: 0, trouble: Trouble { refused: true, ..trouble } };
            }
            // As a late failure.
            Err(Disposition::Stale) if self.end().is_none() => self.put_off(cx.now.after(cx.policy.cadence)),
            Err(other) => return other,
        }
        Disposition::Applied
    }

    fn granted(&mut self, cx: Cx<'_, Policy>) -> (Disposition, Option<Action>) {
        match self.phase {
            Phase::Asking { trouble } => {
                self.ops = self.ops.saturating_add(1);
                self.phase = Phase::InFlight { give_up: cx.now.after(cx.policy.patience()), trouble };
                (Disposition::Applied, Some(Action::Pull { op: self.ops, within: cx.policy.call_timeout }))
            }
            // The wish was withdrawn while the permission was on its way; nothing was taken.
            Phase::Waiting { .. } | Phase::InFlight { .. } | Phase::Resting { .. } | Phase::Ended { .. } => {
                (Disposition::NoOp, None)
            }
        }
    }

    /// A pull in flight failed with the process that sent it (R11). One that was sent after the snapshot is not known here: no pull
    /// before the cadence has passed since the restore, which is after any earlier call ended.
    fn restored(&mut self, cx: Cx<'_, Policy>) -> Disposition {
        match self.phase {
            Phase::InFlight { trouble, .. } => self.fail(cx, trouble, None),
            // Ended ones too: a callback may reopen them at once.
            Phase::Waiting { .. } | Phase::Asking { .. } | Phase::Resting { .. } | Phase::Ended { .. } => {
                self.put_off(cx.now.after(cx.policy.cadence));
            }
        }
        Disposition::Applied
    }
}

/// How long no pull follows the end of a call: the cadence, or what the provider asks for (G7).
fn silence(cx: Cx<'_, Policy>, retry_after: Option<Span>) -> Span {
    let asked_for = retry_after.map_or(Span::MIN, |span| span.min(cx.policy.retry_after_cap));
    cx.policy.cadence.max(asked_for)
}

impl Machine for Poller {
    type Policy = Policy;
    type Input = Input;
    type Action = Action;
    type Actions = Actions<Action, 1>;

    const TICK: Input = Input::Tick;

    fn step(&mut self, cx: Cx<'_, Policy>, input: Input) -> Step<Self::Actions> {
        let was_over = self.end().is_some();
        let asked = self.wants();
        let passed = self.pass_deadlines(cx);
        let (disposition, mut action) = match input {
            Input::Tick => (if passed { Disposition::Applied } else { Disposition::NoOp }, None),
            Input::Hint { class, signal } => (self.hint(cx, class, signal), None),
            Input::Granted => self.granted(cx),
            Input::Answered { op, then } => (self.answered(cx, op, then), None),
            Input::Failed { op, retry_after } => match self.completed(op) {
                Ok(trouble) => {
                    self.fail(cx, trouble, retry_after);
                    (Disposition::Applied, None)
                }
                Err(Disposition::Stale) if self.end().is_none() => {
                    // It has counted as failed, but its call ended only now.
                    self.put_off(cx.now.after(silence(cx, retry_after)));
                    (Disposition::Applied, None)
                }
                Err(other) => (other, None),
            },
            Input::Refused { op } => (self.refused(cx, op), None),
            Input::Settled if self.end().is_some() => (Disposition::NoOp, None),
            Input::Settled => {
                self.watch(cx);
                (Disposition::Applied, None)
            }
            Input::Stop if self.end().is_some() => (Disposition::NoOp, None),
            Input::Stop => {
                self.finish(cx, End::Stopped);
                (Disposition::Applied, None)
            }
            Input::Restored => (self.restored(cx), None),
        };
        // An input may have taken away what kept it past its deadline.
        self.pass_deadlines(cx);
        let mut timer = false;
        if let Phase::Waiting { until, trouble, .. } = self.phase
            && cx.now >= until
        {
            self.phase = Phase::Asking { trouble };
            timer = true;
        }
        if let Some(class) = self.wants()
            && asked != Some(class)
        {
            action = Some(Action::Ask { class });
        }
        if let Some(end) = self.end()
            && !was_over
        {
            action = Some(Action::Ended(end));
        }
        let disposition = if timer && input == Input::Tick { Disposition::Applied } else { disposition };
        let mut actions = Actions::NONE;
        if let Some(action) = action {
            actions.push(action);
        }
        Step { actions, next: self.next(cx.policy), disposition }
    }

    fn next(&self, policy: &Policy) -> Next {
        let timer = match self.phase {
            Phase::Waiting { until, .. } => Next::At(until),
            Phase::Asking { .. } | Phase::Resting { .. } => Next::Input,
            Phase::InFlight { give_up, .. } => Next::At(give_up),
            Phase::Ended { .. } => return Next::Over,
        };
        self.end_at(policy).map_or(timer, |end| timer.sooner(Next::At(end)))
    }

    fn outstanding(&self, policy: &Policy) -> Self::Actions {
        match self.phase {
            Phase::Asking { .. } => Actions::one(Action::Ask { class: self.class() }),
            Phase::InFlight { .. } => {
                Actions::one(Action::Pull { op: self.ops, within: policy.call_timeout })
            }
            Phase::Waiting { .. } | Phase::Resting { .. } | Phase::Ended { .. } => Actions::NONE,
        }
    }

    fn map_times(&mut self, mut f: impl FnMut(Instant) -> Instant) {
        match &mut self.phase {
            Phase::Waiting { until, .. } => *until = f(*until),
            Phase::InFlight { give_up, .. } => *give_up = f(*give_up),
            Phase::Resting { earliest } | Phase::Ended { earliest, .. } => *earliest = f(*earliest),
            Phase::Asking { .. } => {}
        }
        self.bound = self.bound.map(f);
    }
}

const _: () = assert!(size_of::<Poller>() <= 32);
