//! The rules of a poller, and their validation.

use crate::backoff::Backoff;
use crate::time::Span;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The most further pulls after a change signal (R9).
pub const MAX_RECHECKS: usize = 4;

/// The rules of a poller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Policy {
    pub(super) cadence: Span,
    pub(super) interval: Span,
    pub(super) call_timeout: Span,
    pub(super) lateness: Span,
    pub(super) backoff: Backoff,
    pub(super) retry_after_cap: Span,
    pub(super) deadline: Span,
    pub(super) grace: Span,
    pub(super) budget_wait: Span,
    pub(super) watch: Option<Span>,
    pub(super) audit: Option<Span>,
    pub(super) rechecks: [Option<Span>; MAX_RECHECKS],
}

impl Policy {
    /// Starts from a cadence and a deadline; the other settings have defaults.
    pub const fn builder(cadence: Span, deadline: Span) -> Builder {
        Builder::new(cadence, deadline)
    }

    /// The least time between the end of one pull and the start of the next.
    #[must_use]
    pub const fn cadence(&self) -> Span {
        self.cadence
    }

    /// The routine wait between two pulls.
    #[must_use]
    pub const fn interval(&self) -> Span {
        self.interval
    }

    /// How long an open session waits for its first settling verdict.
    #[must_use]
    pub const fn deadline(&self) -> Span {
        self.deadline
    }

    /// How much longer a pull in flight or a demanded one may take.
    #[must_use]
    pub const fn grace(&self) -> Span {
        self.grace
    }

    /// The longest that one pull is awaited: the call's own time and the lateness of its completion.
    #[must_use]
    pub const fn patience(&self) -> Span {
        self.call_timeout.plus(self.lateness)
    }

    /// How long a settled session is watched; `None` is for ever.
    #[must_use]
    pub const fn watch(&self) -> Option<Span> {
        self.watch
    }

    /// The same policy with another end of the watch.
    #[must_use]
    pub const fn with_watch(self, watch: Option<Span>) -> Self {
        Self { watch, ..self }
    }
}

/// A policy as it was written down, to be checked as one that is built.
#[derive(Deserialize)]
struct Unchecked {
    cadence: Span,
    interval: Span,
    call_timeout: Span,
    lateness: Span,
    backoff: Backoff,
    retry_after_cap: Span,
    deadline: Span,
    grace: Span,
    budget_wait: Span,
    watch: Option<Span>,
    audit: Option<Span>,
    rechecks: [Option<Span>; MAX_RECHECKS],
}

impl TryFrom<Unchecked> for Policy {
    type Error = PolicyError;

    fn try_from(read: Unchecked) -> Result<Self, PolicyError> {
        Builder::new(read.cadence, read.deadline)
            .interval(read.interval)
            .call_timeout(read.call_timeout)
            .lateness(read.lateness)
            .backoff(read.backoff)
            .retry_after_cap(read.retry_after_cap)
            .grace(read.grace)
            .budget_wait(read.budget_wait)
            .watch(read.watch)
            .audit(read.audit)
            .rechecks(read.rechecks)
            .build()
    }
}

/// Builds a [`Policy`].
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is checked before `build`"]
pub struct Builder {
    policy: Policy,
    interval: Option<Span>,
    grace: Option<Span>,
}

impl Builder {
    const fn new(cadence: Span, deadline: Span) -> Self {
        let policy = Policy {
            cadence,
            interval: cadence,
            call_timeout: Span::secs(10),
            lateness: Span::secs(1),
            backoff: Backoff { first: Span::secs(2), most: Span::mins(2), jitter_percent: 20 },
            retry_after_cap: Span::mins(15),
            deadline,
            grace: Span::MIN,
            budget_wait: Span::secs(15),
            watch: None,
            audit: Some(Span::hours(24)),
            rechecks: [Some(Span::secs(10)), Some(Span::mins(1)), Some(Span::mins(10)), None],
        };
        Self { policy, interval: None, grace: None }
    }

    /// The routine wait between two pulls. Default: the cadence.
    pub const fn interval(self, interval: Span) -> Self {
        Self { interval: Some(interval), ..self }
    }

    /// How long one pull may take. Default 10 s.
    pub const fn call_timeout(self, call_timeout: Span) -> Self {
        Self { policy: Policy { call_timeout, ..self.policy }, ..self }
    }

    /// How much later than that its completion may be reported. Default 1 s.
    pub const fn lateness(self, lateness: Span) -> Self {
        Self { policy: Policy { lateness, ..self.policy }, ..self }
    }

