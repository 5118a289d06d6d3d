//! Snapshots that are restored or refused.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| idv_fuzz::snapshot::holds(input));
