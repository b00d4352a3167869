//! Clusters of real processes: the same answers as in one process, and what becomes of queries when parts of them die.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr)]

#[path = "../../../engine/tests/it/database.rs"]
mod database;
mod doors;
mod faults;
mod files;
mod flight;
mod notebook;
mod pods;
mod pool;
mod queries;
mod secrets;
mod seeing;
mod signed;
mod support;
mod verbs;
mod workloads;
