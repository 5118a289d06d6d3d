//! Answers of ShareID.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| idv_fuzz::shareid::holds(input));
