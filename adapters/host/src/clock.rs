//! The two clocks a driver reads: one that only goes forward, also while the computer sleeps, and the calendar.

use idv_core::time::Instant;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where a driver reads the time; injected in tests.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Milliseconds since an epoch of this clock, rounded down. Never goes back.
    fn now(&self) -> Instant;

    /// Milliseconds since 1970-01-01 UTC. May jump in either direction.
    fn unix_ms(&self) -> u64;
}

/// The computer's clocks. The epoch is the moment of construction.
///
/// Time asleep counts (`CLOCK_BOOTTIME` on Linux and Android, `CLOCK_MONOTONIC` on macOS): a token does not outlive its TTL because
/// a laptop was closed. Elsewhere `std::time::Instant` is read, which may stand still meanwhile.
#[derive(Clone, Copy)]
pub struct SystemClock {
    epoch: Reading,
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { epoch: reading() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        let elapsed = u64::try_from(since(self.epoch).as_millis()).unwrap_or(u64::MAX);
        // One later than counted, since an instant is never zero; all readings shift alike.
        Instant::from_millis(elapsed.saturating_add(1))
    }

    fn unix_ms(&self) -> u64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for SystemClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemClock({:?})", self.now())
    }
}

#[cfg(unix)]
type Reading = Duration;

#[cfg(unix)]
fn reading() -> Reading {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

    let time = rustix::time::clock_gettime(CLOCK);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(unix)]
fn since(epoch: Reading) -> Duration {
    reading().saturating_sub(epoch)
}

#[cfg(not(unix))]
type Reading = std::time::Instant;

#[cfg(not(unix))]
fn reading() -> Reading {
    std::time::Instant::now()
}

#[cfg(not(unix))]
fn since(epoch: Reading) -> Duration {
    epoch.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_at_its_epoch_and_never_goes_back() {
        let clock = SystemClock::new();
        let mut last = clock.now();
        assert!(last.as_millis() < 1_000);
        for _ in 0..10_000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn the_clock_keeps_pace_with_the_standard_librarys() {
        let clock = SystemClock::new();
        let (start, began) = (std::time::Instant::now(), clock.now());
        while start.elapsed() < Duration::from_millis(30) {
            std::hint::spin_loop();
        }
        let counted = clock.now().since(began);
        let elapsed = u64::try_from(start.elapsed().as_millis()).unwrap();
        assert!((29..=elapsed + 1).contains(&counted), "counted {counted} ms of {elapsed}");
    }

    #[test]
    fn the_calendar_is_read_in_milliseconds() {
        // 2025-01-01 and 2100-01-01.
        assert!((1_735_689_600_000..4_102_444_800_000).contains(&SystemClock::new().unix_ms()));
    }
}
