//! The cluster that `--cluster` names: connected to, or started on this machine, before a verb runs.

use std::sync::Arc;

use root_cluster::{Cluster, LocalCluster, LocalOptions};
use root_engine::Elsewhere;

use crate::config::Settings;
use crate::exit::Failure;

/// Where queries run.
#[derive(Debug)]
pub struct Connected {
    /// What sessions are built with.
    pub elsewhere: Arc<dyn Elsewhere>,
    /// The processes, if they were started for this run.
    _processes: Option<LocalCluster>,
}

/// Connects to the cluster that the settings name, if they name one.
pub async fn connect(settings: &Settings) -> Result<Option<Connected>, Failure> {
    let Some(name) = &settings.cluster else { return Ok(None) };
    let Some(count) = name.strip_prefix("local:") else {
        let cluster = Cluster::connect(name).await?.with_job_timeout(settings.job_timeout);
        return Ok(Some(Connected { elsewhere: cluster.elsewhere().await?, _processes: None }));
    };
    let executors = count.parse().ok().filter(|count| (1..=256).contains(count)).ok_or_else(|| {
        Failure::usage(format!("--cluster {name}: behind local: stands how many executors to start, 1 to 256"))
    })?;
    let options = LocalOptions {
        executors,
        cores: (settings.threads.get() / executors).max(1),
        memory: settings.memory.map(|size| size.0 as u64),
        ..LocalOptions::default()
    };
    let processes = LocalCluster::start(&options).await?;
    let cluster = processes.cluster().clone().with_job_timeout(settings.job_timeout);
    Ok(Some(Connected { elsewhere: cluster.elsewhere().await?, _processes: Some(processes) }))
}

impl From<root_cluster::Error> for Failure {
    fn from(error: root_cluster::Error) -> Self {
        Self::new(error.kind().into(), error.to_string())
    }
}
