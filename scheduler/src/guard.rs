//! Keeps jobs from running for ever: those that take longer than they may, and those whose tasks end the executors that run
//! them. Ballista starts the tasks of an executor that is lost again, however often that happens; here it is counted.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::{MultiTaskDefinition, TaskStatus, task_status};
use parking_lot::Mutex;
use root_cluster::Fault;
use root_engine::ErrorKind;

/// Deaths of executors that are remembered.
const DEATHS: usize = 10_000;

/// What is known of jobs that run. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    known: Arc<Mutex<Known>>,
    /// How many executors may be lost under a task before its job fails.
    attempts: usize,
    /// How long any job may take.
    max_time: Option<Duration>,
}

#[derive(Debug, Default)]
struct Known {
    jobs: HashMap<String, Job>,
    /// What runs where, by executor.
    running: HashMap<String, Running>,
    /// From the oldest to the newest.
    deaths: Vec<Death>,
    /// Executors that ended for want of memory, and may not have been missed yet.
    out_of_memory: HashMap<String, Want>,
}

/// An executor that was lost.
#[derive(Debug)]
struct Death {
    executor: String,
    /// What ran there.
    lost: Vec<Work>,
    /// Whether it was for want of memory.
    want: Option<Want>,
}

/// What an executor lacked that ran out of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    /// No more than others can have, under which the same tasks may live.
    Curable,
    /// More than there may be.
    Final,
}

/// A part of a job under which too many executors were lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suspect {
    pub(crate) work: Work,
    /// How many of them ended for want of memory, as far as it is known.
    pub(crate) out_of_memory: usize,
}

/// The partitions of tasks, by job, stage, attempt of the stage, and task.
type Running = HashMap<(String, u32, u32, u32), Vec<u32>>;

/// A job that has not ended.
#[derive(Debug)]
struct Job {
    begun: Instant,
    limit: Option<Limit>,
    /// Why it was ended, if it was.
    verdict: Option<Fault>,
}

#[derive(Debug, Clone, Copy)]
struct Limit {
    time: Duration,
    /// Whether whoever submitted the job asked for it.
    asked: bool,
}

/// A part of a job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Work {
    pub(crate) job: String,
    pub(crate) stage: u32,
    pub(crate) partition: u32,
}

impl Guard {
    pub(crate) fn new(attempts: usize, max_time: Option<Duration>) -> Self {
        Self { known: Arc::default(), attempts, max_time }
    }

    /// A job begins, which is to take no longer than it asks for.
    pub(crate) fn begun(&self, job: &str, asked: Option<Duration>) {
        let asked = asked.map(|time| Limit { time, asked: true });
        let most = self.max_time.map(|time| Limit { time, asked: false });
        let limit = asked.into_iter().chain(most).min_by_key(|limit| limit.time);
        let fresh = || Job { begun: Instant::now(), limit, verdict: None };
        self.known.lock().jobs.entry(job.to_string()).or_insert_with(fresh);
    }

    /// Tasks go to an executor.
    pub(crate) fn launched(&self, executor: &str, tasks: &[MultiTaskDefinition]) {
        let mut known = self.known.lock();
        let running = known.running.entry(executor.to_string()).or_default();
        for group in tasks {
            for task in &group.task_ids {
                let name = (group.job_id.clone(), group.stage_id, group.stage_attempt_num, task.task_id);
                running.insert(name, task.global_output_partition_ids.clone());
            }
        }
    }

    /// An executor tells of its tasks.
    pub(crate) fn heard(&self, executor: &str, statuses: &[TaskStatus]) {
        let mut known = self.known.lock();
        let Some(running) = known.running.get_mut(executor) else { return };
        for status in statuses {
            if !matches!(status.status, Some(task_status::Status::Running(_)) | None) {
                let attempt = status.stage_attempt_num;
                running.remove(&(status.job_id.clone(), status.stage_id, attempt, status.task_id));
            }
        }
    }

    /// How many tasks run.
    pub(crate) fn running(&self) -> usize {
        self.known.lock().running.values().map(HashMap::len).sum()
    }

    /// How many tasks run on each executor that has some.
    pub(crate) fn load(&self) -> HashMap<String, usize> {
        let known = self.known.lock();
        known.running.iter().map(|(executor, running)| (executor.clone(), running.len())).collect()
    }

