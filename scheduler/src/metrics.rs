//! What a scheduler counts, for Prometheus: `GET /metrics`.

use ballista_core::JobId;
use ballista_core::error::{BallistaError, Result};
use ballista_core::serde::protobuf::failed_task::FailedReason;
use ballista_core::serde::protobuf::{FailedTask, TaskStatus, task_status};
use ballista_scheduler::metrics::SchedulerMetricsCollector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use root_cluster::{Fault, TaskNote};

use crate::serve::Server;

/// How jobs end.
const JOB_RESULTS: [&str; 3] = ["succeeded", "failed", "cancelled"];
/// How attempts at tasks end.
const TASK_RESULTS: [&str; 6] = ["succeeded", "failed", "retried", "refetched", "stopped", "lost"];
/// What is at fault when a task fails.
const FAULTS: [&str; 6] = ["query", "usage", "input", "authentication", "transport", "unknown"];

/// Seconds, from what is too short to notice to hours.
const SECONDS: [f64; 12] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0];

/// The counters of a scheduler. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    executors: IntGauge,
    cores: IntGauge,
    executors_lost: IntCounter,
    jobs: IntGaugeVec,
    jobs_ended: IntCounterVec,
    job_wait: Histogram,
    job_time: Histogram,
    tasks_running: IntGauge,
    tasks_ended: IntCounterVec,
    task_failures: IntCounterVec,
    task_wait: Histogram,
    task_time: Histogram,
    bytes: IntCounter,
    entries: IntCounter,
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let histogram = |name: &str, help: &str| {
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))?;
            registry.register(Box::new(histogram.clone()))?;
            prometheus::Result::Ok(histogram)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            prometheus::Result::Ok(gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            prometheus::Result::Ok(counter)
        };
        // What has not happened yet counts as none, so that the first time is seen as a rise.
        let counters = |name: &str, help: &str, label: &str, values: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
            values.iter().for_each(|value| drop(counters.with_label_values(&[*value])));
            registry.register(Box::new(counters.clone()))?;
            prometheus::Result::Ok(counters)
        };
        let jobs = IntGaugeVec::new(Opts::new("rootquery_jobs", "Jobs that have not ended, by state."), &["state"])?;
        registry.register(Box::new(jobs.clone()))?;
        let ended = "Jobs that have ended, by result: succeeded, failed, or cancelled, which includes those stopped.";
        let tasks =
            "Attempts at tasks that have ended, by result: succeeded, failed, retried, refetched, stopped or lost.";
        Ok(Self {
            executors: gauge("rootquery_executors", "Executors that are registered.")?,
            cores: gauge("rootquery_cores", "Tasks that executors can run at the same time.")?,
            executors_lost: counter("rootquery_executors_lost_total", "Executors that were lost with tasks on them.")?,
            jobs,
            jobs_ended: counters("rootquery_jobs_ended_total", ended, "result", &JOB_RESULTS)?,
            job_wait: histogram("rootquery_job_wait_seconds", "From the arrival of a job until its tasks can start.")?,
            job_time: histogram("rootquery_job_seconds", "From the arrival of a job until it has succeeded.")?,
            tasks_running: gauge("rootquery_tasks_running", "Tasks that executors have been given and not ended.")?,
            tasks_ended: counters("rootquery_tasks_ended_total", tasks, "result", &TASK_RESULTS)?,
            task_failures: counters(
                "rootquery_task_failures_total",
                "Tasks that failed, by what is at fault.",
                "kind",
                &FAULTS,
            )?,
            task_wait: histogram("rootquery_task_wait_seconds", "From the launch of a task until it runs.")?,
            task_time: histogram("rootquery_task_seconds", "What tasks took to run.")?,
            bytes: counter("rootquery_read_bytes_total", "Stored bytes of baskets that tasks have read.")?,
            entries: counter("rootquery_read_entries_total", "Entries that scans of tasks have passed.")?,
            registry,
        })
    }

    /// Counts what an executor says of its tasks.
    pub(crate) fn heard(&self, statuses: &[TaskStatus]) {
        for status in statuses {
            let result = match &status.status {
                None | Some(task_status::Status::Running(_)) => continue,
                Some(task_status::Status::Successful(_)) => "succeeded",
                Some(task_status::Status::Failed(failed)) => self.failure(failed),
            };
            self.tasks_ended.with_label_values(&[result]).inc();
            self.task_wait.observe(seconds(status.launch_time, status.start_exec_time));
            self.task_time.observe(seconds(status.start_exec_time, status.end_exec_time));
        }
    }

    fn failure(&self, failed: &FailedTask) -> &'static str {
        match failed.failed_reason {
            Some(FailedReason::TaskKilled(_)) => return "stopped",
            Some(FailedReason::FetchPartitionError(_)) => return "refetched",
            _ => {}
        }
        let fault = Fault::find(&failed.error);
        let kind = fault.as_ref().map_or("unknown", Fault::kind_name);
        self.task_failures.with_label_values(&[if failed.retryable { "transport" } else { kind }]).inc();
        if failed.retryable { "retried" } else { "failed" }
    }

    /// Counts what a task has read.
    pub(crate) fn read(&self, note: &TaskNote) {
        self.bytes.inc_by(note.bytes);
        self.entries.inc_by(note.entries);
    }

    /// An executor was lost with so many tasks on it.
    pub(crate) fn lost(&self, tasks: usize) {
        if tasks > 0 {
            self.executors_lost.inc();
            self.tasks_ended.with_label_values(&["lost"]).inc_by(tasks as u64);
        }
    }

    /// All of it as text, with what is so at the moment.
    pub(crate) async fn to_text(&self, server: &Server, tasks_running: usize) -> Result<Vec<u8>> {
        let executors = server.state.executor_manager.get_executors_state().await?;
        let cores: u32 = executors.iter().map(|(executor, ..)| executor.specification.vcores).sum();
        self.executors.set(executors.len() as i64);
        self.cores.set(i64::from(cores));
        self.jobs.with_label_values(&["queued"]).set(server.pending_job_number() as i64);
        self.jobs.with_label_values(&["running"]).set(server.running_job_number() as i64);
        self.tasks_running.set(tasks_running as i64);
        self.encode()
    }

    fn encode(&self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        encoded.map_err(|error| BallistaError::Internal(format!("the metrics cannot be written: {error}")))?;
        Ok(text)
    }
}

/// Between two times in milliseconds; nothing if one of them is not known.
fn seconds(from: u64, to: u64) -> f64 {
    if from == 0 { 0.0 } else { to.saturating_sub(from) as f64 / 1e3 }
}

impl SchedulerMetricsCollector for Metrics {
    fn record_submitted(&self, _: &JobId, queued_at: u64, submitted_at: u64) {
        self.job_wait.observe(seconds(queued_at, submitted_at));
    }

    fn record_completed(&self, _: &JobId, queued_at: u64, completed_at: u64) {
        self.jobs_ended.with_label_values(&["succeeded"]).inc();
        self.job_time.observe(seconds(queued_at, completed_at));
    }

    fn record_failed(&self, _: &JobId, _: u64, _: u64) {
        self.jobs_ended.with_label_values(&["failed"]).inc();
    }

    fn record_cancelled(&self, _: &JobId) {
        self.jobs_ended.with_label_values(&["cancelled"]).inc();
    }

    fn set_pending_tasks_queue_size(&self, _: u64) {}

    fn gather_metrics(&self) -> Result<Option<(Vec<u8>, String)>> {
        Ok(Some((self.encode()?, prometheus::TEXT_FORMAT.to_string())))
    }
}
