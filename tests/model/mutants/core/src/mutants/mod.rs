//! The switch of the deliberate bugs.

mod table;

pub use table::{Edit, MUTANTS, Mutant};

use core::sync::atomic::{AtomicUsize, Ordering};

/// The one that is on.
static ON: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Switches this one on and all others off; `None` switches all off.
pub fn switch_on(number: Option<usize>) {
    ON.store(number.unwrap_or(usize::MAX), Ordering::Relaxed);
}

/// Whether this one is on.
pub(crate) fn on(number: usize) -> bool {
    ON.load(Ordering::Relaxed) == number
}