    /// An executor has ended for want of memory. Its tasks are not to blame if others can have more.
    pub(crate) fn out_of_memory(&self, executor: &str, others_can_have_more: bool) {
        let want = if others_can_have_more { Want::Curable } else { Want::Final };
        let mut known = self.known.lock();
        if let Some(death) = known.deaths.iter_mut().find(|death| death.executor == executor) {
            death.want = Some(want);
        } else if known.running.contains_key(executor) {
            known.out_of_memory.insert(executor.to_string(), want);
        }
    }

    /// An executor is gone. The answer is what ran there, and what of it has now lost as many executors as it may.
    pub(crate) fn died(&self, executor: &str) -> (Vec<Work>, Option<Suspect>) {
        let mut known = self.known.lock();
        let tasks = known.running.remove(executor).unwrap_or_default();
        let want = known.out_of_memory.remove(executor);
        let lost: BTreeSet<Work> = tasks
            .into_iter()
            .filter(|((job, ..), _)| known.jobs.contains_key(job))
            .flat_map(|((job, stage, ..), partitions)| {
                partitions.into_iter().map(move |partition| Work { job: job.clone(), stage, partition })
            })
            .collect();
        let lost: Vec<_> = lost.into_iter().collect();
        if lost.is_empty() {
            return (lost, None);
        }
        known.deaths.push(Death { executor: executor.to_string(), lost: lost.clone(), want });
        let too_many = known.deaths.len().saturating_sub(DEATHS);
        known.deaths.drain(..too_many);
        let suspect = lost.iter().filter(|work| known.deaths_of(work).count() >= self.attempts).max_by_key(|work| {
            // Of several that were there each time, the one whose job came last: before it, executors lived.
            (known.deaths_of(work).count(), known.jobs.get(&work.job).map(|job| job.begun))
        });
        let suspect = suspect.map(|work| Suspect {
            work: work.clone(),
            out_of_memory: known.deaths_of(work).filter(|death| death.want.is_some()).count(),
        });
        if let Some(Suspect { work, .. }) = &suspect {
            // This explains the deaths under which others suffered as well.
            known.deaths.retain(|death| !death.lost.iter().any(|other| other.job == work.job));
        }
        (lost, suspect)
    }

    /// Jobs that have taken longer than they may, and those that were to end for another reason and have not yet.
    pub(crate) fn overdue(&self) -> Vec<String> {
        let mut known = self.known.lock();
        let mut overdue = Vec::new();
        for (name, job) in &mut known.jobs {
            if job.verdict.is_none()
                && let Some(limit) = job.limit.filter(|limit| job.begun.elapsed() > limit.time)
            {
                job.verdict = Some(Fault::new(ErrorKind::Query, limit.to_text()));
            }
            if job.verdict.is_some() {
                overdue.push(name.clone());
            }
        }
        overdue
    }

    /// Says why a job is to end.
    pub(crate) fn condemn(&self, job: &str, fault: Fault) {
        if let Some(job) = self.known.lock().jobs.get_mut(job) {
            job.verdict.get_or_insert(fault);
        }
    }

    /// Why a job was ended, if it was.
    pub(crate) fn verdict(&self, job: &str) -> Option<Fault> {
        self.known.lock().jobs.get(job)?.verdict.clone()
    }

    /// A job has ended.
    pub(crate) fn ended(&self, job: &str) {
        let mut known = self.known.lock();
        known.jobs.remove(job);
        for running in known.running.values_mut() {
            running.retain(|(of, ..), _| of != job);
        }
        for death in &mut known.deaths {
            death.lost.retain(|work| work.job != job);
        }
        known.deaths.retain(|death| !death.lost.is_empty());
    }
}

impl Known {
    /// The deaths for which a part of a job may be to blame.
    fn deaths_of<'a>(&'a self, work: &'a Work) -> impl Iterator<Item = &'a Death> {
        self.deaths.iter().filter(|death| death.want != Some(Want::Curable) && death.lost.contains(work))
    }
}

