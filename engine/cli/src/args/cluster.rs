//! The command line of `cluster`: clusters on Kubernetes.

mod jobs;

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};
use root_kubernetes::{ClusterName, JobName, PullPolicy};

pub use jobs::{CancelArgs, JobArgs, SubmitArgs, WaitJobArgs};

use super::KeyValue;

const EXAMPLES: &str = "\
Examples:
  root-query cluster check -n physics             may we make clusters here?
  root-query cluster create muons --image IMAGE --executors 0..8 --executor-cores 4
  root-query cluster get muons                    what it is, and what its pods do
  root-query --cluster k8s:muons sql -c 'SELECT count(*) FROM t' root://eos.example//d/x.root
  root-query cluster scale muons 0..16
  root-query cluster logs muons -f
  root-query cluster submit muons -- skim root://eos.example//d/x.root -o root://eos.example//me/y.root
  root-query cluster delete muons

Which Kubernetes it is and who you are there is what KUBECONFIG says, or ~/.kube/config, as for
kubectl; --context names another of its contexts. The namespace is that of the context, unless -n
names one.";

const CREATE_EXAMPLES: &str = "\
Examples:
  root-query cluster create muons --image registry.example/root-query:0.1.0
  root-query cluster create muons --image IMAGE --executors 0..20 --executor-memory 16Gi
  root-query cluster create muons --image IMAGE --krb5-cache /tmp/krb5cc_1000 \\
      --secret krb5.conf=/etc/krb5.conf --env KRB5_CONFIG=/etc/root-query/secret/krb5.conf
  root-query cluster create muons --image IMAGE --tokens FILE --tls-cert FILE --tls-key FILE
  root-query cluster create muons -f muons.yaml --executors 0..4
  root-query cluster create muons -n physics --image IMAGE --dry-run

muons.yaml is what `root-query cluster get muons --format json` has as `spec`, as YAML or JSON;
what is left out has its default:
  image: registry.example/root-query:0.1.0
  executors:
    count: 0..8
    resources: {cores: 4, memory: 8Gi}
    place: {node_selector: {pool: batch}}
  tokens: true

The image is one with root-scheduler and root-executor, as deploy/Dockerfile of the sources makes
it. The scheduler starts executors as pods when there is work, and ends those that have been idle.
Where there is such a cluster, it is changed to what is described; its secret stays unless files
for it are given, which are then all that it has.";

const UPGRADE_EXAMPLES: &str = "\
Examples:
  root-query cluster upgrade muons --image registry.example/root-query:0.2.0
  root-query cluster upgrade muons --executor-memory 16Gi --dry-run
  root-query cluster upgrade muons --krb5-cache /tmp/krb5cc_1000    a new ticket, without a restart

What is not said stays as it is; variables and files of the secret are added to those that there
are. What changes is the result, and all else is told on standard error.";

/// What to do with clusters on Kubernetes.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum ClusterAction {
    /// Make a cluster, and wait until it can be used.
    Create(CreateArgs),
    /// Show a cluster: what it is, what its pods do, and how to connect.
    Get(NamedArgs),
    /// List the clusters.
    List(ListArgs),
    /// Change how many executors a cluster has.
    Scale(ScaleArgs),
    /// Change a cluster: what is not said stays as it is.
    Upgrade(UpgradeArgs),
    /// Delete a cluster with all that belongs to it.
    Delete(DeleteArgs),
    /// Show the log of a cluster's scheduler, of another of its pods, or of a job.
    Logs(LogsArgs),
    /// Have a verb run in Kubernetes, on a cluster, where it goes on without this machine.
    Submit(SubmitArgs),
    /// List the jobs of a cluster that were submitted.
    Jobs(NamedArgs),
    /// Show a job.
    Status(JobArgs),
    /// Wait until a job is over, and exit with its code.
    Wait(WaitJobArgs),
    /// End a job, and remove it with its log.
    Cancel(CancelArgs),
    /// Find out whether clusters can be made here, or what is wrong with one.
    Check(CheckArgs),
}

