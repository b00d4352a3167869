//! Handshake, login and authentication, with a server that answers whatever it likes.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use xrootd_client::fuzzing;

/// Servers may ask to wait: with this clock no time is lost by that.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime"));

fuzz_target!(|data: &[u8]| RUNTIME.block_on(fuzzing::login(data)));
