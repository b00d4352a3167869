//! Headers and bodies of every kind of answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xrootd_client::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::response(data));
