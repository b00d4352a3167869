//! Executors that the scheduler starts itself, as many as its jobs keep busy.
//!
//! `rules` decides when one comes and goes; where they live is behind [`Pool`]: `processes` are those of this machine, and
//! `pods` those of Kubernetes. `keeper` looks at jobs and executors, asks the rules, and has the pool do it.

mod keeper;
mod pods;
mod processes;
mod rules;

use std::fmt;

use async_trait::async_trait;

pub(crate) use keeper::{Keeper, PoolView};
pub(crate) use pods::Pods;
pub use processes::ProcessOptions;
pub(crate) use processes::Processes;
pub(crate) use rules::Limits;
pub use rules::{BadSize, PoolSize};

/// Where executors live. Their names are those by which they register.
#[async_trait]
pub(crate) trait Pool: Send + Sync + fmt::Debug {
    /// The executors that were started here, whoever started them, and have not been removed.
    async fn members(&self) -> Result<Vec<Member>, PoolError>;

    /// Starts one.
    async fn start(&self, order: &Order) -> Result<(), PoolError>;

    /// Has one end as soon as its tasks have, and nobody needs its rows any more.
    async fn stop(&self, name: &str) -> Result<(), PoolError>;

    /// Forgets one that has ended so.
    async fn remove(&self, name: &str, end: &End) -> Result<(), PoolError>;
}

/// An executor that is to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) name: String,
    /// How often executors with less memory have run out of it.
    pub(crate) memory_step: u32,
}

/// An executor that was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) state: MemberState,
    /// That of its order.
    pub(crate) memory_step: u32,
    /// Whether it is as one that would be started now.
    pub(crate) is_current: bool,
}

/// How far an executor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It is to run, and cannot yet, for a reason that may be known.
    Waiting(Option<String>),
    /// It runs.
    Running,
    /// It was told to end.
    Stopping,
    /// It has ended.
    Ended(End),
}

/// How an executor has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// In peace.
    Done,
    /// It needed more memory than it may have.
    OutOfMemory,
    /// Otherwise: how.
    Failed(String),
}

/// The pool does not do what it is to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PoolError(pub(crate) String);
