//! Tables over files: how they are named, joined, split and limited.

use root_engine::{RootSession, TableOptions};

use crate::support::{count, project, sample};

#[tokio::test]
async fn a_file_stands_in_for_a_table() {
    let session = RootSession::new();
    assert_eq!(count(&session, &format!("SELECT count(*) FROM '{}'", sample())).await, 1000);
}

#[tokio::test]
async fn an_external_table_takes_several_locations_and_a_tree() {
    let session = RootSession::new();
    let file = project("examples/data/Run2012B_SingleMu_1000.root");
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(&file, copy.path().join("b.root")).unwrap();
    let sql = format!(
        "CREATE EXTERNAL TABLE e STORED AS ROOT LOCATION ('{}', '{}/*.root') OPTIONS (tree 'Events')",
        file.display(),
        copy.path().display()
    );
    session.sql(&sql).await.unwrap();
    assert_eq!(count(&session, "SELECT count(*) FROM e").await, 2000);
    assert_eq!(count(&session, "SELECT count(*) FROM e WHERE nMuon >= 0").await, 2000);
}

#[tokio::test]
async fn rows_know_their_file_and_entry_on_request() {
    let session = RootSession::new();
    let options = TableOptions { row_id: true, ..TableOptions::default() };
    session.register("t", &[sample()], &options).await.unwrap();
    let sql = "SELECT count(DISTINCT _entry) FROM t WHERE _entry >= 10 AND _entry < 20 AND nMuon >= 0";
    assert_eq!(count(&session, sql).await, 10);
    assert_eq!(count(&session, "SELECT count(DISTINCT _file) FROM t").await, 1);
}
