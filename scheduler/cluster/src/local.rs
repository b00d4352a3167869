//! A cluster of processes on this machine: a scheduler, and executors that it starts. They end with this process however it
//! ends.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Cluster;
use crate::error::Error;

/// How long the programs may take to start.
const START: Duration = Duration::from_secs(60);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(10);
/// Bytes of a log that tell why a program did not start.
const TAIL: usize = 2000;

/// What a cluster on this machine consists of.
#[derive(Debug, Clone)]
pub struct LocalOptions {
    /// Executors.
    pub executors: usize,
    /// Tasks that each of them runs at the same time.
    pub cores: usize,
    /// Bytes that sorts, joins and aggregations of all executors may hold together before they spill; by default a share of
    /// the machine's memory.
    pub memory: Option<u64>,
    /// How places of files are reached, as [`Settings::from_sections`](eos_io::Settings::from_sections) reads it.
    pub stores: String,
    /// The directory that keeps what is read of remote files, and how many bytes of it.
    pub cache: Option<(PathBuf, u64)>,
    /// Where the programs are; by default beside this one.
    pub programs: Option<PathBuf>,
    /// More options for the scheduler.
    pub scheduler_arguments: Vec<String>,
    /// More options for each executor.
    pub executor_arguments: Vec<String>,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            executors: 1,
            cores: 1,
            memory: None,
            stores: String::new(),
            cache: None,
            programs: None,
            scheduler_arguments: Vec::new(),
            executor_arguments: Vec::new(),
        }
    }
}

impl LocalOptions {
    /// So many executors, each of which runs so many tasks at the same time.
    pub fn new(executors: usize, cores: usize) -> Self {
        Self { executors, cores, ..Self::default() }
    }

    /// The arguments of each executor.
    fn of_executors(&self, folder: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = ["--work-dir".into(), folder.join("rows").into()].into();
        if let Some(bytes) = self.memory {
            arguments.extend(["--memory".into(), (bytes / self.executors as u64).to_string().into()]);
        }
        if let Some((directory, size)) = &self.cache {
            arguments.extend(["--cache".into(), directory.into(), "--cache-size".into(), size.to_string().into()]);
        }
        arguments.extend(self.executor_arguments.iter().map(OsString::from));
        arguments
    }
}

/// A scheduler and executors as processes of this machine. They end when this is dropped.
#[derive(Debug)]
pub struct LocalCluster {
    cluster: Cluster,
    // The files end behind the processes.
    scheduler: Process,
    folder: TempDir,
}

/// A process that ends when its standard input is closed.
#[derive(Debug)]
struct Process {
    program: &'static str,
    child: Child,
    log: PathBuf,
}

