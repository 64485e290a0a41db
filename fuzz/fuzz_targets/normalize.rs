//! See `offergate::fuzzing::normalize`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| offergate::fuzzing::normalize(data));
