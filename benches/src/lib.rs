//! Measures scans and queries beside what bounds them.
//!
//! Five contenders do the same work on the same files: `floor` only reads and decompresses the baskets of a query's
//! branches, `bound` is a loop written by hand for the one query, `scan` reads the branches into Arrow, and `sql` and `api`
//! run the query through the engine, as SQL and as an analysis in Rust. `run.py` runs them in turns, with other software,
//! and prints the ratios. `write` is measured beside `peers/write_uproot.py`.

// Measurements stop at the first thing that is wrong: there is nobody to recover for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]

pub mod api;
pub mod baskets;
pub mod bound;
pub mod floor;
pub mod histogram;
pub mod kernels;
pub mod measure;
pub mod queries;
pub mod scan;
pub mod sql;
pub mod write;