impl LocalCluster {
    /// Starts the processes, and waits until they can be asked.
    ///
    /// # Errors
    /// Where a program is missing or does not start.
    pub async fn start(options: &LocalOptions) -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("root-query-cluster-").tempdir();
        let folder = folder.map_err(|error| start("a cluster on this machine", &error))?;
        let programs = options.programs.clone().or_else(beside_this_program).unwrap_or_default();
        let address_file = folder.path().join("scheduler");
        // The directory is readable for nobody else: the file may say what secrets are sent to servers.
        let stores = folder.path().join("stores.toml");
        fs::write(&stores, &options.stores).map_err(|error| start("a cluster on this machine", &error))?;
        let mut arguments: Vec<OsString> = ["--listen", "127.0.0.1:0", "--address-file"].map(OsString::from).into();
        arguments.push(address_file.clone().into());
        arguments.extend(["--stores".into(), stores.into()]);
        arguments.extend(options.scheduler_arguments.iter().map(OsString::from));
        if options.executors > 0 {
            let [executors, cores] = [options.executors, options.cores].map(|count| OsString::from(count.to_string()));
            arguments.extend(["--start-executors".into(), executors, "--executor-cores".into(), cores]);
            arguments.extend(["--executor-logs".into(), folder.path().into()]);
            arguments.extend(["--executor-program".into(), programs.join("root-executor").into(), "--".into()]);
            arguments.extend(options.of_executors(folder.path()));
        }
        let mut scheduler = Process::start("root-scheduler", &programs, folder.path(), &arguments)?;
        let address = scheduler.wait_for(|| fs::read_to_string(&address_file).ok()).await?;
        let cluster = Cluster::connect(&address).await?.on_this_machine();
        let mut started = Self { cluster, scheduler, folder };
        started.wait_for_executors(options.executors).await?;
        Ok(started)
    }

    /// The connection to its scheduler.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Where the programs write their logs.
    pub fn logs(&self) -> &Path {
        self.folder.path()
    }

    /// The processes of its executors, from the oldest to the youngest as far as the numbers of processes tell.
    #[cfg(target_os = "linux")]
    pub fn executor_ids(&self) -> Vec<u32> {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
        let mut own: Vec<u32> = numbers.filter(|number| is_child_of(*number, self.scheduler_id())).collect();
        own.sort_unstable();
        own
    }

    /// The process of the scheduler.
    pub fn scheduler_id(&self) -> u32 {
        self.scheduler.child.id()
    }

    async fn wait_for_executors(&mut self, count: usize) -> Result<(), Error> {
        let since = Instant::now();
        loop {
            self.scheduler.check()?;
            let status = self.cluster.status().await?;
            if status.executors >= count {
                return Ok(());
            }
            // With one process, what is wrong at the start is wrong for good.
            if let Some(reason) = status.reason {
                return Err(Error::Start { program: "root-executor".to_string(), reason });
            }
            if since.elapsed() > START {
                return Err(Error::NoExecutors { scheduler: self.cluster.name() });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        drop(self.scheduler.child.stdin.take());
        self.scheduler.end();
    }
}

/// Whether a process that runs was started by another one.
#[cfg(target_os = "linux")]
fn is_child_of(process: u32, parent: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let has = |line: String| status.lines().any(|other| other == line);
    has(format!("PPid:\t{parent}")) && !status.contains("\nState:\tZ")
}

impl Process {
    fn start(program: &'static str, programs: &Path, folder: &Path, arguments: &[OsString]) -> Result<Self, Error> {
        let (path, log) = (programs.join(program), folder.join("scheduler.log"));
        let output = File::create(&log).map_err(|error| start(program, &error))?;
        let mut command = Command::new(&path);
        command.arg("--until-stdin-closes").args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(output);
        let child = command.spawn().map_err(|error| Error::Start {
            program: program.to_string(),
            reason: match error.kind() {
                io::ErrorKind::NotFound => format!("there is no {}", path.display()),
                _ => error.to_string(),
            },
        })?;
        Ok(Self { program, child, log })
    }

    /// Waits for something that the process does at its start.
    async fn wait_for<T>(&mut self, mut sign: impl FnMut() -> Option<T>) -> Result<T, Error> {
        let since = Instant::now();
        loop {
            if let Some(seen) = sign() {
                return Ok(seen);
            }
            self.check()?;
            if since.elapsed() > START {
                return Err(self.too_late());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// An error if the process has ended.
    fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.failed(&format!("it ended with {status}"))),
            Err(error) => Err(start(self.program, &error)),
        }
    }

    fn too_late(&mut self) -> Error {
        self.failed(&format!("it is not there after {} s", START.as_secs()))
    }

    fn failed(&self, what: &str) -> Error {
        let log = fs::read(&self.log).unwrap_or_default();
        let tail = log.get(log.len().saturating_sub(TAIL)..).unwrap_or_default();
        let tail = String::from_utf8_lossy(tail);
        let last = tail.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        Error::Start { program: self.program.to_string(), reason: format!("{what}: {last}") }
    }

    /// Waits a moment for the process to end by itself, which waits for its executors.
    fn end(&mut self) {
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(4) {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(LOOK),
                _ => return,
            }
        }
        // It may have ended in between.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(program: &str, error: &io::Error) -> Error {
    Error::Start { program: program.to_string(), reason: error.to_string() }
}

fn beside_this_program() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.to_path_buf())
}
