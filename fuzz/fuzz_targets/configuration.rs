//! See `offergate::fuzzing::configuration`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| offergate::fuzzing::configuration(data));
