//! `diff`. The trees that are compared are made from the sample by SQL that changes known values.

use tempfile::TempDir;

use crate::support::{Run, in_dir, run, sample};

/// A file with what a query selects from the sample.
fn made(dir: &TempDir, name: &str, sql: &str) -> String {
    let path = in_dir(dir, name);
    run(&["sql", "-c", sql, "-o", &path, &sample()]).ok();
    path
}

fn diff(args: &[&str]) -> Run {
    run(&[&["diff"], args].concat())
}

const HEADER: &str = "column,difference,entries,entry,element,a,b";

#[test]
fn a_file_and_its_copy_do_not_differ() {
    let dir = tempfile::tempdir().unwrap();
    let copy = made(&dir, "copy.root", "SELECT * FROM t");
    let run1 = diff(&[&sample(), &copy]).ok();
    assert_eq!(run1.lines(), [HEADER]);
    assert_eq!(run1.stderr, "no difference; 86 columns and 1,000 entries compared\n");
}

#[test]
fn the_first_difference_of_each_column_is_told_and_how_many_entries_differ() {
    let dir = tempfile::tempdir().unwrap();
    // 177 events of the sample have two muons.
    let changed = made(
        &dir,
        "b.root",
        "SELECT nMuon, CASE WHEN nMuon = 2 THEN CAST(-1 AS FLOAT) ELSE MET_pt END AS MET_pt, run FROM t",
    );
    let run1 = diff(&[&sample(), &changed, "--columns", "MET_pt,nMuon,run"]);
    assert_eq!(run1.code, 1, "{}", run1.stderr);
    let lines = run1.lines();
    assert_eq!(lines.len(), 2, "{}", run1.text());
    assert!(lines[1].starts_with("MET_pt,values,177,"), "{}", run1.text());
    assert!(lines[1].ends_with(",-1.0"), "{}", run1.text());
    assert_eq!(run1.stderr, "1 difference; 3 columns and 1,000 entries compared\n");
}

#[test]
fn the_element_of_a_list_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let a = made(&dir, "a.root", "SELECT [run, run + 1, luminosityBlock] AS v FROM t LIMIT 5");
    let b = made(&dir, "b.root", "SELECT [run, run + 2, luminosityBlock] AS v FROM t LIMIT 5");
    let run1 = diff(&[&a, &b]);
    assert_eq!(run1.code, 1);
    assert_eq!(run1.lines()[1], "v,values,5,0,[2],194712,194713");
}

#[test]
fn nan_is_equal_to_nan() {
    let dir = tempfile::tempdir().unwrap();
    let sql = "SELECT CAST('NaN' AS DOUBLE) AS x, 0.0 * (CAST(run AS DOUBLE) * SIGN) AS z FROM t LIMIT 5";
    let a = made(&dir, "a.root", &sql.replace("SIGN", "1"));
    let b = made(&dir, "b.root", &sql.replace("SIGN", "-1"));
    diff(&[&a, &b]).ok();
}

#[test]
fn columns_types_and_numbers_of_entries_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let a = made(&dir, "a.root", "SELECT run, nMuon, MET_pt FROM t");
    let b = made(&dir, "b.root", "SELECT run, CAST(MET_pt AS DOUBLE) AS MET_pt, MET_phi FROM t LIMIT 900");
    let run1 = diff(&[&a, &b]);
    assert_eq!(run1.code, 1);
    assert_eq!(
        run1.lines()[1..],
        [
            "nMuon,only in A,,,,UInt32,",
            "MET_pt,type,,,,Float32,Float64",
            "MET_phi,only in B,,,,,Float32",
            ",number of entries,,,,1000,900",
        ]
    );
    assert_eq!(run1.stderr, "4 differences; 1 column and 900 entries compared\n");
    assert_eq!(diff(&[&a, &a, "--columns", "MET_*"]).ok().lines().len(), 1);
}

#[test]
fn several_files_are_compared_with_one() {
    let dir = tempfile::tempdir().unwrap();
    let parts = in_dir(&dir, "parts");
    let first = made(&dir, "a.root", "SELECT * FROM t WHERE _entry < 400");
    let second = made(&dir, "b.root", "SELECT * FROM t WHERE _entry >= 400");
    run(&["--threads", "2", "skim", &first, &second, "--partitioned", "-o", &parts]).ok();
    let run1 = diff(&[&format!("{parts}/*.root"), &sample()]).ok();
    assert!(run1.stderr.contains("1,000 entries"), "{}", run1.stderr);
}

#[test]
fn mistakes_are_told() {
    diff(&[&sample(), "missing.root"]).fails(3, &["missing.root"]);
    diff(&[&sample(), &sample(), "--columns", "Muon_tp"]).fails(1, &["did you mean 'Muon_pt'"]);
    diff(&[&sample()]).fails(2, &["<B>"]);
}
