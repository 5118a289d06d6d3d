//! What must hold of the core whatever comes in: one property per fuzz target.
//!
//! They are ordinary functions that panic where a property is broken, so that stable compiles them and `tests/seeds.rs` holds every seed
//! against them; `fuzz_targets/` only hands them to libFuzzer.

pub mod callback;
pub mod message;
pub mod session;
