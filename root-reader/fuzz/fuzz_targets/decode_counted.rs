//! Decoder of counted arrays and vectors.
#![no_main]

use libfuzzer_sys::fuzz_target;
use root_reader::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::decoder(fuzzing::Decoder::Counted, data));
