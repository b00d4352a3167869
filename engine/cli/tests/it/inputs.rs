//! How files are named.

use crate::support::{fixture, run, run_with_input, sample};

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
