//! What can be seen of a cluster: metrics, logs, and what is kept of jobs.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use root_cluster::{LocalCluster, LocalOptions};
use serde_json::Value;

use crate::support::{SAMPLE, cluster_with, executor_logs, free_port, session, until};

async fn metrics(url: &str) -> HashMap<String, f64> {
    let answer = reqwest::get(url).await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.text().await.unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_string(), value.parse().unwrap()))
        .collect()
}

/// Two queries, of which one fails.
async fn run_queries(cluster: &LocalCluster) {
    let session = session(cluster).await;
    let sql = format!("SELECT \"nMuon\", sum(\"MET_pt\") FROM '{SAMPLE}:Events' GROUP BY \"nMuon\"");
    session.sql(&sql).await.unwrap().collect().await.unwrap();
    let sql = format!("SELECT max(CAST('x' || \"nMuon\" AS INT)) FROM '{SAMPLE}:Events'");
    session.sql(&sql).await.unwrap().collect().await.unwrap_err();
}

fn options(scheduler: &[&str], executor: &[&str]) -> LocalOptions {
    let owned = |arguments: &[&str]| arguments.iter().map(ToString::to_string).collect();
    LocalOptions {
        scheduler_arguments: owned(scheduler),
        executor_arguments: owned(executor),
        ..LocalOptions::default()
    }
}

/// What a file of `deploy/` names for Prometheus: names, and the labels that they are to have there.
fn named(file: &str) -> Vec<(String, Vec<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    // Texts within JSON.
    let text = std::fs::read_to_string(path).unwrap().replace("\\\"", "\"");
    let mut named = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        for (start, _) in line.match_indices("rootquery_") {
            let (_, rest) = line.split_at(start);
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (name, rest) = rest.split_at(end);
            let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
            let labels = labels.split(',').map(str::trim).filter(|label| label.contains("=\""));
            named.push((name.to_string(), labels.map(str::to_string).collect()));
        }
    }
    named
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_alerts_name_what_schedulers_and_executors_count() {
    let address = format!("127.0.0.1:{}", free_port());
    let cluster = cluster_with(options(&[], &["--metrics-listen", &address])).await;
    let mut counted: Vec<String> = Vec::new();
    for url in [cluster.cluster().name(), format!("http://{address}")] {
        counted.extend(metrics(&format!("{url}/metrics")).await.into_keys());
    }
    for file in ["dashboard.json", "alerts.yaml"] {
        let named = named(file);
        assert!(named.len() > 10, "{file} names hardly anything: {named:?}");
        for (name, labels) in named {
            let is_it = |series: &&String| series.split('{').next() == Some(&name);
            let mut found = counted.iter().filter(is_it);
            assert!(
                found.any(|series| labels.iter().all(|label| series.contains(label))),
                "{file} names {name} {labels:?}, which nobody counts"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scheduler_and_executors_count_what_they_do_for_prometheus() {
    let address = format!("127.0.0.1:{}", free_port());
    let cluster = cluster_with(options(&[], &["--metrics-listen", &address])).await;
    run_queries(&cluster).await;
    let url = format!("{}/metrics", cluster.cluster().name());
    let failed = "rootquery_jobs_ended_total{result=\"failed\"}";
    // The client is told a moment earlier.
    let seen = loop {
        let seen = metrics(&url).await;
        if seen[failed] > 0.0 {
            break seen;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(seen["rootquery_executors"], 1.0);
    assert_eq!(seen["rootquery_cores"], 1.0);
    assert_eq!(seen["rootquery_jobs{state=\"running\"}"], 0.0);
    assert_eq!(seen["rootquery_jobs_ended_total{result=\"succeeded\"}"], 1.0);
    assert_eq!(seen[failed], 1.0);
    assert_eq!(seen["rootquery_tasks_ended_total{result=\"failed\"}"], 1.0);
    assert_eq!(seen["rootquery_task_failures_total{kind=\"query\"}"], 1.0);
    assert_eq!(seen["rootquery_read_entries_total"], 1000.0);
    assert!(seen["rootquery_read_bytes_total"] > 0.0 && seen["rootquery_task_seconds_count"] >= 2.0);
    let seen = metrics(&format!("http://{address}/metrics")).await;
    assert_eq!(seen["rootquery_executor_tasks_running"], 0.0);
    assert_eq!(seen["rootquery_executor_tasks_ended_total{result=\"failed\"}"], 1.0);
    assert!(seen["rootquery_executor_read_entries_total"] >= 1000.0);
    assert!(seen["rootquery_executor_decode_seconds_total"] > 0.0);
}

/// The lines of a log, each of which is an object.
fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_as_json_name_job_stage_and_task_in_fields() {
    let format = ["--log-format", "json", "--log", "info,root_executor=debug,root_scheduler=debug"];
    let cluster = cluster_with(options(&format, &format)).await;
    run_queries(&cluster).await;
    let ended = |line: &Value| line["fields"]["message"] == "the task has ended";
    let executor = lines(&executor_logs(&cluster)[0]);
    let span = &executor.iter().find(|line| ended(line)).expect("a task has ended")["span"];
    assert!(span["job"].as_str().is_some_and(|job| job.len() == 32), "{span}");
    assert!(span["stage"].is_u64() && span["task"].is_u64(), "{span}");
    let scheduler = lines(&std::fs::read_to_string(cluster.logs().join("scheduler.log")).unwrap());
    let fields = &scheduler.iter().find(|line| ended(line)).expect("a task has ended")["fields"];
    assert_eq!(fields["job"], span["job"]);
    assert!(fields["stage"].is_u64() && fields["task"].is_u64() && fields["executor"].is_string(), "{fields}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_events_has_a_file_for_each_job_that_says_how_it_went() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster_with(options(&["--event-log", folder.path().to_str().unwrap()], &[])).await;
    run_queries(&cluster).await;
    let files = || -> Vec<_> {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
        files.filter(|file| file.extension().is_some_and(|kind| kind == "eventlog")).collect()
    };
    until(Duration::from_secs(20), || files().len() == 2).await;
    let text: Vec<_> = files().iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    for text in &text {
        for event in ["JobStart", "TaskEnd", "JobEnd"] {
            assert!(text.contains(event), "{event} in {text}");
        }
        assert!(!text.contains("root-query-note"), "{text}");
    }
    assert!(text.iter().any(|text| text.contains("Succeeded")) && text.iter().any(|text| text.contains("Failed")));
}
