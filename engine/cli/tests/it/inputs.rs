//! How files are named.

use std::process::Command;

use crate::support::{finish, fixture, run, run_with_input, sample};

#[test]
fn patterns_directories_and_lists_name_files() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.root", "b.root"] {
        std::fs::copy(sample(), dir.path().join(name)).unwrap();
    }
    std::fs::copy(fixture("uproot_layout.root"), dir.path().join("c.root")).unwrap();
    let base = dir.path().to_str().unwrap();
    assert_eq!(run(&["count", &format!("{base}/[ab].root")]).ok().text(), "2000\n");
    assert_eq!(run(&["count", &format!("{base}/{{a,b}}.root:Events")]).ok().text(), "2000\n");
    assert_eq!(run(&["count", base, "-t", "Events"]).fails(3, &["c.root"]).code, 3);
    let list = dir.path().join("list.txt");
    std::fs::write(&list, format!("# two\n{base}/a.root\n\n{base}/c.root:first\n")).unwrap();
    assert_eq!(run(&["count", "--files-from", list.to_str().unwrap()]).ok().text(), "1005\n");
    let piped = run_with_input(&["count", "--files-from", "-"], &format!("{base}/a.root\n"));
    assert_eq!(piped.ok().text(), "1000\n");
    let sql = ["sql", "-c", "SELECT count(*) AS n FROM t", "--files-from", "-"];
    assert_eq!(run_with_input(&sql, &format!("{base}/a.root\n{base}/b.root")).ok().text(), "n\n2000\n");
    run_with_input(&["sql", "--files-from", "-"], "SELECT 1").fails(2, &["both the SQL and the list"]);
    run(&["count", "--files-from", "/no/such.txt"]).fails(3, &["/no/such.txt"]);
    run(&["count", &format!("{base}/x*.root")]).fails(3, &["no file matches"]);
    // It begins with the four letters that ROOT files begin with.
    std::fs::write(&list, "root://host//a.root\nroot://host//b.root\n").unwrap();
    run(&["count", list.to_str().unwrap()]).fails(3, &["list.txt", "like a list of files"]);
}

#[test]
fn a_table_may_have_more_files_than_the_process_may_have_open() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..400 {
        std::fs::copy(fixture("uproot_layout.root"), dir.path().join(format!("{number}.root"))).unwrap();
    }
    let files = format!("{}/*.root:first", dir.path().display());
    let limited = |arguments: &[&str]| {
        let mut command = Command::new("sh");
        command.arg("-c").arg("ulimit -n 256; exec \"$0\" \"$@\"").arg(env!("CARGO_BIN_EXE_root-query"));
        finish(command.args(arguments)).ok().text().to_string()
    };
    assert_eq!(limited(&["count", &files]), "2000\n");
    assert_eq!(limited(&["sql", "-c", "SELECT count(DISTINCT _file) AS n FROM t", &files]), "n\n400\n");
}

#[test]
fn a_file_named_twice_counts_once() {
    assert_eq!(run(&["count", &sample(), &sample()]).ok().text(), "1000\n");
}

#[test]
fn two_trees_for_one_file_are_a_contradiction() {
    run(&["count", &format!("{}:Events", sample()), "-t", "Runs"]).fails(2, &["'Events'", "'Runs'"]);
}

#[test]
fn relative_paths_start_here() {
    let home = tempfile::tempdir().unwrap();
    let dir = std::path::Path::new(&sample()).parent().unwrap().to_path_buf();
    let mut command = crate::support::command(home.path());
    let run = crate::support::finish(command.current_dir(dir).args(["count", "Run2012B_SingleMu_1000.root"]));
    assert_eq!(run.ok().text(), "1000\n");
}

#[test]
fn a_file_without_trees_or_with_several_says_so() {
    run(&["count", &fixture("uproot_layout.root")]).fails(2, &["which tree?", "name one as FILE:TREE"]);
}

/// A folder with two files of 1000 events and `samples.csv`, which makes a sample of each and leaves out a third.
fn samples() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["dy.root", "qcd.root", "other.root"] {
        std::fs::copy(sample(), dir.path().join(name)).unwrap();
    }
    let dataset = dir.path().join("samples.csv");
    std::fs::write(&dataset, "path,sampleID,xsec\ndy.root,DY,2.5\nqcd.root,QCD 15-20,\n").unwrap();
    let dataset = dataset.display().to_string();
    (dir, dataset)
}

#[test]
fn a_dataset_file_counts_by_sample() {
    let (dir, dataset) = samples();
    let count = run(&["count", "--dataset", &dataset]).ok();
    assert_eq!(count.text(), "DY         1000\nQCD 15-20  1000\ntotal      2000\n");
    let csv = run(&["count", &dataset, "--format", "csv"]).ok();
    assert_eq!(csv.text(), "sample,entries\nDY,1000\nQCD 15-20,1000\n");
    let other = dir.path().join("other.root").display().to_string();
    let mixed = run(&["count", &other, "--dataset", &dataset]).ok();
    assert_eq!(mixed.lines(), ["(none)     1000", "DY         1000", "QCD 15-20  1000", "total      3000"]);
    run(&["count", "--dataset", &other]).fails(2, &["has to end in .csv"]);
    run(&["count", "--dataset", "/no/such.csv"]).fails(3, &["/no/such.csv"]);
    let schema = run(&["schema", "--dataset", &dataset, "--format", "json"]).ok();
    assert!(schema.text().contains(r#""name": "xsec""#), "{}", schema.text());
    let head = run(&["head", "-n", "1001", "--columns", "xsec,nMuon,sampleID", "--dataset", &dataset]).ok();
    // Columns of samples come last.
    assert_eq!(head.lines()[0], "nMuon,sampleID,xsec");
    assert!(head.lines()[1].ends_with(",DY,2.5") && head.lines()[1001].ends_with(",QCD 15-20,"), "{}", head.text());
    let known = run(&["head", "-n", "1", "--columns", "sampleID", "--dataset", &dataset]).ok();
    assert_eq!(known.text(), "sampleID\nDY\n");
}

/// What the job of a reduction writes: the events of each sample, and the events that it keeps.
#[test]
fn counts_and_a_reduction_by_sample_become_parquet() {
    let (dir, dataset) = samples();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (counts, skim, report) = (path("counts.parquet"), path("skim.parquet"), path("report.json"));
    let script = format!(
        "COPY (SELECT \"sampleID\", count(*) AS events FROM t GROUP BY 1) TO '{counts}';
         COPY (SELECT \"sampleID\", xsec, run, event FROM t WHERE nMuon >= 2) TO '{skim}';"
    );
    run(&["sql", "-c", &script, "--dataset", &dataset, "--report", &report]).ok();
    let batches = |path: &str| {
        let file = std::fs::File::open(path).unwrap();
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
    };
    let counted = batches(&counts);
    let events = counted.column_by_name("events").unwrap();
    assert_eq!(format!("{events:?}").matches("1000").count(), 2);
    // Events of the sample with at least two muons, by uproot.
    let kept = batches(&skim);
    assert_eq!(kept.num_rows(), 2 * 234);
    assert_eq!(kept.column_by_name("xsec").unwrap().null_count(), 234);
    let single = path("dimuon.parquet");
    let sql = "SELECT \"sampleID\", event FROM t WHERE nMuon >= 2 AND xsec > 2";
    run(&["sql", "-c", sql, "--dataset", &dataset, "-o", &single]).ok();
    assert_eq!(batches(&single).num_rows(), 234);
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&report).unwrap()).unwrap();
    assert_eq!(report["files"].as_array().unwrap().len(), 2);
}
