//! See `offergate::fuzzing::action_body`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| offergate::fuzzing::action_body(data));
