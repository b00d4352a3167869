//! How runs end: what goes to which stream, and the exit codes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{command, finish, fixture, run, run_with_input, sample};

#[test]
fn data_are_on_standard_output_and_all_else_on_standard_error() {
    let run1 = run(&["stats", &sample()]).ok();
    assert!(run1.stderr.contains("note: total:"), "{}", run1.stderr);
    assert!(!run1.text().contains("total"));
    let quiet = run(&["stats", &sample(), "-q"]).ok();
    assert_eq!(quiet.stderr, "");
    assert_eq!(quiet.text(), run1.text());
}

#[test]
fn errors_are_told_even_if_quiet() {
    run(&["-q", "count", "/no/such/file.root"]).fails(3, &["error: ", "/no/such/file.root"]);
}

#[test]
fn wrong_usage_is_2() {
    run(&["sqll"]).fails(2, &["sql"]);
    run(&["sql", "--nope"]).fails(2, &["--nope"]);
    run(&["count"]).fails(2, &["no file is named"]);
    run(&["sql", "-c", "SELECT 1", "-f", "x.sql"]).fails(2, &["cannot be used with"]);
    run(&["sql", "-f", "/no/such.sql"]).fails(2, &["/no/such.sql"]);
    run(&["--set", "layuot=flat", "count", &sample()]).fails(2, &["layuot"]);
    run(&["--set", "strings=utf9", "count", &sample()]).fails(2, &["utf9"]);
    run(&["count", "ftp://host/x.root"]).fails(2, &["ftp"]);
    run(&[]).fails(2, &["a verb is expected"]);
}

#[test]
fn unreadable_input_is_3() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("text.root");
    std::fs::write(&text, "this is no ROOT file, but long enough to have a header").unwrap();
    let text = text.to_str().unwrap();
    for verb in ["count", "ls", "schema", "head", "stats"] {
        run(&[verb, text]).fails(3, &["not a ROOT file"]);
        run(&[verb, "/no/such.root"]).fails(3, &["does not exist"]);
    }
    run(&["sql", "-c", "SELECT 1 FROM t", text]).fails(3, &["not a ROOT file"]);
    run(&["sql", "-c", &format!("SELECT 1 FROM '{text}'")]).fails(3, &["not a ROOT file"]);
    run(&["count", &format!("{}:nothing", sample())]).fails(3, &["no tree 'nothing'", "Events"]);
}

#[test]
fn a_file_damaged_in_the_middle_is_found_while_the_query_runs() {
    let dir = tempfile::tempdir().unwrap();
    // The only basket of Muon_pt: its bytes as uproot's basket_key(0) tells them.
    let file = crate::support::damaged(&dir, "bad.root", &sample(), &[(17_560, 140)]);
    let run1 = run(&["sql", "-c", "SELECT Muon_pt FROM t", &file]);
    assert_eq!(run1.code, 3, "{}", run1.stderr);
    assert!(run1.stderr.contains("Muon_pt") && run1.stderr.contains("bad.root"), "{}", run1.stderr);
    // Nobody asked for the damaged branch.
    assert_eq!(run(&["sql", "-c", "SELECT count(*) AS n FROM t WHERE nMuon = 2", &file]).ok().text(), "n\n177\n");
}

#[cfg(unix)]
#[test]
fn no_permission_is_4() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret.root");
    std::fs::copy(sample(), &file).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&file).is_ok() {
        // The superuser may read everything.
        return;
    }
    let file = file.to_str().unwrap();
    for args in [&["count", file][..], &["count", file, &sample(), "--on-bad-file", "skip"]] {
        run(args).fails(4, &["ermission"]);
    }
}

#[test]
fn skipped_files_are_5_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad.root");
    std::fs::write(&bad, "no ROOT file at all").unwrap();
    let bad = bad.to_str().unwrap();
    for args in [
        &["count", &sample(), bad, "--on-bad-file", "skip"][..],
        &["sql", "-c", "SELECT count(*) FROM t", &sample(), bad, "--on-bad-file", "skip"],
        &["sql", "-c", "SELECT count(*) FROM t", &sample(), bad, "--set", "on_bad_file=skip"],
        &["--on-bad-file=skip", "stats", &sample(), bad],
        &["--on-bad-file=skip", "ls", &sample(), bad],
    ] {
        let run1 = run(args);
        assert_eq!(run1.code, 5, "{args:?}: {}", run1.stderr);
        assert!(run1.stderr.contains("warning: skipped") && run1.stderr.contains("bad.root"), "{}", run1.stderr);
        assert!(!run1.stdout.is_empty());
        assert_eq!(run(&[args, &["-q"]].concat()).stderr, "");
        let home = tempfile::tempdir().unwrap();
        let strict = finish(command(home.path()).args(args).args(["--set", "on_bad_file=fail"]));
        assert_eq!(strict.code, 3, "{args:?}");
    }
}

#[test]
fn a_file_without_the_tree_is_skipped_if_asked() {
    let other = fixture("uproot_layout.root");
    let args = ["count", &sample(), &other, "-t", "Events", "--on-bad-file", "skip"];
    let run1 = run(&args);
    assert_eq!((run1.code, run1.text()), (5, "1000\n"), "{}", run1.stderr);
    assert!(run1.stderr.contains("no tree of that name"), "{}", run1.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = tempfile::tempdir().unwrap();
    let mut child = command(home.path())
        .args(["sql", "-c", "SELECT a.v, b.v FROM t a CROSS JOIN t b", &fixture("uproot_big_zlib.root")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "v,v\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn colours_appear_only_if_asked_away_from_a_terminal() {
    let plain = run(&["count", "/no/such.root"]);
    assert!(plain.stderr.starts_with("error: "), "{}", plain.stderr);
    let colored = run(&["--color", "always", "count", "/no/such.root"]);
    assert!(colored.stderr.starts_with("\x1b[1;31merror:"), "{}", colored.stderr);
}

#[test]
fn names_in_a_hostile_file_cannot_rewrite_the_screen() {
    let run = run_with_input(&["sql"], "SELECT '\u{1b}[2J' AS \"\u{1b}[1m\"");
    assert_eq!(run.code, 0);
    let table = crate::support::run(&["sql", "-c", "SELECT '\u{1b}[2J' AS x", "--format", "table"]).ok();
    assert!(!table.text().contains('\u{1b}'), "{}", table.text());
}
