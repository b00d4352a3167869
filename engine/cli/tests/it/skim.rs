//! `skim`. What it writes is read by uproot, and compared with the same selection by uproot and awkward.

use std::fs;

use serde_json::json;

use crate::support::{fixture, in_dir, names, python, run, sample};

/// Compares the branches of a skim with a selection of the source: the names, and the first branch that differs.
const SELECTION: &str = "
source, skims = uproot.open(sys.argv[1] + ':Events'), sys.argv[3:]
keep = eval(sys.argv[2], {'nMuon': source['nMuon'].array(), 'MET_pt': source['MET_pt'].array()})
trees = [uproot.open(skim) for skim in skims]
names = trees[0].keys()
different = []
for name in names:
    wanted, found = source[name].array()[keep], ak.concatenate([tree[name].array() for tree in trees])
    if not ak.array_equal(wanted, found, equal_nan=True):
        different.append(name)
print(json.dumps([sum(tree.num_entries for tree in trees), names, different]))
";

#[test]
fn entries_and_columns_are_selected_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let out = in_dir(&dir, "x.root");
    let spec = format!("{}:Events", sample());
    let run1 = run(&["skim", &spec, "--where", "nMuon = 2", "--columns", "MET_pt,Muon_p?,event", "-o", &out]).ok();
    let found = python(SELECTION, &[&sample(), "nMuon == 2", &format!("{out}:Events")]);
    // nMuon comes along, as it counts the lists.
    let mut columns = vec!["event", "nMuon", "Muon_pt", "MET_pt"];
    assert_eq!(found[0], 177);
    let mut names: Vec<&str> = found[1].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    names.sort_unstable();
    columns.sort_unstable();
    assert_eq!(names, columns);
    assert_eq!(found[2], json!([]));
    assert!(run1.stdout.is_empty());
    assert!(run1.stderr.contains("nMuon written along"), "{}", run1.stderr);
    assert!(run1.stderr.contains("1,000 entries in, 177 out (17.7 %); 4 columns, "), "{}", run1.stderr);
    let bytes = fs::metadata(&out).unwrap().len();
    assert!(run1.stderr.contains(&format!("{} in {out}", indicatif::HumanBytes(bytes))), "{}", run1.stderr);
}

#[test]
fn a_skim_of_everything_is_the_same_tree() {
    let dir = tempfile::tempdir().unwrap();
    let out = in_dir(&dir, "x.root");
    run(&["skim", &sample(), "-o", &out]).ok();
    let found = python(SELECTION, &[&sample(), "nMuon >= 0", &format!("{out}:Events")]);
    assert_eq!((&found[0], found[1].as_array().unwrap().len(), &found[2]), (&json!(1000), 86, &json!([])));
}

#[test]
fn several_files_are_skimmed_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b, out) = (in_dir(&dir, "a.root"), in_dir(&dir, "b.root"), in_dir(&dir, "x.root"));
    run(&["skim", &sample(), "--where", "_entry < 300", "-o", &a]).ok();
    run(&["skim", &sample(), "--where", "_entry >= 300", "-o", &b]).ok();
    run(&["--threads", "4", "skim", &a, &b, "--columns", "event,nMuon", "-o", &out]).ok();
    let found = python(SELECTION, &[&sample(), "nMuon >= 0", &format!("{out}:Events")]);
    assert_eq!((&found[0], &found[2]), (&json!(1000), &json!([])));
}

#[test]
fn the_tree_keeps_its_name_unless_another_is_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let (named, again) = (in_dir(&dir, "a.root"), in_dir(&dir, "b.root"));
    run(&["skim", &sample(), "--columns", "nMuon", "-o", &format!("{named}:skim/Muons")]).ok();
    assert!(run(&["ls", "-r", &named]).ok().text().contains("skim/Muons"));
    run(&["skim", &format!("{named}:skim/Muons"), "-o", &again]).ok();
    assert!(run(&["ls", "-r", &again]).ok().text().contains("skim/Muons"));
    // The only tree of a file need not be named.
    run(&["skim", &fixture("uproot_big_zlib.root"), "--where", "_entry < 5", "-o", &again]).ok();
    assert_eq!(run(&["ls", &again]).ok().lines()[1], "big,1,TTree");
}

#[test]
fn other_formats_are_written_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let (parquet, arrow) = (in_dir(&dir, "x.parquet"), in_dir(&dir, "x.arrow"));
    run(&["skim", &sample(), "--where", "nMuon = 2", "--columns", "Muon_*", "-o", &parquet]).ok();
    run(&["skim", &sample(), "--where", "nMuon = 2", "--columns", "Muon_*", "-o", &arrow]).ok();
    assert!(fs::read(&parquet).unwrap().starts_with(b"PAR1"));
    assert!(fs::read(&arrow).unwrap().starts_with(b"ARROW1"));
}

