//! The sender's side of one callback: post, wait for the right answer, try again on a schedule, give up. The providers do this to
//! us, so the sandbox runs it; our own hand-over to the application is one more user.
//!
//! ```text
//!             Tick                    Answered as wished
//!      Due ─────────▶ InFlight ───────────────────────────▶ Delivered
//!       │              ▲    │ │
//!       │       until: │    │ │ Answered otherwise, Failed, or too late
//!       │              │    │ ├──── an attempt is left ────▶ Waiting{until}
//!       │              └────│─│───────────────────────────────┘ │
//!       │                   │ └──── it was the last ───▶ Dead   │ Cancel
//!       └────── Cancel ─────┴──────────────────────────▶ Dead ◀─┘
//! ```
//!
//! A wait is counted from the end of the attempt before it: the moment of the answer or failure, or of giving up. The providers
//! do not say what theirs is counted from.

use crate::machine::{Actions, Cx, Describe, Disposition, Machine, Next, Step, Transition, row};
use crate::time::{Instant, Span};
use core::fmt;
use serde::{Deserialize, Serialize};

/// The most attempts that one delivery can make.
pub const MOST_ATTEMPTS: u8 = 16;

/// The most waits: one fewer.
const MOST_WAITS: usize = 15;

/// One callback on its way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Delivery {
    phase: Phase,
    /// Why each attempt so far failed, in order.
    causes: [Option<Cause>; MOST_ATTEMPTS as usize],
}

/// Attempts count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
enum Phase {
    /// The first attempt is due.
    Due,
    /// This attempt awaits its answer; at `give_up` it is too late.
    InFlight { attempt: u8, give_up: Instant },
    /// This attempt is next, at `until`.
    Waiting { attempt: u8, until: Instant },
    /// This attempt was answered as wished.
    Delivered { attempt: u8 },
    /// No attempt is left, or it was cancelled.
    Dead,
}

/// Why an attempt failed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Answered with a status that is no success.
    Status(u16),
    /// No complete answer in time.
    TimedOut,
    /// No connection: name resolution, connecting, reset before an answer.
    Unreachable,
    /// TLS failed: certificate or handshake.
    Tls,
    /// What came back is not an HTTP response.
    Malformed,
    /// Called off while under way.
    Cancelled,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "answered {status}"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Tls => f.write_str("TLS failed"),
            Self::Malformed => f.write_str("no HTTP response"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// What a delivery is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The attempt was answered with this status.
    Answered {
        /// Which attempt, from 1.
        attempt: u8,
        /// The status of the final response.
        status: u16,
    },
    /// The attempt brought no answer.
    Failed {
        /// Which attempt, from 1.
        attempt: u8,
        /// Why.
        cause: Cause,
    },
    /// Nothing more shall be sent.
    Cancel,
}

/// What a delivery does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Post the body.
    Post {
        /// Which attempt, from 1; its completion repeats it.
        attempt: u8,
        /// How long it may take.
        within: Span,
    },
    /// It was answered as wished. Nothing follows.
    Delivered {
        /// The attempt that was.
        attempt: u8,
    },
    /// It will not be delivered; [`Delivery::causes`] says why. Nothing follows.
    Dead,
}

/// Which answers end a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Success {
    /// The status 200 and no other.
    Exactly200,
    /// Every status from 200 to 299.
    Any2xx,
}

impl Success {
    /// Whether this status is a success.
    #[must_use]
    pub const fn is(self, status: u16) -> bool {
        match self {
            Self::Exactly200 => status == 200,
            Self::Any2xx => status >= 200 && status <= 299,
        }
    }
}

/// The rules of a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Policy {
    /// How long one attempt may take; an answer at its end is too late.
    pub timeout: Span,
    /// Which answers end it.
    pub success: Success,
    /// The waits between attempts.
    pub schedule: Schedule,
    /// How much longer a wait may become, in per cent of itself.
    pub jitter_percent: u8,
}

/// The waits between attempts: one attempt more than there are waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Schedule {
    waits: [Span; MOST_WAITS],
    len: u8,
}

impl Schedule {
    /// One attempt, then one more after each of these waits. More than 15 of them do not compile.
    ///
    /// ```
    /// # use idv_core::{delivery::Schedule, time::Span};
    /// const DAILY: Schedule = Schedule::of([Span::hours(24), Span::hours(24)]);
    /// assert_eq!(DAILY.attempts(), 3);
    /// ```
    ///
    /// ```compile_fail
    /// # use idv_core::{delivery::Schedule, time::Span};
    /// const TOO_MANY: Schedule = Schedule::of([Span::hours(24); 16]);
    /// ```
    #[must_use]
    pub const fn of<const N: usize>(waits: [Span; N]) -> Self {
        const { assert!(N <= MOST_WAITS, "a delivery makes at most 16 attempts") };
        Self::first(&waits)
    }

