//! The executor as a program.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::Command;

#[test]
fn an_executor_without_a_scheduler_says_so_and_ends() {
    let program = env!("CARGO_BIN_EXE_root-executor");
    // Nobody listens on port 1.
    let output =
        Command::new(program).args(["--scheduler", "http://127.0.0.1:1", "--scheduler-timeout", "1"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("127.0.0.1:1"), "{text}");
}
