//! What becomes of queries when something fails.

mod disk;
mod memory;
mod network;
mod processes;
mod storage;
mod time;

use std::process::Command;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use root_engine::RootSession;

use crate::support::SAMPLE;

/// What takes some seconds, see [`count_pairs`].
pub(crate) const TIMES: i64 = 300;

/// Every event with every other, so many times, an even number: work of which the answer is known, in two halves, so that two
/// executors have something to do.
pub(crate) async fn count_pairs(session: &RootSession, times: i64) -> datafusion::common::Result<i64> {
    let file = format!("'{SAMPLE}:Events'");
    let half = times / 2;
    let count = |offset: i64| {
        format!(
            "SELECT count(*) AS n FROM {file} a CROSS JOIN {file} b \
             CROSS JOIN (SELECT \"MET_pt\" FROM {file} LIMIT {half} OFFSET {offset}) c \
             WHERE a.\"MET_pt\" + b.\"MET_pt\" + c.\"MET_pt\" >= 0"
        )
    };
    let sql = format!("SELECT CAST(sum(n) AS BIGINT) FROM ({} UNION ALL {})", count(0), count(half));
    number(session, &sql).await
}

/// The number that a query has as its only value.
async fn number(session: &RootSession, sql: &str) -> datafusion::common::Result<i64> {
    let batches = session.sql(sql).await.unwrap().collect().await?;
    Ok(batches[0].column(0).as_primitive::<Int64Type>().value(0))
}

/// The number of events, by a query that reads them.
pub(crate) async fn count_events(session: &RootSession) -> datafusion::common::Result<i64> {
    number(session, &format!("SELECT count(*) FROM '{SAMPLE}:Events' WHERE \"MET_pt\" >= 0")).await
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().unwrap().success());
}
