//! Processes of servers: started so that they cannot outlive the tests, and ended with everything that they started.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};

use crate::place::{self, Account};

const PATIENCE: Duration = Duration::from_secs(60);

/// The process groups that are running.
static LIVE: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// All variables that it has, but for `PATH` and `HOME`.
    pub env: Vec<(String, String)>,
    /// Where it runs.
    pub dir: PathBuf,
    /// Where it writes what it says.
    pub log: PathBuf,
    /// Runs as the servers' user, not as the caller.
    pub as_server: bool,
    /// The largest file that it can write.
    pub file_limit: Option<u64>,
    /// What its log says when it is up.
    pub ready: &'static str,
    /// Where it listens when it is up.
    pub port: Option<u16>,
}

/// Why a server did not come up.
#[derive(Debug)]
pub enum Failed {
    /// Another program took the port in between.
    PortTaken,
    /// Something else.
    Other(String),
}

impl Failed {
    /// The test has failed.
    ///
    /// # Panics
    /// With the reason.
    pub fn give_up(self) -> ! {
        match self {
            Self::PortTaken => panic!("its port was taken by another program"),
            Self::Other(reason) => panic!("{reason}"),
        }
    }
}

/// A running server, the leader of its own process group.
#[derive(Debug)]
pub struct Process {
    child: Mutex<Child>,
    group: Pid,
}

impl Process {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start(spec: &Spec) -> Result<Self, Failed> {
        let start = fs::metadata(&spec.log).map_or(0, |meta| meta.len());
        let child = spawn(spec.clone());
        let group = Pid::from_child(&child);
        LIVE.lock().unwrap().insert(group.as_raw_nonzero().get());
        let process = Self { child: Mutex::new(child), group };
        process.wait_until_ready(spec, start)?;
        Ok(process)
    }

    fn wait_until_ready(&self, spec: &Spec, start: u64) -> Result<(), Failed> {
        let began = Instant::now();
        let log = || tail(&spec.log, start);
        loop {
            if let Some(status) = self.child.lock().unwrap().try_wait().expect("it is our child") {
                let log = log();
                if log.to_lowercase().contains("already in use") {
                    return Err(Failed::PortTaken);
                }
                return Err(Failed::Other(format!(
                    "{} ended while starting ({status}):\n{log}",
                    spec.program.display()
                )));
            }
            let connects = || spec.port.is_none_or(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
            if log().contains(spec.ready) && connects() {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(Failed::Other(format!("{} does not come up:\n{}", spec.program.display(), log())));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops it in its tracks: connections stay open and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Has it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.group.as_raw_nonzero().get().unsigned_abs()
    }

    fn signal(&self, signal: Signal) {
        // Whoever has ended needs no signal.
        let _ = rustix::process::kill_process_group(self.group, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.lock().map(|mut child| child.wait());
        if let Ok(mut live) = LIVE.lock() {
            live.remove(&self.group.as_raw_nonzero().get());
        }
    }
}

/// The last lines of a log, from a position on.
fn tail(log: &Path, start: u64) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let new = bytes.get(usize::try_from(start).unwrap_or(0)..).unwrap_or_default();
    String::from_utf8_lossy(new).into_owned()
}

type Job = Box<dyn FnOnce() + Send>;

/// Starts a process from a thread that lives as long as we do: the signal that a process gets when its parent ends is
/// sent when the *thread* ends that started it, and tests run in threads of their own.
fn spawn(spec: Spec) -> Child {
    static STARTER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, jobs) = channel::<Job>();
        std::thread::Builder::new()
            .name("testbed-starter".into())
            .spawn(move || jobs.into_iter().for_each(|job| job()))
            .expect("a thread can be started");
        Mutex::new(sender)
    });
    let (reply, child) = channel();
    let program = spec.program.clone();
    let job: Job = Box::new(move || {
        let _ = reply.send(spawn_here(&spec));
    });
    starter.lock().unwrap().send(job).expect("the thread never ends");
    child
        .recv()
        .expect("the thread answers")
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()))
}

fn spawn_here(spec: &Spec) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(&spec.log)?;
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HOME", &spec.dir)
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&spec.dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    if let (true, Some(account)) = (spec.as_server, Account::of_servers()) {
        command.uid(account.uid).gid(account.gid);
    }
    let limit = spec.file_limit;
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec only system calls are made, nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(move || {
            // After the change of the user, which would clear it.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(io::Error::from(rustix::io::Errno::CHILD));
            }
            if limit.is_some() {
                // Writing more than that is to fail, not to end the server.
                libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
                rustix::process::setrlimit(Resource::Fsize, Rlimit { current: limit, maximum: limit })?;
            }
            Ok(())
        });
    }
    command.spawn()
}

/// Has what is still running ended, and what is left removed, when the process ends in good order.
pub(crate) fn at_exit() {
    extern "C" fn clean() {
        if let Ok(live) = LIVE.lock() {
            for group in live.iter().copied().filter_map(Pid::from_raw) {
                let _ = rustix::process::kill_process_group(group, Signal::KILL);
                let _ = rustix::process::waitpid(Some(group), rustix::process::WaitOptions::empty());
            }
        }
        place::remove_all();
    }
    // SAFETY: the function has the type that C asks for and lives as long as the program.
    unsafe { libc::atexit(clean) };
}
