//! Clusters of `root-scheduler` and `root-executor` on Kubernetes.
//!
//! `spec` is what a cluster is to be, `names` how its objects are called, `labels` how they are found, `objects` what the
//! user's command makes of it, `network` who reaches whom, `executor` the pods that the scheduler starts, and `executors`
//! what it sees of them. `remote` makes clusters, `list` shows them, `wait` tells what becomes of one until it can be used,
//! `reach` has its logs and connects to it, and `delete` removes it. `job` is what runs on a cluster without whoever
//! submitted it, `jobs` submits, shows and cancels such, and `kept` is what stays of their logs when their pods are gone.
//! `phase` says what becomes of pods in plain words. `rights` and `quota` say beforehand what would be refused.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod delete;
mod error;
mod executor;
mod executors;
mod job;
mod jobs;
mod kept;
mod labels;
mod list;
mod names;
mod network;
mod objects;
mod phase;
mod quota;
mod reach;
mod remote;
mod rights;
mod spec;
mod wait;

pub use delete::NamespaceFate;
pub use error::Error;
pub use executor::executor_pod;
pub use executors::{ExecutorView, Executors};
pub use job::{AUTHORITIES, JobRequest, TOKEN, job_objects};
pub use jobs::{JobLog, JobState, JobView};
pub use list::{Found, PodView};
pub use names::{BadName, ClusterName, JobName, Names};
pub use objects::{Object, SecretFile, Secrets, objects, yaml};
pub use phase::{Phase, in_plain_words, phase};
pub use quota::Shortage;
pub use reach::LogOptions;
pub use remote::Kubernetes;
pub use rights::{Deed, NamespaceState};
pub use spec::{
    ClusterSpec, ExecutorSpec, Place, PullPolicy, Resources, SchedulerSpec, SpecError, TLS, TOKENS, check_namespace,
};
pub use wait::{Change, Pauses};
