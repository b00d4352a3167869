//! The scheduler of a cluster: Ballista's, with the plans, functions and stores of `root-engine`, behind one port.
//!
//! `serve` puts it together; `front` is what clients speak with, `jobs` tells them how far they are; `placing` decides which
//! task runs where and next, `watch` looks after executors, and ends jobs that `guard` does not let go on; `metrics` counts.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod front;
mod guard;
mod jobs;
mod metrics;
mod placing;
mod serve;
mod watch;

pub use serve::{Error, Scheduler, SchedulerOptions};
