//! Decoder of values of one size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use root_reader::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::decoder(fuzzing::Decoder::Fixed, data));
