//! A session on its way from one process to the next.

use super::Session;
use crate::machine::Machine;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// A session as it is stored, with the clocks of the moment it was saved.
///
/// Restoring moves every instant to the new process' clock and lets the time that passed meanwhile pass for the session too. A wall
/// clock that went back counts as no time passed. Pulls that were sent after the last save are unknown to it, and their numbers are
/// given out again: what an earlier process sent is never completed in a later one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The layout; [`Snapshot::FORMAT`] for what this release writes.
    format: u8,
    /// The driver's clock when it was saved.
    saved: Instant,
    /// The wall clock when it was saved, in milliseconds since 1970.
    saved_unix_ms: u64,
    session: Session,
}

impl Snapshot {
    /// The layout that this release writes and reads.
    pub const FORMAT: u8 = 1;

    /// The session as it stands.
    #[must_use]
    pub const fn new(session: Session, now: Instant, unix_ms: u64) -> Self {
        Self { format: Self::FORMAT, saved: now, saved_unix_ms: unix_ms, session }
    }

    /// The session on the clock of this process; feed it [`Input::Restored`](super::Input::Restored). `None` when a later release wrote another layout.
    #[must_use]
    pub fn restore(self, now: Instant, unix_ms: u64) -> Option<Session> {
        if self.format != Self::FORMAT {
            return None;
        }
        let downtime = i64::try_from(unix_ms.saturating_sub(self.saved_unix_ms)).unwrap_or(i64::MAX);
        let saved = i64::try_from(self.saved.as_millis()).unwrap_or(i64::MAX);
        let shift = i64::try_from(now.as_millis()).unwrap_or(i64::MAX).saturating_sub(saved);
        let mut session = self.session;
        session.map_times(|at| at.shifted(shift).shifted(downtime.saturating_neg()));
        Some(session)
    }
}
