//! See `offergate::fuzzing::jwt`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| offergate::fuzzing::jwt(data));
