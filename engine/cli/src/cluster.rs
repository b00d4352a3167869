//! The cluster that `--cluster` names: connected to, or started on this machine, before a verb runs. `kubernetes` is the way to
//! those on Kubernetes.

mod kubernetes;

use std::path::Path;
use std::sync::Arc;

use root_cluster::{Access, Cluster, LocalCluster, LocalOptions};
use root_engine::Elsewhere;

use crate::config::Settings;
use crate::console::Console;
use crate::exit::Failure;

pub use kubernetes::{Forwarding, forward};

/// Where queries run.
#[derive(Debug)]
pub struct Connected {
    /// What sessions are built with.
    pub elsewhere: Arc<dyn Elsewhere>,
    /// The processes, if they were started for this run.
    processes: Option<LocalCluster>,
    /// The way there, if it leads through Kubernetes; it is open as long as this is kept.
    _way: Option<Forwarding>,
}

impl Connected {
    /// Whether executors reach what is written to such a place.
    pub fn can_write(&self, output: &Path) -> bool {
        self.processes.is_some() || output.to_str().is_some_and(eos_io::is_url)
    }
}

/// Connects to the cluster that the settings name, if they name one.
pub async fn connect(settings: &Settings, console: &Console) -> Result<Option<Connected>, Failure> {
    let Some(name) = &settings.cluster else { return Ok(None) };
    if let Some(place) = name.strip_prefix("k8s:") {
        let (cluster, way) = kubernetes::connect(settings, console, place).await?;
        return Ok(Some(Connected { elsewhere: cluster.elsewhere().await?, processes: None, _way: Some(way) }));
    }
    let Some(count) = name.strip_prefix("local:") else {
        let cluster = as_set(Cluster::connect_with(name, access(settings)).await?, settings);
        return Ok(Some(Connected { elsewhere: cluster.elsewhere().await?, processes: None, _way: None }));
    };
    let executors = count.parse().ok().filter(|count| (1..=256).contains(count)).ok_or_else(|| {
        Failure::usage(format!("--cluster {name}: behind local: stands how many executors to start, 1 to 256"))
    })?;
    let options = LocalOptions {
        memory: settings.memory.map(|size| size.0 as u64),
        stores: settings.remote.to_file(),
        cache: settings.cache.clone().map(|directory| (directory, settings.cache_size.0 as u64)),
        ..LocalOptions::new(executors, (settings.threads.get() / executors).max(1))
    };
    let processes = LocalCluster::start(&options).await?;
    let cluster = as_set(processes.cluster().clone(), settings);
    Ok(Some(Connected { elsewhere: cluster.elsewhere().await?, processes: Some(processes), _way: None }))
}

/// A cluster where queries take as long as the settings let them.
fn as_set(cluster: Cluster, settings: &Settings) -> Cluster {
    cluster.with_job_timeout(settings.job_timeout).with_patience(settings.cluster_patience)
}

/// What is shown to a scheduler, and who may vouch for it.
fn access(settings: &Settings) -> Access {
    let mut access = Access::default();
    access.token_file.clone_from(&settings.cluster_token_file);
    access.authorities.clone_from(&settings.cluster_ca);
    access.server_name.clone_from(&settings.cluster_host);
    access
}

impl From<root_cluster::Error> for Failure {
    fn from(error: root_cluster::Error) -> Self {
        Self::new(error.kind().into(), error.to_string())
    }
}
