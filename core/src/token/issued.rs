//! A token as the provider that issued it keeps it.

use crate::time::{Instant, Span};

/// A token as the provider that issued it keeps it: the other side of [`Token`](super::Token), for whoever plays a provider.
///
/// It is a value and no machine: nothing happens to it by time alone, it is only asked. Like its counterpart it holds no secret; who
/// issued it keeps the text beside it, and answers a text that it does not know like an expired token.
///
/// ```
/// use idv_core::time::{Instant, Span};
/// use idv_core::token::{Issued, Standing};
///
/// let mut token = Issued::single_use(Instant::from_millis(1), Span::mins(10));
/// assert_eq!(token.present(Instant::from_millis(2)), Standing::Valid);
/// assert_eq!(token.present(Instant::from_millis(2)), Standing::Used);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub struct Issued {
    until: Instant,
    uses: Uses,
    /// From when on it is refused although its life is not over.
    revoked: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Uses {
    /// Any number of calls.
    Any,
    /// One call, not yet made.
    One,
    /// One call, made.
    Spent,
}

/// What a token is worth to the provider at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// It lets its bearer in.
    Valid,
    /// Its life is over.
    Expired,
    /// It was good for one call, which has been made.
    Used,
    /// It was ended before its time.
    Revoked,
}

impl Issued {
    /// A token for any number of calls, issued at `now`: good until `ttl` later, that moment excluded.
    pub const fn reusable(now: Instant, ttl: Span) -> Self {
        Self { until: now.after(ttl), uses: Uses::Any, revoked: None }
    }

    /// A token for one call, issued at `now`: good until `ttl` later, that moment excluded.
    pub const fn single_use(now: Instant, ttl: Span) -> Self {
        Self { until: now.after(ttl), uses: Uses::One, revoked: None }
    }

    /// Ends it at `at`, before its time. Of several such moments the earliest counts.
    pub fn revoke(&mut self, at: Instant) {
        self.revoked = Some(self.revoked.map_or(at, |earlier| earlier.min(at)));
    }

    /// What it is worth at `now`.
    #[must_use]
    pub fn standing(&self, now: Instant) -> Standing {
        if now >= self.until {
            return Standing::Expired;
        }
        if self.revoked.is_some_and(|from| now >= from) {
            return Standing::Revoked;
        }
        match self.uses {
            Uses::Any | Uses::One => Standing::Valid,
            Uses::Spent => Standing::Used,
        }
    }

    /// A call that carries it arrives at `now`: what the token was worth to that call. A single-use token is spent by it.
    #[must_use = "a call is let in only by `Standing::Valid`"]
    pub fn present(&mut self, now: Instant) -> Standing {
        let standing = self.standing(now);
        if standing == Standing::Valid && self.uses == Uses::One {
            self.uses = Uses::Spent;
        }
        standing
    }
}
