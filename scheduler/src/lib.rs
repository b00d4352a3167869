//! The scheduler of a cluster: Ballista's, with the plans, functions and stores of `root-engine`, behind one port.
//!
//! `serve` puts it together. `doors` is where requests come in, `auth` knows who sends them, and `tls` keeps others from
//! listening. `front` is what our own clients and executors speak with, `flight` is for SQL by other programs, and `rest` for
//! questions by HTTP; `jobs` knows whose jobs there are and how far, and `measured` what their steps have done. `placing`
//! decides which task runs where and next, `shares` what of the plan it is sent, and `outputs` what it reads. `watch` looks
//! after executors, and ends jobs that `guard` does not let go on; `pool` starts executors, and has them end; `metrics` counts.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod auth;
mod cores;
mod doors;
mod flight;
mod front;
mod guard;
mod jobs;
mod measured;
mod metrics;
mod outputs;
mod placing;
mod pool;
mod rest;
mod serve;
mod shares;
mod tls;
mod watch;

pub use auth::{AuthOptions, Error as AuthError, JwtOptions};
pub use pool::{BadSize, PoolSize, ProcessOptions};
pub use serve::{Error, PoolOptions, PoolPlace, Scheduler, SchedulerOptions};
pub use tls::{Error as TlsError, TlsFiles};
