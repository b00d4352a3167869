//! Behaviour of the engine over real files: one binary, one module per subject.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]
// The examples are modules of the tests, and share a file.
#![allow(clippy::duplicate_mod)]

mod adl;
mod analysis;
mod compute_once;
mod database;
mod datasets;
mod dimuon;
mod evolution;
mod faults;
mod friends;
mod histograms;
mod members;
mod nested;
mod operators;
mod ordered;
mod output;
mod reading;
mod reduction;
mod remote;
mod schemas;
mod slt;
mod support;
mod tables;
mod wire;
