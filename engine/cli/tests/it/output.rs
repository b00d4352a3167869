//! `-o`: files that appear when they are complete, and what happens where they cannot be written.

use std::fs;

use crate::support::{fixture, names, run, sample};

#[test]
fn a_failing_query_leaves_the_old_file_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.csv");
    fs::write(&path, "old").unwrap();
    let sql = "SELECT 1 / (nMuon - 1) FROM t";
    run(&["sql", "-c", sql, "-o", path.to_str().unwrap(), &sample()]).fails(1, &["Divide by zero"]);
    assert_eq!(names(dir.path()), ["x.csv"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
}

#[test]
fn a_good_query_replaces_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.csv");
    fs::write(&path, "old").unwrap();
    run(&["sql", "-c", "SELECT 1 AS a", "-o", path.to_str().unwrap()]).ok();
    assert_eq!(names(dir.path()), ["x.csv"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a\n1\n");
}

#[test]
fn other_verbs_write_files_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_string();
    run(&["ls", &sample(), "-o", &path("ls.json")]).ok();
    assert_eq!(
        fs::read_to_string(path("ls.json")).unwrap(),
        "[{\"name\":\"Events\",\"cycle\":1,\"class\":\"TTree\"}]\n"
    );
    run(&["stats", &sample(), "-o", &path("stats.parquet")]).ok();
    assert!(fs::read(path("stats.parquet")).unwrap().starts_with(b"PAR1"));
    run(&["schema", &sample(), "-o", &path("schema.json")]).ok();
    assert!(fs::read_to_string(path("schema.json")).unwrap().contains("\"tree\": \"Events\""));
    run(&["schema", &sample(), "--format", "ddl", "-o", &path("t.sql")]).ok();
    assert!(fs::read_to_string(path("t.sql")).unwrap().contains("CREATE EXTERNAL TABLE"));
}

#[test]
fn a_name_that_says_no_format_is_a_usage_error() {
    run(&["sql", "-c", "SELECT 1", "-o", "/tmp/result"]).fails(2, &["--format"]);
    run(&["sql", "-c", "SELECT 1", "-o", "/tmp/result.parqet"]).fails(2, &["did you mean 'parquet'?"]);
}

#[test]
fn one_file_holds_one_result() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.csv");
    let run = run(&["sql", "-c", "SELECT 1 AS a; SELECT 2 AS b", "-o", path.to_str().unwrap()]);
    run.fails(2, &["result of one statement"]);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no/such/x.csv");
    run(&["sql", "-c", "SELECT 1", "-o", missing.to_str().unwrap()]).fails(1, &["x.csv", "No such file"]);
    let here = dir.path().join("d.csv");
    fs::create_dir(&here).unwrap();
    run(&["sql", "-c", "SELECT 1", "-o", here.to_str().unwrap()]).fails(1, &["d.csv", "directory"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_in_every_format() {
    for format in ["csv", "json", "ndjson", "table", "markdown", "arrow", "parquet"] {
        let args = ["sql", "-c", "SELECT nMuon, Muon_pt FROM t", "--format", format, &sample()];
        let to_file = run(&[&args[..], &["-o", "/dev/full"]].concat());
        to_file.fails(1, &["/dev/full", "No space left on device"]);
        let home = tempfile::tempdir().unwrap();
        let mut command = crate::support::command(home.path());
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = command.args(args).stdout(full).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let output = status.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{format}: {stderr}");
        assert!(stderr.contains("standard output: No space left"), "{format}: {stderr}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn devices_are_written_to_and_not_replaced() {
    run(&["sql", "-c", "SELECT 1", "--format", "csv", "-o", "/dev/null"]).ok();
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[test]
fn a_dash_is_standard_output() {
    assert_eq!(run(&["sql", "-c", "SELECT 1 AS a", "-o", "-"]).ok().text(), "a\n1\n");
}

#[test]
fn memory_does_not_grow_with_the_result() {
    // Five million rows through a pipe that nobody reads to the end.
    let file = fixture("uproot_big_zlib.root");
    let run = run(&["sql", "-c", "SELECT sum(v) AS s, count(*) AS n FROM t", &file]).ok();
    assert!(run.lines()[1].ends_with(",5000000"), "{}", run.text());
}
