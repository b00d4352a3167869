//! The verb `check`.

use crate::support::{damaged, fixture, run, sample};

const HEADER: &str = "file,tree,branch,basket,first_entry,end_entry,reason";

#[test]
fn good_files_pass() {
    let run = run(&["check", &sample(), &fixture("uproot_layout.root")]).ok();
    assert_eq!(run.lines(), [HEADER]);
    assert!(run.stderr.contains("no fault found"), "{}", run.stderr);
    // The trees are Events, and in the other file first, second, dir/tree, dir/sub/tree, twice (newest cycle), none.
    assert!(run.stderr.contains("2 files, 7 trees"), "{}", run.stderr);
}

#[test]
fn every_bad_basket_is_listed_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    // Places and entries of the baskets are what uproot's basket_key(i).data_cursor.index and basket_entry_start_stop(i)
    // tell: basket 2 of `i` at 1035 with 64 bytes, basket 1 of `j` at 902 with 68 bytes, both compressed.
    let file = damaged(&dir, "bad.root", &fixture("uproot_many_baskets.root"), &[(1050, 40), (915, 45)]);
    let run = run(&["check", &file, "--format", "json"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    let faults: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let found: Vec<_> = faults
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            (
                f["tree"].as_str(),
                f["branch"].as_str(),
                f["basket"].as_u64(),
                f["first_entry"].as_u64(),
                f["end_entry"].as_u64(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [(Some("t"), Some("i"), Some(2), Some(20), Some(30)), (Some("t"), Some("j"), Some(1), Some(10), Some(20))]
    );
    assert!(faults[0]["file"].as_str().unwrap().ends_with("bad.root"));
    assert!(run.stderr.contains("2 faults"), "{}", run.stderr);
    // Three branches in each tree, with 25 baskets in t and with 2 in gap besides an empty one.

    assert!(run.stderr.contains("81 baskets"), "{}", run.stderr);
}

#[test]
fn a_tree_can_be_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let file = damaged(&dir, "bad.root", &fixture("uproot_many_baskets.root"), &[(1050, 40)]);
    assert_eq!(run(&["check", &format!("{file}:gap")]).code, 0);
    assert_eq!(run(&["check", &format!("{file}:t")]).code, 3);
    let run = run(&["check", &format!("{file}:nope")]);
    assert_eq!(run.code, 3);
    assert!(run.text().contains("no tree 'nope'"), "{}", run.text());
}

#[test]
fn files_that_cannot_be_opened_are_listed_and_the_others_checked() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text.root");
    std::fs::write(&text, "this is no ROOT file").unwrap();
    let run = run(&["check", text.to_str().unwrap(), &sample()]);
    assert_eq!(run.code, 3);
    assert_eq!(run.lines().len(), 2, "{}", run.text());
    assert!(run.lines()[1].contains("text.root,,,,,,not a ROOT file"), "{}", run.text());
    assert!(run.stderr.contains("86 branches"), "{}", run.stderr);
}

#[test]
fn a_file_that_is_cut_off_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(sample()).unwrap();
    let cut = dir.path().join("cut.root");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let run = run(&["check", cut.to_str().unwrap()]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.lines().len() > 1);
}
