//! [`realmkeeper::fuzz::authenticate`] under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| realmkeeper::fuzz::authenticate(data));
