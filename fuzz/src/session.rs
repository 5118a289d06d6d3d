//! Operations on a fleet of sessions, performed by a [`Host`] that plays driver and provider and knows what must never happen.
//!
//! An input is one byte that says how it ends, then operations of four bytes: which one, and three arguments. Every input means something,
//! and one that lost or gained an operation still means nearly the same, which is what a fuzzer needs.

mod host;
mod ledger;

use host::Host;
use idv_core::fleet::Action;

/// More operations than this say nothing new.
const MOST_OPERATIONS: usize = 400;

/// Performs the operations, twice.
///
/// # Panics
/// A property is broken.
pub fn holds(input: &[u8]) {
    assert_eq!(performed(input), performed(input), "G8: the same inputs give the same actions");
}

fn performed(input: &[u8]) -> Vec<Action> {
    let (ending, operations) = input.split_first().unwrap_or((&0, &[]));
    let mut host = Host::new();
    for operation in operations.as_chunks::<4>().0.iter().take(MOST_OPERATIONS) {
        host.perform(*operation);
    }
    if ending % 2 == 0 {
        host.everybody_answers();
    } else {
        host.nobody_answers();
    }
    host.into_trace()
}
