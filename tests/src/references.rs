//! The rules of the machines once more, as plainly as they can be said: lists, tables and open options, without a thought for size,
//! numbers that wrap, or states that say only what they must. [`crate::laws::agree`] compares every step with them.

pub mod budget;
pub mod delivery;
pub mod poller;
pub mod session;
pub mod token;

use idv_core::backoff::Backoff;
use idv_core::machine::Next;
use idv_core::time::{Instant, Span};

/// `wait` lengthened by the share of `percent` per cent that the entropy is of all there is.
fn jittered(wait: Span, percent: u8, entropy: u32) -> Span {
    let wait = u64::from(wait.as_millis());
    let most = wait * u64::from(percent) / 100;
    let share = (u128::from(most + 1) * u128::from(entropy)) >> 32;
    Span::millis(u32::try_from(u128::from(wait) + share).unwrap_or(u32::MAX))
}

/// The wait after so many failures in a row: the first, doubled with each, up to the longest.
fn wait_after(failures: u32, backoff: Backoff, entropy: u32) -> Span {
    let most = u64::from(backoff.most.as_millis());
    let mut wait = u64::from(backoff.first.as_millis());
    for _ in 1..failures {
        wait = (2 * wait).min(most);
    }
    jittered(Span::millis(u32::try_from(wait.min(most)).unwrap_or(u32::MAX)), backoff.jitter_percent, entropy)
}

/// At this moment, or when something comes in.
fn at(moment: Option<Instant>) -> Next {
    moment.map_or(Next::Input, Next::At)
}
