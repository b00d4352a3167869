//! Jobs that take too long, and those that are not wanted any more.

use std::time::Duration;

use root_cluster::LocalOptions;
use root_engine::{ErrorKind, RootSession, kind_of, message_of};

use super::{count_events, count_pairs};
use crate::support::{cluster, cluster_with, session};

/// What takes minutes, see [`count_pairs`].
const LONG: i64 = 1000;
/// Against hanging.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_takes_longer_than_its_client_allows_is_stopped_and_its_cores_are_free() {
    let cluster = cluster(1).await;
    let bounded = cluster.cluster().clone().with_job_timeout(Some(Duration::from_millis(1500)));
    let bounded = RootSession::builder().elsewhere(bounded.elsewhere().await.unwrap()).build();
    let error = tokio::time::timeout(PATIENCE, count_pairs(&bounded, LONG)).await.unwrap().unwrap_err();
    let text = message_of(&error);
    assert!(text.contains("1.5 s") && text.contains("--job-timeout"), "{text}");
    assert_eq!(kind_of(&error), ErrorKind::Query);
    let session = session(&cluster).await;
    assert_eq!(tokio::time::timeout(PATIENCE, count_events(&session)).await.unwrap().unwrap(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_takes_longer_than_the_scheduler_allows() {
    let scheduler_arguments = vec!["--max-job-time".to_string(), "1".to_string()];
    let cluster = cluster_with(LocalOptions { scheduler_arguments, ..LocalOptions::default() }).await;
    let session = session(&cluster).await;
    let error = tokio::time::timeout(PATIENCE, count_pairs(&session, LONG)).await.unwrap().unwrap_err();
    let text = message_of(&error);
    assert!(text.contains("1 s") && text.contains("--max-job-time"), "{text}");
    assert_eq!(tokio::time::timeout(PATIENCE, count_events(&session)).await.unwrap().unwrap(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_somebody_cancels_ends_with_an_error_that_says_so() {
    let cluster = cluster(1).await;
    let session = session(&cluster).await;
    let query = tokio::spawn(async move { count_pairs(&session, LONG).await });
    let job = loop {
        let url = format!("{}/api/jobs", cluster.cluster().name());
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let jobs: serde_json::Value = serde_json::from_str(&text).unwrap();
        if let Some(job) = jobs[0]["job_id"].as_str() {
            break job.to_string();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    cluster.cluster().cancel(&job).await.unwrap();
    let error = tokio::time::timeout(PATIENCE, query).await.unwrap().unwrap().unwrap_err();
    let text = message_of(&error);
    assert!(text.contains(&job) && text.contains("cancelled"), "{text}");
}
