//! What a server sends to the methods of authentication, and the files that these read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xrootd_client::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::auth(data));
