//! The command line of jobs that run in Kubernetes.

use clap::Args;
use root_kubernetes::JobName;

use super::{ClusterName, NamedArgs, NamespaceArgs};

const SUBMIT_EXAMPLES: &str = "\
Examples:
  root-query cluster submit muons -- count 'root://eos.example//d/*.root:Events'
  root-query cluster submit muons --job-name skim-2012 -- skim 'root://eos.example//d/*.root' \\
      --where 'nMuon = 2' -o root://eos.example//eos/user/m/me/dimuon.root
  root-query cluster submit muons --wait -- sql -c 'SELECT count(*) FROM t' root://eos.example//d/x.root
  root-query cluster submit muons --dry-run -- hist root://eos.example//d/x.root 'MET_pt[50,0,500]'

What stands behind -- is what `root-query` would be told here: a verb, its arguments, and options. It
runs in a pod of the cluster's image, with the cluster, so that it can be left alone: files are
places that the pod reaches, and -o is a URL. What it prints is its log, of which the cluster keeps
the last 200 KiB for a week.

The name of the job is printed. `cluster jobs`, `status`, `wait`, `logs --job` and `cancel` follow it.";

/// Arguments of `cluster submit`.
#[derive(Debug, Clone, Args)]
#[command(after_help = SUBMIT_EXAMPLES)]
pub struct SubmitArgs {
    /// The cluster.
    #[command(flatten)]
    pub cluster: NamedArgs,
    /// What the job is called; by default its verb, and some characters.
    #[arg(long, value_name = "JOB")]
    pub job_name: Option<JobName>,
    /// Wait until it is over, and exit with its code.
    #[arg(long)]
    pub wait: bool,
    // --memory is that of queries.
    /// Whole cores of its pod, which plans, and writes results that are not written by executors.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub job_cores: usize,
    /// Memory of its pod, as Kubernetes writes it.
    #[arg(long, value_name = "SIZE", default_value = "2Gi")]
    pub job_memory: String,
    /// Seconds that it may take from its submission; by default as many as it needs.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    pub timeout: Option<u64>,
    /// Print the objects that would be made as YAML, without what is secret, and make none.
    #[arg(long)]
    pub dry_run: bool,
    /// The verb and its arguments.
    #[arg(value_name = "VERB ARGUMENTS", last = true, required = true)]
    pub words: Vec<String>,
}

/// A job of a cluster.
#[derive(Debug, Clone, Args)]
pub struct JobArgs {
    /// The cluster.
    #[arg(value_name = "NAME")]
    pub name: ClusterName,
    /// The job, as `cluster jobs` lists it.
    #[arg(value_name = "JOB")]
    pub job: JobName,
    /// Where the cluster is.
    #[command(flatten)]
    pub place: NamespaceArgs,
}

/// Arguments of `cluster wait`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exit codes: that of the job, and 1 if Kubernetes ended it, or it is not over in time.")]
pub struct WaitJobArgs {
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
    /// Seconds that it is waited for at most. The job goes on.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
}

/// Arguments of `cluster cancel`.
#[derive(Debug, Clone, Args)]
pub struct CancelArgs {
    /// The job.
    #[command(flatten)]
    pub job: JobArgs,
    /// Seconds that it may take until nothing is left of it.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub timeout: u64,
}