    /// `attempts` attempts, each `wait` after the end of the one before.
    ///
    /// # Errors
    /// No attempt at all, or more than [`MOST_ATTEMPTS`].
    pub const fn every(wait: Span, attempts: u8) -> Result<Self, ScheduleError> {
        if attempts == 0 {
            return Err(ScheduleError::NoAttempt);
        }
        if attempts > MOST_ATTEMPTS {
            return Err(ScheduleError::TooMany { attempts: attempts as usize });
        }
        Ok(Self { waits: [wait; MOST_WAITS], len: attempts - 1 })
    }

    /// One attempt, then one more after each of these waits.
    ///
    /// # Errors
    /// More than [`MOST_ATTEMPTS`] attempts.
    pub const fn own(waits: &[Span]) -> Result<Self, ScheduleError> {
        if waits.len() > MOST_WAITS {
            return Err(ScheduleError::TooMany { attempts: waits.len().saturating_add(1) });
        }
        Ok(Self::first(waits))
    }

    /// The first waits of these, as many as there is room for.
    const fn first(mut rest: &[Span]) -> Self {
        let mut waits = [Span::MIN; MOST_WAITS];
        let mut free: &mut [Span] = &mut waits;
        let mut len = 0;
        while let (Some((wait, others)), Some((slot, left))) = (rest.split_first(), free.split_first_mut()) {
            *slot = *wait;
            (rest, free) = (others, left);
            len += 1;
        }
        Self { waits, len }
    }

    /// How many attempts there are.
    #[must_use]
    pub const fn attempts(&self) -> u8 {
        self.len.saturating_add(1)
    }

    /// The wait after this attempt, counted from 1; `None` after the last.
    #[must_use]
    pub fn wait_after(&self, attempt: u8) -> Option<Span> {
        self.waits().nth(usize::from(attempt.checked_sub(1)?))
    }

    /// The waits, in order.
    pub fn waits(&self) -> impl Iterator<Item = Span> + '_ {
        self.waits.iter().take(usize::from(self.len)).copied()
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.waits()).finish()
    }
}

/// Why a schedule was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScheduleError {
    /// Nothing would ever be sent.
    NoAttempt,
    /// More attempts than a delivery remembers the causes of.
    TooMany {
        /// The attempts asked for.
        attempts: usize,
    },
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAttempt => {
                f.write_str("schedule of 0 attempts: nothing would ever be sent; choose at least 1")
            }
            Self::TooMany { attempts } => write!(
                f,
                "schedule of {attempts} attempts: the cause of each is kept, for at most {MOST_ATTEMPTS}; choose fewer, further apart"
            ),
        }
    }
}

impl core::error::Error for ScheduleError {}

impl Delivery {
    /// A delivery whose first attempt is due at once.
    #[must_use]
    pub const fn new() -> Self {
        Self { phase: Phase::Due, causes: [None; MOST_ATTEMPTS as usize] }
    }

