//! Operations on a fleet of sessions.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| idv_fuzz::session::holds(input));
