//! The engine in virtual time, with a provider and a store made up for the purpose.
#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing)] // A helper of a test fails like a test.
#![allow(clippy::wildcard_enum_match_arm)] // Most tests look for one kind of event.

mod accounts;
mod bounds;
mod calls;
mod contested;
mod documents;
mod fake;
mod hand_over;
mod keeping;
mod nobody;
mod opening;
mod pressure;
mod queue;
mod random;
mod restoring;
mod saving;
mod tokens;
mod trace;
mod world;
