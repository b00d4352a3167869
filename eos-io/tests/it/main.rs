//! The backends against real servers, and against servers that misbehave.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod conformance;
mod faults;
mod hdfs;
mod http;
mod s3;
mod scripted;
mod tls;
mod xrootd;
