//! The same answers on a cluster as in one process.

use std::path::Path;

use datafusion::arrow::array::AsArray;
use root_cluster::setup;
use root_engine::RootSession;
use sqllogictest::Runner;

use crate::database::Database;
use crate::support::{SAMPLE, cluster, session};

/// The queries of the engine's own tests, whose files are named from the folder of the engine.
#[tokio::test(flavor = "multi_thread")]
async fn all_queries_of_the_engine_have_the_same_answers_on_three_executors() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine");
    std::env::set_current_dir(&engine).unwrap();
    let cluster = cluster(3).await;
    let mut files: Vec<_> = std::fs::read_dir("tests/slt").unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10, "{files:?}");
    let mut wrong = Vec::new();
    for file in files {
        let session = session(&cluster).await;
        let mut runner = Runner::new(|| async { Ok(Database(session.clone())) });
        runner.with_column_validator(sqllogictest::strict_column_validator);
        if let Err(error) = runner.run_file_async(&file).await {
            wrong.push(error.display(false).to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tasks_have_read_reaches_the_session() {
    let cluster = cluster(2).await;
    let session = session(&cluster).await;
    let sql = format!("SELECT count(*) FROM '{SAMPLE}:Events' WHERE \"nMuon\" = 2");
    session.sql(&sql).await.unwrap().collect().await.unwrap();
    let progress = session.progress().snapshot();
    assert_eq!((progress.entries_done, progress.entries_total), (1000, 1000));
    assert!(progress.bytes_read > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_analyze_tells_what_the_stages_on_the_cluster_have_done() {
    let cluster = cluster(1).await;
    let session = session(&cluster).await;
    let sql = format!("EXPLAIN ANALYZE SELECT \"nMuon\", sum(\"MET_pt\") FROM '{SAMPLE}:Events' GROUP BY \"nMuon\"");
    let batches = session.sql(&sql).await.unwrap().collect().await.unwrap();
    let text = batches[0].column(1).as_string::<i32>().value(0).to_string();
    for part in ["stage 1 (1 partition)", "DataSourceExec", "entries_read=1.00 K", "bytes_read="] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("root-query-note"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_programs_of_a_cluster_know_the_same_functions_as_a_session_without_one() {
    let session = RootSession::new();
    let state = session.context().state();
    let executor = setup::functions();
    let scheduler = setup::state(setup::config()()).unwrap();
    for name in state.scalar_functions().keys() {
        assert!(
            executor.scalar_functions.contains_key(name) && scheduler.scalar_functions().contains_key(name),
            "{name}"
        );
    }
    for name in state.aggregate_functions().keys() {
        assert!(
            executor.aggregate_functions.contains_key(name) && scheduler.aggregate_functions().contains_key(name),
            "{name}"
        );
    }
    for name in state.window_functions().keys() {
        assert!(
            executor.window_functions.contains_key(name) && scheduler.window_functions().contains_key(name),
            "{name}"
        );
    }
    for name in state.higher_order_functions().keys() {
        assert!(
            executor.higher_order_functions.contains_key(name) && scheduler.higher_order_functions().contains_key(name),
            "{name}"
        );
    }
}
