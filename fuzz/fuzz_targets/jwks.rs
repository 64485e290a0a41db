//! See `offergate::fuzzing::jwks`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| offergate::fuzzing::jwks(data));
