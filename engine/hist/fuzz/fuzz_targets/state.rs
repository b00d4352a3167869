//! Histograms as bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use root_hist::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::state(data));
