//! Operations on a fleet: `cargo +nightly fuzz run session fuzz/corpus/session fuzz/seeds/session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| idv_fuzz::session::holds(input));
