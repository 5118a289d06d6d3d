//! Callbacks, from their bytes to their answer.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| idv_fuzz::callback::holds(input));
