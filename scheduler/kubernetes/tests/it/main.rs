//! Clusters on a real control plane of Kubernetes.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod apply;
mod checks;
mod delete;
mod executors;
mod jobs;
mod outage;
mod pods;
mod reach;
mod rights;
mod shipped;
mod strange;
mod wait;
mod world;
