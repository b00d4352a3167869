//! Answers with several ranges, and listings of WebDAV.
#![no_main]

use eos_io::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| fuzzing::multipart(data));
