//! How the objects of a cluster are called. Kubernetes has names of 63 characters at most; what is longer keeps its beginning
//! and ends in a hash of the whole, the same each time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Characters of a DNS label (RFC 1123).
const LONGEST: usize = 63;
/// Characters of what stands for the rest of a name.
const HASH: usize = 8;

/// The name of a cluster: a DNS label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);

/// The name of a job of a cluster: a DNS label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobName(String);

/// A text that is no name of a cluster, or of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is no name of a {of}: {reason}")]
pub struct BadName {
    given: String,
    of: &'static str,
    reason: &'static str,
}

impl ClusterName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl JobName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClusterName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        label(text, "cluster").map(Self)
    }
}

impl FromStr for JobName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        label(text, "job").map(Self)
    }
}

/// A DNS label that begins with a letter.
fn label(text: &str, of: &'static str) -> Result<String, BadName> {
    let bad = |reason| Err(BadName { given: text.to_string(), of, reason });
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match text {
        "" => bad("it is empty"),
        _ if text.len() > LONGEST => bad("it has more than 63 characters"),
        _ if !text.chars().all(allowed) => bad("it has other characters than a to z, 0 to 9 and -"),
        _ if !text.starts_with(|c: char| c.is_ascii_lowercase()) => bad("it does not begin with a letter"),
        _ if text.ends_with('-') => bad("it ends with -"),
        _ => Ok(text.to_string()),
    }
}

impl TryFrom<String> for ClusterName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<ClusterName> for String {
    fn from(name: ClusterName) -> Self {
        name.0
    }
}

/// The names of the objects of a cluster. Each ends in what the object is, so that no two clusters of a namespace have one in
/// common, such as `muons` and `muons-scheduler`.
#[derive(Debug, Clone)]
pub struct Names {
    cluster: ClusterName,
}

impl Names {
    /// Those of a cluster.
    pub fn of(cluster: &ClusterName) -> Self {
        Self { cluster: cluster.clone() }
    }

    /// The scheduler: its deployment, its service for executors, service account, role, network policy and disruption budget.
    pub fn scheduler(&self) -> String {
        self.with("scheduler")
    }

    /// The executors: their service account and network policy.
    pub fn executor(&self) -> String {
        self.with("executor")
    }

    /// The service that users reach.
    pub fn users(&self) -> String {
        self.with("users")
    }

    /// The configuration.
    pub fn config(&self) -> String {
        self.with("config")
    }

    /// What is secret.
    pub fn secret(&self) -> String {
        self.with("secret")
    }

    /// The network policy of jobs.
    pub fn jobs(&self) -> String {
        self.with("jobs")
    }

    /// A job; what Kubernetes calls its pods has `-` and five characters behind it.
    pub fn job(&self, job: &JobName) -> String {
        shortened(&format!("{}-{job}-job", self.cluster), LONGEST - 6)
    }

    /// What is secret of a job.
    pub fn job_secret(&self, job: &JobName) -> String {
        shortened(&format!("{}-{job}-job-secret", self.cluster), LONGEST)
    }

    /// What the names of executors begin with; the scheduler puts `-` and five characters behind it.
    pub fn executor_prefix(&self) -> String {
        shortened(&format!("{}-executor", self.cluster), LONGEST - 6)
    }

    fn with(&self, part: &str) -> String {
        shortened(&format!("{}-{part}", self.cluster), LONGEST)
    }
}

/// A name of so many characters at most.
fn shortened(name: &str, most: usize) -> String {
    if name.len() <= most {
        return name.to_string();
    }
    let hash: String = Sha256::digest(name).iter().take(HASH / 2).map(|byte| format!("{byte:02x}")).collect();
    let kept: String = name.chars().take(most - HASH - 1).collect();
    format!("{}-{hash}", kept.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_label_that_begins_with_a_letter() {
        for good in ["a", "muons-2", &"x".repeat(63)] {
            assert!(good.parse::<ClusterName>().is_ok(), "{good}");
        }
        for (bad, reason) in [
            ("", "empty"),
            ("Muons", "other characters"),
            ("a.b", "other characters"),
            ("2muons", "begin"),
            ("-a", "begin"),
            ("a-", "ends"),
            (&"x".repeat(64), "63"),
        ] {
            assert!(bad.parse::<ClusterName>().unwrap_err().to_string().contains(reason), "{bad}");
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let [one, other] = ["a", "b"].map(|end| format!("{}{end}", "x".repeat(60)).parse::<ClusterName>().unwrap());
        let names = [&one, &other].map(Names::of);
        let all = |names: &Names| [names.scheduler(), names.executor(), names.config(), names.secret(), names.users()];
        let mut seen: Vec<String> = names.iter().flat_map(all).collect();
        assert!(seen.iter().all(|name| name.len() <= 63 && name.parse::<ClusterName>().is_ok()), "{seen:?}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 10);
        assert!(names.iter().all(|names| names.executor_prefix().len() <= 57));
        let jobs = ["a", "b"].map(|end| format!("{}{end}", "y".repeat(60)).parse::<JobName>().unwrap());
        assert!(jobs.iter().all(|job| names[0].job(job).len() <= 57 && names[0].job_secret(job).len() <= 63));
        assert_ne!(names[0].job(&jobs[0]), names[0].job(&jobs[1]));
        assert_eq!(Names::of(&one).scheduler(), names[0].scheduler(), "each time the same");
        assert_eq!(Names::of(&"muons".parse().unwrap()).scheduler(), "muons-scheduler");
    }

    #[test]
    fn a_cluster_that_is_called_like_an_object_of_another_shares_none_with_it() {
        let all = |name: &str| {
            let names = Names::of(&name.parse().unwrap());
            [
                names.scheduler(),
                names.executor(),
                names.config(),
                names.secret(),
                names.users(),
                names.executor_prefix(),
            ]
        };
        for other in ["muons-scheduler", "muons-executor", "muons-users"] {
            assert!(all(other).iter().all(|name| !all("muons").contains(name)), "{other}");
        }
    }
}
