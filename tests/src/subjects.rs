//! One [`crate::laws::Subject`] per machine.

pub mod budget;
pub mod delivery;
pub mod lifecycle;
pub mod poller;
pub mod receipt;
pub mod session;
pub mod token;

use crate::laws::Draw;
use idv_core::time::Span;
use proptest::prelude::*;

/// A span of `least` to `most` milliseconds.
fn spans(least: u32, most: u32) -> impl Strategy<Value = Span> {
    (least..=most).prop_map(Span::millis)
}

/// One in three times a `Retry-After`, now and then a very long one.
fn retry_after(draw: &mut Draw) -> Option<Span> {
    match draw.below(9) {
        0 => Some(Span::millis(draw.below(500))),
        1 => Some(Span::millis(draw.below(20_000))),
        2 => Some(Span::MAX),
        _ => None,
    }
}

/// A snapshot written and read, as a store does it.
fn json<M: serde::Serialize + serde::de::DeserializeOwned>(machine: &M) -> Result<M, serde_json::Error> {
    serde_json::from_str(&serde_json::to_string(machine)?)
}
