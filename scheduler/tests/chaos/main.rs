//! Everything goes wrong, in any order, for CHAOS_SECONDS: executors and the scheduler are killed and stopped, networks cut,
//! and storage does not answer, while clients ask. Every answer has to be right, or an error that says what happened; nothing
//! may hang; and nothing may be left when it is over. `make chaos` runs it; CHAOS_SEED runs the same faults again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../it/files.rs"]
mod files;
mod machines;
mod queries;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use files::{FileServer, Reply};
use machines::Network;
use queries::{Known, Tally};
use root_cluster::Cluster;

const EXECUTORS: usize = 3;
const CLIENTS: usize = 8;
/// How long one query may take, and with it every resubmission.
const PATIENCE: Duration = Duration::from_secs(300);
/// Memory that a scheduler may have gained when it is over, in bytes.
const GROWTH: u64 = 500 << 20;

/// Numbers that a seed decides (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// A program that is started again when it has ended.
struct Program {
    command: Command,
    child: Child,
    starts: usize,
}

impl Program {
    fn start(mut command: Command, log: &Path) -> Self {
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        command.args(["--log", "info", "--until-stdin-closes"]).stdin(Stdio::piped()).stderr(log);
        let child = command.spawn().unwrap();
        Self { command, child, starts: 1 }
    }

    fn keep(&mut self) {
        if self.child.try_wait().unwrap().is_some() {
            self.child = self.command.spawn().unwrap();
            self.starts += 1;
        }
    }

    fn signal(&self, name: &str) {
        let _ = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
    }

    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).map_or(0, |kilobytes| kilobytes.parse::<u64>().unwrap() << 10)
    }

    fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How often each fault was done.
#[derive(Debug, Default)]
struct Faults {
    executor_kills: usize,
    executor_pauses: usize,
    cuts: usize,
    storage: usize,
    scheduler_pauses: usize,
    scheduler_kills: usize,
}

