//! Tables of luminosity, and luminosity sections as bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use root_physics::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::luminosity(data));
