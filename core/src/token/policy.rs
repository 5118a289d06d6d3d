//! The rules of a token, and their validation.

use crate::backoff::Backoff;
use crate::time::{Instant, Span};
use core::fmt;
use serde::{Deserialize, Serialize};

/// How the provider's credentials work.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Every call carries the credentials themselves (HTTP Basic): there is no token, and generation 0 is always usable.
    NotNeeded,
    /// One token serves many pulls until it expires.
    Reusable,
    /// One token serves one pull.
    SingleUse,
}

/// The rules of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Policy {
    pub(super) mode: Mode,
    pub(super) ttl: Span,
    pub(super) margin: Span,
    pub(super) call_timeout: Span,
    pub(super) lateness: Span,
    pub(super) backoff: Backoff,
    pub(super) renewal_gap: Span,
    pub(super) refusals: u8,
    pub(super) retry_after_cap: Span,
}

impl Policy {
    /// For credentials that every call carries itself.
    #[must_use]
    pub const fn not_needed() -> Self {
        Builder::new(Mode::NotNeeded, Span::MAX).0
    }

    /// For a token that serves many pulls and lives `ttl`, counted from when its request was sent.
    pub const fn reusable(ttl: Span) -> Builder {
        Builder::new(Mode::Reusable, ttl)
    }

    /// For a token that serves one pull and lives `ttl`, counted from when its request was sent.
    pub const fn single_use(ttl: Span) -> Builder {
        Builder::new(Mode::SingleUse, ttl)
    }

    /// How the credentials work.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// How long a token lives where its answer does not say.
    #[must_use]
    pub const fn ttl(&self) -> Span {
        self.ttl
    }

    /// How long before its end a token is no longer used.
    #[must_use]
    pub const fn margin(&self) -> Span {
        self.margin
    }

    /// The longest that a token request is awaited: the call's own time and the lateness of its completion.
    #[must_use]
    pub const fn patience(&self) -> Span {
        self.call_timeout.plus(self.lateness)
    }

    /// The moment from which a token that lives `ttl` from `sent` is no longer used; `None` when it never is.
    pub(super) fn usable_until(&self, sent: Instant, ttl: Span) -> Option<Instant> {
        let life = ttl.as_millis().checked_sub(self.margin.as_millis())?;
        Span::from_millis(life).map(|life| sent.after(life))
    }
}

/// A policy as it was written down, to be checked as one that is built.
#[derive(Deserialize)]
struct Unchecked {
    mode: Mode,
    ttl: Span,
    margin: Span,
    call_timeout: Span,
    lateness: Span,
    backoff: Backoff,
    renewal_gap: Span,
    refusals: u8,
    retry_after_cap: Span,
}

impl TryFrom<Unchecked> for Policy {
    type Error = PolicyError;

    fn try_from(read: Unchecked) -> Result<Self, PolicyError> {
        let Unchecked { mode, ttl, margin, call_timeout, lateness, .. } = read;
        let Unchecked { backoff, renewal_gap, refusals, retry_after_cap, .. } = read;
        Builder(Self {
            mode,
            ttl,
            margin,
            call_timeout,
            lateness,
            backoff,
            renewal_gap,
            refusals,
            retry_after_cap,
        })
        .build()
    }
}

/// Builds a [`Policy`]; every setting has a default.
#[derive(Clone, Copy, Debug)]
#[must_use = "nothing is checked before `build`"]
pub struct Builder(Policy);

impl Builder {
    const fn new(mode: Mode, ttl: Span) -> Self {
        Self(Policy {
            mode,
            ttl,
            margin: Span::secs(30),
            call_timeout: Span::secs(10),
            lateness: Span::secs(1),
            backoff: Backoff { first: Span::secs(1), most: Span::mins(1), jitter_percent: 20 },
            renewal_gap: Span::secs(30),
            refusals: 3,
            retry_after_cap: Span::mins(15),
        })
    }

    /// How long before its end a token is no longer used. Default 30 s. It covers a call's way to the provider and what the two clocks
    /// drift apart over the token's life.
    pub const fn margin(self, margin: Span) -> Self {
        Self(Policy { margin, ..self.0 })
    }

    /// How long a token request may take. Default 10 s.
    pub const fn call_timeout(self, call_timeout: Span) -> Self {
        Self(Policy { call_timeout, ..self.0 })
    }

    /// How much later than that its completion may be reported. Default 1 s.
    pub const fn lateness(self, lateness: Span) -> Self {
        Self(Policy { lateness, ..self.0 })
    }

    /// The waits after failures in a row. Default from 1 s to 1 min, up to 20 % longer.
    pub const fn backoff(self, backoff: Backoff) -> Self {
        Self(Policy { backoff, ..self.0 })
    }

    /// The least time between two token requests that a 401 causes. Default 30 s.
    pub const fn renewal_gap(self, renewal_gap: Span) -> Self {
        Self(Policy { renewal_gap, ..self.0 })
    }

    /// How many refusals without a token in between end it. Default 3.
    pub const fn refusals(self, refusals: u8) -> Self {
        Self(Policy { refusals, ..self.0 })
    }

    /// The longest `Retry-After` that is obeyed. Default 15 min.
    pub const fn retry_after_cap(self, retry_after_cap: Span) -> Self {
        Self(Policy { retry_after_cap, ..self.0 })
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// No token could ever be used, or none could ever be refused.
    pub const fn build(self) -> Result<Policy, PolicyError> {
        let policy = self.0;
        let (ttl, margin, patience) = (policy.ttl, policy.margin, policy.patience());
        if margin.as_millis() >= ttl.as_millis() {
            return Err(PolicyError::MarginTooLong { margin, ttl });
        }
        let usable = Span::millis(ttl.as_millis() - margin.as_millis());
        if patience.as_millis() >= usable.as_millis() {
            return Err(PolicyError::CallTooLong { patience, usable });
        }
        if policy.backoff.first.as_millis() > policy.backoff.most.as_millis() {
            return Err(PolicyError::Backoff { first: policy.backoff.first, most: policy.backoff.most });
        }
        if policy.refusals == 0 {
            return Err(PolicyError::NoRefusals);
        }
        Ok(policy)
    }
}

/// Why a token's policy was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PolicyError {
    /// The safety margin covers the whole life of a token.
    MarginTooLong {
        /// The margin asked for.
        margin: Span,
        /// The life asked for.
        ttl: Span,
    },
    /// A token could arrive when it may no longer be used.
    CallTooLong {
        /// Call timeout and lateness together.
        patience: Span,
        /// The life without the margin.
        usable: Span,
    },
    /// The first wait is longer than the longest.
    Backoff {
        /// The first wait asked for.
        first: Span,
        /// The longest wait asked for.
        most: Span,
    },
    /// Zero refusals would end it.
    NoRefusals,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MarginTooLong { margin, ttl } => write!(
                f,
                "token margin of {margin:?} with a life of {ttl:?}: no token could ever be used; choose a margin shorter than the life"
            ),
            Self::CallTooLong { patience, usable } => write!(
                f,
                "token requests may take {patience:?}, but a token is used for {usable:?} only: it could arrive too late; \
                 shorten the call timeout, the lateness or the margin"
            ),
            Self::Backoff { first, most } => write!(
                f,
                "token back-off starts at {first:?}, above its longest wait of {most:?}; choose a first wait of at most the longest"
            ),
            Self::NoRefusals => {
                f.write_str("token ends after 0 refusals: it could never be asked for; choose at least 1")
            }
        }
    }
}

impl core::error::Error for PolicyError {}
