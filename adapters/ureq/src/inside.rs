//! Knows whether the application's own code is running on one of the driver's threads: what waits for the driver's end must not wait there.

use std::cell::Cell;

thread_local! {
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, a handler or an observer runs on this thread.
pub(crate) struct Inside(());

impl Inside {
    pub(crate) fn enter() -> Self {
        INSIDE.set(INSIDE.get() + 1);
        Self(())
    }

    /// Whether one runs on this thread now.
    pub(crate) fn is_here() -> bool {
        INSIDE.get() > 0
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}
