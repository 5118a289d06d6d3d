//! Where callbacks go on to.

use super::Delivered;

/// A driver's inbox, as an [`Intake`](super::Intake) fills it. A function that never waits is one, too.
///
/// Which callback may wait for room and which must not is the intake's affair; an inbox only does it.
pub trait Inbox: Send + Sync + 'static {
    /// Puts it in, and waits for room. A driver that has stopped gets nothing: what is recorded is taken in by the next one (R10).
    fn send(&self, delivered: Delivered);

    /// Puts it in where there is room at once; says whether there was.
    fn try_send(&self, delivered: Delivered) -> bool;
}

impl<F: Fn(Delivered) + Send + Sync + 'static> Inbox for F {
    fn send(&self, delivered: Delivered) {
        self(delivered);
    }

    fn try_send(&self, delivered: Delivered) -> bool {
        self(delivered);
        true
    }
}
