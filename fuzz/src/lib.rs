//! What must hold of the core whatever comes in: one property per fuzz target.
//!
//! They are ordinary functions that panic where a property is broken, so that stable compiles them and `tests/seeds.rs` holds every seed
//! and the corpus against them; `fuzz_targets/` only hands them to libFuzzer.

pub mod callback;
mod codec;
pub mod message;
pub mod retry_after;
pub mod session;
pub mod shareid;
pub mod shufti;
pub mod signature;
pub mod snapshot;
pub mod trace;
pub mod tree;

/// What holds of any bytes; panics where it does not.
pub type Property = fn(&[u8]);

/// The name of every target, with its property.
pub const TARGETS: [(&str, Property); 8] = [
    ("callback", callback::holds),
    ("shufti", shufti::holds),
    ("shareid", shareid::holds),
    ("retry_after", retry_after::holds),
    ("session", session::holds),
    ("signature", signature::holds),
    ("snapshot", snapshot::holds),
    ("trace", trace::holds),
];
