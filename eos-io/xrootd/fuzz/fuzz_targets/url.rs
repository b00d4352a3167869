//! What users and servers write as a URL or a place.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    xrootd_client::fuzzing::url(text);
    eos_io::fuzzing::place(text);
});
