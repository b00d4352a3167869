//! What the stages of a job have written, so that those behind them read each row once.
//!
//! When an executor is lost, Ballista (55.0) computes stages anew that had read from it, all of their tasks. What the tasks had
//! written that were done already, on executors that live, it still names to the next stage, beside what is written the second
//! time: rows would count twice. So what a stage is to read is compared with what the tasks of the last attempt have written.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ballista_core::execution_plans::{RangeShuffleReaderExec, ShuffleReaderExec};
use ballista_core::serde::protobuf::task_status;
use ballista_core::serde::scheduler::PartitionLocation;
use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use ballista_scheduler::state::execution_stage::{ExecutionStage, RunningStage};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_plan::ExecutionPlan;

/// A file of a task: the executor, the task, and the partition.
type File = (String, usize, usize);

/// The files of stages that have been computed.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    by_stage: HashMap<usize, HashSet<File>>,
}

impl Outputs {
    /// Those of a job.
    pub(crate) fn of(graph: &ExecutionGraphBox) -> Self {
        let computed = graph.stages().iter().filter_map(|(id, stage)| match stage {
            ExecutionStage::Successful(stage) => Some((*id, stage)),
            _ => None,
        });
        let by_stage = computed.map(|(id, stage)| {
            let tasks = stage.task_infos.iter().filter_map(|task| match &task.task_status {
                task_status::Status::Successful(done) => Some((task.task_id, done)),
                _ => None,
            });
            let files = tasks.flat_map(|(task, done)| {
                let partitions = done.partitions.iter().map(|partition| partition.partition_id as usize);
                partitions.map(move |partition| (done.executor_id.clone(), task, partition))
            });
            (id, files.collect())
        });
        Self { by_stage: by_stage.collect() }
    }

    /// Has a stage read each of the files of the stages in front of it once, and no others.
    pub(crate) fn read_once(&self, stage: &mut RunningStage) {
        let plan = Arc::clone(&stage.plan).transform_up(|node| Ok(self.corrected(node))).data();
        match plan {
            Ok(plan) => stage.plan = plan,
            Err(error) => tracing::error!("what a stage is to read cannot be looked at: {error}"),
        }
    }

    fn corrected(&self, node: Arc<dyn ExecutionPlan>) -> Transformed<Arc<dyn ExecutionPlan>> {
        if let Some(reader) = node.downcast_ref::<ShuffleReaderExec>() {
            if let Some(partition) = self.current(&reader.partition) {
                let mut reader = reader.clone();
                reader.partition = partition;
                return Transformed::yes(Arc::new(reader));
            }
        } else if let Some(reader) = node.downcast_ref::<RangeShuffleReaderExec>()
            && let Some(partition) = self.current(&reader.partition)
        {
            let mut reader = reader.clone();
            reader.partition = partition;
            return Transformed::yes(Arc::new(reader));
        }
        Transformed::no(node)
    }

    /// The locations that are not outdated, each once; `None` if all of them are so.
    fn current(&self, partitions: &[Vec<PartitionLocation>]) -> Option<Vec<Vec<PartitionLocation>>> {
        let mut outdated = 0;
        let kept = partitions.iter().map(|locations| {
            let mut seen = HashSet::new();
            let keep = |location: &&PartitionLocation| {
                let (stage, partition) = (location.partition_id.stage_id, location.partition_id.partition_id);
                let file = (location.executor_meta.id.clone(), location.map_partition_id, partition);
                let is_current = self.by_stage.get(&stage).is_none_or(|files| files.contains(&file));
                let keep = is_current && seen.insert((stage, file));
                outdated += usize::from(!keep);
                keep
            };
            locations.iter().filter(keep).cloned().collect()
        });
        let kept: Vec<Vec<PartitionLocation>> = kept.collect();
        (outdated > 0).then(|| {
            tracing::warn!("{outdated} files of tasks that were computed again are not read");
            kept
        })
    }
}

#[cfg(test)]
mod tests {
    use ballista_core::JobId;
    use ballista_core::extension::SessionConfigExt;
    use ballista_core::serde::protobuf::{AvailableVcores, ShuffleWritePartition, SuccessfulTask, TaskStatus};
    use ballista_core::serde::scheduler::{ExecutorMetadata, ExecutorSpecification};
    use ballista_scheduler::cluster::DistributionPolicy;
    use ballista_scheduler::planner::DefaultDistributedPlanner;
    use ballista_scheduler::state::execution_graph::{ExecutionGraph, StaticExecutionGraph, TaskDescription};
    use ballista_scheduler::state::task_manager::JobInfoCache;
    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use datafusion::datasource::MemTable;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::placing::Placing;

    const PARTITIONS: usize = 4;

    fn executor(name: &str) -> ExecutorMetadata {
        let specification = ExecutorSpecification::default().with_vcores(1);
        let (id, host) = (name.to_string(), name.to_string());
        ExecutorMetadata { id, host, port: 1, grpc_port: 2, specification, os_info: Default::default() }
    }

