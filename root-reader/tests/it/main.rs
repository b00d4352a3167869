//! Tests of the crate as its users see it: files in, record batches out, compared with what other software read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod checksum;
mod compare;
mod conformance;
mod differential;
mod fixtures;
mod friends;
mod hostile;
mod json;
mod nested;
mod objects;
#[cfg(unix)]
mod remote;
mod support;
mod written_by_root;
