//! The verb `diagnose`, where no server is needed.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::{run, sample};

fn steps(args: &[&str]) -> (i32, Vec<Value>) {
    let run = run(&[&["diagnose", "--format", "json"], args].concat());
    let steps: Value =
        serde_json::from_slice(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", run.text(), run.stderr));
    (run.code, steps.as_array().unwrap().clone())
}

#[test]
fn a_good_file_is_followed_down_to_its_first_tree() {
    let (code, steps) = steps(&[&sample()]);
    let told: Vec<_> = steps.iter().map(|s| (s["step"].as_str().unwrap(), s["ok"].as_bool().unwrap())).collect();
    assert_eq!(told, [("open", true), ("first read", true), ("ROOT file", true), ("tree", true)]);
    assert_eq!(code, 0);
    assert_eq!(steps[3]["detail"], "Events: 1,000 entries, 86 columns");
    assert!(steps.iter().all(|step| step["milliseconds"].as_f64().unwrap() >= 0.0));
}

#[test]
fn each_step_is_a_line_for_people() {
    let run = run(&["diagnose", &format!("{}:Events", sample())]).ok();
    let first: Vec<_> = run.lines().iter().map(|line| line.split("  ").next().unwrap().to_string()).collect();
    assert_eq!(first, ["open", "first read", "ROOT file", "tree"]);
    assert!(run.lines().iter().all(|line| line.contains(" ms  ok ")), "{}", run.text());
}

#[test]
fn the_first_failure_is_the_last_step_with_what_helps_below() {
    let run1 = run(&["diagnose", "/no/such/file.root"]);
    assert_eq!((run1.code, run1.lines().len()), (3, 2), "{}", run1.text());
    assert!(run1.lines()[0].contains("FAILED") && run1.lines()[0].contains("does not exist"), "{}", run1.text());
    assert!(run1.lines()[1].starts_with("  what helps:"), "{}", run1.text());
    let (code, steps) = steps(&[&format!("{}:nope", sample())]);
    assert_eq!((code, steps.len()), (3, 4));
    assert!(steps[3]["error"].as_str().unwrap().contains("nope"), "{}", steps[3]);
}

#[test]
fn a_file_that_is_no_root_file_is_one_where_its_name_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for (name, code) in [("x.csv", 0), ("x.root", 3)] {
        let path = dir.path().join(name);
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        assert_eq!(steps(&[path.to_str().unwrap()]).0, code, "{name}");
    }
}

#[test]
fn unknown_hosts_and_closed_ports_are_told_apart() {
    let (code, unknown) = steps(&["https://no-such-host.invalid/x.root"]);
    assert_eq!((code, unknown.len(), &unknown[0]["step"]), (3, 1, &Value::from("name look-up")));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, closed) = steps(&[&format!("https://127.0.0.1:{port}/x.root")]);
    assert_eq!((code, closed.len(), &closed[1]["step"]), (3, 2, &Value::from("connect")));
    assert!(closed[1]["hint"].as_str().unwrap().contains("nothing listens"), "{}", closed[1]);
}

#[test]
fn what_is_no_url_is_wrong_usage() {
    run(&["diagnose", "gopher://host/x.root"]).fails(2, &["gopher"]);
    run(&["diagnose"]).fails(2, &["URL"]);
}
