//! What was recorded replays identically (G8), what was saved goes on as if nothing had happened (G9), and what earlier versions wrote is
//! still read. `IDV_TRACES=1000000 cargo test --release -p idv-tests --test replay` makes a million random traces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod golden;
mod held;
mod random;
mod sessions;
mod traces;
mod variants;
mod world;
