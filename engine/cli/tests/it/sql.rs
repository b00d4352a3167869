//! The verb `sql`.

use crate::support::{fixture, run, run_with_input, sample};

#[test]
fn files_are_the_table_t() {
    let run = run(&["sql", "-c", "SELECT count(*) AS n FROM t WHERE nMuon = 2", &sample()]).ok();
    assert_eq!((run.text(), run.stderr.as_str()), ("n\n177\n", ""));
}

#[test]
fn a_file_can_stand_in_the_sql() {
    let sql = format!("SELECT sum(nMuon) AS n FROM '{}:Events'", sample());
    assert_eq!(run(&["sql", "-c", &sql]).ok().text(), "n\n1328\n");
}

#[test]
fn sql_may_begin_with_a_comment() {
    assert_eq!(run(&["sql", "-c", "-- events\nSELECT count(*) AS n FROM t", &sample()]).ok().text(), "n\n1000\n");
}

#[test]
fn lambdas_work() {
    // The third event has six muons, two of them above 9: 37.7 and 9.37.
    let sql = "SELECT array_length(array_filter(Muon_pt, x -> x > 9)) AS n FROM t LIMIT 1 OFFSET 2";
    assert_eq!(run(&["sql", "-c", sql, &sample()]).ok().text(), "n\n2\n");
}

#[test]
fn the_tree_is_chosen_by_option_or_name() {
    let file = fixture("uproot_layout.root");
    let count = "SELECT count(*) AS n FROM t";
    assert_eq!(run(&["sql", "-c", count, &file, "-t", "second"]).ok().text(), "n\n7\n");
    assert_eq!(run(&["sql", "-c", count, &format!("{file}:dir/tree")]).ok().text(), "n\n4\n");
    assert_eq!(run(&["sql", "-c", count, &file, "--set", "tree=twice;1"]).ok().text(), "n\n2\n");
    run(&["sql", "-c", count, &file]).fails(2, &["which tree?", "first, second"]);
}

#[test]
fn rows_know_their_file_and_entry_if_asked() {
    let sql = "SELECT _entry, event FROM t WHERE nMuon = 2 ORDER BY _entry LIMIT 2";
    let run1 = run(&["sql", "-c", sql, &sample()]).ok();
    assert!(run1.text().starts_with("_entry,event\n18,"), "{}", run1.text());
    assert!(run1.lines()[2].starts_with("19,"), "{}", run1.text());
    let run2 = run(&["sql", "-c", "SELECT DISTINCT _file FROM t", &sample()]).ok();
    assert!(run2.lines()[1].ends_with("Run2012B_SingleMu_1000.root"), "{}", run2.text());
    let run3 = run(&["sql", "-c", "SELECT * FROM t LIMIT 1", &sample()]).ok();
    assert_eq!(run3.lines()[0].split(',').count(), 86, "the columns are not there unless they are named");
}

#[test]
fn a_script_runs_statement_by_statement() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("s.sql");
    std::fs::write(
        &script,
        "CREATE VIEW two AS SELECT * FROM t WHERE nMuon = 2; -- a definition shows nothing\n\
         SELECT count(*) AS n FROM two;\nSELECT max(nMuon) AS m FROM two;",
    )
    .unwrap();
    let run1 = run(&["sql", "-f", script.to_str().unwrap(), &sample()]).ok();
    assert_eq!(run1.text(), "n\n177\nm\n2\n");
    let piped = run_with_input(&["sql", &sample()], "SELECT 1 AS a; SELECT 2 AS b");
    assert_eq!(piped.ok().text(), "a\n1\nb\n2\n");
    let dash = run_with_input(&["sql", "-f", "-"], "SELECT 1 AS a");
    assert_eq!(dash.ok().text(), "a\n1\n");
}

#[test]
fn tables_are_made_with_sql() {
    let script = format!(
        "CREATE EXTERNAL TABLE s STORED AS ROOT LOCATION '{}' OPTIONS ('tree' 'second'); SELECT count(*) AS n FROM s",
        fixture("uproot_layout.root")
    );
    assert_eq!(run(&["sql", "-c", &script]).ok().text(), "n\n7\n");
}

#[test]
fn a_misspelt_name_is_answered_with_the_nearest() {
    run(&["sql", "-c", "SELECT nMoun FROM t", &sample()]).fails(1, &["no column 'nMoun'", "did you mean nMuon?"]);
    run(&["sql", "-c", "SELECT 1 FROM T", &sample()]).fails(1, &["no table 'T'", "did you mean 't'?"]);
    run(&["sql", "-c", "SELECT 1 FROM t", &format!("{}:Evnets", sample())]).fails(3, &["did you mean 'Events'?"]);
    run(&["sql", "-c", "SELECT 1 FROM t"]).fails(1, &["no table 't'", "files named on the command line"]);
}

#[test]
fn syntax_errors_say_where() {
    run(&["sql", "-c", "SELECT (1"]).fails(1, &["error: Expected: )"]);
    run(&["sql", "-c", " ; "]).fails(2, &["no SQL"]);
    run_with_input(&["sql"], "").fails(2, &["no SQL"]);
}

#[test]
fn a_failing_statement_stops_the_script() {
    let run = run(&["sql", "-c", "SELECT 1 AS a; SELECT nope; SELECT 2 AS b"]);
    assert_eq!((run.code, run.text()), (1, "a\n1\n"));
}

#[test]
fn an_error_in_the_middle_of_a_query_is_an_error() {
    let sql = "SELECT 1 / (nMuon - 1) FROM t";
    let run = run(&["sql", "-c", sql, &sample()]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("Divide by zero"), "{}", run.stderr);
}

#[test]
fn threads_and_memory_are_taken() {
    let args = ["--threads", "1", "--memory", "64M", "sql", "-c", "SELECT count(*) AS n FROM t", &sample()];
    assert_eq!(run(&args).ok().text(), "n\n1000\n");
    run(&["--threads", "0", "version"]).fails(2, &["--threads"]);
    run(&["--memory", "8X", "version"]).fails(2, &["such as 8G"]);
}

#[test]
fn too_little_memory_is_an_error_and_not_a_crash() {
    run(&["--memory", "1K", "sql", "-c", "SELECT event FROM t ORDER BY event", &sample()])
        .fails(1, &["esources exhausted"]);
}

/// Files of the engine's tests, whose values follow formulas: event numbers from 0 on, scores of a quarter of them.
fn engine_data(path: &str) -> String {
    format!("{}/../tests/data/{path}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn friends_add_their_columns() {
    let files = engine_data("runs/201[12].root:Events");
    let scores = format!("{} AS s", engine_data("friends/scores_201[12].root:Scores"));
    let keyed = format!("{} AS q ON run, event", engine_data("friends/keyed.root"));
    let sql = "SELECT event, \"s.score\", \"q.quality\" FROM t WHERE event IN (7, 102) ORDER BY event";
    let run_sql = run(&["sql", "-c", sql, &files, "--friend", &scores, "--friend", &keyed]).ok();
    assert_eq!(run_sql.text(), "event,s.score,q.quality\n7,1.75,\n102,25.5,1020\n");
    let strict = ["sql", "-c", sql, &files, "--friend", &keyed, "--set", "friend_missing=error"];
    run(&strict).fails(3, &["no entry with run = "]);
    let long = engine_data("friends/scores_long.root");
    let one = engine_data("runs/2011.root:Events");
    run(&["sql", "-c", sql, &one, "--friend", &long]).fails(2, &["has 100 entries", "has 101"]);
    run(&["count", &one, "--friend", &scores]).fails(2, &["friends are for sql"]);
}