/// Where a cluster is.
#[derive(Debug, Clone, Args)]
pub struct NamespaceArgs {
    /// The namespace in Kubernetes; by default that of the context.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

/// A cluster.
#[derive(Debug, Clone, Args)]
pub struct NamedArgs {
    /// The cluster.
    #[arg(value_name = "NAME")]
    pub name: ClusterName,
    /// Where it is.
    #[command(flatten)]
    pub place: NamespaceArgs,
}

/// How long a cluster is waited for.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// Do not wait until the cluster can be used.
    #[arg(long)]
    pub no_wait: bool,
    /// Seconds that it may take until it can be used. It goes on being made if it takes longer.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u64,
}

/// Arguments of `cluster create`.
#[derive(Debug, Clone, Args)]
#[command(after_help = CREATE_EXAMPLES)]
pub struct CreateArgs {
    /// The cluster.
    #[command(flatten)]
    pub cluster: NamedArgs,
    /// Print the objects that would be made as YAML, without what is secret, and make none.
    #[arg(long)]
    pub dry_run: bool,
    /// How long it is waited for.
    #[command(flatten)]
    pub wait: WaitArgs,
    // Last, as what stands behind it would be below its heading.
    /// What it is to be.
    #[command(flatten)]
    pub description: DescriptionArgs,
}

/// Arguments of `cluster upgrade`.
#[derive(Debug, Clone, Args)]
#[command(after_help = UPGRADE_EXAMPLES)]
pub struct UpgradeArgs {
    /// The cluster.
    #[command(flatten)]
    pub cluster: NamedArgs,
    /// Show what would change, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How long it is waited for.
    #[command(flatten)]
    pub wait: WaitArgs,
    /// What changes.
    #[command(flatten)]
    pub description: DescriptionArgs,
}

/// What a cluster is to be.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Description of the cluster")]
pub struct DescriptionArgs {
    /// A file that describes the cluster, in YAML or JSON; options go before what it says. `-` is standard input.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The image with both programs, root-scheduler and root-executor.
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// How many executors there are: N, or MIN..MAX for as many as the work needs; a new cluster has 0..4.
    #[arg(long, value_name = "N|MIN..MAX")]
    pub executors: Option<String>,
    /// Whole cores of each executor; by default 2.
    #[arg(long, value_name = "N")]
    pub executor_cores: Option<usize>,
    /// Memory of each executor, as Kubernetes writes it; by default 4Gi.
    #[arg(long, value_name = "SIZE")]
    pub executor_memory: Option<String>,
    /// The most memory that an executor gets in the place of others that have run out of it; by default no more than these.
    #[arg(long, value_name = "SIZE")]
    pub most_memory: Option<String>,
    /// Room of each executor for rows and what is spilled; by default what its node has.
    #[arg(long, value_name = "SIZE")]
    pub scratch: Option<String>,
    /// Seconds that an executor is without work before it ends; by default 60.
    #[arg(long, value_name = "SECONDS")]
    pub idle: Option<u64>,
    /// Whole cores of the scheduler; by default 1.
    #[arg(long, value_name = "N")]
    pub scheduler_cores: Option<usize>,
    /// Memory of the scheduler; by default 2Gi.
    #[arg(long, value_name = "SIZE")]
    pub scheduler_memory: Option<String>,
    /// Let in only who shows a token of this file: lines NAME:TOKEN.
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Encrypt the connections of users, by this certificate (PEM)...
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// ... and its key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A file that scheduler and executors have as /etc/root-query/secret/NAME, such as a proxy certificate; NAME is the name of
    /// the file unless it is said. May be repeated.
    #[arg(long, value_name = "[NAME=]FILE")]
    pub secret: Vec<SecretArg>,
    /// A cache of Kerberos tickets that scheduler and executors use. Tickets end: `cluster upgrade` gives newer ones, without a
    /// restart.
    #[arg(long, value_name = "FILE")]
    pub krb5_cache: Option<PathBuf>,
    /// A keytab by which scheduler and executors get Kerberos tickets themselves, whenever they need one. Its first key says who
    /// they are.
    #[arg(long, value_name = "FILE", conflicts_with = "krb5_cache")]
    pub krb5_keytab: Option<PathBuf>,
    /// How places of files are reached: sections of a configuration file (`[xrootd]`, `[http]`, ...). Whoever may see the
    /// cluster may read it, so that it must not hold secrets.
    #[arg(long, value_name = "FILE")]
    pub stores: Option<PathBuf>,
    /// A port at which executors may reach storage, in place of the usual ones; they reach nothing else. May be repeated.
    #[arg(long, value_name = "PORT")]
    pub storage_port: Vec<u16>,
    /// A variable of scheduler and executors, which is no secret. May be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<KeyValue>,
    /// A label that nodes must have to run pods of the cluster. May be repeated.
    #[arg(long, value_name = "LABEL=VALUE")]
    pub node_selector: Vec<KeyValue>,
    /// A taint that nodes may have to run pods of the cluster. May be repeated.
    #[arg(long, value_name = "KEY[=VALUE][:EFFECT]")]
    pub toleration: Vec<TolerationArg>,
    /// A secret of the namespace by which the image is pulled. May be repeated.
    #[arg(long, value_name = "NAME")]
    pub pull_secret: Vec<String>,
    /// When the image is pulled; by default where the node does not have it.
    #[arg(long, value_name = "POLICY")]
    pub pull_policy: Option<PullWhen>,
}