    /// The waits after failures in a row; a wait is never shorter than the cadence. Default from 2 s to 2 min, up to 20 % longer.
    pub const fn backoff(self, backoff: Backoff) -> Self {
        Self { policy: Policy { backoff, ..self.policy }, ..self }
    }

    /// The longest `Retry-After` that is obeyed. Default 15 min.
    pub const fn retry_after_cap(self, retry_after_cap: Span) -> Self {
        Self { policy: Policy { retry_after_cap, ..self.policy }, ..self }
    }

    /// How much longer than the deadline a pull in flight or a demanded one may take (R12). Default: the least allowed, which is
    /// 2 × (call timeout + lateness) + cadence + the wait for budget.
    pub const fn grace(self, grace: Span) -> Self {
        Self { grace: Some(grace), ..self }
    }

    /// The longest wait for budget that the grace must cover. Default 15 s.
    pub const fn budget_wait(self, budget_wait: Span) -> Self {
        Self { policy: Policy { budget_wait, ..self.policy }, ..self }
    }

    /// How long a settled session is watched for revisions; `None` is for ever. Default for ever.
    pub const fn watch(self, watch: Option<Span>) -> Self {
        Self { policy: Policy { watch, ..self.policy }, ..self }
    }

    /// How often a settled session is pulled without any reason. Default daily; `None` switches it off.
    pub const fn audit(self, audit: Option<Span>) -> Self {
        Self { policy: Policy { audit, ..self.policy }, ..self }
    }

    /// When to pull again after an authentic change signal whose pull showed nothing new (R9). Default 10 s, 1 min, 10 min.
    pub const fn rechecks(self, rechecks: [Option<Span>; MAX_RECHECKS]) -> Self {
        Self { policy: Policy { rechecks, ..self.policy }, ..self }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// A wait is shorter than the cadence, no second pull would fit before the deadline, or the grace is too short.
    pub const fn build(self) -> Result<Policy, PolicyError> {
        let mut policy = self.policy;
        policy.interval = match self.interval {
            Some(interval) => interval,
            None => policy.cadence,
        };
        if policy.interval.as_millis() < policy.cadence.as_millis() {
            return Err(PolicyError::IntervalBelowCadence {
                interval: policy.interval,
                cadence: policy.cadence,
            });
        }
        if policy.interval.as_millis() >= policy.deadline.as_millis() {
            return Err(PolicyError::DeadlineTooShort {
                interval: policy.interval,
                deadline: policy.deadline,
            });
        }
        if policy.backoff.first.as_millis() > policy.backoff.most.as_millis() {
            return Err(PolicyError::Backoff { first: policy.backoff.first, most: policy.backoff.most });
        }
        let needed = policy.patience().times(2).plus(policy.cadence).plus(policy.budget_wait);
        policy.grace = match self.grace {
            Some(grace) => grace,
            None => needed,
        };
        if policy.grace.as_millis() < needed.as_millis() {
            return Err(PolicyError::GraceTooShort { grace: policy.grace, needed });
        }
        Ok(policy)
    }
}

/// Why a poller's policy was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PolicyError {
    /// The routine would be faster than the cadence.
    IntervalBelowCadence {
        /// The interval asked for.
        interval: Span,
        /// The cadence asked for.
        cadence: Span,
    },
    /// After the first pull, none would follow before the deadline.
    DeadlineTooShort {
        /// The interval asked for.
        interval: Span,
        /// The deadline asked for.
        deadline: Span,
    },
    /// The first wait after a failure is longer than the longest.
    Backoff {
        /// The first wait asked for.
        first: Span,
        /// The longest wait asked for.
        most: Span,
    },
    /// A pull demanded just before the deadline could not be finished.
    GraceTooShort {
        /// The grace asked for.
        grace: Span,
        /// The least allowed.
        needed: Span,
    },
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IntervalBelowCadence { interval, cadence } => write!(
                f,
                "interval of {interval:?} between routine pulls, below the cadence of {cadence:?}: \
                 choose an interval of at least the cadence"
            ),
            Self::DeadlineTooShort { interval, deadline } => write!(
                f,
                "deadline of {deadline:?} with {interval:?} between pulls: only one pull would ever be made; \
                 choose a longer deadline or a shorter cadence"
            ),
            Self::Backoff { first, most } => write!(
                f,
                "back-off starts at {first:?}, above its longest wait of {most:?}; choose a first wait of at most the longest"
            ),
            Self::GraceTooShort { grace, needed } => write!(
                f,
                "grace of {grace:?}: a pull demanded just before the deadline needs {needed:?} (2 x (call timeout + lateness) + \
                 cadence + the wait for budget); choose at least that"
            ),
        }
    }
}

impl core::error::Error for PolicyError {}