/// Values by uproot: those of the source for entries that the condition names, and twice one of them for the friend's.
#[test]
fn columns_of_a_friend_are_written_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let (friend, out) = (in_dir(&dir, "f.root"), in_dir(&dir, "x.root"));
    let spec = format!("{}:Events", sample());
    run(&["sql", &spec, "-c", "SELECT run, event, MET_pt * 2 AS score FROM t", "-o", &format!("{friend}:Scores")]).ok();
    let columns = ["--where", "\"s.score\" > 60", "--columns", "Muon_pt,s.score", "-o", &out];
    let beside = format!("{friend}:Scores AS s");
    run(&[&["skim", &spec, "--friend", &beside][..], &columns].concat()).ok();
    let script = "
source, skim = uproot.open(sys.argv[1] + ':Events'), uproot.open(sys.argv[2] + ':Events')
met = source['MET_pt'].array()
keep = met * 2 > 60
muons = ak.array_equal(source['Muon_pt'].array()[keep], skim['Muon_pt'].array())
print(json.dumps([skim.num_entries, sorted(skim.keys()), muons, ak.array_equal(met[keep] * 2, skim['s.score'].array())]))
";
    let found = python(script, &[&sample(), &out]);
    assert_eq!(found, json!([407, ["Muon_pt", "nMuon", "s.score"], true, true]));
    // Joined by columns they have no order.
    let joined = format!("{friend}:Scores AS s ON run, event");
    run(&[&["skim", &spec, "--friend", &joined][..], &columns].concat()).fails(2, &["friends with ON", "use sql"]);
}

#[test]
fn lists_of_structs_become_the_branches_that_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let out = in_dir(&dir, "x.root");
    let spec = format!("{}:Events", sample());
    let nested = ["--layout", "nested", "--where", "cardinality(Muon) = 2", "--columns", "Muon,MET,event"];
    run(&[&["skim", &spec, "-o", &out][..], &nested].concat()).ok();
    let found = python(SELECTION, &[&sample(), "nMuon == 2", &format!("{out}:Events")]);
    // Only the counter has another type, the usual one of counters.
    assert_eq!((&found[0], &found[2]), (&json!(177), &json!(["nMuon"])));
    for name in ["x.parquet", "x.arrow"] {
        run(&[&["skim", &spec, "-o", &in_dir(&dir, name)][..], &nested].concat()).ok();
    }
}

#[test]
fn strings_are_written_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let (source, out) = (fixture("groot_types_lz4.root"), in_dir(&dir, "x.root"));
    run(&["skim", &source, "--columns", "str", "-o", &out]).ok();
    let compared = run(&["diff", &source, &out, "--columns", "str"]).ok();
    assert_eq!(compared.stderr, "no difference; 1 column and 50 entries compared\n");
}

#[test]
fn parts_hold_the_entries_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second, out) = (in_dir(&dir, "a.root"), in_dir(&dir, "b.root"), in_dir(&dir, "parts"));
    run(&["skim", &sample(), "--where", "_entry < 500", "-o", &first]).ok();
    run(&["skim", &sample(), "--where", "_entry >= 500", "-o", &second]).ok();
    let args = ["--threads", "2", "skim", &first, &second, "--where", "MET_pt > 40", "--partitioned", "-o", &out];
    let run1 = run(&args).ok();
    assert!(run1.stderr.contains(&format!("2 files in {out}")), "{}", run1.stderr);
    assert_eq!(names(out.as_ref()), ["part-0000.root", "part-0001.root"]);
    let parts = [0, 1].map(|n| format!("{out}/part-000{n}.root:Events"));
    let found = python(SELECTION, &[&sample(), "MET_pt > 40", &parts[0], &parts[1]]);
    assert_eq!(found[2], json!([]));
    // Parts of another skim would be taken for its own.
    run(&args).fails(1, &["not empty"]);
}

#[test]
fn mistakes_are_told_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let out = in_dir(&dir, "x.root");
    let skim = |args: &[&str]| run(&[&["skim", &sample(), "-o", &out], args].concat());
    skim(&["--columns", "Muon_tp"]).fails(1, &["no column 'Muon_tp'", "did you mean 'Muon_pt'"]);
    skim(&["--columns", "Moun_*"]).fails(1, &["'Moun_*'", "did you mean 'Muon_*'"]);
    skim(&["--where", "nMoun = 2"]).fails(1, &["no column 'nMoun'", "nMuon"]);
    skim(&["--where", "MET_pt > (SELECT avg(MET_pt) FROM t)"]).fails(2, &["order of the entries"]);
    run(&["skim", &sample()]).fails(2, &["-o"]);
    assert!(names(dir.path()).is_empty());
}
