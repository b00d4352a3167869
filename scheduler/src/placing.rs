//! Which task runs where and next. Jobs share the cluster evenly, so that a small query does not wait for the end of a large
//! one; and a range of a file goes to the same executor each time if that has room, as it may have the range in its cache.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::config::BallistaConfig;
use ballista_core::execution_plans::{RangeShuffleReaderExec, ShuffleReaderExec};
use ballista_core::serde::protobuf::{AvailableVcores, job_status, task_status};
use ballista_core::serde::scheduler::TaskKey;
use ballista_scheduler::cluster::{BoundTask, DistributionPolicy};
use ballista_scheduler::state::execution_graph::{ExecutionGraphBox, TaskDescription, create_task_info};
use ballista_scheduler::state::execution_stage::{ExecutionStage, RunningStage};
use ballista_scheduler::state::task_manager::JobInfoCache;
use datafusion::common::Result;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use parking_lot::Mutex;
use tokio::sync::RwLockWriteGuard;

use crate::outputs::Outputs;

/// Executors that are remembered at most: those that are gone take no tasks, and do no harm.
const REMEMBERED: usize = 10_000;

/// Even shares for jobs, and the same executor for the same range of a file.
#[derive(Debug, Default)]
pub(crate) struct Placing {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// All executors that ever had room. Those that are busy now are not named to a policy.
    executors: BTreeSet<String>,
    /// What each partition of a stage reads first, by job and stage.
    stages: HashMap<(String, usize), Arc<Stage>>,
}

/// The partitions of a stage that read files.
#[derive(Debug)]
struct Stage {
    /// How many executors were known.
    executors: usize,
    /// The executor that each partition prefers; none for a stage that reads no files.
    preferred: Vec<String>,
}

/// A job that has tasks to run.
struct Waiting<'a> {
    id: &'a JobId,
    graph: RwLockWriteGuard<'a, ExecutionGraphBox>,
    /// Cores that its tasks occupy.
    cores: u32,
}

#[async_trait]
impl DistributionPolicy for Placing {
    async fn bind_tasks(
        &self,
        mut budgets: Vec<&mut AvailableVcores>,
        running_jobs: Arc<HashMap<JobId, JobInfoCache>>,
    ) -> Result<Vec<BoundTask>> {
        self.remember(&budgets, &running_jobs);
        let mut jobs = Vec::with_capacity(running_jobs.len());
        for (id, job) in running_jobs.iter() {
            if matches!(job.status, Some(job_status::Status::Running(_))) {
                let graph = job.execution_graph.write().await;
                let cores = occupied(&graph);
                jobs.push(Waiting { id, graph, cores });
            }
        }
        // Names of jobs are in the order of their submission.
        jobs.sort_by_cached_key(|job| job.id.to_string());
        let mut bound = Vec::new();
        while let Some(index) = (0..jobs.len()).min_by_key(|index| jobs.get(*index).map(|job| job.cores)) {
            let free: u32 = budgets.iter().map(|budget| budget.vcores).sum();
            if free == 0 {
                break;
            }
            let share = (free as usize).div_ceil(jobs.len());
            let Some(job) = jobs.get_mut(index) else { break };
            let session = job.graph.session_id().to_string();
            let is_first_task = job.graph.fetch_running_stage(&[]).is_some_and(|stage| stage.task_infos.is_empty());
            let outputs = if is_first_task { Outputs::of(&job.graph) } else { Outputs::default() };
            let task = job.graph.fetch_running_stage(&[]).and_then(|stage| {
                if is_first_task {
                    outputs.read_once(stage);
                }
                let preferred = self.preferred(job.id, stage);
                bind(job.id, &session, stage, &preferred, &mut budgets, share)
            });
            match task {
                Some(task) => {
                    job.cores += task.1.vcores_consumed;
                    bound.push(task);
                }
                None => drop(jobs.swap_remove(index)),
            }
        }
        Ok(bound)
    }

    fn name(&self) -> &str {
        "even shares, files where they were read before"
    }
}

impl Placing {
    fn remember(&self, budgets: &[&mut AvailableVcores], jobs: &HashMap<JobId, JobInfoCache>) {
        let mut known = self.known.lock();
        for budget in budgets {
            if known.executors.len() < REMEMBERED && !known.executors.contains(&budget.executor_id) {
                known.executors.insert(budget.executor_id.clone());
            }
        }
        if known.stages.len() > 2 * jobs.len() {
            known.stages.retain(|(job, _), _| jobs.keys().any(|running| running.to_string() == *job));
        }
    }

    fn preferred(&self, job: &JobId, stage: &RunningStage) -> Arc<Stage> {
        let key = (job.to_string(), stage.stage_id);
        let mut known = self.known.lock();
        let executors = known.executors.len();
        if let Some(stage) = known.stages.get(&key).filter(|stage| stage.executors == executors) {
            return stage.clone();
        }
        let ranges = first_ranges(&stage.plan, stage.partitions).unwrap_or_default();
        let preferred = ranges.iter().filter_map(|range| favourite(range, &known.executors).cloned()).collect();
        let stage = Arc::new(Stage { executors, preferred });
        known.stages.insert(key, stage.clone());
        stage
    }
}

/// Cores that the running tasks of a job occupy.
fn occupied(graph: &ExecutionGraphBox) -> u32 {
    let running = graph.stages().values().filter_map(|stage| match stage {
        ExecutionStage::Running(stage) => Some(stage),
        _ => None,
    });
    let tasks = running.flat_map(|stage| &stage.task_infos);
    tasks
        .filter(|task| matches!(task.task_status, task_status::Status::Running(_)))
        .map(|task| task.vcores_consumed)
        .sum()
}

