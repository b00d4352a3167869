//! However a test process ends, nothing of what it started stays.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use eos_testbed::{Kdc, Tool, Xrootd};

const MARK: &str = "started: ";

/// What the other tests run as a process of its own.
#[test]
#[ignore = "other tests start it as a process of its own"]
fn a_process_with_servers_in_statics() {
    static SERVER: LazyLock<Xrootd> = LazyLock::new(|| Xrootd::stage().start());
    static KDC: LazyLock<Kdc> = LazyLock::new(Kdc::start);
    // From a thread that ends: the servers stay.
    std::thread::spawn(|| LazyLock::force(&SERVER)).join().expect("it starts");
    let folder = SERVER.volume().path("/");
    let config = KDC.config();

    eprintln!("\n{MARK}{} {} {}", SERVER.process_id().expect("running"), folder.display(), config.display());
    match std::env::var("EOS_TESTBED_ENDING").as_deref() {
        Ok("killed") => std::thread::sleep(Duration::from_secs(60)),
        Ok("panic") => panic!("as asked for"),
        _ => {}
    }
}

struct Started {
    process: Child,
    server: PathBuf,
    folders: Vec<PathBuf>,
}

fn process(ending: &str) -> Started {
    let mut process = Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "--nocapture", "endings::a_process_with_servers_in_statics"])
        .env("EOS_TESTBED_ENDING", ending)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this program runs");
    let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let line = lines.find_map(|line| line.strip_prefix(MARK).map(str::to_owned)).expect("it says what it started");
    // So that it can go on writing.
    std::thread::spawn(move || lines.for_each(drop));
    let (server, folders) = line.split_once(' ').expect("a number and folders");
    let folders = folders.split(' ').map(PathBuf::from).collect();
    Started { process, server: Path::new("/proc").join(server), folders }
}

fn gone(path: &Path) -> bool {
    let began = Instant::now();
    while path.exists() && began.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    !path.exists()
}

#[test]
fn servers_in_statics_end_with_the_process_and_leave_no_files() {
    for ending in ["well", "panic"] {
        let mut started = process(ending);
        let status = started.process.wait().expect("it ends");

        assert_eq!(status.success(), ending == "well");
        assert!(gone(&started.server), "{ending}");
        assert!(started.folders.iter().all(|folder| !folder.exists()), "{ending}: {:?}", started.folders);
    }
}

#[test]
fn servers_end_when_the_process_is_killed_and_the_next_one_removes_their_files() {
    let mut started = process("killed");
    assert!(started.server.exists());

    started.process.kill().expect("it runs");
    started.process.wait().expect("it ends");

    assert!(gone(&started.server));
    process("well").process.wait().expect("it ends");
    assert!(started.folders.iter().all(|folder| gone(folder)), "{:?}", started.folders);
}

#[test]
fn a_server_that_is_dropped_is_gone_with_its_files() {
    let server = Xrootd::standalone().start();
    let process = Path::new("/proc").join(server.process_id().expect("running").to_string());
    let folder = server.volume().path("/");
    assert!(process.exists() && folder.exists());

    drop(server);

    assert!(!process.exists() && !folder.exists());
}

#[test]
fn a_script_that_a_server_started_ends_with_it() {
    for builder in [Xrootd::stage(), Xrootd::stage_async()] {
        let server = builder.start();
        let at = format!("127.0.0.1:{}", server.port());
        let impatient = [("XRD_REQUESTTIMEOUT", "1"), ("XRD_TIMEOUTRESOLUTION", "1")];
        let impatient = impatient.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(!Tool::new("xrdfs").arg(at).args("cat /stage/never.bin").envs(&impatient).run().ok);
        let scripts = scripts_of(&server);
        assert!(!scripts.is_empty());

        drop(server);

        assert!(scripts.iter().all(|process| gone(process)), "{scripts:?}");
    }
}

/// The processes of the script that brings a server's files.
fn scripts_of(server: &Xrootd) -> Vec<PathBuf> {
    let script = server.folder().join("stage.sh").display().to_string();
    let processes = std::fs::read_dir("/proc").expect("a list of processes").flatten().map(|entry| entry.path());
    let line = |process: &Path| std::fs::read(process.join("cmdline")).unwrap_or_default();
    processes.filter(|process| String::from_utf8_lossy(&line(process)).contains(&script)).collect()
}
