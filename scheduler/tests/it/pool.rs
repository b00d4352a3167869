//! Executors that the scheduler starts itself.

use std::time::Duration;

use root_cluster::{Cluster, ClusterStatus, LocalCluster, LocalOptions};
use root_engine::{ErrorKind, RootSession, kind_of, message_of};

use crate::faults::{TIMES, count_events, count_pairs};
use crate::support::{Process, free_port, programs, reachable};

/// A scheduler with these options for its executors.
async fn scheduler(options: &[&str]) -> (Process, Cluster) {
    let port = free_port();
    let scheduler = Process::scheduler_with(port, &[&["--executor-cores", "1"], options].concat());
    (scheduler, reachable(port).await)
}

async fn session(cluster: &Cluster) -> RootSession {
    RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build()
}

/// Waits for a state of a cluster.
async fn until(cluster: &Cluster, holds: impl Fn(&ClusterStatus) -> bool) -> ClusterStatus {
    let mut seen = None;
    for _ in 0..1200 {
        let status = cluster.status().await.unwrap();
        if holds(&status) {
            return status;
        }
        seen = Some(status);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it does not come true: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn executors_come_with_the_first_query_and_go_when_there_is_nothing_left_to_do() {
    let (_scheduler, cluster) = scheduler(&["--start-executors", "0..2", "--executor-idle", "2"]).await;
    let status = cluster.status().await.unwrap();
    assert_eq!((status.executors, status.most_cores), (0, 2));

    let session = session(&cluster).await;
    let query = tokio::spawn(async move { count_pairs(&session, TIMES).await });
    until(&cluster, |status| status.executors == 2).await;
    assert_eq!(query.await.unwrap().unwrap(), TIMES * 1_000_000);

    until(&cluster, |status| status.executors == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_on_executors_that_never_come_ends_with_an_error_that_says_why() {
    let options = ["--start-executors", "0..1", "--executor-start", "1", "--executor-program", "/bin/false"];
    let (_scheduler, cluster) = scheduler(&options).await;
    let error = count_events(&session(&cluster).await).await.unwrap_err();
    let text = message_of(&error);
    assert!(text.contains("no executor has come") && text.contains("exit status: 1"), "{text}");
    assert_eq!(kind_of(&error), ErrorKind::Query);
    let reason = cluster.status().await.unwrap().reason;
    assert!(reason.as_ref().is_some_and(|reason| reason.contains("exit status: 1")), "{reason:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_on_this_machine_whose_executors_do_not_start_says_of_what_they_died() {
    let executor_arguments = vec!["--no-such-option".to_string()];
    let options = LocalOptions { executor_arguments, programs: Some(programs()), ..LocalOptions::new(2, 1) };
    let error = LocalCluster::start(&options).await.unwrap_err().to_string();
    assert!(error.contains("root-executor") && error.contains("exit status: 2"), "{error}");
}
