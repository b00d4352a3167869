//! Runs the real binary: what it writes where, and how it ends. Expected values were read with uproot, unless a comment
//! says otherwise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

mod check;
#[cfg(target_os = "linux")]
mod cluster;
mod config;
mod copy;
mod cutflow;
mod diagnose;
mod diff;
mod ending;
mod formats;
mod hist;
mod inputs;
mod interrupt;
mod output;
#[cfg(target_os = "linux")]
mod remote;
mod report;
mod root_output;
mod selection;
mod skim;
mod sql;
mod support;
mod verbs;
