//! What a cluster is to be: said by whoever creates it, and read by its scheduler, which starts executors by it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Toleration, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::{Deserialize, Serialize};

use crate::names::ClusterName;
use crate::objects::SecretFile;

/// The file of the secret by which users are known: lines NAME:TOKEN.
pub const TOKENS: &str = "tokens";
/// The files of the secret by which connections of users are encrypted: the certificate, and its key.
pub const TLS: [&str; 2] = ["tls.crt", "tls.key"];

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
    /// When the image is pulled.
    #[serde(default)]
    pub pull_policy: PullPolicy,
    /// Secrets by which it is pulled.
    #[serde(default)]
    pub pull_secrets: Vec<String>,
    /// The number of the user that both programs run as, and of its group; `null` leaves it to Kubernetes, as some want it.
    #[serde(default = "nobody")]
    pub user: Option<i64>,
    /// The scheduler.
    #[serde(default)]
    pub scheduler: SchedulerSpec,
    /// The executors.
    pub executors: ExecutorSpec,
    /// Whether users have to show a token, of the file [`TOKENS`] of the secret.
    #[serde(default)]
    pub tokens: bool,
    /// Whether connections of users are encrypted, by the files [`TLS`] of the secret.
    #[serde(default)]
    pub tls: bool,
    /// How executors and the scheduler reach storage: the sections of a configuration file. It holds no secrets: whoever may see
    /// the cluster may read it.
    #[serde(default)]
    pub stores: String,
    /// The ports at which executors may reach storage, and those who say who they are, wherever these are. Besides, they reach
    /// their own cluster and whoever knows the names of hosts, and nothing else.
    #[serde(default = "usual_ports")]
    pub storage_ports: BTreeSet<u16>,
    /// Variables of executors and the scheduler, such as `KRB5CCNAME`. They are no secrets.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Names of the files of the secret that both have in `/etc/root-query/secret`, such as a Kerberos ticket: all but those for
    /// users.
    #[serde(default)]
    pub secret_files: BTreeSet<String>,
}

/// The scheduler of a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulerSpec {
    /// What it may use.
    #[serde(default = "of_scheduler")]
    pub resources: Resources,
    /// Where it runs, and what it finds there.
    #[serde(default)]
    pub place: Place,
    /// More arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
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
    /// Where they run, and what they find there.
    #[serde(default)]
    pub place: Place,
    /// Room for rows and what is spilled, as Kubernetes writes it.
    #[serde(default)]
    pub scratch: Option<Quantity>,
    /// More arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// Where pods run, and what they find there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Labels that a node must have.
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that a node may have.
    #[serde(default)]
    pub tolerations: Vec<Toleration>,
    /// More volumes, such as a `krb5.conf`, or tickets that somebody else renews.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Where they are mounted.
    #[serde(default)]
    pub volume_mounts: Vec<VolumeMount>,
}

/// What a pod may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Whole cores: for an executor, tasks that it runs at the same time.
    pub cores: usize,
    /// What a node has to have free for them, as Kubernetes writes it (`500m`); by default all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Memory, as Kubernetes writes it (`4Gi`).
    pub memory: Quantity,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PullPolicy {
    /// Each time a pod starts.
    Always,
    /// Where the node does not have it.
    #[default]
    IfNotPresent,
    /// Never: the node has it.
    Never,
}

impl PullPolicy {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
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
    /// A share of cores that is none.
    #[error("'{given}' is no share of the {cores} cores of {what}: {cores}, 0.5 and 500m may be")]
    Cpu {
        /// Whose.
        what: &'static str,
        /// The text.
        given: String,
        /// Of how many.
        cores: usize,
    },
    /// A text that is no number of executors.
    #[error("'{given}' is no number of executors: a number above 0 is, and a range such as 0..8")]
    Count {
        /// The text.
        given: String,
    },
    /// A text that names nothing.
    #[error("'{given}' is no name of {what}")]
    Name {
        /// Of what.
        what: &'static str,
        /// The text.
        given: String,
    },
    /// What the cluster has for itself.
    #[error("the {what} '{given}' is one that each cluster has for itself")]
    Taken {
        /// A volume or a directory.
        what: &'static str,
        /// The one.
        given: String,
    },
    /// A secret that is not there.
    #[error("the secret has no file '{file}', which the cluster needs")]
    NoSecret {
        /// The file.
        file: String,
    },
    /// Something that cannot be written as JSON.
    #[error("the {kind} {name} cannot be written: {reason}")]
    Unwritable {
        /// Of which kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
}

impl ClusterSpec {
    /// That it can be carried out as far as can be said without asking Kubernetes.
    ///
    /// # Errors
    /// For what cannot.
    pub fn check(&self) -> Result<(), SpecError> {
        let name = |what, given: &str| Err(SpecError::Name { what, given: given.to_string() });
        check_namespace(&self.namespace)?;
        if self.image.is_empty() || self.image.contains(char::is_whitespace) {
            return name("an image", &self.image);
        }
        if let Some(user) = self.user.filter(|user| *user <= 0) {
            return name("a user who is not root", &user.to_string());
        }
        if self.storage_ports.contains(&0) {
            return name("a port", "0");
        }
        for variable in self.environment.keys() {
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if variable.is_empty()
                || variable.starts_with(|c: char| c.is_ascii_digit())
                || !variable.chars().all(is_allowed)
            {
                return name("a variable", variable);
            }
            if variable == POD_IP {
                return Err(SpecError::Taken { what: "variable", given: variable.clone() });
            }
        }
        for file in &self.secret_files {
            if !is_key(file) || file == TOKENS || TLS.contains(&file.as_str()) {
                return name("a file of the secret that storage wants", file);
            }
        }
        if !is_count(&self.executors.count) {
            return Err(SpecError::Count { given: self.executors.count.clone() });
        }
        self.check_resources()?;
        check_place(&self.scheduler.place)?;
        check_place(&self.executors.place)
    }