    /// Why each attempt failed, from the first on.
    pub fn causes(&self) -> impl Iterator<Item = Cause> + '_ {
        self.causes.iter().flatten().copied()
    }

    /// The attempt that awaits its answer, if one does.
    const fn in_flight(&self) -> Option<u8> {
        match self.phase {
            Phase::InFlight { attempt, .. } => Some(attempt),
            Phase::Due | Phase::Waiting { .. } | Phase::Delivered { .. } | Phase::Dead => None,
        }
    }

    fn record(&mut self, cause: Cause) {
        if let Some(slot) = self.causes.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(cause);
        }
    }

    /// The attempt ended at `end` without success.
    fn ended(&mut self, cx: Cx<'_, Policy>, attempt: u8, cause: Cause, end: Instant) -> Option<Action> {
        self.record(cause);
        let wait = cx.policy.schedule.wait_after(attempt);
        let phase = wait.map(|wait| Phase::Waiting {
            attempt: attempt.saturating_add(1),
            until: end.after(wait.jittered(cx.policy.jitter_percent, cx.entropy)),
        });
        self.phase = phase.unwrap_or(Phase::Dead);
        (self.phase == Phase::Dead).then_some(Action::Dead)
    }

    fn answered(&mut self, cx: Cx<'_, Policy>, attempt: u8, status: u16) -> Option<Action> {
        if cx.policy.success.is(status) {
            self.phase = Phase::Delivered { attempt };
            Some(Action::Delivered { attempt })
        } else {
            self.ended(cx, attempt, Cause::Status(status), cx.now)
        }
    }

    fn cancel(&mut self) -> (Disposition, Option<Action>) {
        match self.phase {
            Phase::InFlight { .. } => self.record(Cause::Cancelled),
            Phase::Due | Phase::Waiting { .. } => {}
            Phase::Delivered { .. } | Phase::Dead => return (Disposition::NoOp, None),
        }
        self.phase = Phase::Dead;
        (Disposition::Applied, Some(Action::Dead))
    }

    /// What a completion is that nobody awaits: of an attempt once made, or of none.
    fn unawaited(&self, attempt: u8) -> Disposition {
        let failed = self.causes().count();
        let delivered = usize::from(matches!(self.phase, Phase::Delivered { .. }));
        if attempt > 0 && usize::from(attempt) <= failed.saturating_add(delivered) {
            Disposition::Stale
        } else {
            Disposition::Illegal
        }
    }

    fn take_in(&mut self, cx: Cx<'_, Policy>, input: Input) -> (Disposition, Option<Action>) {
        match input {
            Input::Tick => (Disposition::NoOp, None),
            Input::Answered { attempt, status } if self.in_flight() == Some(attempt) => {
                (Disposition::Applied, self.answered(cx, attempt, status))
            }
            Input::Failed { attempt, cause } if self.in_flight() == Some(attempt) => {
                (Disposition::Applied, self.ended(cx, attempt, cause, cx.now))
            }
            Input::Answered { attempt, .. } | Input::Failed { attempt, .. } => {
                (self.unawaited(attempt), None)
            }
            Input::Cancel => self.cancel(),
        }
    }

    fn post(&mut self, cx: Cx<'_, Policy>, attempt: u8) -> Action {
        self.phase = Phase::InFlight { attempt, give_up: cx.now.after(cx.policy.timeout) };
        Action::Post { attempt, within: cx.policy.timeout }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine for Delivery {
    type Policy = Policy;
    type Input = Input;
    type Action = Action;
    type Actions = Actions<Action, 1>;

    const TICK: Input = Input::Tick;

    fn step(&mut self, cx: Cx<'_, Policy>, input: Input) -> Step<Self::Actions> {
        let before = *self;
        let too_late = match self.phase {
            Phase::InFlight { attempt, give_up } if cx.now >= give_up => {
                self.ended(cx, attempt, Cause::TimedOut, give_up)
            }
            Phase::Due
            | Phase::InFlight { .. }
            | Phase::Waiting { .. }
            | Phase::Delivered { .. }
            | Phase::Dead => None,
        };
        let (mut disposition, taken_in) = self.take_in(cx, input);
        let posted = match self.phase {
            Phase::Due => Some(self.post(cx, 1)),
            Phase::Waiting { attempt, until } if cx.now >= until => Some(self.post(cx, attempt)),
            Phase::InFlight { .. } | Phase::Waiting { .. } | Phase::Delivered { .. } | Phase::Dead => None,
        };
        if matches!(input, Input::Tick) && *self != before {
            disposition = Disposition::Applied;
        }
        // Never two of them: nothing is posted after an end, and an end is reached once.
        let actions = too_late.or(taken_in).or(posted).map_or(Actions::NONE, Actions::one);
        Step { actions, next: self.next(cx.policy), disposition }
    }

    fn next(&self, _: &Policy) -> Next {
        match self.phase {
            // Overdue from the start, on every clock.
            Phase::Due => Next::At(Instant::EARLIEST),
            Phase::InFlight { give_up: at, .. } | Phase::Waiting { until: at, .. } => Next::At(at),
            Phase::Delivered { .. } | Phase::Dead => Next::Over,
        }
    }

    fn outstanding(&self, policy: &Policy) -> Self::Actions {
        let post = |attempt| Action::Post { attempt, within: policy.timeout };
        self.in_flight().map(post).map_or(Actions::NONE, Actions::one)
    }

    fn map_times(&mut self, mut f: impl FnMut(Instant) -> Instant) {
        match &mut self.phase {
            Phase::InFlight { give_up: at, .. } | Phase::Waiting { until: at, .. } => *at = f(*at),
            Phase::Due | Phase::Delivered { .. } | Phase::Dead => {}
        }
    }
}

impl Describe for Delivery {
    const NAME: &'static str = "delivery";

    const TRANSITIONS: &'static [Transition] = &[
        row("Due", "Tick", "InFlight"),
        row("Due", "Cancel", "Dead"),
        row("InFlight", "Answered", "Delivered"),
        row("InFlight", "Answered", "Waiting"),
        row("InFlight", "Answered", "Dead"),
        row("InFlight", "Failed", "Waiting"),
        row("InFlight", "Failed", "Dead"),
        row("InFlight", "Tick", "Waiting"),
        row("InFlight", "Tick", "Dead"),
        row("InFlight", "Cancel", "Dead"),
        row("Waiting", "Tick", "InFlight"),
        row("Waiting", "Cancel", "Dead"),
    ];

    fn state(&self) -> &'static str {
        match self.phase {
            Phase::Due => "Due",
            Phase::InFlight { .. } => "InFlight",
            Phase::Waiting { .. } => "Waiting",
            Phase::Delivered { .. } => "Delivered",
            Phase::Dead => "Dead",
        }
    }

    fn input_name(input: &Input) -> &'static str {
        match input {
            Input::Tick => "Tick",
            Input::Answered { .. } => "Answered",
            Input::Failed { .. } => "Failed",
            Input::Cancel => "Cancel",
        }
    }
}
