//! A cluster of processes for tests, and sessions on it.

use std::path::{Path, PathBuf};

use root_cluster::{LocalCluster, LocalOptions};
use root_engine::RootSession;

/// The example of the project: 1,000 events.
pub const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");

/// Where the programs of the cluster are.
pub fn programs() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_root-scheduler")).parent().unwrap().to_path_buf();
    assert!(folder.join("root-executor").exists(), "build the executor first: cargo build -p root-executor");
    folder
}

/// So many executors of one core.
pub async fn cluster(executors: usize) -> LocalCluster {
    let options = LocalOptions { executors, cores: 1, memory: Some(1 << 30), programs: Some(programs()) };
    LocalCluster::start(&options).await.unwrap()
}

/// A session whose queries run on a cluster.
pub async fn session(cluster: &LocalCluster) -> RootSession {
    RootSession::builder().elsewhere(cluster.cluster().elsewhere().await.unwrap()).build()
}