    fn check_resources(&self) -> Result<(), SpecError> {
        let (scheduler, executors) = (&self.scheduler.resources, &self.executors);
        check_cores("the scheduler", scheduler)?;
        check_cores("an executor", &executors.resources)?;
        let quantities = [
            ("the memory of the scheduler", Some(&scheduler.memory)),
            ("the memory of executors", Some(&executors.resources.memory)),
            ("the most memory of executors", executors.most_memory.as_ref()),
            ("the room of executors for rows", executors.scratch.as_ref()),
        ];
        quantities.into_iter().try_for_each(|(what, quantity)| quantity.map_or(Ok(()), |q| check_quantity(what, q)))
    }

    /// That a secret has all files that the cluster needs.
    ///
    /// # Errors
    /// For one that it has not, and for one whose name Kubernetes would refuse.
    pub fn check_secret(&self, secret: &[SecretFile]) -> Result<(), SpecError> {
        if let Some(file) = secret.iter().find(|file| !is_key(&file.name)) {
            return Err(SpecError::Name { what: "a file of a secret", given: file.name.clone() });
        }
        let users = self.tokens.then_some(TOKENS).into_iter().chain(self.tls.then_some(TLS).into_iter().flatten());
        let mut needed = users.chain(self.secret_files.iter().map(String::as_str));
        match needed.find(|needed| !secret.iter().any(|file| file.name == *needed)) {
            Some(file) => Err(SpecError::NoSecret { file: file.to_string() }),
            None => Ok(()),
        }
    }
}

impl Default for SchedulerSpec {
    fn default() -> Self {
        Self { resources: of_scheduler(), place: Place::default(), arguments: Vec::new() }
    }
}

/// Volumes of every pod of a cluster.
pub(crate) const VOLUMES: [&str; 5] = ["config", "door", "scratch", "secret", "user"];
/// The variable with the address of a pod.
pub(crate) const POD_IP: &str = "POD_IP";
/// Directories of every pod of a cluster.
pub(crate) const DIRECTORIES: [&str; 2] = ["/etc/root-query", "/scratch"];

/// That a pod can have what it is to have.
pub(crate) fn check_resources(what: &'static str, resources: &Resources) -> Result<(), SpecError> {
    check_cores(what, resources)?;
    check_quantity("the memory", &resources.memory)
}

fn check_cores(what: &'static str, resources: &Resources) -> Result<(), SpecError> {
    if resources.cores == 0 {
        return Err(SpecError::NoCores { what });
    }
    match resources.cpu.as_ref().filter(|cpu| !is_share_of(cpu, resources.cores)) {
        Some(cpu) => Err(SpecError::Cpu { what, given: cpu.0.clone(), cores: resources.cores }),
        None => Ok(()),
    }
}

fn check_quantity(what: &'static str, quantity: &Quantity) -> Result<(), SpecError> {
    match bytes(quantity) {
        Some(_) => Ok(()),
        None => Err(SpecError::Quantity { what, given: quantity.0.clone() }),
    }
}

/// An executor whose pod Kubernetes refuses would be missed only when it is needed.
fn check_place(place: &Place) -> Result<(), SpecError> {
    let taken = |what, given: &str| Err(SpecError::Taken { what, given: given.to_string() });
    if let Some(volume) = place.volumes.iter().find(|volume| VOLUMES.contains(&volume.name.as_str())) {
        return taken("volume", &volume.name);
    }
    for mount in &place.volume_mounts {
        if !place.volumes.iter().any(|volume| volume.name == mount.name) {
            return Err(SpecError::Name { what: "a volume that there is", given: mount.name.clone() });
        }
        let is_within = |directory: &&str| std::path::Path::new(&mount.mount_path).starts_with(directory);
        if DIRECTORIES.iter().any(is_within) {
            return taken("directory", &mount.mount_path);
        }
    }
    Ok(())
}

/// That a namespace can be called so.
///
/// # Errors
/// Where it cannot.
pub fn check_namespace(name: &str) -> Result<(), SpecError> {
    match is_label(name) {
        true => Ok(()),
        false => Err(SpecError::Name { what: "a namespace", given: name.to_string() }),
    }
}

/// Whether it is a DNS label.
fn is_label(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(is_allowed) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether a file of a secret can be called so.
fn is_key(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (1..=253).contains(&text.len()) && text.chars().all(is_allowed) && !text.starts_with("..") && text != "."
}

fn is_count(text: &str) -> bool {
    let number = |text: &str| text.parse::<usize>().ok();
    match text.split_once("..") {
        Some((least, most)) => {
            matches!((number(least), number(most)), (Some(least), Some(most)) if least <= most && most > 0)
        }
        None => number(text).is_some_and(|count| count > 0),
    }
}

/// Whether it is so many cores or a part of them, more than nothing.
fn is_share_of(cpu: &Quantity, cores: usize) -> bool {
    let (number, scale) = cpu.0.strip_suffix('m').map_or((cpu.0.as_str(), 1.0), |number| (number, 1000.0));
    let is_plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    is_plain && number.parse::<f64>().is_ok_and(|number| number > 0.0 && number / scale <= cores as f64)
}

impl ExecutorSpec {
    /// The most executors that there are at a time.
    pub fn most(&self) -> u64 {
        let most = self.count.split_once("..").map_or(self.count.as_str(), |(_, most)| most);
        most.parse().unwrap_or_default()
    }

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

    /// The step from which on there is no more memory.
    pub fn memory_steps(&self) -> u32 {
        let mut step = 0;
        while self.memory(step) != self.memory(step + 1) {
            step += 1;
        }
        step
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

/// Kerberos, HTTPS with all that speaks it, and XRootD.
fn usual_ports() -> BTreeSet<u16> {
    BTreeSet::from([88, 443, 1094])
}

fn of_scheduler() -> Resources {
    Resources { cores: 1, cpu: None, memory: Quantity("2Gi".to_string()) }
}

/// A user that images for programs alone have, who owns nothing.
fn nobody() -> Option<i64> {
    Some(65_532)
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
        assert_eq!((spec.pull_policy, spec.executors.idle_seconds), (PullPolicy::IfNotPresent, 60));
        assert!(serde_json::from_str::<ClusterSpec>(&MINIMAL.replace("image", "imgae")).is_err());
        let again: ClusterSpec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(again, spec);
    }

    #[test]
    fn a_node_may_be_asked_for_a_part_of_the_cores() {
        for share in ["2", "500m", "0.5", "1999m"] {
            let text = MINIMAL.replace("\"cores\": 2", &format!("\"cores\": 2, \"cpu\": \"{share}\""));
            assert_eq!(serde_json::from_str::<ClusterSpec>(&text).unwrap().check(), Ok(()), "{share}");
        }
    }

    #[test]
    fn descriptions_that_were_written_once_are_understood_for_ever() {
        let text = include_str!("../tests/fixtures/cluster.json");
        let spec: ClusterSpec = serde_json::from_str(text).unwrap();
        assert_eq!(spec.check(), Ok(()));
        let (written, read): (serde_json::Value, serde_json::Value) =
            (serde_json::to_value(&spec).unwrap(), serde_json::from_str(text).unwrap());
        for (name, value) in read.as_object().unwrap() {
            assert_eq!(written[name], *value, "{name}");
        }
    }

    #[test]
    fn what_kubernetes_would_refuse_is_refused_before() {
        for (from, to, error) in [
            ("4Gi", "4 GB", "the memory of executors: '4 GB'"),
            ("10Gi", "much", "the most memory of executors: 'much'"),
            ("\"cores\": 2", "\"cores\": 0", "an executor has no cores"),
            ("\"cores\": 2", "\"cores\": 2, \"cpu\": \"3\"", "'3' is no share of the 2 cores of an executor"),
            ("\"cores\": 2", "\"cores\": 2, \"cpu\": \"0m\"", "'0m' is no share"),
            ("\"cores\": 2", "\"cores\": 2, \"cpu\": \"1e3m\"", "'1e3m' is no share"),
            ("0..8", "8..0", "'8..0' is no number of executors"),
            ("0..8", "0", "'0' is no number of executors"),
            ("0..8", "some", "'some' is no number of executors"),
            ("physics", "Physics", "'Physics' is no name of a namespace"),
            ("registry.example/root-query:1", "", "'' is no name of an image"),
            ("\"executors\"", "\"environment\": {\"A=B\": \"\"}, \"executors\"", "'A=B' is no name of a variable"),
            ("\"executors\"", "\"environment\": {\"POD_IP\": \"\"}, \"executors\"", "the variable 'POD_IP'"),
            ("\"executors\"", "\"storage_ports\": [0], \"executors\"", "'0' is no name of a port"),
            ("\"executors\"", "\"user\": 0, \"executors\"", "'0' is no name of a user who is not root"),
            ("\"executors\"", "\"secret_files\": [\"a/b\"], \"executors\"", "'a/b' is no name of a file of the secret"),
            (
                "\"executors\"",
                "\"secret_files\": [\"tokens\"], \"executors\"",
                "'tokens' is no name of a file of the secret",
            ),
        ] {
            let spec: ClusterSpec = serde_json::from_str(&MINIMAL.replace(from, to)).unwrap();
            assert!(spec.check().unwrap_err().to_string().starts_with(error), "{to}");
        }
    }

    #[test]
    fn what_the_cluster_has_for_itself_is_no_place_for_volumes_of_others() {
        for (volume, mount, path, error) in [
            ("krb5", "krb5", "/etc/krb5", None),
            ("secret", "secret", "/etc/krb5", Some("the volume 'secret'")),
            ("krb5", "krb5", "/etc/root-query/config/more", Some("the directory '/etc/root-query/config/more'")),
            ("krb5", "krb5", "/scratch", Some("the directory '/scratch'")),
            ("krb5", "other", "/etc/krb5", Some("'other' is no name of a volume")),
        ] {
            let place = format!(
                r#""place": {{"volumes": [{{"name": "{volume}", "emptyDir": {{}}}}],
                    "volume_mounts": [{{"name": "{mount}", "mountPath": "{path}"}}]}}, "count""#
            );
            let spec: ClusterSpec = serde_json::from_str(&MINIMAL.replace("\"count\"", &place)).unwrap();
            match error {
                None => assert_eq!(spec.check(), Ok(())),
                Some(error) => assert!(spec.check().unwrap_err().to_string().starts_with(error), "{path}"),
            }
        }
    }

    #[test]
    fn a_secret_that_lacks_what_the_cluster_needs_is_refused() {
        let with = |more: &str| -> ClusterSpec {
            serde_json::from_str(&MINIMAL.replace("\"executors\"", &format!("{more}, \"executors\""))).unwrap()
        };
        let secret =
            ["tokens", "krb5cc"].map(|name| SecretFile { name: name.to_string(), content: b"hidden".to_vec() });
        assert_eq!(with(r#""tokens": true, "secret_files": ["krb5cc"]"#).check_secret(&secret), Ok(()));
        for (more, missing) in [(r#""tls": true"#, "tls.crt"), (r#""secret_files": ["keytab"]"#, "keytab")] {
            let error = with(more).check_secret(&secret).unwrap_err();
            assert_eq!(error, SpecError::NoSecret { file: missing.to_string() });
        }
        let bad = [SecretFile { name: "a/b".to_string(), content: Vec::new() }];
        assert!(with(r#""tls": false"#).check_secret(&bad).unwrap_err().to_string().contains("a/b"));
    }

    #[test]
    fn memory_grows_by_halves_up_to_the_most() {
        let spec: ClusterSpec = serde_json::from_str(MINIMAL).unwrap();
        let of = |step| bytes(&spec.executors.memory(step)).unwrap() >> 30;
        assert_eq!([0, 1, 2, 3, 60].map(of), [4, 6, 9, 10, 10]);
        assert_eq!(spec.executors.memory(0).0, "4Gi");
        assert_eq!((spec.executors.memory_steps(), spec.executors.most()), (3, 8));
        let of_most =
            |most: &str| ExecutorSpec { most_memory: Some(Quantity(most.to_string())), ..spec.executors.clone() };
        assert_eq!(of_most("1Gi").memory_steps(), 0, "less than they have");
        assert!((1..100).contains(&of_most("16777215Ti").memory_steps()), "{}", of_most("16777215Ti").memory_steps());
        let fixed = ExecutorSpec { most_memory: None, ..spec.executors };
        assert_eq!((fixed.memory(3).0.as_str(), fixed.memory_steps()), ("4Gi", 0));
    }

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let read = |text: &str| bytes(&Quantity(text.to_string()));
        assert_eq!(["1", "2k", "3Ki", "4G", "5Gi"].map(read), [1, 2000, 3072, 4_000_000_000, 5 << 30].map(Some));
        assert_eq!(["", "Gi", "0", "1.5Gi", "1GB", "-1", "99999999999Ti"].map(read), [None; 7]);
    }
}
