//! What a cluster is to be: said by whoever creates it, and read by its scheduler, which starts executors by it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::{Toleration, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::{Deserialize, Serialize};

use crate::names::ClusterName;

/// A cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// Its name.
    pub name: ClusterName,
    /// The namespace of its objects.
    pub namespace: String,
    /// The image with both programs.
    pub image: String,
    /// When the image is pulled: `Always`, `IfNotPresent` or `Never`.
    #[serde(default = "if_not_present")]
    pub pull_policy: String,
    /// Secrets by which it is pulled.
    #[serde(default)]
    pub pull_secrets: Vec<String>,
    /// What the scheduler may use.
    #[serde(default = "of_scheduler")]
    pub scheduler: Resources,
    /// The executors.
    pub executors: ExecutorSpec,
    /// Whether users have to show a token, of the file `tokens` of the secret.
    #[serde(default)]
    pub tokens: bool,
    /// Whether connections of users are encrypted, by `tls.crt` and `tls.key` of the secret.
    #[serde(default)]
    pub tls: bool,
    /// How executors and the scheduler reach storage: the sections of a configuration file.
    #[serde(default)]
    pub stores: String,
    /// Variables of executors and the scheduler, such as `KRB5CCNAME`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Files of the secret that both have in `/etc/root-query/secret`, apart from those for users.
    #[serde(default)]
    pub secret_files: Vec<PathBuf>,
    /// More arguments of the scheduler.
    #[serde(default)]
    pub scheduler_arguments: Vec<String>,
}

/// The executors of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutorSpec {
    /// How many there are: `N`, or `MIN..MAX`.
    pub count: String,
    /// What each may use.
    pub resources: Resources,
    /// The most memory that one gets after others have run out of it, as Kubernetes writes it (`16Gi`).
    #[serde(default)]
    pub most_memory: Option<Quantity>,
    /// Seconds that one is without tasks before it goes.
    #[serde(default = "a_minute")]
    pub idle_seconds: u64,
    /// Seconds that one may take until it registers.
    #[serde(default = "five_minutes")]
    pub start_seconds: u64,
    /// Seconds that one may take to end.
    #[serde(default = "two_minutes")]
    pub drain_seconds: u64,
    /// Labels that its node must have.
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that its node may have.
    #[serde(default)]
    pub tolerations: Vec<Toleration>,
    /// More volumes.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Where they are mounted.
    #[serde(default)]
    pub volume_mounts: Vec<VolumeMount>,
    /// Room for rows and what is spilled, as Kubernetes writes it.
    #[serde(default)]
    pub scratch: Option<Quantity>,
    /// More arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// What a pod may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Whole cores.
    pub cores: usize,
    /// Memory, as Kubernetes writes it (`4Gi`).
    pub memory: Quantity,
}

/// A specification that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A quantity that Kubernetes would not understand.
    #[error("{what}: '{given}' is no quantity; 512Mi, 4Gi and 2G are")]
    Quantity {
        /// Of what.
        what: &'static str,
        /// The text.
        given: String,
    },
    /// Nothing can be run.
    #[error("{what} has no cores")]
    NoCores {
        /// Whoever has none.
        what: &'static str,
    },
}

impl ClusterSpec {
    /// That it can be carried out as far as can be said without asking Kubernetes.
    ///
    /// # Errors
    /// For what cannot.
    pub fn check(&self) -> Result<(), SpecError> {
        for (what, resources) in [("the scheduler", &self.scheduler), ("an executor", &self.executors.resources)] {
            if resources.cores == 0 {
                return Err(SpecError::NoCores { what });
            }
        }
        let quantities = [
            ("the memory of the scheduler", Some(&self.scheduler.memory)),
            ("the memory of executors", Some(&self.executors.resources.memory)),
            ("the most memory of executors", self.executors.most_memory.as_ref()),
            ("the room of executors for rows", self.executors.scratch.as_ref()),
        ];
        for (what, quantity) in quantities {
            if let Some(quantity) = quantity
                && bytes(quantity).is_none()
            {
                return Err(SpecError::Quantity { what, given: quantity.0.clone() });
            }
        }
        Ok(())
    }
}

