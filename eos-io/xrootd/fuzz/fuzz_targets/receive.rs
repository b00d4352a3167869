//! The loop that receives answers, with requests of every kind under way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xrootd_client::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::receive(data));
