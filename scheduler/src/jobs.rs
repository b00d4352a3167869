//! Whose each job is, how far it is, and what its tasks have found out: told by executors with their results, asked for by
//! clients.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

use ballista_core::serde::protobuf::{TaskStatus, job_status, operator_metric, task_status};
use parking_lot::Mutex;
use root_cluster::{Fault, JobProgress, TaskNote};
use root_engine::wire::TaskReport;
use serde::Serialize;

use crate::auth::User;
use crate::metrics::Metrics;

/// Jobs that are remembered.
const REMEMBERED: usize = 10_000;
/// Warnings that are remembered of a job.
const WARNINGS: usize = 100;

/// What is known of jobs. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Jobs {
    known: Arc<Mutex<Known>>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Known {
    by_id: HashMap<String, Tasks>,
    /// From the oldest to the newest.
    order: VecDeque<String>,
}

/// The finished tasks of a job. A task that ran again, because its results were lost, counts once.
#[derive(Debug, Default)]
struct Tasks {
    /// Whose job it is, and when it was submitted.
    submitted: Option<(User, SystemTime)>,
    notes: Notes,
    /// What went wrong and was made good.
    warnings: Vec<String>,
    /// How it ended, and what all tasks have told.
    outcome: Option<(Outcome, JobProgress)>,
}

/// Notes of tasks, each partition of a stage in one of them.
#[derive(Debug, Default)]
struct Notes {
    by_number: HashMap<usize, TaskNote>,
    /// The note that a partition of a stage is in.
    by_partition: HashMap<(u32, usize), usize>,
    next: usize,
}

impl Notes {
    /// Adds one, in place of those of the same partitions.
    fn add(&mut self, stage: u32, note: TaskNote) {
        for partition in &note.partitions {
            if let Some(earlier) = self.by_partition.insert((stage, *partition), self.next) {
                self.by_number.remove(&earlier);
            }
        }
        self.by_number.insert(self.next, note);
        self.next += 1;
    }
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// What has become of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) state: JobState,
    /// What went wrong.
    pub(crate) error: Option<String>,
}

impl Outcome {
    /// As Ballista has it.
    pub(crate) fn of(status: Option<&job_status::Status>) -> Self {
        let (state, error) = match status {
            None | Some(job_status::Status::Queued(_)) => (JobState::Queued, None),
            Some(job_status::Status::Running(_)) => (JobState::Running, None),
            Some(job_status::Status::Successful(_)) => (JobState::Succeeded, None),
            Some(job_status::Status::Failed(failed)) => match Fault::find(&failed.error) {
                Some(fault) => (JobState::Failed, Some(fault.message)),
                None if failed.error.to_ascii_lowercase().contains("cancelled") => (JobState::Cancelled, None),
                None => (JobState::Failed, Some(failed.error.clone())),
            },
        };
        Self { state, error }
    }
}

