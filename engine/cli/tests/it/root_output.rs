//! Results as ROOT files. What was written is read back by uproot, and compared with what uproot reads of the source.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{in_dir, names, python, run, sample};

/// Whether uproot reads the same branches with the same values from the tree `Events` of two files; the first that differs.
const SAME: &str = "
def tree(path):
    return uproot.open(path + ':Events')
a, b = tree(sys.argv[1]), tree(sys.argv[2])
different = [sorted(set(a.keys()) ^ set(b.keys()))]
for name in a.keys():
    x, y = a[name].array(), b[name].array()
    if x.type != y.type or not ak.array_equal(x, y, equal_nan=True):
        different.append([name, str(x.type), str(y.type)])
print(json.dumps([a.num_entries, b.num_entries, len(a.keys()), different]))
";

/// Fails unless the second file has the tree of the first, of 1000 entries and 86 branches.
fn is_the_sample(written: &str) {
    assert_eq!(python(SAME, &[&sample(), written]), json!([1000, 1000, 86, [[]]]));
}

fn all_of(out: &str) -> crate::support::Run {
    run(&["sql", "-c", "SELECT * FROM t", "-o", out, &sample()])
}

#[test]
fn uproot_reads_the_whole_of_a_sample_that_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let out = in_dir(&dir, "x.root");
    all_of(&out).ok();
    is_the_sample(&out);
    assert_eq!(names(dir.path()), ["x.root"]);
}

#[test]
fn head_writes_root_files_too() {
    let dir = tempfile::tempdir().unwrap();
    let out = in_dir(&dir, "x.root");
    run(&["head", "-n", "3", "--columns", "nMuon,Muon_pt", &sample(), "-o", &out]).ok();
    let script = "t = uproot.open(sys.argv[1])['Events']\nprint(json.dumps([t.keys(), t['nMuon'].array().tolist()]))";
    assert_eq!(python(script, &[&out]), json!([["nMuon", "Muon_pt"], [1, 1, 6]]));
}

#[test]
fn the_tree_and_the_compression_can_be_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let script = "f = uproot.open(sys.argv[1])\n\
                  k = f.keys(recursive=True, cycle=False)\n\
                  c = f[k[-1]]['nMuon'].compression\n\
                  print(json.dumps([k, type(c).__name__, c.level]))";
    for (option, out, keys, codec, level) in [
        (None, "a.root", json!(["Events"]), "ZLIB", 1),
        (Some("zstd:7"), "b.root:Muons", json!(["Muons"]), "ZSTD", 7),
        (Some("lz4"), "c.root:skim/Muons", json!(["skim", "skim/Muons"]), "LZ4", 4),
    ] {
        let path = in_dir(&dir, out);
        let mut args = vec!["sql", "-c", "SELECT nMuon FROM t", "-o", &path];
        let sample = sample();
        args.extend(option.map(|codec| ["--compression", codec]).into_iter().flatten());
        args.push(&sample);
        run(&args).ok();
        let file = path.split(".root").next().unwrap().to_string() + ".root";
        assert_eq!(python(script, &[&file]), json!([keys, codec, level]), "{out}");
    }
    let sql = ["sql", "-c", "SELECT 1 AS a", "-o"];
    let path = in_dir(&dir, "x.root");
    run(&[&sql[..], &[&path, "--compression", "zstd:99"]].concat()).fails(2, &["zstd:99", "level from 1 to 9"]);
    let csv = in_dir(&dir, "x.csv");
    run(&[&sql[..], &[&csv, "--compression", "zstd"]].concat()).fails(2, &["--compression", "ROOT files"]);
}

#[test]
fn standard_output_is_refused() {
    run(&["sql", "-c", "SELECT 1 AS a", "--format", "root"]).fails(2, &["standard output", "-o"]);
}

#[test]
fn a_null_is_refused_with_the_column_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let out = in_dir(&dir, "x.root");
    let sql = "SELECT nMuon, CASE WHEN nMuon < 6 THEN MET_pt END AS met FROM t";
    let run1 = run(&["sql", "-c", sql, "-o", &out, &sample()]);
    run1.fails(1, &["x.root", "tree 'Events'", "column 'met'", "entry 2", "NULL", "COALESCE", "--null-value"]);
    assert!(names(dir.path()).is_empty());
    let copied = format!("COPY ({sql}) TO '{out}'");
    run(&["sql", "-c", &copied, &sample()]).fails(1, &["column 'met'", "entry 2", "COALESCE"]);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn values_can_take_the_place_of_nulls() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (in_dir(&dir, "a.root"), in_dir(&dir, "b.root"));
    let sql = "SELECT nMuon, CASE WHEN nMuon < 6 THEN CAST(nMuon AS INT) END AS n, CASE WHEN nMuon < 6 THEN 0.5 END AS x FROM t LIMIT 3";
    run(&["sql", "-c", sql, "-o", &a, "--null-value", "-9", &sample()]).ok();
    let copied = format!("COPY ({sql}) TO '{b}' OPTIONS (null_value '-1,nan')");
    run(&["sql", "-c", &copied, &sample()]).ok();
    let script = "print(json.dumps([str(uproot.open(p)['Events'].arrays(library='np')[c].tolist())\n\
                  for p in sys.argv[1:] for c in ('n', 'x')]))";
    assert_eq!(python(script, &[&a, &b]), json!(["[1, 1, -9]", "[0.5, 0.5, -9.0]", "[1, 1, -1]", "[0.5, 0.5, nan]"]));
    let unsigned = "SELECT CASE WHEN nMuon < 6 THEN nMuon END AS n FROM t";
    let refused = run(&["sql", "-c", unsigned, "-o", &a, "--null-value", "-9", &sample()]);
    refused.fails(1, &["column 'n', entry 2", "-9 does not fit into uint32_t", "CAST"]);
    run(&["sql", "-c", sql, "-o", &a, "--null-value", "nan", &sample()]).fails(2, &["'nan'", "-1,nan"]);
    let csv = in_dir(&dir, "x.csv");
    run(&["sql", "-c", sql, "-o", &csv, "--null-value", "0", &sample()]).fails(2, &["--null-value", "ROOT files"]);
}

