//! Traces that are replayed or refused.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| idv_fuzz::trace::holds(input));
