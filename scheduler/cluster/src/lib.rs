//! Queries over ROOT files on a cluster: what its clients, its scheduler and its executors share, and the client.
//!
//! A session is made to run its queries on a cluster by [`RootSessionBuilder::elsewhere`](root_engine::RootSessionBuilder):
//!
//! ```no_run
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use root_cluster::Cluster;
//! use root_engine::RootSession;
//!
//! let cluster = Cluster::connect("http://scheduler:50050").await?;
//! let session = RootSession::builder().elsewhere(cluster.elsewhere().await?).build();
//! let counts = session.sql("SELECT nMuon, count(*) FROM '/eos/data/*.root:Events' GROUP BY nMuon").await?;
//! counts.show().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! `setup` is the one construction of sessions; `client` speaks with a scheduler, `access` is how it gets in there, `fetch` has
//! rows come through it; `planner` decides what runs on the cluster, `exec` stands for it in plans, `commit` makes a result of
//! the files that it wrote, and
//! `analyze` tells how that went; `fit` makes plans right where parts of them run apart; `fault` carries what went wrong
//! in a task to its client, and `note` what else it has to tell; `local` starts a cluster of processes on this machine, and `serving` is what
//! these programs have in common.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod access;
mod analyze;
mod client;
mod commit;
mod error;
mod exec;
mod fault;
mod fetch;
mod fit;
mod local;
mod note;
mod planner;
pub mod serving;
pub mod setup;

pub use access::{ACTING_FOR_HEADER, Access};
pub use client::{Cluster, ClusterStatus, JOB_HEADER, JOB_TIMEOUT_HEADER, REPORT_HEADER, UNWANTED_PATH, innermost};
pub use error::Error;
pub use exec::is_on_cluster;
pub use fault::Fault;
pub use fetch::PARTITION_TICKET;
pub use local::{LocalCluster, LocalOptions};
pub use note::{JobProgress, TaskNote};
