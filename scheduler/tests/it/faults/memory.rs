//! Memory that does not suffice.

use root_engine::{ErrorKind, RootSession, kind_of, message_of};

use super::{count_events, number};
use crate::support::{Process, SAMPLE, connected, free_port};

/// Bytes that tasks may hold.
const MEMORY: &str = "20000000";

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_needs_more_memory_than_it_may_hold_ends_with_an_error_and_the_executor_lives() {
    let port = free_port();
    let _scheduler = Process::scheduler(port);
    let url = format!("http://127.0.0.1:{port}");
    let _executor = Process::start("root-executor", &["--scheduler", &url, "--cores", "1", "--memory", MEMORY]);
    let cluster = connected(port).await;
    let session = RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build();
    let file = format!("'{SAMPLE}:Events'");
    let million = format!(
        "SELECT a.\"MET_pt\" + b.\"MET_pt\" AS s, a.\"MET_phi\" + b.\"MET_phi\" AS p FROM {file} a CROSS JOIN {file} b"
    );

    // A join keeps one side in memory.
    let sql = format!("SELECT count(*) FROM ({million}) x JOIN ({million}) y ON x.s = y.s AND x.p = y.p");
    let error = number(&session, &sql).await.unwrap_err();
    let text = message_of(&error);
    assert!(text.contains("needs more memory") && text.contains("--memory"), "{text}");
    assert_eq!(kind_of(&error), ErrorKind::Query);

    assert_eq!(count_events(&session).await.unwrap(), 1000);
}