/// Arguments of `cluster list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Where they are.
    #[command(flatten)]
    pub place: NamespaceArgs,
    /// Those of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
}

/// Arguments of `cluster scale`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  root-query cluster scale muons 4          four executors, always
  root-query cluster scale muons 0..16      as many as the work needs, up to 16

The scheduler reads its description when it starts, so that its pod is replaced. Queries of
root-query that run begin anew by themselves.")]
pub struct ScaleArgs {
    /// The cluster.
    #[arg(value_name = "NAME")]
    pub name: ClusterName,
    /// How many executors it is to have.
    #[arg(value_name = "N|MIN..MAX")]
    pub executors: String,
    /// Where it is.
    #[command(flatten)]
    pub place: NamespaceArgs,
    /// How long it is waited for.
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Arguments of `cluster delete`.
#[derive(Debug, Clone, Args)]
pub struct DeleteArgs {
    /// The cluster.
    #[command(flatten)]
    pub cluster: NamedArgs,
    /// Do not ask; where no terminal is, nobody is asked.
    #[arg(short, long)]
    pub yes: bool,
    /// Seconds that it may take until nothing is left of it.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub timeout: u64,
}

/// Arguments of `cluster logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The cluster.
    #[arg(value_name = "NAME")]
    pub name: ClusterName,
    /// One of its pods, as `cluster get` lists them; by default that of the scheduler.
    #[arg(value_name = "POD")]
    pub pod: Option<String>,
    /// The log of a job; what was kept of it, where its pod is gone.
    #[arg(long, value_name = "JOB", conflicts_with_all = ["pod", "previous"])]
    pub job: Option<JobName>,
    /// Go on as long as the pod writes.
    #[arg(short, long)]
    pub follow: bool,
    /// What the program wrote that ran before the one that runs, as after a crash.
    #[arg(short, long)]
    pub previous: bool,
    /// Only so many lines of the end.
    #[arg(long, value_name = "N")]
    pub tail: Option<u32>,
    /// Where it is.
    #[command(flatten)]
    pub place: NamespaceArgs,
}