#[test]
fn a_type_that_no_branch_holds_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = in_dir(&dir, "x.root");
    let sql = "SELECT to_timestamp(1) AS taken";
    run(&["sql", "-c", sql, "-o", &out]).fails(1, &["column 'taken'", "Timestamp", "CAST"]);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_failing_query_leaves_the_old_file_and_a_good_one_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let out = in_dir(&dir, "x.root");
    fs::write(&out, "old").unwrap();
    let sql = "SELECT 1 / (nMuon - 1) AS a FROM t";
    run(&["sql", "-c", sql, "-o", &out, &sample()]).fails(1, &["Divide by zero"]);
    run(&["sql", "-c", &format!("COPY ({sql}) TO '{out}'"), &sample()]).fails(1, &["Divide by zero"]);
    assert_eq!(names(dir.path()), ["x.root"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), "old");
    run(&["sql", "-c", "SELECT nMuon FROM t", "-o", &out, &sample()]).ok();
    assert_eq!(run(&["count", &out]).ok().text(), "1000\n");
}

#[cfg(target_os = "linux")]
#[test]
fn places_that_cannot_be_written_are_named() {
    let dir = tempfile::tempdir().unwrap();
    all_of(&in_dir(&dir, "no/such/x.root")).fails(1, &["x.root", "No such file"]);
    let full = run(&["sql", "-c", "SELECT nMuon FROM t", "--format", "root", "-o", "/dev/full", &sample()]);
    full.fails(1, &["/dev/full", "No space left on device"]);
}

#[test]
fn copy_to_writes_root_files() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, muons) = (in_dir(&dir, "whole.root"), in_dir(&dir, "muons.root"));
    // By the name of the file alone.
    assert_eq!(run(&["sql", "-c", &format!("COPY t TO '{whole}'"), &sample()]).ok().text(), "count\n1000\n");
    is_the_sample(&whole);
    let sql = format!(
        "COPY (SELECT nMuon, Muon_pt FROM t WHERE nMuon = 2) TO '{muons}' STORED AS ROOT \
         OPTIONS (tree 'skim/Muons', compression 'lzma:2')"
    );
    // 177 events of the sample have two muons.
    assert_eq!(run(&["sql", "-c", &sql, &sample()]).ok().text(), "count\n177\n");
    let script = "t = uproot.open(sys.argv[1])['skim/Muons']\n\
                  c = t['Muon_pt'].compression\n\
                  print(json.dumps([t.num_entries, t.keys(), type(c).__name__, c.level]))";
    assert_eq!(python(script, &[&muons]), json!([177, ["nMuon", "Muon_pt"], "LZMA", 2]));
    assert_eq!(names(dir.path()), ["muons.root", "whole.root"]);
}

#[test]
fn an_option_of_copy_that_does_not_exist_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let out = in_dir(&dir, "x.root");
    for (option, words) in
        [("codec 'zstd'", ["codec", "tree, compression and null_value"]), ("compression 'gzip'", ["gzip", "zstd:5"])]
    {
        let sql = format!("COPY (SELECT 1 AS a) TO '{out}' STORED AS ROOT OPTIONS ({option})");
        run(&["sql", "-c", &sql]).fails(2, &words);
    }
    assert!(!Path::new(&out).exists());
}

#[test]
fn an_empty_result_is_a_tree_without_entries() {
    let dir = tempfile::tempdir().unwrap();
    let script = "t = uproot.open(sys.argv[1])['Events']\nprint(json.dumps([t.num_entries, t.keys()]))";
    let sql = "SELECT nMuon, Muon_pt FROM t WHERE nMuon > 1000";
    let expected: Value = json!([0, ["nMuon", "Muon_pt"]]);
    let (out, copy) = (in_dir(&dir, "x.root"), in_dir(&dir, "y.root"));
    run(&["sql", "-c", sql, "-o", &out, &sample()]).ok();
    assert_eq!(python(script, &[&out]), expected);
    run(&["sql", "-c", &format!("COPY ({sql}) TO '{copy}'"), &sample()]).ok();
    assert_eq!(python(script, &[&copy]), expected);
}
