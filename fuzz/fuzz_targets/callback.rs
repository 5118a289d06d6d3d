//! Callbacks: `cargo +nightly fuzz run callback fuzz/corpus/callback fuzz/seeds/callback`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| idv_fuzz::callback::holds(input));
