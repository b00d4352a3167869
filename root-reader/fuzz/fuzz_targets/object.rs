//! Objects of classes with every kind of member.
#![no_main]

use libfuzzer_sys::fuzz_target;
use root_reader::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::object(data));
