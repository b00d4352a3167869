//! Which task runs where and next. Jobs share the cluster evenly, so that a small query does not wait for the end of a large
//! one; and a range of a file goes to the same executor each time if that has room, as it may have the range in its cache.

use std::collections::{BTreeSet, HashMap, VecDeque};
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
use ballista_scheduler::state::execution_stage::{ExecutionStage, PendingPartitions, RunningStage};
use ballista_scheduler::state::task_manager::JobInfoCache;
use datafusion::common::Result;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use parking_lot::Mutex;

use crate::outputs::Outputs;
use crate::shares::Shares;

/// Executors that are remembered at most: those that are gone take no tasks, and do no harm.
const REMEMBERED: usize = 10_000;
/// Partitions that are looked at in one go.
const LOOK: usize = 64;

/// Cores that are free, by executor.
type Room = HashMap<String, usize>;

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
    plan: Arc<dyn ExecutionPlan>,
    /// How many executors were known.
    executors: usize,
    /// The executor that each partition prefers; none for a stage that reads no files.
    preferred: Vec<String>,
    shares: Option<Arc<Shares>>,
}

/// A stage of a job whose partitions wait for executors.
struct Offer<'a> {
    job: &'a JobId,
    session: String,
    stage: &'a mut RunningStage,
    /// Cores that the tasks of the job occupy.
    cores: &'a mut u32,
    /// Whether all of its input has to be in one task, of which one core computes.
    is_whole: bool,
    /// How many partitions a task has at most.
    most: usize,
    shares: Option<Arc<Shares>>,
    /// The partitions that prefer an executor.
    preferring: HashMap<String, VecDeque<usize>>,
    others: VecDeque<usize>,
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
                jobs.push((id, graph, cores));
            }
        }
        // Names of jobs are in the order of their submission.
        jobs.sort_by_cached_key(|(id, ..)| id.to_string());
        let mut free: u32 = budgets.iter().map(|budget| budget.vcores).sum();
        let mut bound = Vec::new();
        // A job may have several stages that can run; each time around it offers the next.
        while free > 0 {
            let room = budgets.iter().filter(|budget| budget.vcores > 0);
            let room: Room = room.map(|budget| (budget.executor_id.clone(), budget.vcores as usize)).collect();
            let offers = jobs.iter_mut().filter_map(|(id, graph, cores)| self.offer(id, graph, cores, &room));
            let mut offers: Vec<Offer<'_>> = offers.collect();
            if offers.is_empty() {
                break;
            }
            while let Some(index) = (0..offers.len()).min_by_key(|index| offers.get(*index).map(|offer| *offer.cores)) {
                let share = (free as usize).div_ceil(offers.len());
                let task = offers.get_mut(index).filter(|_| free > 0).and_then(|offer| offer.bind(&mut budgets, share));
                match task {
                    Some(task) => {
                        free = free.saturating_sub(task.1.vcores_consumed);
                        bound.push(task);
                    }
                    None => offers.swap_remove(index).withdraw(),
                }
            }
        }
        Ok(bound)
    }

    fn name(&self) -> &str {
        "even shares, files where they were read before"
    }
}

impl Placing {
    /// What a job has to run, if there is something.
    fn offer<'a>(
        &self,
        job: &'a JobId,
        graph: &'a mut ExecutionGraphBox,
        cores: &'a mut u32,
        room: &Room,
    ) -> Option<Offer<'a>> {
        let session = graph.session_id().to_string();
        let is_first_task = graph.fetch_running_stage(&[])?.task_infos.is_empty();
        let outputs = if is_first_task { Outputs::of(graph) } else { Outputs::default() };
        let stage = graph.fetch_running_stage(&[])?;
        if is_first_task {
            outputs.read_once(stage);
        }
        let known = self.stage(job, stage);
        let (is_whole, most) = (comes_together(&stage.plan), most_partitions(stage));
        let (preferring, others) = match is_whole {
            true => (HashMap::new(), stage.pending.next_slice(usize::MAX).into()),
            false => take(&mut stage.pending, &known.preferred, room),
        };
        let shares = known.shares.clone();
        Some(Offer { job, session, stage, cores, is_whole, most, shares, preferring, others })
    }

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

    fn stage(&self, job: &JobId, stage: &RunningStage) -> Arc<Stage> {
        let key = (job.to_string(), stage.stage_id);
        let mut known = self.known.lock();
        let executors = known.executors.len();
        let before = known.stages.get(&key).filter(|known| Arc::ptr_eq(&known.plan, &stage.plan));
        let shares = match before {
            Some(stage) if stage.executors == executors => return stage.clone(),
            Some(stage) => stage.shares.clone(),
            None => Shares::of(&stage.plan).map(Arc::new),
        };
        let ranges = first_ranges(&stage.plan, stage.partitions).unwrap_or_default();
        let preferred = ranges.iter().filter_map(|range| favourite(range, &known.executors).cloned()).collect();
        let stage = Arc::new(Stage { plan: stage.plan.clone(), executors, preferred, shares });
        known.stages.insert(key, stage.clone());
        stage
    }
}

