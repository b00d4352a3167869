//! Memory that does not suffice.

use datafusion::arrow::array::AsArray;
use root_engine::{ErrorKind, RootSession, kind_of, message_of};

use super::{count_events, number};
use crate::support::{Process, SAMPLE, connected, free_port};

/// Bytes that tasks may hold.
const MEMORY: &str = "20000000";

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_into_memory_is_spilled_or_an_error_and_the_executor_lives() {
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

    // A sort does not.
    let ranks = format!("SELECT row_number() OVER (ORDER BY s, p) AS r FROM ({million})");
    let sql = format!("SELECT CAST(sum(r) AS BIGINT) FROM ({ranks})");
    assert_eq!(number(&session, &sql).await.unwrap(), 1_000_000 * 1_000_001 / 2);
    let batches = session.sql(&format!("EXPLAIN ANALYZE {sql}")).await.unwrap().collect().await.unwrap();
    let text = batches[0].column(1).as_string::<i32>().value(0).to_string();
    let spilled = text.split("spill_count=").skip(1).any(|rest| !rest.starts_with('0'));
    assert!(spilled, "{text}");
    assert_eq!(count_events(&session).await.unwrap(), 1000);
}
