//! How many bytes of callbacks may wait at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory for bodies, shared by all callbacks of one intake.
pub(super) struct Room {
    most_bytes: u64,
    used: AtomicU64,
}

impl Room {
    pub(super) fn new(most_bytes: u64) -> Arc<Self> {
        Arc::new(Self { most_bytes, used: AtomicU64::new(0) })
    }

    /// A share without anything in it yet.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share { room: Arc::clone(self), bytes: AtomicU64::new(0) }
    }
}

/// What one callback takes of the room. Given back when the last who holds the body lets go.
pub(super) struct Share {
    room: Arc<Room>,
    bytes: AtomicU64,
}

impl Share {
    /// Makes this share larger, if there is room. There is for a callback that is alone, however large: else it never could arrive.
    pub(super) fn grow(&self, by: u64) -> bool {
        let own = self.bytes.load(Ordering::Relaxed);
        let grown = self.room.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let then = used.saturating_add(by);
            (then <= self.room.most_bytes || used == own).then_some(then)
        });
        if grown.is_ok() {
            self.bytes.fetch_add(by, Ordering::Relaxed);
        }
        grown.is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.used.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g6_shares_stay_within_the_room_and_are_given_back() {
        let room = Room::new(100);
        let (one, other) = (room.share(), room.share());
        assert!(one.grow(60) && one.grow(30));
        assert!(!other.grow(11) && other.grow(10) && !other.grow(1));
        drop(one);
        assert!(other.grow(90) && !room.share().grow(1));
        assert!(other.grow(1_000), "alone, it may be as large as it is");
        drop(other);
        assert_eq!(room.used.load(Ordering::Relaxed), 0);
    }
}
