//! What clusters are for: the analyses of a benchmark, data sets of many files, and joins larger than memory. What is expected
//! is known by other means: from sessions without a cluster that equal published histograms, or by arithmetic.

use std::path::Path;
use std::time::{Duration, SystemTime};

use datafusion::arrow::util::pretty::pretty_format_batches;
use eos_testbed::{FaultProxy, Request, Xrootd};
use root_cluster::{LocalCluster, LocalOptions};
use root_engine::{RootSession, TableOptions};

use tempfile::TempDir;

use crate::support::{Process, SAMPLE, cluster, connected, free_port, programs, session};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_asked_again_finds_its_files_in_the_caches_of_executors() {
    let server = Xrootd::standalone().start();
    let proxy = FaultProxy::to(server.port()).start();
    for number in 0..6 {
        let path = format!("/d/{number}.root");
        server.volume().write(&path, std::fs::read(SAMPLE).unwrap());
        // What has just been written may change at the same time stamp, and is not kept.
        let file = std::fs::File::options().write(true).open(server.volume().path(&path)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }
    let port = free_port();
    let _scheduler = Process::scheduler(port);
    let caches: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let with_cache = |cache: &TempDir| Process::executor_with(port, &["--cache", cache.path().to_str().unwrap()]);
    let _executors: Vec<_> = caches.iter().map(with_cache).collect();
    let cluster = connected(port).await;
    while cluster.status().await.unwrap().executors < 3 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let session = RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build();
    session.register("t", &[proxy.url("/d/*.root")], &TableOptions::default()).await.unwrap();
    let reads = || {
        let counts = proxy.counts();
        counts.of(Request::Read) + counts.of(Request::Readv) + counts.of(Request::Pgread)
    };
    let sql = "SELECT count(*) AS n, sum(\"nMuon\") AS muons FROM t WHERE \"MET_pt\" > 0";
    let planned = reads();
    let first = rows(&session, sql).await;
    let read = reads();
    assert!(read > planned, "nothing was read");
    assert_eq!(rows(&session, sql).await, first);
    assert_eq!(reads(), read, "the server was asked again");
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
