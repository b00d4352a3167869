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