impl ExecutorSpec {
    /// Bytes of memory of executors of which others had less and ran out of it so many times: each step has half more, up to
    /// the most there may be.
    pub fn memory(&self, step: u32) -> Quantity {
        let memory = &self.resources.memory;
        let (Some(least), Some(most)) = (bytes(memory), self.most_memory.as_ref().and_then(bytes)) else {
            return memory.clone();
        };
        let wanted = (0..step.min(64)).fold(least, |bytes, _| bytes.saturating_add(bytes / 2)).min(most.max(least));
        if wanted == least { memory.clone() } else { Quantity(wanted.to_string()) }
    }
}

/// A quantity of bytes, such as `512Mi`, `4Gi`, `2G` or `1000000`
/// (<https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>); those with fractions and exponents
/// are not understood.
pub(crate) fn bytes(quantity: &Quantity) -> Option<u64> {
    let text = quantity.0.as_str();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1000_u64.pow(2),
        "G" => 1000_u64.pow(3),
        "T" => 1000_u64.pow(4),
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|bytes| *bytes > 0)
}

fn if_not_present() -> String {
    "IfNotPresent".to_string()
}

fn of_scheduler() -> Resources {
    Resources { cores: 1, memory: Quantity("2Gi".to_string()) }
}

fn a_minute() -> u64 {
    60
}

fn two_minutes() -> u64 {
    120
}

fn five_minutes() -> u64 {
    300
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"{"name": "muons", "namespace": "physics", "image": "registry.example/root-query:1",
        "executors": {"count": "0..8", "resources": {"cores": 2, "memory": "4Gi"}, "most_memory": "10Gi"}}"#;

    #[test]
    fn a_short_description_is_enough_and_typing_errors_are_errors() {
        let spec: ClusterSpec = serde_json::from_str(MINIMAL).unwrap();
        assert_eq!(spec.check(), Ok(()));
        assert_eq!((spec.pull_policy.as_str(), spec.executors.idle_seconds), ("IfNotPresent", 60));
        assert!(serde_json::from_str::<ClusterSpec>(&MINIMAL.replace("image", "imgae")).is_err());
        let again: ClusterSpec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(again, spec);
    }

    #[test]
    fn what_kubernetes_would_refuse_is_refused_before() {
        for (from, to, error) in [
            ("4Gi", "4 GB", "the memory of executors: '4 GB'"),
            ("10Gi", "much", "the most memory of executors: 'much'"),
            ("\"cores\": 2", "\"cores\": 0", "an executor has no cores"),
        ] {
            let spec: ClusterSpec = serde_json::from_str(&MINIMAL.replace(from, to)).unwrap();
            assert!(spec.check().unwrap_err().to_string().starts_with(error), "{to}");
        }
    }

    #[test]
    fn memory_grows_by_halves_up_to_the_most() {
        let spec: ClusterSpec = serde_json::from_str(MINIMAL).unwrap();
        let of = |step| bytes(&spec.executors.memory(step)).unwrap() >> 30;
        assert_eq!([0, 1, 2, 3, 60].map(of), [4, 6, 9, 10, 10]);
        assert_eq!(spec.executors.memory(0).0, "4Gi");
        let fixed = ExecutorSpec { most_memory: None, ..spec.executors };
        assert_eq!(fixed.memory(3).0, "4Gi");
    }

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let read = |text: &str| bytes(&Quantity(text.to_string()));
        assert_eq!(["1", "2k", "3Ki", "4G", "5Gi"].map(read), [1, 2000, 3072, 4_000_000_000, 5 << 30].map(Some));
        assert_eq!(["", "Gi", "0", "1.5Gi", "1GB", "-1", "99999999999Ti"].map(read), [None; 7]);
    }
}
