//! The testbed itself: every server comes up and serves, every fault happens as told, and nothing is left behind.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr, clippy::unwrap_used)]

mod credentials;
mod endings;
mod hdfs;
mod proxy;
mod servers;
