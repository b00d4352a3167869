//! Processes that die, stop, and come back.

use std::time::{Duration, Instant};

use root_engine::{ErrorKind, RootSession, kind_of};

use super::{TIMES, count_events, count_pairs, signal};
use crate::support::{Process, SAMPLE, cluster, connected, executor_logs, free_port, session, until};

/// Whether a process of this one has ended, though nobody has asked for its result yet.
fn has_ended(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.is_empty() || status.contains("State:\tZ")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_is_killed_in_the_middle_of_a_query_costs_no_rows() {
    let cluster = cluster(2).await;
    let session = session(&cluster).await;
    let query = tokio::spawn(async move { count_pairs(&session, TIMES).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!query.is_finished(), "the query is too short for this test");
    signal(cluster.executor_ids()[0], "KILL");
    assert_eq!(query.await.unwrap().unwrap(), TIMES * 1_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_is_told_to_stop_finishes_its_tasks_and_hands_out_its_rows() {
    let cluster = cluster(2).await;
    let session = session(&cluster).await;
    let query = tokio::spawn(async move { count_pairs(&session, TIMES).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let executor = cluster.executor_ids()[0];
    assert!(!query.is_finished(), "the query is too short for this test");
    signal(executor, "TERM");
    assert_eq!(query.await.unwrap().unwrap(), TIMES * 1_000_000);
    until(Duration::from_secs(60), || has_ended(executor)).await;
    let logs = executor_logs(&cluster);
    assert!(logs.iter().any(|log| log.contains("Executor stopped.")), "{logs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_outlives_its_scheduler_if_another_one_takes_its_place() {
    let port = free_port();
    let first = Process::scheduler(port);
    let _executor = Process::executor(port);
    let cluster = connected(port).await;
    let session = RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build();
    let ledger = session.ledger().clone();
    let query = tokio::spawn(async move { count_pairs(&session, TIMES).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!query.is_finished(), "the query is too short for this test");
    drop(first);
    let _second = Process::scheduler(port);
    assert_eq!(query.await.unwrap().unwrap(), TIMES * 1_000_000);
    assert!(ledger.warnings().iter().any(|warning| warning.contains("submitted again")), "{:?}", ledger.warnings());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_stays_away_ends_the_query_with_an_error_that_names_it() {
    let cluster = cluster(1).await;
    let session = session(&cluster).await;
    let query = tokio::spawn(async move { count_pairs(&session, TIMES).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    signal(cluster.scheduler_id(), "KILL");
    let error = tokio::time::timeout(Duration::from_secs(90), query).await.unwrap().unwrap().unwrap_err();
    let text = root_engine::message_of(&error);
    assert!(text.contains("run it again") || text.contains(&cluster.cluster().name()), "{text}");
}

/// An executor that does not move for longer than the scheduler waits is lost; when it moves again, it takes part again.
#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_is_paused_costs_no_rows_and_comes_back() {
    let cluster = cluster(2).await;
    let session = session(&cluster).await;
    let query = tokio::spawn(async move { count_pairs(&session, TIMES).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!query.is_finished(), "the query is too short for this test");
    let executor = cluster.executor_ids()[0];
    signal(executor, "STOP");
    let rows = tokio::time::timeout(Duration::from_secs(120), query).await.unwrap().unwrap().unwrap();
    assert_eq!(rows, TIMES * 1_000_000);
    signal(executor, "CONT");
    let since = Instant::now();
    while cluster.cluster().status().await.unwrap().executors < 2 {
        assert!(since.elapsed() < Duration::from_secs(60), "it stays away");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_dies_is_noticed_long_before_it_has_been_silent_for_too_long() {
    let port = free_port();
    let _scheduler =
        Process::start("root-scheduler", &["--listen", &format!("127.0.0.1:{port}"), "--executor-timeout", "600"]);
    let executor = Process::executor(port);
    let cluster = connected(port).await;
    drop(executor);
    let since = Instant::now();
    while cluster.status().await.unwrap().executors > 0 {
        assert!(since.elapsed() < Duration::from_secs(60), "it is not noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_of_a_cluster_on_this_machine_that_dies_is_started_again() {
    let cluster = cluster(1).await;
    let first = cluster.executor_ids()[0];
    signal(first, "KILL");
    until(Duration::from_secs(60), || cluster.executor_ids().first().is_some_and(|now| *now != first)).await;
    let session = session(&cluster).await;
    assert_eq!(count_events(&session).await.unwrap(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_was_killed_can_be_started_again_by_the_same_name_at_once() {
    let port = free_port();
    let _scheduler = Process::scheduler(port);
    let named = || Process::executor_with(port, &["--name", "one", "--scheduler-timeout", "60"]);
    let first = named();
    let cluster = connected(port).await;
    let session = RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build();
    drop(first);
    let _second = named();
    let events = tokio::time::timeout(Duration::from_secs(60), count_events(&session)).await.unwrap();
    assert_eq!(events.unwrap(), 1000);
}
