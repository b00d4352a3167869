//! `--report`.

use serde_json::Value;

use crate::support::{run, sample};

fn reported(args: &[&str]) -> (i32, Value) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.json");
    let run = run(&[args, &["--report", path.to_str().unwrap()]].concat());
    (run.code, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
}

#[test]
fn a_report_tells_what_was_read() {
    let (code, report) = reported(&["sql", "-c", "SELECT Muon_pt FROM t WHERE nMuon = 2", &sample()]);
    assert_eq!(code, 0);
    assert_eq!(report["exit_code"], 0);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["query"], "SELECT Muon_pt FROM t WHERE nMuon = 2");
    assert_eq!(report["command"][1], "sql");
    let files = report["files"].as_array().unwrap();
    assert_eq!(files.len(), 1);
    assert!(files[0]["file"].as_str().unwrap().ends_with("Run2012B_SingleMu_1000.root"));
    assert_eq!(files[0]["outcome"], "ok");
    assert_eq!(files[0]["entries"], 1000);
    assert_eq!(files[0]["bytes"], std::fs::metadata(sample()).unwrap().len());
    assert_eq!(report["events"], 1000);
    assert_eq!(report["rows"], 177);
    // The one basket of each of the two branches: 6625 bytes for Muon_pt, and a few for nMuon.
    let bytes = report["bytes_read"].as_u64().unwrap();
    assert!((6625..10_000).contains(&bytes), "{bytes}");
    assert!(report["seconds"].as_f64().unwrap() > 0.0);
    assert!(report.get("error").is_none());
}

#[test]
fn a_report_tells_which_data_were_read_and_by_what() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("1.root"), dir.path().join("2.root"));
    std::fs::copy(sample(), &one).unwrap();
    std::fs::copy(sample(), &two).unwrap();
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());

    let (_, report) = reported(&["sql", "-c", "SELECT count(*) FROM t WHERE nMuon = 2", two, one]);

    let bytes = std::fs::metadata(sample()).unwrap().len();
    let lines = dir.path().join("lines");
    std::fs::write(&lines, format!("{one}\t{bytes}\t1000\n{two}\t{bytes}\t1000\n")).unwrap();
    let sum = std::process::Command::new("sha256sum").arg(lines).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(report["dataset_sha256"].as_str(), sum.split_whitespace().next());
    assert_eq!(report["libraries"]["datafusion"], "55.0.0");
    let (_, report) = reported(&["sql", "-c", "SELECT 1"]);
    assert!(report.get("dataset_sha256").is_none(), "{report}");
}

#[test]
fn a_run_that_fails_is_reported_too() {
    let (code, report) = reported(&["sql", "-c", "SELECT nope FROM t", &sample()]);
    assert_eq!((code, &report["exit_code"]), (1, &Value::from(1)));
    assert!(report["error"].as_str().unwrap().contains("nope"));
    let (code, report) = reported(&["count", "/no/such.root"]);
    assert_eq!((code, &report["exit_code"]), (3, &Value::from(3)));
}

#[test]
fn skipped_files_are_in_the_report_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad.root");
    std::fs::write(&bad, "no ROOT file at all").unwrap();
    for args in [
        &["count", &sample(), bad.to_str().unwrap(), "--on-bad-file=skip"][..],
        &["sql", "-c", "SELECT 1 FROM t", &sample(), bad.to_str().unwrap(), "--on-bad-file=skip"],
    ] {
        let (code, report) = reported(args);
        assert_eq!(code, 5);
        let files = report["files"].as_array().unwrap();
        let skipped = files.iter().find(|f| f["outcome"] == "skipped").unwrap();
        assert!(skipped["reason"].as_str().unwrap().contains("not a ROOT file"), "{skipped}");
        assert_eq!(files.len(), 2);
    }
}

#[test]
fn secrets_do_not_get_into_the_report() {
    let (_, report) = reported(&["count", "root://host//x.root?authz=hunter2"]);
    assert!(!report.to_string().contains("hunter2"), "{report}");
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let run = run(&["version", "--report", "/no/such/r.json"]);
    assert_eq!((run.code, run.text().is_empty()), (1, false));
    assert!(run.stderr.contains("/no/such/r.json"), "{}", run.stderr);
}