fn main() {
    let seconds = std::env::var("CHAOS_SECONDS").map_or(1200, |text| text.parse().expect("CHAOS_SECONDS is a number"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let seed = std::env::var("CHAOS_SEED").map_or(now, |text| text.parse().expect("CHAOS_SEED is a number"));
    println!("chaos for {seconds} s; the same again: CHAOS_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(32 << 20).build().unwrap();
    runtime.block_on(run(Duration::from_secs(seconds), Random(seed)));
}

fn programs() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_root-scheduler")).parent().unwrap().to_path_buf();
    assert!(folder.join("root-executor").exists(), "build the executor first");
    folder
}

/// Where logs stay when it is over, until the next time.
fn logs() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

async fn run(time: Duration, mut random: Random) {
    let folder = tempfile::tempdir().unwrap();
    let logs = logs();
    println!("logs: {}", logs.display());
    let network = Network::new(EXECUTORS);
    let host = network.as_ref().map_or("127.0.0.1".to_string(), Network::host);
    if let Err(reason) = &network {
        println!("networks are not cut, as none can be made here: {reason}");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://{host}:{port}");
    let mut scheduler = Command::new(programs().join("root-scheduler"));
    scheduler.args(["--listen", &format!("{host}:{port}"), "--executor-timeout", "6", "--keep-results", "10"]);
    let mut scheduler = Program::start(scheduler, &logs.join("scheduler.log"));
    let work = folder.path().join("work");
    let mut executors = Vec::new();
    for number in 0..EXECUTORS {
        let program = programs().join("root-executor");
        let mut command = match &network {
            Ok(network) => network.command(number, &program),
            Err(_) => Command::new(&program),
        };
        let listen = network.as_ref().map_or(host.clone(), |network| network.address(number));
        command.args(["--scheduler", &url, "--cores", "1", "--memory", "200000000", "--listen", &listen, "--work-dir"]);
        command.arg(&work);
        executors.push(Program::start(command, &logs.join(format!("executor-{number}.log"))));
    }
    with_executors(&url).await;
    let no_storage = Arc::new(AtomicBool::new(false));
    let failing = no_storage.clone();
    let script = move |_, _: &_| if failing.load(Ordering::Relaxed) { Reply::Unavailable } else { Reply::File };
    let server = FileServer::start(&host, std::fs::read(queries::SAMPLE).unwrap(), script).await;
    let known = Arc::new(Known::find(&server.url("f.root"), folder.path()).await);

    let tally = Arc::new(Tally::default());
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let random = Random(random.next());
            tokio::spawn(queries::ask(url.clone(), random, known.clone(), tally.clone(), over.clone()))
        })
        .collect();

    let mut faults = Faults::default();
    let begun = Instant::now();
    // The last third has the same scheduler, so that it shows what it keeps.
    let steady = time * 2 / 3;
    let mut memory = None;
    while begun.elapsed() < time {
        tokio::time::sleep(Duration::from_millis(1000 + random.below(4000))).await;
        let number = random.below(EXECUTORS as u64) as usize;
        let pause = Duration::from_millis(500 + random.below(11_500));
        match random.below(100) {
            0..25 => {
                faults.executor_kills += 1;
                executors[number].signal("KILL");
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            25..45 => {
                faults.executor_pauses += 1;
                executors[number].signal("STOP");
                tokio::time::sleep(pause).await;
                executors[number].signal("CONT");
            }
            45..65 if network.is_ok() => {
                faults.cuts += 1;
                let network = network.as_ref().unwrap();
                network.set(number, "down");
                tokio::time::sleep(pause).await;
                network.set(number, "up");
            }
            45..90 => {
                faults.storage += 1;
                no_storage.store(true, Ordering::Relaxed);
                tokio::time::sleep(pause / 4).await;
                no_storage.store(false, Ordering::Relaxed);
            }
            90..95 => {
                faults.scheduler_pauses += 1;
                scheduler.signal("STOP");
                tokio::time::sleep(pause / 3).await;
                scheduler.signal("CONT");
            }
            _ if begun.elapsed() < steady => {
                faults.scheduler_kills += 1;
                scheduler.signal("KILL");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            _ => {}
        }
        scheduler.keep();
        executors.iter_mut().for_each(Program::keep);
        if begun.elapsed() > steady && memory.is_none() {
            memory = Some(scheduler.memory());
        }
    }

    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("a client failed");
    }
    for _ in 0..20 {
        executors.iter_mut().for_each(Program::keep);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    with_executors(&url).await;
    let answer =
        reqwest::Client::builder().no_proxy().build().unwrap().get(format!("{url}/metrics")).send().await.unwrap();
    let metrics = answer.text().await.unwrap();
    // Executors that were away when rows were to be removed find it out by themselves.
    let since = Instant::now();
    while !files_in(&work).is_empty() && since.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let files = files_in(&work);
    let (before, after) = (memory.unwrap_or_default(), scheduler.memory());
    println!("after {} s: {faults:?}", begun.elapsed().as_secs());
    let starts: usize = executors.iter().map(|executor| executor.starts).sum();
    println!("executors were started {starts} times, the scheduler {} times", scheduler.starts);
    tally.show();
    println!("memory of the scheduler: {} MB, {} MB a third of the time before", after >> 20, before >> 20);
    for (number, executor) in executors.iter().enumerate() {
        println!("executor {number}: {} MB, {} open files", executor.memory() >> 20, executor.open_files());
    }
    println!("open files of the scheduler: {}; files of rows: {}", scheduler.open_files(), files.len());

    assert_eq!(tally.wrong(), Vec::<String>::new(), "wrong answers");
    assert!(metrics.lines().any(|line| line == "rootquery_tasks_running 0"), "tasks are left: {metrics}");
    assert!(metrics.lines().any(|line| line == "rootquery_jobs{state=\"running\"} 0"), "jobs are left: {metrics}");
    assert!(files.is_empty(), "files are left: {files:?}");
    assert!(after < before + GROWTH, "the scheduler grew from {before} to {after} bytes");
    assert!(scheduler.open_files() < 1000, "the scheduler keeps files open");
    assert!(executors.iter().all(|executor| executor.open_files() < 1000), "executors keep files open");
}

/// Waits until all executors are there.
async fn with_executors(url: &str) {
    let since = Instant::now();
    loop {
        if let Ok(cluster) = Cluster::connect(url).await
            && cluster.status().await.is_ok_and(|status| status.executors == EXECUTORS)
        {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(120), "the cluster does not come together");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Files of rows that executors have left.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] });
    all.filter(|path| !path.ends_with("lock")).collect()
}
