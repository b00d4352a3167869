//! Descriptions of classes, compiled, and objects of these.
#![no_main]

use libfuzzer_sys::fuzz_target;
use root_reader::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::described(data));
