//! Many sessions behind shared tokens and budgets (R8, R9, R11, R13-R15, G6, G7, G9), and a wake-up that is never lost.
#![allow(clippy::wildcard_enum_match_arm)] // A test names the actions it is about.
#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // A helper of a test fails like a test.

mod grants;
mod rules;
mod scene;
mod trace;
mod wake;
mod world;
