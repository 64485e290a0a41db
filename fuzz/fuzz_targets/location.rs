//! See `offergate::fuzzing::location`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| offergate::fuzzing::location(data));
