//! A cluster of processes on this machine: a scheduler and some executors, which end with this process however it ends.

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
/// Share of the machine's memory that sorts, joins and aggregations of all executors may hold together.
const MEMORY_SHARE: f64 = 0.7;
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
}

impl LocalOptions {
    /// So many executors, each of which runs so many tasks at the same time.
    pub fn new(executors: usize, cores: usize) -> Self {
        Self { executors, cores, memory: None, stores: String::new(), cache: None, programs: None }
    }
}

/// A scheduler and executors as processes of this machine. They end when this is dropped.
#[derive(Debug)]
pub struct LocalCluster {
    cluster: Cluster,
    executors: Vec<Process>,
    // The scheduler ends behind its executors, and the files behind all of them.
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
        let mut scheduler = Process::start("root-scheduler", &programs, folder.path(), "scheduler.log", |command| {
            command.args(["--listen", "127.0.0.1:0", "--address-file"]).arg(&address_file).arg("--stores").arg(&stores);
        })?;
        let address = scheduler.wait_for(|| fs::read_to_string(&address_file).ok()).await?;
        let cluster = Cluster::connect(&address).await?.on_this_machine();
        let mut executors = Vec::with_capacity(options.executors);
        for number in 0..options.executors {
            let log = format!("executor-{number}.log");
            executors.push(Process::start("root-executor", &programs, folder.path(), &log, |command| {
                command.args(["--scheduler", &address, "--cores", &options.cores.to_string(), "--stores"]).arg(&stores);
                if let Some((directory, size)) = &options.cache {
                    command.arg("--cache").arg(directory).args(["--cache-size", &size.to_string()]);
                }
                match options.memory {
                    Some(bytes) => command.args(["--memory", &(bytes / options.executors as u64).to_string()]),
                    None => command.args(["--memory-share", &(MEMORY_SHARE / options.executors as f64).to_string()]),
                };
            })?);
        }
        let mut started = Self { cluster, executors, scheduler, folder };
        started.wait_for_executors().await?;
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

    /// The process of an executor.
    pub fn executor_id(&self, number: usize) -> Option<u32> {
        self.executors.get(number).map(|executor| executor.child.id())
    }

    /// The process of the scheduler.
    pub fn scheduler_id(&self) -> u32 {
        self.scheduler.child.id()
    }

    async fn wait_for_executors(&mut self) -> Result<(), Error> {
        let since = Instant::now();
        loop {
            for process in self.executors.iter_mut().chain([&mut self.scheduler]) {
                process.check()?;
            }
            if self.cluster.status().await?.executors >= self.executors.len() {
                return Ok(());
            }
            if since.elapsed() > START {
                let first = self.executors.first_mut();
                return Err(first.map_or(Error::NoExecutors { scheduler: self.cluster.name() }, |one| one.too_late()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        for process in self.executors.iter_mut().chain([&mut self.scheduler]) {
            drop(process.child.stdin.take());
        }
        for process in self.executors.iter_mut().chain([&mut self.scheduler]) {
            process.end();
        }
    }
}

impl Process {
    fn start(
        program: &'static str,
        programs: &Path,
        folder: &Path,
        log: &str,
        arguments: impl FnOnce(&mut Command),
    ) -> Result<Self, Error> {
        let log = folder.join(log);
        let output = File::create(&log).map_err(|error| start(program, &error))?;
        let mut command = Command::new(programs.join(program));
        arguments(&mut command);
        command.arg("--until-stdin-closes").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(output);
        let child = command.spawn().map_err(|error| Error::Start {
            program: program.to_string(),
            reason: match error.kind() {
                io::ErrorKind::NotFound => format!("there is no {}", programs.join(program).display()),
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

    /// Waits a moment for the process to end by itself.
    fn end(&mut self) {
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(2) {
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
