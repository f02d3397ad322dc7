//! [`realmkeeper::fuzz::headers`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| realmkeeper::fuzz::headers(data));
