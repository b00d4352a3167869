//! Tests of the crate as its users see it: batches and histograms in, files out, read by uproot and by `root-reader`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod big;
mod columns;
mod files;
mod histograms;
mod refusals;
mod structure;
mod support;
