//! Ctrl-C.

#![cfg(unix)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{command, fixture};

/// Only guards against a test that never ends.
const HANG: Duration = Duration::from_secs(60);

/// A query that would take days.
const ENDLESS: &str = "SELECT count(*) FROM t a CROSS JOIN t b WHERE (a.v + b.v) % 7 = 3";

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn wait(mut child: Child) -> Option<i32> {
    let started = Instant::now();
    while started.elapsed() < HANG {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("the program did not end");
}

fn wait_until(what: impl Fn() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < HANG, "the program did not start to work");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts the endless query with a result in `dir`, and waits until it runs.
fn start(dir: &Path, result: &str) -> Child {
    let child = command(dir)
        .args(["sql", "-c", ENDLESS, &fixture("uproot_big_zlib.root")])
        .arg("-o")
        .arg(dir.join(result))
        .arg("--report")
        .arg(dir.join("r.json"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| std::fs::read_dir(dir).unwrap().count() > 0);
    // The signal should find it deep in the computation.
    std::thread::sleep(Duration::from_millis(500));
    child
}

#[test]
fn ctrl_c_ends_a_query_at_once_and_leaves_only_the_report() {
    for (name, code, result) in [("INT", 130, "x.csv"), ("TERM", 143, "x.csv"), ("INT", 130, "x.root")] {
        let dir = tempfile::tempdir().unwrap();
        let child = start(dir.path(), result);
        signal(&child, name);
        assert_eq!(wait(child), Some(code));
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["r.json"]);
        let report = std::fs::read(dir.path().join("r.json")).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        assert_eq!(report["exit_code"], code);
    }
}

#[test]
fn ctrl_c_removes_what_was_spilled_to_disk() {
    let dir = tempfile::tempdir().unwrap();
    let child = command(dir.path())
        .args(["--memory", "1M", "--threads", "1", "sql", "-c", "SELECT count(*) FROM (SELECT DISTINCT _entry FROM t)"])
        .arg(fixture("uproot_big_zlib.root"))
        .env("TMPDIR", dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| std::fs::read_dir(dir.path()).unwrap().count() > 0);
    signal(&child, "INT");
    assert_eq!(wait(child), Some(130));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
