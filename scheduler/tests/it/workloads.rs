//! What clusters are for: the analyses of a benchmark, data sets of many files, and joins larger than memory. What is expected
//! is known by other means: from sessions without a cluster that equal published histograms, or by arithmetic.

use std::path::Path;

use datafusion::arrow::util::pretty::pretty_format_batches;
use root_cluster::{LocalCluster, LocalOptions};
use root_engine::{RootSession, TableOptions};

use crate::support::{SAMPLE, cluster, programs, session};

/// The rows of a query as text.
async fn rows(session: &RootSession, sql: &str) -> String {
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    pretty_format_batches(&batches).unwrap().to_string()
}

/// The session without a cluster has them equal to the reference histograms, see the tests of the engine.
#[tokio::test(flavor = "multi_thread")]
async fn the_queries_of_the_benchmark_fill_the_same_histograms() {
    let cluster = cluster(3).await;
    let queries = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/queries");
    let mut files: Vec<_> = std::fs::read_dir(queries).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 10, "{files:?}");
    let (here, there) = (RootSession::new(), session(&cluster).await);
    for session in [&here, &there] {
        session.register("t", &[SAMPLE.to_string()], &TableOptions::default()).await.unwrap();
    }
    for file in files {
        let sql = std::fs::read_to_string(&file).unwrap();
        assert_eq!(rows(&there, &sql).await, rows(&here, &sql).await, "{}", file.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_files_are_one_table() {
    const FILES: usize = 2000;
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("0.root");
    let small = format!("COPY (SELECT 5 AS x, CAST(2.5 AS DOUBLE) AS y) TO '{}' STORED AS ROOT", one.display());
    RootSession::new().sql(&small).await.unwrap().collect().await.unwrap();
    for number in 1..FILES {
        std::fs::copy(&one, folder.path().join(format!("{number}.root"))).unwrap();
    }
    let cluster = cluster(3).await;
    let session = session(&cluster).await;
    let sql = format!(
        "SELECT count(*) AS n, sum(x) AS x, sum(y) AS y FROM '{}/*.root:Events' WHERE x > 4",
        folder.path().display()
    );
    let expected = "| 2000 | 10000 | 5000.0 |";
    assert!(rows(&session, &sql).await.contains(expected), "{}", rows(&session, &sql).await);
}

/// Both sides have 24 bytes in each of 4 million rows, 192 MB, and the executors 120 MiB together.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_of_two_trees_may_be_larger_than_the_memory_of_all_executors() {
    const EVENTS: i64 = 4_000_000;
    let folder = tempfile::tempdir().unwrap();
    let local = RootSession::new();
    for (tree, value) in [("left", "event % 7"), ("right", "event % 5")] {
        let sql = format!(
            "COPY (SELECT event / 1000 AS run, event, CAST({value} AS DOUBLE) AS {tree} FROM \
             (SELECT value AS event FROM generate_series(1, {EVENTS}))) TO '{}/{tree}.root' STORED AS ROOT \
             OPTIONS (compression 'none')",
            folder.path().display()
        );
        local.sql(&sql).await.unwrap().collect().await.unwrap();
    }
    let options = LocalOptions { memory: Some(120 << 20), programs: Some(programs()), ..LocalOptions::new(3, 1) };
    let cluster = LocalCluster::start(&options).await.unwrap();
    let session = session(&cluster).await;
    let sql = format!(
        "SELECT count(*) AS n, sum(l.\"left\") AS l, sum(r.\"right\") AS r FROM '{0}/left.root:Events' l \
         JOIN '{0}/right.root:Events' r ON l.run = r.run AND l.event = r.event",
        folder.path().display()
    );
    let sum_of = |modulus: i64| (1..=EVENTS).map(|event| (event % modulus) as f64).sum::<f64>();
    let expected = format!("| {EVENTS} | {:?} | {:?} |", sum_of(7), sum_of(5));
    let found = rows(&session, &sql).await;
    assert!(found.contains(&expected), "{found}\n{expected}");
}
