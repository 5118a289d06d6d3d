//! The most calls per window to one provider, shared by everything that calls it (R13).
//!
//! ```text
//!            Take: Granted                     Take: Granted, the last of the burst
//!            ┌────────┐   ┌──────────────────────────────────────────────┐
//!            ▼        │   │                                              ▼
//!          Ready ─────┴───┘                                          Exhausted{until}
//!          ▲ ▲ └───────────────── Close ────────────┐       until:       │   │
//!          │ └──────────────────────────────────────┼────────────────────┘   │ Close
//!          │                                        ▼                        │
//!          └──────────────── until: ─────── Closed{until} ◀──────────────────┘
//! ```
//!
//! A generic cell rate algorithm in integers. The state is one moment, `tat`: when the calls granted so far would have been
//! made, had they been spread evenly at one per *interval*. A call is granted while that moment lies less than the burst ahead.
//!
//! **Why a window never holds more than `calls`.** With interval `T = ceil(window / (calls - burst))`, grant `i` raises `tat`
//! to at least `T` after its own moment, and grant `j > i` comes no earlier than `(j - i)·T - (burst - 1)·T` after grant `i`. So `n` grants
//! within a closed window of length `window` satisfy `n - 1 <= window / T + burst - 1`, and `window / T <= calls - burst`.
//!
//! **A clock that goes back** never grants more: `tat` does not go back with it, and a grant needs a reading, at or after every
//! earlier grant, that lies the distance above behind that grant's own reading. It can only make a wait longer, by as much as it
//! went back.
//!
//! [`Budget`] is our side. [`Window`] is the provider's, which the sandbox plays.

use crate::machine::{Actions, Cx, Describe, Disposition, Machine, Next, Step, Transition, row};
use crate::time::{Instant, Span};
use core::fmt;
use serde::{Deserialize, Serialize};

mod window;

pub use window::Window;

/// A provider's budget.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Budget {
    /// At least one call may be made.
    Ready {
        /// When the calls granted so far would have been made, evenly spread; past means that the whole burst is there.
        tat: Instant,
    },
    /// The burst is used up; the next call may be made at `until`.
    Exhausted {
        /// As in [`Budget::Ready`].
        tat: Instant,
        /// The end of the wait.
        until: Instant,
    },
    /// The provider asked to be left alone until `until`.
    Closed {
        /// As in [`Budget::Ready`].
        tat: Instant,
        /// When its door opens again.
        until: Instant,
    },
}

/// What a budget is told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// Somebody wants to make one call. Refused (`NoOp`) means: take again at [`Step::next`].
    Take,
    /// The provider answered 429 or sent `Retry-After`: no call for `span`, at most [`Policy::close_cap`]. Never shortens a wait.
    Close {
        /// How long.
        span: Span,
    },
}

/// What a budget does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// One call may be made now. It counts as made.
    Granted,
}

/// How many calls in how long.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Policy {
    interval: Span,
    /// `(burst - 1)` intervals.
    tolerance: Option<Span>,
    close_cap: Span,
}

impl Policy {
    /// The longest that one 429 or `Retry-After` keeps the door closed, unless [`Policy::with_close_cap`] says otherwise.
    pub const DEFAULT_CLOSE_CAP: Span = Span::mins(15);

    /// At most `calls` in every closed window of length `window`, `burst` of them back to back. The others come evenly spread, so a
    /// smaller burst gives a higher steady rate: `calls - burst` per window.
    ///
    /// # Errors
    /// `calls` or `burst` is zero, the burst leaves nothing for the rest of the window, or the numbers are beyond 49 days.
    pub const fn per_window(calls: u32, window: Span, burst: u32) -> Result<Self, PolicyError> {
        if calls == 0 {
            return Err(PolicyError::NoCalls);
        }
        if burst == 0 {
            return Err(PolicyError::NoBurst);
        }
        if burst > calls || (burst == calls && calls > 1) {
            return Err(PolicyError::BurstTooLarge { calls, burst });
        }
        let interval = if calls == 1 {
            // Nothing to spread: the next call falls just outside the closed window.
            window.as_millis() as u64 + 1
        } else {
            window.as_millis().div_ceil(calls - burst) as u64
        };
        let tolerance = interval.saturating_mul(burst as u64 - 1);
        if interval > u32::MAX as u64 || tolerance > u32::MAX as u64 {
            return Err(PolicyError::TooLong { calls, window, burst });
        }
        Ok(Self {
            interval: Span::millis(interval as u32),
            tolerance: Span::from_millis(tolerance as u32),
            close_cap: Self::DEFAULT_CLOSE_CAP,
        })
    }

    /// The same with another bound on how long one 429 or `Retry-After` keeps the door closed.
    #[must_use]
    pub const fn with_close_cap(self, close_cap: Span) -> Self {
        Self { close_cap, ..self }
    }

    /// The time between two calls once the burst is used up: the longest that a single caller waits while the door is open.
    #[must_use]
    pub const fn interval(&self) -> Span {
        self.interval
    }

    /// The longest that one 429 or `Retry-After` keeps the door closed.
    #[must_use]
    pub const fn close_cap(&self) -> Span {
        self.close_cap
    }

    /// When the next call may be made.
    const fn earliest(&self, tat: Instant) -> Instant {
        match self.tolerance {
            Some(tolerance) => tat.before(tolerance),
            None => tat,
        }
    }
}