/// What each partition of a scan begins with: a file, and an entry.
fn first_ranges(plan: &Arc<dyn ExecutionPlan>, partitions: usize) -> Option<Vec<(String, i64)>> {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        let groups = &scan.data_source().downcast_ref::<FileScanConfig>()?.file_groups;
        let first = groups.iter().map(|group| {
            let file = group.iter().next()?;
            Some((file.object_meta.location.to_string(), file.range.as_ref().map_or(0, |range| range.start)))
        });
        return first.collect::<Option<Vec<_>>>().filter(|first| first.len() == partitions);
    }
    plan.children().into_iter().find_map(|child| first_ranges(child, partitions))
}

/// The executor that a range goes to. Each executor draws a number for it, and the highest wins: when one comes or goes, only
/// the ranges move that it wins or has won (rendezvous hashing, Thaler and Ravishankar 1998).
fn favourite<'a>(range: &(String, i64), executors: &'a BTreeSet<String>) -> Option<&'a String> {
    executors.iter().max_by_key(|executor| {
        let mut hasher = DefaultHasher::new();
        (range, executor).hash(&mut hasher);
        hasher.finish()
    })
}

/// Gives some partitions of a stage to an executor that has room for them.
fn bind(
    job: &JobId,
    session: &str,
    stage: &mut RunningStage,
    places: &Stage,
    budgets: &mut [&mut AvailableVcores],
    share: usize,
) -> Option<BoundTask> {
    let waiting = stage.pending.next_slice(usize::MAX);
    // All of its input has to be in one task, of which one core computes.
    let is_whole = comes_together(&stage.plan);
    budgets.sort_by(|a, b| b.vcores.cmp(&a.vcores).then_with(|| a.executor_id.cmp(&b.executor_id)));
    let prefers =
        |partition: &usize, executor: &str| places.preferred.get(*partition).is_some_and(|name| name == executor);
    let open: Vec<(usize, &str)> = (budgets.iter().enumerate())
        .filter(|(_, budget)| budget.vcores > 0)
        .map(|(index, budget)| (index, budget.executor_id.as_str()))
        .collect();
    let favoured = match is_whole {
        true => None,
        false => open.iter().find(|(_, executor)| waiting.iter().any(|partition| prefers(partition, executor))),
    };
    let is_favoured = favoured.is_some();
    let chosen = favoured.or(open.first()).map(|(index, _)| *index);
    let Some(budget) = chosen.and_then(|index| budgets.get_mut(index)) else {
        stage.pending.reschedule(waiting);
        return None;
    };
    let most = match is_whole {
        true => usize::MAX,
        false => (budget.vcores as usize).min(share).min(most_partitions(stage)).max(1),
    };
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for partition in waiting {
        let suits = !is_favoured || prefers(&partition, &budget.executor_id);
        if suits && taken.len() < most { taken.push(partition) } else { left.push(partition) }
    }
    stage.pending.reschedule(left);
    if taken.is_empty() {
        return None;
    }
    let cores = if is_whole { 1 } else { u32::try_from(taken.len()).unwrap_or(u32::MAX) };
    let task_id = stage.task_infos.len();
    let failures = taken.iter().filter_map(|partition| stage.task_failure_numbers.get(*partition));
    let task_attempt = failures.max().copied().unwrap_or(0);
    let mut info = create_task_info(budget.executor_id.clone(), task_id);
    info.global_input_partition_ids = taken.clone();
    info.vcores_consumed = cores;
    stage.task_infos.push(info);
    budget.vcores = budget.vcores.saturating_sub(cores);
    let task = TaskDescription {
        session_id: session.to_string(),
        key: TaskKey { job_id: job.clone(), stage_id: stage.stage_id, task_id },
        stage_attempt_num: stage.stage_attempt_num,
        task_attempt,
        global_input_partition_ids: taken,
        vcores_consumed: cores,
        plan: stage.plan.clone(),
        session_config: stage.session_config.clone(),
    };
    Some((budget.executor_id.clone(), task))
}

/// How many partitions a client wants in one task at most.
fn most_partitions(stage: &RunningStage) -> usize {
    let config = stage.session_config.options().extensions.get::<BallistaConfig>();
    config.map(BallistaConfig::max_partitions_per_task).filter(|most| *most > 0).unwrap_or(usize::MAX)
}

/// Whether a stage brings its partitions together below what it writes: then no other task may have a part of them.
pub(crate) fn comes_together(stage: &Arc<dyn ExecutionPlan>) -> bool {
    let mut children = stage.children();
    while let [node] = children.as_slice() {
        if node.is::<ShuffleReaderExec>() || node.is::<RangeShuffleReaderExec>() {
            return false;
        }
        if node.output_partitioning().partition_count() == 1 {
            return true;
        }
        children = node.children();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn executors(count: usize) -> BTreeSet<String> {
        (0..count).map(|number| format!("executor {number}")).collect()
    }

    fn ranges() -> Vec<(String, i64)> {
        (0..1000).map(|number| (format!("file{}.root", number / 4), number % 4 * 10_000)).collect()
    }

    #[test]
    fn ranges_are_spread_over_all_executors() {
        let executors = executors(10);
        for executor in &executors {
            let its = ranges().iter().filter(|range| favourite(range, &executors) == Some(executor)).count();
            assert!((60..140).contains(&its), "{executor} has {its} of 1000");
        }
    }

    #[test]
    fn an_executor_that_comes_takes_only_what_it_keeps() {
        let (before, after) = (executors(9), executors(10));
        for range in ranges() {
            let (old, new) = (favourite(&range, &before), favourite(&range, &after));
            assert!(old == new || new.is_some_and(|new| !before.contains(new)), "{range:?}: {old:?}, {new:?}");
        }
    }
}