/// Takes as many partitions as there is room for, first those that prefer an executor with room, by executor, then others. It
/// looks no further than it must: it is asked whenever a task ends.
fn take(
    pending: &mut PendingPartitions,
    preferred: &[String],
    room: &Room,
) -> (HashMap<String, VecDeque<usize>>, VecDeque<usize>) {
    let (mut preferring, mut others) = (HashMap::<String, VecDeque<usize>>::new(), VecDeque::new());
    let mut missing: usize = room.values().sum();
    while missing > 0 && !pending.is_empty() {
        for partition in pending.next_slice(LOOK) {
            let place = preferred.get(partition).and_then(|executor| Some((executor, *room.get(executor)?)));
            match place {
                Some((executor, room)) => {
                    let partitions = preferring.entry(executor.clone()).or_default();
                    if partitions.len() < room {
                        partitions.push_back(partition);
                        missing -= 1;
                    } else {
                        others.push_back(partition);
                    }
                }
                None => others.push_back(partition),
            }
        }
        // Where nothing is preferred, the first are as good as any.
        if preferred.is_empty() && others.len() >= missing {
            break;
        }
    }
    (preferring, others)
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

impl Offer<'_> {
    /// Gives some of the partitions to an executor that has room for them.
    fn bind(&mut self, budgets: &mut [&mut AvailableVcores], share: usize) -> Option<BoundTask> {
        let prefers = |budget: &AvailableVcores| self.preferring.contains_key(&budget.executor_id);
        let favoured = if self.is_whole { None } else { roomiest(budgets, prefers) };
        let budget = budgets.get_mut(favoured.or_else(|| roomiest(budgets, |_| true))?)?;
        let room = if self.is_whole { usize::MAX } else { (budget.vcores as usize).min(share).min(self.most).max(1) };
        let taken = match favoured {
            Some(_) => self.take_preferring(&budget.executor_id, room),
            None => {
                self.give_up_preferences();
                self.others.drain(..room.min(self.others.len())).collect()
            }
        };
        if taken.is_empty() {
            return None;
        }
        let cores = if self.is_whole { 1 } else { u32::try_from(taken.len()).unwrap_or(u32::MAX) };
        let stage = &mut *self.stage;
        // Whatever cannot be cut here is cut by Ballista, and fails there if it must.
        let share = self.shares.as_ref().and_then(|shares| shares.share(&taken).ok());
        let task_id = stage.task_infos.len();
        let failures = taken.iter().filter_map(|partition| stage.task_failure_numbers.get(*partition));
        let task_attempt = failures.max().copied().unwrap_or(0);
        let mut info = create_task_info(budget.executor_id.clone(), task_id);
        info.global_input_partition_ids = taken.clone();
        info.vcores_consumed = cores;
        stage.task_infos.push(info);
        budget.vcores = budget.vcores.saturating_sub(cores);
        *self.cores += cores;
        let task = TaskDescription {
            session_id: self.session.clone(),
            key: TaskKey { job_id: self.job.clone(), stage_id: stage.stage_id, task_id },
            stage_attempt_num: stage.stage_attempt_num,
            task_attempt,
            global_input_partition_ids: taken,
            vcores_consumed: cores,
            plan: share.unwrap_or_else(|| stage.plan.clone()),
            session_config: stage.session_config.clone(),
        };
        Some((budget.executor_id.clone(), task))
    }

    fn take_preferring(&mut self, executor: &str, most: usize) -> Vec<usize> {
        let Some(partitions) = self.preferring.get_mut(executor) else { return Vec::new() };
        let taken = partitions.drain(..most.min(partitions.len())).collect();
        if partitions.is_empty() {
            self.preferring.remove(executor);
        }
        taken
    }

    /// Who is preferred has no room: so anybody takes the partitions, in their order.
    fn give_up_preferences(&mut self) {
        if !self.preferring.is_empty() {
            self.others.extend(self.preferring.drain().flat_map(|(_, partitions)| partitions));
            self.others.make_contiguous().sort_unstable();
        }
    }

    /// Leaves what nobody took to the next time.
    fn withdraw(mut self) {
        self.give_up_preferences();
        if !self.others.is_empty() {
            self.stage.pending.reschedule(self.others);
        }
    }
}

/// The executor with the most room, of those that suit.
fn roomiest(budgets: &[&mut AvailableVcores], suits: impl Fn(&AvailableVcores) -> bool) -> Option<usize> {
    let open = budgets.iter().enumerate().filter(|(_, budget)| budget.vcores > 0 && suits(budget));
    let best = open.max_by(|(_, a), (_, b)| a.vcores.cmp(&b.vcores).then_with(|| b.executor_id.cmp(&a.executor_id)));
    best.map(|(index, _)| index)
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