/// Why a budget's policy was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PolicyError {
    /// No call would ever be allowed.
    NoCalls,
    /// The burst is zero.
    NoBurst,
    /// The burst uses up the window.
    BurstTooLarge {
        /// The calls per window asked for.
        calls: u32,
        /// The burst asked for.
        burst: u32,
    },
    /// The interval, or the burst at that interval, is longer than a span can be.
    TooLong {
        /// The calls per window asked for.
        calls: u32,
        /// The window asked for.
        window: Span,
        /// The burst asked for.
        burst: u32,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCalls => {
                f.write_str("budget of 0 calls per window: nothing could ever be asked; allow at least 1")
            }
            Self::NoBurst => {
                f.write_str("budget with a burst of 0: no call could ever be made; allow at least 1")
            }
            Self::BurstTooLarge { calls, burst } => write!(
                f,
                "budget of {calls} calls per window with a burst of {burst}: nothing is left for the rest of the window; \
                 choose a burst of at most {}",
                calls.saturating_sub(1).max(1)
            ),
            Self::TooLong { calls, window, burst } => write!(
                f,
                "budget of {calls} calls per {window:?} with a burst of {burst}: calls would be more than 49 days apart; \
                 choose a shorter window or a smaller burst"
            ),
        }
    }
}

impl core::error::Error for PolicyError {}

impl Budget {
    /// A budget of which nothing is used.
    #[must_use]
    pub const fn new() -> Self {
        Self::Ready { tat: Instant::EARLIEST }
    }

    /// Whether a [`Input::Take`] at `now` would be granted.
    #[must_use]
    pub fn admits(&self, now: Instant) -> bool {
        match *self {
            Self::Ready { .. } => true,
            Self::Exhausted { until, .. } | Self::Closed { until, .. } => now >= until,
        }
    }

    fn take(&mut self, cx: Cx<'_, Policy>) -> Disposition {
        match *self {
            Self::Ready { tat } => {
                let tat = tat.max(cx.now).after(cx.policy.interval);
                let until = cx.policy.earliest(tat);
                *self = if until > cx.now { Self::Exhausted { tat, until } } else { Self::Ready { tat } };
                Disposition::Applied
            }
            Self::Exhausted { .. } | Self::Closed { .. } => Disposition::NoOp,
        }
    }

    fn close(&mut self, cx: Cx<'_, Policy>, span: Span) -> Disposition {
        let opens = cx.now.after(span.min(cx.policy.close_cap));
        let (tat, waits_until) = match *self {
            Self::Ready { tat } => (tat, None),
            Self::Exhausted { tat, until } | Self::Closed { tat, until } => (tat, Some(until)),
        };
        if waits_until.is_some_and(|until| until >= opens) {
            return Disposition::NoOp;
        }
        *self = Self::Closed { tat, until: opens };
        Disposition::Applied
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine for Budget {
    type Policy = Policy;
    type Input = Input;
    type Action = Action;
    type Actions = Actions<Action, 1>;

    const TICK: Input = Input::Tick;

    fn step(&mut self, cx: Cx<'_, Policy>, input: Input) -> Step<Self::Actions> {
        // Every `until` lies at or after the moment that `tat` allows, so the end of either wait admits a call.
        let opened = match *self {
            Self::Exhausted { tat, until } | Self::Closed { tat, until } if cx.now >= until => {
                *self = Self::Ready { tat };
                true
            }
            Self::Ready { .. } | Self::Exhausted { .. } | Self::Closed { .. } => false,
        };
        let mut actions = Actions::NONE;
        let disposition = match input {
            Input::Tick if opened => Disposition::Applied,
            Input::Tick => Disposition::NoOp,
            Input::Take => {
                let disposition = self.take(cx);
                if disposition == Disposition::Applied {
                    actions.push(Action::Granted);
                }
                disposition
            }
            Input::Close { span } => self.close(cx, span),
        };
        Step { actions, next: self.next(cx.policy), disposition }
    }

    fn next(&self, _: &Policy) -> Next {
        match *self {
            Self::Ready { .. } => Next::Input,
            Self::Exhausted { until, .. } | Self::Closed { until, .. } => Next::At(until),
        }
    }

    fn outstanding(&self, _: &Policy) -> Self::Actions {
        Actions::NONE
    }

    fn map_times(&mut self, mut f: impl FnMut(Instant) -> Instant) {
        match self {
            Self::Ready { tat } => *tat = f(*tat),
            Self::Exhausted { tat, until } | Self::Closed { tat, until } => {
                *tat = f(*tat);
                *until = f(*until);
            }
        }
    }
}

impl Describe for Budget {
    const NAME: &'static str = "budget";

    const TRANSITIONS: &'static [Transition] = &[
        row("Ready", "Take", "Exhausted"),
        row("Ready", "Close", "Closed"),
        row("Exhausted", "Tick", "Ready"),
        row("Exhausted", "Close", "Closed"),
        row("Closed", "Tick", "Ready"),
    ];

    fn state(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "Ready",
            Self::Exhausted { .. } => "Exhausted",
            Self::Closed { .. } => "Closed",
        }
    }

    fn input_name(input: &Input) -> &'static str {
        match input {
            Input::Tick => "Tick",
            Input::Take => "Take",
            Input::Close { .. } => "Close",
        }
    }
}
