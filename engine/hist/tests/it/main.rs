//! Behaviour of histograms: one binary, one module per subject.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod boost;
mod filling;
mod merging;
mod plots;
mod states;
mod support;
