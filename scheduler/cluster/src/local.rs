//! A cluster of processes on this machine: a scheduler and some executors, which end with this process however it ends. An
//! executor that dies is started again, as the kubelet does it elsewhere.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;

use crate::client::Cluster;
use crate::error::Error;

/// How long the programs may take to start.
const START: Duration = Duration::from_secs(60);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(10);
/// How often it is looked whether executors have died.
const KEEP: Duration = Duration::from_millis(50);
/// Share of the machine's memory that sorts, joins and aggregations of all executors may hold together.
const MEMORY_SHARE: f64 = 0.7;
/// How long an executor that died is left alone before it is started again: at first, and at most. Each death doubles it.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How long an executor has to live for its deaths to be forgotten.
const SOUND: Duration = Duration::from_secs(60);
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
}

/// A scheduler and executors as processes of this machine. They end when this is dropped.
#[derive(Debug)]
pub struct LocalCluster {
    cluster: Cluster,
    executors: Arc<Mutex<Vec<Executor>>>,
    /// Starts executors again; ends when it cannot send any more.
    keeper: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
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

/// An executor that is started again when it dies.
#[derive(Debug)]
struct Executor {
    process: Process,
    recipe: Recipe,
    started: Instant,
    /// How long it is left alone after its next death.
    back_off: Duration,
    /// When it died, if it is not to live.
    died: Option<Instant>,
}

/// How a process is started.
#[derive(Debug, Clone)]
struct Recipe {
    program: &'static str,
    path: PathBuf,
    log: PathBuf,
    arguments: Vec<OsString>,
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
        let of_stores: [OsString; 2] = ["--stores".into(), stores.into()];
        let mut arguments: Vec<OsString> = ["--listen", "127.0.0.1:0", "--address-file"].map(OsString::from).into();
        arguments.push(address_file.clone().into());
        arguments.extend(of_stores.clone());
        arguments.extend(options.scheduler_arguments.iter().map(OsString::from));
        let mut scheduler =
            Recipe::new("root-scheduler", &programs, folder.path(), "scheduler.log", arguments).start()?;
        let address = scheduler.wait_for(|| fs::read_to_string(&address_file).ok()).await?;
        let cluster = Cluster::connect(&address).await?.on_this_machine();
        let mut executors = Vec::with_capacity(options.executors);
        for number in 0..options.executors {
            let (of_memory, memory) = match options.memory {
                Some(bytes) => ("--memory", (bytes / options.executors as u64).to_string()),
                None => ("--memory-share", (MEMORY_SHARE / options.executors as f64).to_string()),
            };
            let cores = options.cores.to_string();
            let mut arguments: Vec<OsString> = vec!["--work-dir".into(), folder.path().join("rows").into()];
            arguments.extend(["--scheduler", &address, "--cores", &cores, of_memory, &memory].map(OsString::from));
            arguments.extend(options.executor_arguments.iter().map(OsString::from));
            let log = format!("executor-{number}.log");
            arguments.extend(of_stores.clone());
            if let Some((directory, size)) = &options.cache {
                let size = size.to_string();
                arguments.extend(["--cache".into(), directory.into(), "--cache-size".into(), size.into()]);
            }
            executors.push(Executor::start(Recipe::new("root-executor", &programs, folder.path(), &log, arguments))?);
        }
        let executors = Arc::new(Mutex::new(executors));
        let mut started = Self { cluster, executors, keeper: None, scheduler, folder };
        started.wait_for_executors(options.executors).await?;
        started.keep();
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
        self.executors.lock().get(number).map(|executor| executor.process.child.id())
    }

    /// The process of the scheduler.
    pub fn scheduler_id(&self) -> u32 {
        self.scheduler.child.id()
    }

    async fn wait_for_executors(&mut self, count: usize) -> Result<(), Error> {
        let since = Instant::now();
        loop {
            self.scheduler.check()?;
            for executor in self.executors.lock().iter_mut() {
                executor.process.check()?;
            }
            if self.cluster.status().await?.executors >= count {
                return Ok(());
            }
            if since.elapsed() > START {
                let scheduler = self.cluster.name();
                let mut executors = self.executors.lock();
                let first = executors.first_mut();
                return Err(first.map_or(Error::NoExecutors { scheduler }, |one| one.process.too_late()));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Starts executors again that die, from now on.
    fn keep(&mut self) {
        let executors = Arc::clone(&self.executors);
        let (stop, stopped) = mpsc::channel();
        let keeper = std::thread::spawn(move || {
            while stopped.recv_timeout(KEEP) == Err(RecvTimeoutError::Timeout) {
                executors.lock().iter_mut().for_each(Executor::keep);
            }
        });
        self.keeper = Some((stop, keeper));
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        if let Some((stop, keeper)) = self.keeper.take() {
            drop(stop);
            // It has nothing to say.
            let _ = keeper.join();
        }
        let mut executors = self.executors.lock();
        let executors = executors.iter_mut().map(|executor| &mut executor.process);
        let mut processes: Vec<_> = executors.chain([&mut self.scheduler]).collect();
        for process in &mut processes {
            drop(process.child.stdin.take());
        }
        processes.into_iter().for_each(Process::end);
    }
}

impl Executor {
    fn start(recipe: Recipe) -> Result<Self, Error> {
        let process = recipe.start()?;
        Ok(Self { process, recipe, started: Instant::now(), back_off: BACK_OFF.0, died: None })
    }

    /// Starts it again if it died some time ago. One that ended in peace stays away.
    fn keep(&mut self) {
        let Some(died) = self.died else {
            if let Ok(Some(status)) = self.process.child.try_wait()
                && !status.success()
            {
                tracing::warn!(
                    "an executor died ({status}) and is started again; its log is {}",
                    self.recipe.log.display()
                );
                if self.started.elapsed() > SOUND {
                    self.back_off = BACK_OFF.0;
                }
                self.died = Some(Instant::now());
            }
            return;
        };
        if died.elapsed() < self.back_off {
            return;
        }
        self.back_off = (2 * self.back_off).min(BACK_OFF.1);
        match self.recipe.start() {
            Ok(process) => {
                (self.process, self.started, self.died) = (process, Instant::now(), None);
            }
            Err(error) => {
                tracing::warn!("{error}");
                self.died = Some(Instant::now());
            }
        }
    }
}

impl Recipe {
    fn new(program: &'static str, programs: &Path, folder: &Path, log: &str, arguments: Vec<OsString>) -> Self {
        Self { program, path: programs.join(program), log: folder.join(log), arguments }
    }

    fn start(&self) -> Result<Process, Error> {
        let Self { program, path, log, arguments } = self;
        // Those that died have told of what.
        let output = File::options().create(true).append(true).open(log).map_err(|error| start(program, &error))?;
        let mut command = Command::new(path);
        command.args(arguments).arg("--until-stdin-closes");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(output);
        let child = command.spawn().map_err(|error| Error::Start {
            program: program.to_string(),
            reason: match error.kind() {
                io::ErrorKind::NotFound => format!("there is no {}", path.display()),
                _ => error.to_string(),
            },
        })?;
        Ok(Process { program, child, log: log.clone() })
    }
}

impl Process {
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