impl Jobs {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { known: Arc::default(), metrics }
    }

    /// Takes the notes out of what an executor says of its tasks; they are not Ballista's business.
    pub(crate) fn take_notes(&self, executor: &str, statuses: &mut [TaskStatus]) {
        self.metrics.heard(statuses);
        for status in statuses {
            log(executor, status);
            match &status.status {
                Some(task_status::Status::Successful(_)) => {}
                Some(task_status::Status::Failed(failed)) => {
                    if let Some(fault) = Fault::find(&failed.error).filter(|_| failed.retryable) {
                        self.warn(&status.job_id, format!("a task was tried again: {}", fault.message));
                    }
                    continue;
                }
                _ => continue,
            }
            for set in &mut status.metrics {
                set.metrics.retain(|metric| {
                    let Some(operator_metric::Metric::Count(count)) = &metric.metric else { return true };
                    let Some(note) = TaskNote::from_name(&count.name) else { return true };
                    self.metrics.read(&note);
                    self.add(&status.job_id, status.stage_id, note);
                    false
                });
            }
        }
    }

    fn add(&self, job: &str, stage: u32, note: TaskNote) {
        self.change(job, |tasks| tasks.notes.add(stage, note));
    }

    /// Remembers whose job it is.
    pub(crate) fn begin(&self, job: &str, user: &User) {
        self.change(job, |tasks| tasks.submitted = Some((user.clone(), SystemTime::now())));
    }

    /// A job has ended. Ballista forgets it when its rows are removed.
    pub(crate) fn ended(&self, job: &str, status: &job_status::Status) {
        self.change(job, |tasks| {
            let progress = JobProgress::of(std::mem::take(&mut tasks.notes).by_number.values());
            tasks.outcome = Some((Outcome::of(Some(status)), progress));
        });
    }

    /// How a job has ended, if it has.
    pub(crate) fn outcome(&self, job: &str) -> Option<Outcome> {
        self.known.lock().by_id.get(job)?.outcome.as_ref().map(|(outcome, _)| outcome.clone())
    }

    /// Something went wrong in a job and was made good.
    pub(crate) fn warn(&self, job: &str, warning: String) {
        self.change(job, |tasks| {
            if tasks.warnings.len() < WARNINGS && !tasks.warnings.contains(&warning) {
                tasks.warnings.push(warning);
            }
        });
    }

    fn change(&self, job: &str, change: impl FnOnce(&mut Tasks)) {
        let mut known = self.known.lock();
        let Known { by_id, order } = &mut *known;
        change(by_id.entry(job.to_string()).or_insert_with(|| {
            order.push_back(job.to_string());
            Tasks::default()
        }));
        while order.len() > REMEMBERED {
            if let Some(oldest) = order.pop_front() {
                by_id.remove(&oldest);
            }
        }
    }

    /// Whether a job is a user's own.
    pub(crate) fn is_of(&self, job: &str, user: &User) -> bool {
        self.submitted(job, user).is_some()
    }

    /// When a user has submitted a job; `None` if it is not theirs.
    pub(crate) fn submitted(&self, job: &str, user: &User) -> Option<SystemTime> {
        let known = self.known.lock();
        let (owner, time) = known.by_id.get(job)?.submitted.as_ref()?;
        (owner == user).then_some(*time)
    }

    /// The jobs of a user, the newest first, with when they were submitted.
    pub(crate) fn of(&self, user: &User) -> Vec<(String, SystemTime)> {
        let known = self.known.lock();
        let own = known.order.iter().rev().filter_map(|job| {
            let (owner, time) = known.by_id.get(job)?.submitted.as_ref()?;
            (owner == user).then(|| (job.clone(), *time))
        });
        own.collect()
    }

    pub(crate) fn progress(&self, job: &str) -> JobProgress {
        let known = self.known.lock();
        let Some(tasks) = known.by_id.get(job) else { return JobProgress::default() };
        let mut progress = match &tasks.outcome {
            Some((_, progress)) => progress.clone(),
            None => JobProgress::of(tasks.notes.by_number.values()),
        };
        if !tasks.warnings.is_empty() {
            progress.reports.push(TaskReport::of_warnings(tasks.warnings.clone()));
        }
        progress
    }
}

/// Logs how a task ended, with its names as fields.
fn log(executor: &str, status: &TaskStatus) {
    let TaskStatus { job_id: job, stage_id: stage, task_id: task, .. } = status;
    match &status.status {
        Some(task_status::Status::Successful(_)) => tracing::debug!(job, stage, task, executor, "the task has ended"),
        Some(task_status::Status::Failed(failed)) => {
            let fault = Fault::find(&failed.error).map_or_else(|| failed.error.clone(), |fault| fault.message);
            tracing::warn!(job, stage, task, executor, retried = failed.retryable, "the task failed: {fault}");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(partitions: &[usize], entries: u64) -> TaskNote {
        TaskNote { partitions: partitions.to_vec(), entries, ..TaskNote::default() }
    }

    #[test]
    fn a_partition_that_was_computed_twice_counts_once_and_all_count_after_the_end() {
        let jobs = Jobs::new(Metrics::new().unwrap());
        for (stage, note) in [(1, note(&[0, 1], 10)), (1, note(&[2], 5)), (2, note(&[0], 7)), (1, note(&[2], 6))] {
            jobs.add("job", stage, note);
        }
        let progress = jobs.progress("job");
        assert_eq!((progress.tasks, progress.entries), (3, 23));
        jobs.ended("job", &job_status::Status::Successful(Default::default()));
        assert_eq!(jobs.progress("job"), progress);
        assert_eq!(jobs.outcome("job").unwrap().state, JobState::Succeeded);
    }
}
