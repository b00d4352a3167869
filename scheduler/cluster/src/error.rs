//! What can go wrong between a program and a cluster.

use std::path::PathBuf;

use datafusion::common::DataFusionError;
use root_engine::ErrorKind;

/// A query could not be run on a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was given as a cluster is none.
    #[error(
        "'{given}' is no cluster: {reason}; it is k8s:NAME on Kubernetes, local:N for N processes on this machine, or http(s)://HOST:PORT of a scheduler"
    )]
    Address {
        /// What was given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers at the place of the scheduler.
    #[error("the scheduler {scheduler} cannot be reached: {reason}; is it running, and is the port right?")]
    Unreachable {
        /// Its URL.
        scheduler: String,
        /// What the connection said.
        reason: String,
    },
    /// The scheduler wants to know who asks, or knows and refuses.
    #[error("the scheduler {scheduler} refuses: {reason}; see --cluster-token-file")]
    Refused {
        /// Its URL.
        scheduler: String,
        /// What it said.
        reason: String,
    },
    /// There is no token to show.
    #[error("the token of {path} cannot be used: {reason}; it is what --cluster-token-file names")]
    Token {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is not known who may vouch for the scheduler.
    #[error("the certificates of {path} cannot be used: {reason}; they are what --cluster-ca names")]
    Trust {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The scheduler answers something that this program does not understand.
    #[error("the scheduler {scheduler} answers what this version does not understand: {reason}")]
    Protocol {
        /// Its URL.
        scheduler: String,
        /// What was wrong.
        reason: String,
    },
    /// There is nobody to run a query.
    #[error("the cluster {scheduler} has no executors; start root-executor --scheduler {scheduler}")]
    NoExecutors {
        /// The URL of the scheduler.
        scheduler: String,
    },
    /// A part of a plan cannot be sent.
    #[error("this query cannot be sent to a cluster: {reason}; run it without --cluster")]
    NotPortable {
        /// Which part, and why.
        reason: String,
    },
    /// The query failed on the cluster.
    #[error("{message}")]
    Job {
        /// The job.
        job: String,
        /// What is at fault.
        kind: ErrorKind,
        /// What went wrong, as the executor says it.
        message: String,
    },
    /// The scheduler forgot the job, mostly because it was started anew.
    #[error("the scheduler lost the query{}: {reason}; run it again", job.as_ref().map(|job| format!(" (job {job})")).unwrap_or_default())]
    Lost {
        /// The job, if it had one.
        job: Option<String>,
        /// What was seen of it.
        reason: String,
    },
    /// An executor does not hand out the rows of a job.
    #[error(
        "the rows of job {job} cannot be fetched from the executor {executor} at {host}:{port}: {reason}; where clients do not \
         reach executors, start the scheduler with --executors-listen, and it hands the rows out itself"
    )]
    RowsLost {
        /// The job.
        job: String,
        /// The executor.
        executor: String,
        /// How others call its machine.
        host: String,
        /// Where it hands out rows.
        port: u16,
        /// What was seen of it.
        reason: String,
    },
    /// The job was cancelled.
    #[error("job {job} was cancelled")]
    Cancelled {
        /// The job.
        job: String,
    },
    /// The file that says how places of files are reached cannot be used.
    #[error("{}: {reason}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A process of a cluster on this machine does not start.
    #[error("{program} does not start: {reason}")]
    Start {
        /// The program.
        program: String,
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// What is at fault.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Address { .. } | Self::NotPortable { .. } | Self::Settings { .. } => ErrorKind::Usage,
            Self::Refused { .. } | Self::Token { .. } | Self::Trust { .. } => ErrorKind::Authentication,
            Self::Job { kind, .. } => *kind,
            Self::Unreachable { .. }
            | Self::Protocol { .. }
            | Self::NoExecutors { .. }
            | Self::Lost { .. }
            | Self::RowsLost { .. }
            | Self::Cancelled { .. }
            | Self::Start { .. } => ErrorKind::Query,
        }
    }
}

impl From<Error> for root_engine::Error {
    fn from(error: Error) -> Self {
        Self::Elsewhere { kind: error.kind(), message: error.to_string() }
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        root_engine::Error::from(error).into()
    }
}
