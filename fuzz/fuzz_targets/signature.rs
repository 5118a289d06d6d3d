//! Signatures of Shufti.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| idv_fuzz::signature::holds(input));
