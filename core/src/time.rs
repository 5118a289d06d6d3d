//! Time as the machines see it: a count of milliseconds that the driver supplies.
//!
//! There is no `now()` here. A driver picks an epoch (the start of its process, the last boot), reads its own clock, preferably one
//! that goes on counting while the computer sleeps, and passes the reading in with every step.

use core::fmt;
use core::num::{NonZeroU32, NonZeroU64};
use serde::{Deserialize, Serialize};

/// A moment on the driver's clock, in milliseconds since an epoch that the driver chose.
///
/// Never zero, so that `Option<Instant>` takes eight bytes too. All arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(NonZeroU64);

impl Instant {
    /// The earliest moment that can be named: one millisecond after the epoch.
    pub const EARLIEST: Self = Self(NonZeroU64::MIN);
    /// The latest moment that can be named.
    pub const LATEST: Self = Self(NonZeroU64::MAX);

    /// The moment `millis` milliseconds after the epoch. Zero is rounded up to [`Instant::EARLIEST`].
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        match NonZeroU64::new(millis) {
            Some(millis) => Self(millis),
            None => Self::EARLIEST,
        }
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0.get()
    }

    /// The moment `span` later, at most [`Instant::LATEST`].
    #[must_use]
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_millis() as u64))
    }

    /// The moment `span` earlier, at least [`Instant::EARLIEST`].
    #[must_use]
    pub const fn before(self, span: Span) -> Self {
        Self::from_millis(self.0.get().saturating_sub(span.as_millis() as u64))
    }

    /// The moment `millis` milliseconds earlier, at least [`Instant::EARLIEST`].
    #[must_use]
    pub const fn before_millis(self, millis: u32) -> Self {
        Self::from_millis(self.0.get().saturating_sub(millis as u64))
    }

    /// Milliseconds from `earlier` to `self`; zero when `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }

    /// The span from `self` to `later`, at most [`Span::MAX`]; `None` when `later` is not later.
    #[must_use]
    pub const fn until(self, later: Self) -> Option<Span> {
        let millis = later.since(self);
        if millis > Span::MAX.as_millis() as u64 { Some(Span::MAX) } else { Span::from_millis(millis as u32) }
    }

    /// The moment moved by `by` milliseconds in either direction, saturating. Used to move a machine to another clock.
    #[must_use]
    pub const fn shifted(self, by: i64) -> Self {
        Self::from_millis(self.0.get().saturating_add_signed(by))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}ms", self.0)
    }
}

/// A duration of at least one and at most `u32::MAX` milliseconds (about 49 days).
///
/// Never zero, so that no machine can arm a timer at the present moment and spin.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(NonZeroU32);

impl Span {
    /// One millisecond.
    pub const MIN: Self = Self(NonZeroU32::MIN);
    /// The longest span, about 49 days and 17 hours.
    pub const MAX: Self = Self(NonZeroU32::MAX);

    /// A span of `millis` milliseconds, or `None` for zero.
    #[must_use]
    pub const fn from_millis(millis: u32) -> Option<Self> {
        match NonZeroU32::new(millis) {
            Some(millis) => Some(Self(millis)),
            None => None,
        }
    }

    /// A span of `millis` milliseconds; zero becomes one millisecond, for a span is never empty.
    #[must_use]
    pub const fn millis(millis: u32) -> Self {
        match Self::from_millis(millis) {
            Some(span) => span,
            None => Self::MIN,
        }
    }

    /// A span of `secs` seconds, at least one millisecond and at most [`Span::MAX`].
    #[must_use]
    pub const fn secs(secs: u32) -> Self {
        Self::millis(secs.saturating_mul(1_000))
    }

    /// A span of `mins` minutes, at least one millisecond and at most [`Span::MAX`].
    #[must_use]
    pub const fn mins(mins: u32) -> Self {
        Self::millis(mins.saturating_mul(60_000))
    }

    /// A span of `hours` hours, at least one millisecond and at most [`Span::MAX`].
    #[must_use]
    pub const fn hours(hours: u32) -> Self {
        Self::millis(hours.saturating_mul(3_600_000))
    }

    /// The span nearest to `duration`: at least one millisecond, at most [`Span::MAX`]; fractions of a millisecond are dropped.
    #[must_use]
    pub const fn saturating_from(duration: core::time::Duration) -> Self {
        let millis = duration.as_millis();
        if millis > u32::MAX as u128 { Self::MAX } else { Self::millis(millis as u32) }
    }

    /// Milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u32 {
        self.0.get()
    }

    /// The same span for the standard library's timers.
    #[must_use]
    pub const fn as_duration(self) -> core::time::Duration {
        core::time::Duration::from_millis(self.0.get() as u64)
    }

    /// `self` and `other` together, at most [`Span::MAX`].
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0.get()))
    }

    /// `self` repeated `times` times: at least one millisecond, at most [`Span::MAX`].
    #[must_use]
    pub const fn times(self, times: u32) -> Self {
        Self::millis(self.0.get().saturating_mul(times))
    }

    /// `self` lengthened by up to `percent` per cent, as `entropy` decides; the same arguments always give the same span.
    #[must_use]
    pub const fn jittered(self, percent: u8, entropy: u32) -> Self {
        let most = self.as_millis() as u64 * percent as u64 / 100;
        let extra = (most + 1).saturating_mul(entropy as u64) >> 32;
        let total = self.as_millis() as u64 + extra;
        if total > u32::MAX as u64 { Self::MAX } else { Self::millis(total as u32) }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

const _: () = assert!(size_of::<Option<Instant>>() == 8);
const _: () = assert!(size_of::<Option<Span>>() == 4);
