//! A cluster of processes for tests, and sessions on it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use root_cluster::{Access, Cluster, LocalCluster, LocalOptions};
use root_engine::RootSession;

/// The example of the project: 1,000 events.
pub const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");

/// The same as a path without `..`, which alone can be named where folders are offered.
pub fn sample() -> String {
    std::fs::canonicalize(SAMPLE).unwrap().display().to_string()
}

/// Where the programs of the cluster are.
pub fn programs() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_root-scheduler")).parent().unwrap().to_path_buf();
    assert!(folder.join("root-executor").exists(), "build the executor first: cargo build -p root-executor");
    folder
}

/// So many executors of one core.
pub async fn cluster(executors: usize) -> LocalCluster {
    cluster_with(LocalOptions::new(executors, 1)).await
}

/// The same with other options.
pub async fn cluster_with(options: LocalOptions) -> LocalCluster {
    let options = LocalOptions { memory: Some(1 << 30), programs: Some(programs()), ..options };
    LocalCluster::start(&options).await.unwrap()
}

/// A session whose queries run on a cluster.
pub async fn session(cluster: &LocalCluster) -> RootSession {
    RootSession::builder().elsewhere(cluster.cluster().elsewhere().await.unwrap()).build()
}

/// What the executors of a cluster have written.
pub fn executor_logs(cluster: &LocalCluster) -> Vec<String> {
    let files = std::fs::read_dir(cluster.logs()).unwrap().map(|file| file.unwrap().path());
    let of_executors = files.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("executor-"));
    of_executors.map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// A program of a cluster with a port of its own choice, killed at the end of the test.
pub struct Process(Child);

impl Process {
    /// A scheduler on a port of this machine.
    pub fn scheduler(port: u16) -> Self {
        Self::scheduler_with(port, &[])
    }

    /// The same with other options.
    pub fn scheduler_with(port: u16, options: &[&str]) -> Self {
        let listen = format!("127.0.0.1:{port}");
        Self::start("root-scheduler", &[&["--listen", &listen], options].concat())
    }

    /// An executor of one core.
    pub fn executor(port: u16) -> Self {
        Self::executor_with(port, &[])
    }

    /// A program that writes all that it has to say into a file.
    pub fn tracing(program: &str, log: &Path, arguments: &[&[&str]]) -> Self {
        let mut command = Command::new(programs().join(program));
        command.args(arguments.concat()).args(["--log", "trace", "--until-stdin-closes"]);
        Self(command.stdin(Stdio::piped()).stderr(std::fs::File::create(log).unwrap()).spawn().unwrap())
    }

    /// The same with further options.
    pub fn executor_with(port: u16, options: &[&str]) -> Self {
        let scheduler = format!("http://127.0.0.1:{port}");
        Self::start("root-executor", &[&["--scheduler", &scheduler, "--cores", "1"], options].concat())
    }

    /// A program with these arguments.
    pub fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(programs().join(program));
        command.args(arguments);
        Self::spawn(command)
    }

    /// A program of a cluster as a command that is complete but for what is common to all.
    pub fn spawn(mut command: Command) -> Self {
        command.args(["--log", "warn", "--until-stdin-closes"]);
        Self(command.stdin(Stdio::piped()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A port that nobody uses.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A connection to the scheduler on a port, as soon as it has an executor.
pub async fn connected(port: u16) -> Cluster {
    connected_with(&format!("http://127.0.0.1:{port}"), Access::default()).await
}

/// The same whether it has executors or not.
pub async fn reachable(port: u16) -> Cluster {
    until(Duration::from_secs(60), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    Cluster::connect(&format!("http://127.0.0.1:{port}")).await.unwrap()
}

/// The same for who shows something.
pub async fn connected_with(url: &str, access: Access) -> Cluster {
    let since = Instant::now();
    loop {
        let cluster = Cluster::connect_with(url, access.clone()).await;
        if let Ok(cluster) = &cluster
            && cluster.status().await.is_ok_and(|status| status.cores > 0)
        {
            return cluster.clone();
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{url} does not come together: {cluster:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until something holds.
pub async fn until(time: Duration, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < time, "it does not come true within {time:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
