//! Dataset files: what they may not say, and how little is read.

use std::path::Path;

use root_engine::{Error, ErrorKind, RootSession, TableOptions};

use crate::support::{Ran, count, data, directory_of, project};

fn run(year: u32) -> std::path::PathBuf {
    project(&format!("engine/tests/data/runs/{year}.root"))
}

/// A folder with two files and a dataset file.
fn folder(dataset: &str) -> (tempfile::TempDir, String) {
    let folder = directory_of(&[("a.root", &run(2011)), ("b.root", &run(2012))]);
    std::fs::write(folder.path().join("s.csv"), dataset).unwrap();
    let spec = folder.path().join("s.csv").display().to_string();
    (folder, spec)
}

async fn refused(dataset: &str) -> Error {
    let (_folder, spec) = folder(dataset);
    let session = RootSession::new();
    session.register("t", &[spec], &TableOptions::default()).await.unwrap_err()
}

#[tokio::test]
async fn faults_name_the_sample_and_where_it_stands() {
    for (dataset, words) in [
        ("path,sampleID\na.root,A\nx*.root,B\n", &["sample 'B' (", "s.csv, line 3)", "no file matches"][..]),
        ("path,sampleID\n[ab].root,A\nb.root,B\n", &["b.root", "'A' (", "s.csv, line 2)", "'B' (", "line 3)"]),
        ("path,sampleID,run\na.root,A,1\n", &["'run'", "a.root", "another name"]),
        ("path,sampleID\na.root,A\n,B\n", &["s.csv, line 3", "no 'path'"]),
        ("sampleID\nA\n", &["s.csv, line 2", "no 'path'"]),
        ("path,sampleID\na.root:Events,A\nb.root:Other,B\n", &["'Other'", "'Events'"]),
    ] {
        let error = refused(dataset).await;
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "no {word} in: {text}");
        }
        assert!(matches!(error.kind(), ErrorKind::Input | ErrorKind::Usage), "{error:?}");
    }
}

#[tokio::test]
async fn a_sample_may_name_a_file_twice() {
    let (_folder, spec) = folder("path,sampleID\na.root,A\n");
    let json = Path::new(&spec).with_file_name("s.json");
    std::fs::write(&json, r#"[{"path": ["a.root", "*.root", "./"], "sampleID": "A"}]"#).unwrap();
    let session = RootSession::new();
    let table = session.register("t", &[json.display().to_string()], &TableOptions::default()).await.unwrap();
    assert_eq!((table.entries(), table.files().len()), (200, 2));
}

#[tokio::test]
async fn a_column_of_samples_does_not_take_the_place_of_one_that_says_where_rows_come_from() {
    let (_folder, spec) = folder("path,_entry\na.root,1\n");
    let session = RootSession::new();
    let options = TableOptions { row_id: true, ..TableOptions::default() };
    let error = session.register("t", std::slice::from_ref(&spec), &options).await.unwrap_err();
    assert!(error.to_string().contains("'_entry'"), "{error}");
    session.register("t", &[spec], &TableOptions::default()).await.unwrap();
    assert_eq!(count(&session, "SELECT sum(_entry) FROM t").await, 100);
}

#[tokio::test]
async fn what_is_known_of_samples_is_not_read() {
    let session = RootSession::builder().threads(1).build();
    session.register("t", &[data("samples/samples.csv")], &TableOptions::default()).await.unwrap();
    // Counts of samples come from metadata, and those of one sample do not even need a scan.
    let ran = Ran::of(&session, r#"SELECT "sampleID", count(*) FROM t GROUP BY 1"#).await;
    assert_eq!((ran.rows(), ran.counter("bytes_read")), (2, 0));
    let ran = Ran::of(&session, "SELECT count(*) FROM t WHERE is_data").await;
    assert_eq!((ran.rows(), ran.scan_count()), (1, 0));
    // Files of other samples are not planned.
    let all = Ran::of(&session, "SELECT sum(event) FROM t").await;
    let some = Ran::of(&session, r#"SELECT sum(event) FROM t WHERE "sampleID" = 'A'"#).await;
    assert_eq!((all.counter("entries_read"), some.counter("entries_read")), (300, 100));
    // A condition that only the scan can decide still spares the files in which it cannot hold.
    let mixed = Ran::of(&session, "SELECT sum(event) FROM t WHERE (is_data OR false) AND event >= 0").await;
    assert_eq!(mixed.counter("entries_read"), 100);
}

#[tokio::test]
async fn conditions_of_other_samples_are_not_read() {
    let session = RootSession::builder().threads(1).build();
    session.register("t", &[data("samples/chosen.yaml")], &TableOptions::default()).await.unwrap();
    let ran = Ran::of(&session, r#"SELECT count(*) FROM t WHERE "sampleID" = 'C'"#).await;
    assert_eq!((ran.rows(), ran.counter("bytes_read")), (1, 0));
    assert_eq!(count(&session, "SELECT count(*) FROM t").await, 170);
    // Of the condition of A only `event` is read, and of that of B only the trigger.
    let both = Ran::of(&session, "SELECT count(*) FROM t").await;
    assert_eq!(both.counter("baskets_read"), 2);
}

#[tokio::test]
async fn a_mask_is_read_by_the_session_and_plans_that_did_not_pass_it_are_refused() {
    let session = RootSession::new();
    session.register("t", &[data("runs/")], &TableOptions::default()).await.unwrap();
    let mask = data("lumi/events.json");
    let sql = format!("SELECT count(*) FROM t WHERE in_lumi_mask(run, event, '{mask}')");
    assert_eq!(count(&session, &sql).await, 20);
    let past = session.context().sql(&sql).await.unwrap().collect().await.unwrap_err();
    assert!(past.to_string().contains("RootSession::sql"), "{past}");
}
