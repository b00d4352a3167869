//! Clusters of `root-scheduler` and `root-executor` on Kubernetes.
//!
//! `spec` is what a cluster is to be, `names` how its objects are called, `objects` what the user's command makes of it, and
//! `executor` the pods that the scheduler starts. `remote` applies, shows and deletes them; `phase` says what becomes of pods.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod executor;
mod names;
mod objects;
mod phase;
mod remote;
mod spec;

pub use executor::{executor_pod, executors_selector, is_executor};
pub use names::{BadName, ClusterName, Names};
pub use objects::{Object, SecretFile, objects};
pub use phase::{Phase, phase};
pub use remote::{Error, Kubernetes, PodView};
pub use spec::{ClusterSpec, ExecutorSpec, Resources, SpecError};