    /// Three stages: each hands rows to the next by their values.
    async fn job() -> HashMap<JobId, JobInfoCache> {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(PARTITIONS));
        let rows = || {
            let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
            vec![RecordBatch::try_from_iter([("x", values)]).unwrap()]
        };
        let table = MemTable::try_new(rows()[0].schema(), vec![rows(), rows()]).unwrap();
        context.register_table("t", Arc::new(table)).unwrap();
        let sql = "SELECT n, count(*) FROM (SELECT x, count(*) AS n FROM t GROUP BY x) GROUP BY n";
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let id = JobId::from("job");
        let config = Arc::new(SessionConfig::new_with_ballista());
        let mut planner = DefaultDistributedPlanner::new();
        let graph =
            StaticExecutionGraph::new("scheduler", &id, "", "session", plan, 0, config, &mut planner, None).unwrap();
        assert_eq!(graph.stage_count(), 3);
        HashMap::from([(id, JobInfoCache::new(Box::new(graph)))])
    }

    /// A cluster of which the test is all executors.
    struct Cluster {
        placing: Placing,
        jobs: Arc<HashMap<JobId, JobInfoCache>>,
    }

    impl Cluster {
        async fn new() -> Self {
            Self { placing: Placing::default(), jobs: Arc::new(job().await) }
        }

        async fn graph(&self) -> tokio::sync::RwLockWriteGuard<'_, ExecutionGraphBox> {
            self.jobs.values().next().unwrap().execution_graph.write().await
        }

        /// The next task, for an executor with one core.
        async fn next_task(&self, executor: &ExecutorMetadata) -> Option<TaskDescription> {
            self.graph().await.revive();
            let mut budget = AvailableVcores { executor_id: executor.id.clone(), vcores: 1 };
            let bound = self.placing.bind_tasks(vec![&mut budget], self.jobs.clone()).await.unwrap();
            bound.into_iter().next().map(|(_, task)| task)
        }

        /// The executor is done with a task and has written one file to each partition behind it.
        async fn done(&self, executor: &ExecutorMetadata, task: &TaskDescription) {
            let partition =
                |id| ShuffleWritePartition { partition_id: id, num_rows: 1, num_bytes: 1, ..Default::default() };
            let partitions = (0..task.get_output_partition_number() as u64).map(partition).collect();
            let done = SuccessfulTask { executor_id: executor.id.clone(), partitions, ..Default::default() };
            let status = TaskStatus {
                task_id: task.key.task_id as u32,
                job_id: task.key.job_id.to_string(),
                stage_id: task.key.stage_id as u32,
                stage_attempt_num: task.stage_attempt_num as u32,
                status: Some(task_status::Status::Successful(done)),
                ..Default::default()
            };
            self.graph().await.update_task_status(executor, vec![status], 1, 1).unwrap();
        }
    }

    /// What a task reads: for each of its partitions the tasks that wrote it, by executor.
    fn read_by(task: &TaskDescription) -> Vec<Vec<(String, usize)>> {
        let mut read = Vec::new();
        let visit = |node: &Arc<dyn ExecutionPlan>| {
            if let Some(reader) = node.downcast_ref::<ShuffleReaderExec>() {
                let writer =
                    |location: &PartitionLocation| (location.executor_meta.id.clone(), location.map_partition_id);
                read.extend(reader.partition.iter().map(|locations| locations.iter().map(writer).collect::<Vec<_>>()));
            }
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        };
        task.plan.apply(visit).unwrap();
        read
    }

    #[tokio::test]
    async fn what_a_stage_wrote_before_it_was_rolled_back_is_not_read_beside_what_it_wrote_after() {
        let cluster = Cluster::new().await;
        let (lost, living) = (executor("lost"), executor("living"));
        // The first stage: one half each.
        for executor in [&lost, &living] {
            let task = cluster.next_task(executor).await.unwrap();
            assert_eq!((task.key.stage_id, task.global_input_partition_ids.len()), (1, 1));
            cluster.done(executor, &task).await;
        }
        // The second: one task is done, then the executor is lost that has a half of what the others have to read.
        let task = cluster.next_task(&living).await.unwrap();
        assert_eq!(task.key.stage_id, 2);
        cluster.done(&living, &task).await;
        cluster.graph().await.reset_stages_on_lost_executor("lost").unwrap();

        let mut written = Vec::new();
        let last = loop {
            let task = cluster.next_task(&living).await.expect("a task");
            match task.key.stage_id {
                3 => break task,
                2 => written.push((living.id.clone(), task.key.task_id)),
                _ => {}
            }
            cluster.done(&living, &task).await;
        };

        assert_eq!(written.len(), PARTITIONS);
        for partition in read_by(&last) {
            let (read, tasks): (HashSet<_>, HashSet<_>) = (partition.iter().collect(), written.iter().collect());
            assert_eq!((partition.len(), read), (PARTITIONS, tasks));
        }
    }
}
