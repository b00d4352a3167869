//! An executor of a cluster: Ballista's, with the plans, functions and stores of `root-engine`.
//!
//! `process` puts it together; `stage` is how it runs a task, `scratch` where it keeps rows, `rows` how others
//! fetch them, `relay` the way to the scheduler, and `pool` keeps connections to other executors; `metrics` counts.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod metrics;
mod pool;
mod process;
mod relay;
mod rows;
mod scratch;
mod stage;

pub use process::{Ended, Error, ExecutorOptions, run};
