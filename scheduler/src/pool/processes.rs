//! Executors as processes of this machine. They end with the scheduler, however it ends.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use super::{End, Member, MemberState, Order, Pool, PoolError};

/// How long processes may take to end with the scheduler.
const END: Duration = Duration::from_secs(2);
/// How often it is looked whether they have.
const LOOK: Duration = Duration::from_millis(10);
/// Bytes of a log that tell of what a process died.
const TAIL: u64 = 2000;

/// How executors are started as processes of this machine.
#[derive(Debug, Clone, Default)]
pub struct ProcessOptions {
    /// The program; by default `root-executor` beside this one.
    pub program: Option<PathBuf>,
    /// More arguments.
    pub arguments: Vec<OsString>,
    /// The directory where each writes its log; by default, they write where the scheduler does.
    pub logs: Option<PathBuf>,
}

/// Executors as processes of this machine.
#[derive(Debug)]
pub(crate) struct Processes {
    program: PathBuf,
    arguments: Vec<OsString>,
    logs: Option<PathBuf>,
    children: Mutex<HashMap<String, Process>>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    is_stopping: bool,
}

impl Processes {
    /// Those of a scheduler that listens there, with so many cores each.
    pub(crate) fn new(options: ProcessOptions, scheduler: &str, cores: usize) -> Self {
        let beside = || std::env::current_exe().ok()?.parent().map(|folder| folder.join("root-executor"));
        let program = options.program.or_else(beside).unwrap_or_else(|| PathBuf::from("root-executor"));
        let mut arguments: Vec<OsString> = ["--scheduler", scheduler, "--cores"].map(OsString::from).into();
        arguments.push(cores.to_string().into());
        arguments.extend(options.arguments);
        Self { program, arguments, logs: options.logs, children: Mutex::default() }
    }

    fn log(&self, name: &str) -> Option<PathBuf> {
        self.logs.as_ref().map(|folder| folder.join(format!("{name}.log")))
    }

    fn spawn(&self, name: &str) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(["--name", name]).args(&self.arguments).arg("--until-stdin-closes");
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        if let Some(log) = self.log(name) {
            command.stderr(File::create(log)?);
        }
        command.spawn()
    }

    fn state(&self, name: &str, process: &mut Process) -> MemberState {
        match process.child.try_wait() {
            Ok(None) if process.is_stopping => MemberState::Stopping,
            Ok(None) => MemberState::Running,
            Ok(Some(status)) if status.success() => MemberState::Ended(End::Done),
            Ok(Some(status)) => {
                let last = self.log(name).and_then(|log| last_line(&log)).map(|line| format!(": {line}"));
                MemberState::Ended(End::Failed(format!("{status}{}", last.unwrap_or_default())))
            }
            Err(error) => MemberState::Ended(End::Failed(error.to_string())),
        }
    }
}

#[async_trait]
impl Pool for Processes {
    async fn members(&self) -> Result<Vec<Member>, PoolError> {
        let mut children = self.children.lock();
        let members = children.iter_mut().map(|(name, process)| {
            let state = self.state(name, process);
            // All share the memory of the machine.
            Member { name: name.clone(), state, memory_step: 0, is_current: true }
        });
        Ok(members.collect())
    }

    async fn start(&self, order: &Order) -> Result<(), PoolError> {
        let child = self.spawn(&order.name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                PoolError(format!("cannot start executors: there is no {}", self.program.display()))
            }
            _ => PoolError(format!("cannot start {}: {error}", self.program.display())),
        })?;
        self.children.lock().insert(order.name.clone(), Process { child, is_stopping: false });
        Ok(())
    }

    async fn stop(&self, name: &str) -> Result<(), PoolError> {
        let mut children = self.children.lock();
        let Some(process) = children.get_mut(name) else { return Ok(()) };
        process.is_stopping = true;
        let number = i32::try_from(process.child.id()).ok().and_then(Pid::from_raw);
        match number.map(|number| kill_process(number, Signal::TERM)) {
            Some(Err(error)) => Err(PoolError(format!("cannot stop the executor {name}: {error}"))),
            _ => Ok(()),
        }
    }

    async fn remove(&self, name: &str, _: &End) -> Result<(), PoolError> {
        self.children.lock().remove(name);
        Ok(())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let children = self.children.get_mut();
        for process in children.values_mut() {
            drop(process.child.stdin.take());
        }
        let since = Instant::now();
        for process in children.values_mut() {
            while since.elapsed() < END && matches!(process.child.try_wait(), Ok(None)) {
                std::thread::sleep(LOOK);
            }
            // It may have ended in between.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// The last line of a log that says something.
fn last_line(log: &Path) -> Option<String> {
    use std::io::{Read, Seek, SeekFrom};
    let length = fs::metadata(log).ok()?.len();
    let mut file = File::open(log).ok()?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail).into_owned();
    tail.lines().rfind(|line| !line.trim().is_empty()).map(str::to_string)
}
