//! See `offergate::fuzzing::framing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| offergate::fuzzing::framing(data));
