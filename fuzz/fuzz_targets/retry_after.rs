//! `Retry-After` and the dates of HTTP.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| idv_fuzz::retry_after::holds(input));
