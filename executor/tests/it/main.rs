//! The executor as a program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

#[test]
fn an_executor_without_a_scheduler_says_so_and_ends() {
    let program = env!("CARGO_BIN_EXE_root-executor");
    // Nobody listens on port 1.
    let output =
        Command::new(program).args(["--scheduler", "http://127.0.0.1:1", "--scheduler-timeout", "1"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("127.0.0.1:1"), "{text}");
}

#[test]
fn an_executor_whose_address_says_nothing_to_others_wants_a_name() {
    let program = env!("CARGO_BIN_EXE_root-executor");
    let output = Command::new(program).args(["--listen", "0.0.0.0"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("0.0.0.0") && text.contains("--host"), "{text}");
    assert!(!text.contains('\x1b'), "there is no terminal to colour: {text}");
}

#[test]
fn an_executor_that_waits_for_its_scheduler_ends_when_it_is_told_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut command = Command::new(env!("CARGO_BIN_EXE_root-executor"));
    let mut child = command.args(["--scheduler", &nobody]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("waits for the scheduler")));
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(child.wait().unwrap().success());
}
