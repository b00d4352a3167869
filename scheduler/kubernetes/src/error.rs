//! What can go wrong with a Kubernetes.

use std::time::Duration;

use crate::names::{ClusterName, JobName};
use crate::phase::in_plain_words;
use crate::spec::SpecError;

/// Kubernetes does not do what it is asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not known where it is, or who we are there.
    #[error("no Kubernetes is configured: {reason}; set KUBECONFIG, or name a --context")]
    NotConfigured {
        /// What is missing.
        reason: String,
    },
    /// It does not answer.
    #[error("Kubernetes does not answer: {reason}")]
    Unreachable {
        /// What happened.
        reason: String,
    },
    /// It refuses.
    #[error("Kubernetes refuses to {what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Its reason.
        reason: String,
        /// The code of HTTP.
        code: u16,
    },
    /// There is no such cluster.
    #[error(
        "there is no cluster {name} in the namespace {namespace}; `root-query cluster list` has those that there are"
    )]
    NoCluster {
        /// Its name.
        name: ClusterName,
        /// Where it was looked for.
        namespace: String,
    },
    /// The cluster has no such job.
    #[error("the cluster {name} has no job {job}; `root-query cluster jobs {name}` has those that there are")]
    NoJob {
        /// The cluster.
        name: ClusterName,
        /// The job.
        job: JobName,
    },
    /// The cluster has a job of that name already.
    #[error("there is a job {job} in the namespace {namespace} already; choose another name, or cancel that one")]
    JobExists {
        /// The job.
        job: JobName,
        /// Where it is.
        namespace: String,
    },
    /// A job goes on.
    #[error("the job {job} is not over after {} s: it is {state}", time.as_secs())]
    NotOver {
        /// The job.
        job: JobName,
        /// How far it is.
        state: String,
        /// How long it was waited for.
        time: Duration,
    },
    /// There is no log of a job.
    #[error("there is no log of the job {job}, which is {state}")]
    NoLog {
        /// The job.
        job: JobName,
        /// How far it is.
        state: String,
    },
    /// The cluster has no such pod, or none that can be used.
    #[error("the cluster {name} has no {what}")]
    NoPod {
        /// The cluster.
        name: ClusterName,
        /// What it has not.
        what: String,
    },
    /// What stands in Kubernetes describes no cluster.
    #[error("the cluster {name} cannot be understood, perhaps as it was made by another version: {reason}")]
    Description {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be as it is described.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// An object of somebody else has the name of one of ours.
    #[error(
        "there is a {kind} {object} in the namespace {namespace} that is not of the cluster; give the cluster another name"
    )]
    Foreign {
        /// What it is.
        kind: String,
        /// Its name.
        object: String,
        /// Where it is.
        namespace: String,
    },
    /// Something stays.
    #[error("of the cluster {name} these are still there after {} s: {left}", time.as_secs())]
    Stays {
        /// The cluster.
        name: ClusterName,
        /// What is left.
        left: String,
        /// How long it was waited for.
        time: Duration,
    },
    /// The scheduler cannot be used.
    #[error("the cluster {name} is not ready after {} s: {why}", time.as_secs())]
    NotReady {
        /// The cluster.
        name: ClusterName,
        /// Why not.
        why: String,
        /// How long it was waited for.
        time: Duration,
    },
    /// A connection was lost.
    #[error("the connection to {peer} was lost: {reason}")]
    Lost {
        /// To whom.
        peer: String,
        /// What happened.
        reason: String,
    },
}

impl Error {
    /// Whether Kubernetes does not know who we are, or does not let us. That a quota is used up is something else, although
    /// Kubernetes calls it by the same number.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Refused { code: 401 | 403, reason, .. } if !reason.contains("exceeded quota"))
    }
}

/// What a call that failed means.
pub(crate) fn refused(what: &str, error: kube::Error) -> Error {
    match error {
        kube::Error::Api(status) => {
            Error::Refused { what: what.to_string(), reason: in_plain_words(&status.message), code: status.code }
        }
        error => Error::Unreachable { reason: innermost(&error) },
    }
}

/// Whether the same call may succeed a moment later, as the server is away or has too much to do.
pub(crate) fn passes(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } => true,
        Error::Refused { code, .. } => matches!(code, 429 | 500 | 502 | 503 | 504),
        _ => false,
    }
}

/// The innermost cause, which says most.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
