//! Storage that fails for a while, and files that end the processes that read them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use root_engine::{ErrorKind, RootSession, kind_of, message_of};

use super::{TIMES, count_pairs, number, signal};
use crate::files::{FileServer, Reply};
use crate::support::{SAMPLE, cluster, session};

/// Whether a TCP connection from this port is one of this process.
fn has_port(process: u32, port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let of_port =
        |line: &&str| line.split_whitespace().nth(1).is_some_and(|local| local.ends_with(&format!(":{port:04X}")));
    let inodes: Vec<_> = table.lines().filter(of_port).filter_map(|line| line.split_whitespace().nth(9)).collect();
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let mut links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    links.any(|link| inodes.iter().any(|inode| link.to_string_lossy() == format!("socket:[{inode}]")))
}

fn sum(url: &str) -> String {
    format!("SELECT CAST(sum(\"nMuon\") AS BIGINT) FROM '{url}:Events'")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_storage_fails_for_a_while_is_tried_again_and_the_ledger_says_so() {
    let cluster = cluster(2).await;
    let executors = cluster.executor_ids();
    let failed = Arc::new(AtomicUsize::new(0));
    let count = failed.clone();
    let server = FileServer::start("127.0.0.1", std::fs::read(SAMPLE).unwrap(), move |port, _| {
        let of_executor = executors.iter().any(|executor| has_port(*executor, port));
        match of_executor && count.fetch_add(1, Ordering::Relaxed) < 10 {
            true => Reply::Unavailable,
            false => Reply::File,
        }
    })
    .await;
    let here = number(&RootSession::new(), &sum(SAMPLE)).await.unwrap();
    let session = session(&cluster).await;
    assert_eq!(number(&session, &sum(&server.url("f.root"))).await.unwrap(), here);
    assert!(failed.load(Ordering::Relaxed) > 10, "executors have asked");
    let warnings = session.ledger().warnings();
    assert!(
        warnings.iter().any(|warning| warning.contains("tried again") && warning.contains("f.root")),
        "{warnings:?}"
    );
}

/// What the decoder of a file could do at worst: the process that reads it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_ends_its_readers_fails_its_own_query_and_no_other() {
    let cluster = Arc::new(cluster(2).await);
    let deaths = Arc::new(AtomicUsize::new(0));
    let (executors, count) = (cluster.clone(), deaths.clone());
    let server = FileServer::start("127.0.0.1", std::fs::read(SAMPLE).unwrap(), move |port, _| {
        for executor in executors.executor_ids().into_iter().filter(|executor| has_port(*executor, port)) {
            signal(executor, "SEGV");
            count.fetch_add(1, Ordering::Relaxed);
        }
        Reply::File
    })
    .await;
    let (poisoned, other) = (session(&cluster).await, session(&cluster).await);
    let other = tokio::spawn(async move { count_pairs(&other, TIMES).await });
    let error = number(&poisoned, &sum(&server.url("poisoned.root"))).await.unwrap_err();
    let text = message_of(&error);
    assert!(text.contains("poisoned.root") && text.contains("died"), "{text}");
    assert_eq!(kind_of(&error), ErrorKind::Query);
    assert!((4..=8).contains(&deaths.load(Ordering::Relaxed)), "{deaths:?} executors died");
    assert_eq!(other.await.unwrap().unwrap(), TIMES * 1_000_000);
}
