//! What becomes of queries when something fails.

use std::process::Command;
use std::time::Duration;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use root_engine::{ErrorKind, RootSession, kind_of};

use crate::support::{SAMPLE, cluster, session};

/// What takes some seconds, see [`count_pairs`].
const TIMES: i64 = 300;

/// Every event with every other, so many times: work of which the answer is known.
async fn count_pairs(session: &RootSession, times: i64) -> datafusion::common::Result<i64> {
    let file = format!("'{SAMPLE}:Events'");
    let sql = format!(
        "SELECT count(*) FROM {file} a CROSS JOIN {file} b CROSS JOIN (SELECT \"MET_pt\" FROM {file} LIMIT {times}) c \
         WHERE a.\"MET_pt\" + b.\"MET_pt\" + c.\"MET_pt\" >= 0"
    );
    let batches = session.sql(&sql).await.unwrap().collect().await?;
    Ok(batches[0].column(0).as_primitive::<Int64Type>().value(0))
}

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_is_killed_in_the_middle_of_a_query_costs_no_rows() {
    let cluster = cluster(2).await;
    let session = session(&cluster).await;
    let query = tokio::spawn(async move { count_pairs(&session, TIMES).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!query.is_finished(), "the query is too short for this test");
    kill(cluster.executor_id(0).unwrap());
    assert_eq!(query.await.unwrap().unwrap(), TIMES * 1_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_is_killed_ends_the_query_with_an_error_that_says_so() {
    let cluster = cluster(1).await;
    let session = session(&cluster).await;
    let query = tokio::spawn(async move { count_pairs(&session, TIMES).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    kill(cluster.scheduler_id());
    let error = tokio::time::timeout(Duration::from_secs(60), query).await.unwrap().unwrap().unwrap_err();
    let text = root_engine::message_of(&error);
    assert!(text.contains("run it again"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_nobody_waits_for_any_more_leaves_its_cores_to_others() {
    let cluster = cluster(1).await;
    let session = session(&cluster).await;
    let long = session.clone();
    let query = tokio::spawn(async move { count_pairs(&long, 1000).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    query.abort();
    let sql = format!("SELECT count(*) FROM '{SAMPLE}:Events' WHERE \"nMuon\" = 2");
    let frame = session.sql(&sql).await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), frame.collect()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_on_an_executor_is_told_as_in_one_process() {
    let cluster = cluster(1).await;
    let session = session(&cluster).await;
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged.root");
    let mut bytes = std::fs::read(SAMPLE).unwrap();
    // Behind the header and in front of the tree lie the baskets.
    let end = bytes.len() / 2;
    bytes[5_000..end].fill(0x5a);
    std::fs::write(&damaged, bytes).unwrap();
    let sql = format!("SELECT sum(\"MET_pt\"), max(\"nMuon\") FROM '{}:Events'", damaged.display());
    let error = session.sql(&sql).await.unwrap().collect().await.unwrap_err();
    assert_eq!(kind_of(&error), ErrorKind::Input, "{error}");
    let text = root_engine::message_of(&error);
    assert!(text.contains("damaged.root") && !text.contains("root-query "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_executors_is_an_error_that_says_so() {
    let cluster = cluster(0).await;
    let error = cluster.cluster().elsewhere().await.unwrap_err().to_string();
    assert!(error.contains("no executors"), "{error}");
}