impl Limit {
    fn to_text(self) -> String {
        let seconds = self.time.as_secs_f64();
        if self.asked {
            format!("the query was stopped as it took longer than the {seconds} s of --job-timeout")
        } else {
            format!(
                "the query was stopped as the scheduler lets none take longer than {seconds} s (its --max-job-time)"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::protobuf::{SuccessfulTask, TaskId};

    use super::*;

    fn launch(guard: &Guard, executor: &str, job: &str) {
        let task = TaskId { global_output_partition_ids: vec![7], ..TaskId::default() };
        let group = MultiTaskDefinition {
            job_id: job.to_string(),
            stage_id: 1,
            task_ids: vec![task],
            ..MultiTaskDefinition::default()
        };
        guard.launched(executor, &[group]);
    }

    fn guard(jobs: &[&str]) -> Guard {
        let guard = Guard::new(3, None);
        jobs.iter().for_each(|job| guard.begun(job, None));
        guard
    }

    #[test]
    fn a_partition_under_which_executors_die_is_suspected_after_as_many_attempts_as_there_are() {
        let guard = guard(&["a"]);
        for (executor, suspected) in [("1", false), ("2", false), ("3", true)] {
            launch(&guard, executor, "a");
            let (lost, suspect) = guard.died(executor);
            assert_eq!(lost.len(), 1);
            assert_eq!(suspect.is_some(), suspected, "{executor}");
        }
    }

    #[test]
    fn want_of_memory_counts_where_nobody_can_have_more_and_is_told() {
        let guard = guard(&["a"]);
        let die = |executor: &str, others_can_have_more: bool, is_known_before: bool| {
            launch(&guard, executor, "a");
            if is_known_before {
                guard.out_of_memory(executor, others_can_have_more);
            }
            let (_, suspect) = guard.died(executor);
            guard.out_of_memory(executor, others_can_have_more);
            suspect
        };
        for (executor, is_known_before) in [("1", true), ("2", false), ("3", false), ("4", true), ("5", false)] {
            assert_eq!(die(executor, true, is_known_before), None, "{executor}");
        }
        assert_eq!((die("6", false, true), die("7", false, false)), (None, None));
        assert_eq!(die("8", false, false).unwrap().out_of_memory, 2, "of the last one it is not known yet");
        assert!(guard.known.lock().out_of_memory.is_empty());
    }

    fn ended(attempt: u32) -> TaskStatus {
        TaskStatus {
            job_id: "a".to_string(),
            stage_id: 1,
            stage_attempt_num: attempt,
            status: Some(task_status::Status::Successful(SuccessfulTask::default())),
            ..TaskStatus::default()
        }
    }

    #[test]
    fn a_task_that_has_ended_is_not_to_blame() {
        let guard = guard(&["a"]);
        for executor in ["1", "2", "3"] {
            launch(&guard, executor, "a");
            guard.heard(executor, &[ended(0)]);
            assert_eq!(guard.died(executor), (Vec::new(), None));
        }
    }

    #[test]
    fn the_end_of_a_task_of_an_attempt_before_is_not_that_of_the_task_that_runs() {
        let guard = guard(&["a"]);
        launch(&guard, "1", "a");
        guard.heard("1", &[ended(1)]);
        assert_eq!(guard.running(), 1);
    }

    #[test]
    fn of_two_jobs_that_were_there_each_time_the_later_one_is_suspected_and_explains_the_deaths() {
        let guard = guard(&["a"]);
        std::thread::sleep(Duration::from_millis(2));
        guard.begun("b", None);
        let die = |executor: &str| {
            launch(&guard, executor, "a");
            launch(&guard, executor, "b");
            guard.died(executor).1
        };
        assert_eq!((die("1"), die("2")), (None, None));
        assert_eq!(die("3").unwrap().work.job, "b");
        launch(&guard, "4", "a");
        assert_eq!(guard.died("4").1, None);
    }

    #[test]
    fn the_shorter_of_two_limits_counts_and_is_named() {
        let guard = Guard::new(1, Some(Duration::ZERO));
        guard.begun("a", Some(Duration::from_secs(60)));
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(guard.overdue(), ["a"]);
        assert!(guard.verdict("a").unwrap().message.contains("--max-job-time"));
        guard.ended("a");
        assert!(guard.overdue().is_empty() && guard.verdict("a").is_none());
    }
}
