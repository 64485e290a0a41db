//! See `offergate::fuzzing::headers`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| offergate::fuzzing::headers(data));