/// Arguments of `cluster check`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exit codes: 0 if all is well, 4 if something is not allowed, 1 if anything else is wrong.")]
pub struct CheckArgs {
    /// A cluster to look at as well.
    #[arg(value_name = "NAME")]
    pub name: Option<ClusterName>,
    /// Where it is, or would be.
    #[command(flatten)]
    pub place: NamespaceArgs,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PullWhen {
    /// Each time a pod starts.
    Always,
    /// Where the node does not have it.
    #[value(alias = "IfNotPresent")]
    IfNotPresent,
    /// Never: the nodes have it.
    Never,
}

impl From<PullWhen> for PullPolicy {
    fn from(when: PullWhen) -> Self {
        match when {
            PullWhen::Always => Self::Always,
            PullWhen::IfNotPresent => Self::IfNotPresent,
            PullWhen::Never => Self::Never,
        }
    }
}

/// A file of the secret: `[NAME=]FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretArg {
    /// What it is called in the cluster.
    pub name: String,
    /// Where it is.
    pub file: PathBuf,
}

impl FromStr for SecretArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = match text.split_once('=') {
            Some((name, file)) if !name.contains('/') => (Some(name), PathBuf::from(file)),
            _ => (None, PathBuf::from(text)),
        };
        let name = name.or_else(|| file.file_name()?.to_str()).filter(|name| !name.is_empty());
        match name {
            Some(name) if !file.as_os_str().is_empty() => Ok(Self { name: name.to_string(), file }),
            _ => Err("FILE or NAME=FILE is expected, such as x509up=/tmp/x509up_u1000".to_string()),
        }
    }
}

/// A taint that nodes may have, as kubectl writes taints: `KEY[=VALUE][:EFFECT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TolerationArg {
    /// Its key.
    pub key: String,
    /// Its value; any, if it is not said.
    pub value: Option<String>,
    /// What it does; anything, if it is not said.
    pub effect: Option<String>,
}

impl FromStr for TolerationArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (taint, effect) = match text.split_once(':') {
            Some((taint, effect)) => (taint, Some(effect)),
            None => (text, None),
        };
        let (key, value) = match taint.split_once('=') {
            Some((key, value)) => (key, Some(value.to_string())),
            None => (taint, None),
        };
        let is_effect = |effect: &str| ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect);
        if key.is_empty() || effect.is_some_and(|effect| !is_effect(effect)) {
            let effects = "NoSchedule, PreferNoSchedule or NoExecute";
            return Err(format!(
                "KEY[=VALUE][:EFFECT] is expected, such as batch=yes:NoSchedule; an effect is {effects}"
            ));
        }
        Ok(Self { key: key.to_string(), value, effect: effect.map(str::to_string) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_the_name_of_its_file_unless_it_is_said() {
        let read =
            |text: &str| text.parse::<SecretArg>().map(|secret| (secret.name, secret.file.display().to_string()));
        assert_eq!(read("/tmp/x509up"), Ok(("x509up".to_string(), "/tmp/x509up".to_string())));
        assert_eq!(read("proxy=/tmp/a=b"), Ok(("proxy".to_string(), "/tmp/a=b".to_string())));
        assert_eq!(read("/tmp/a=b"), Ok(("a=b".to_string(), "/tmp/a=b".to_string())));
        assert!(["", "=x", "a=", "/"].iter().all(|text| read(text).is_err()));
    }

    #[test]
    fn taints_are_written_as_for_kubectl() {
        let read = |text: &str| text.parse::<TolerationArg>().map(|taint| (taint.key, taint.value, taint.effect));
        let own = |text: &str| Some(text.to_string());
        assert_eq!(read("batch"), Ok(("batch".to_string(), None, None)));
        assert_eq!(read("a.b/c=d:NoExecute"), Ok(("a.b/c".to_string(), own("d"), own("NoExecute"))));
        assert_eq!(read("batch:NoSchedule"), Ok(("batch".to_string(), None, own("NoSchedule"))));
        assert!(["", "=x", ":NoSchedule", "a:Never"].iter().all(|text| read(text).is_err()));
    }
}
