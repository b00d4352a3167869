//! An executor of a cluster: Ballista's, with the plans, functions and stores of `root-engine`.
//!
//! `process` puts it together; `stage` is how it runs a task, `scratch` where it keeps rows, and `pool` keeps its connections to
//! others; `metrics` counts.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod metrics;
mod pool;
mod process;
mod scratch;
mod stage;

pub use process::{Ended, Error, ExecutorOptions, run};
