//! How the plan of a stage is cut into plans of tasks. Ballista (55.0) copies the scan with the list of all of its files for each
//! task, and keeps some: time for each task in proportion to the files of all. Here a task costs what its own files cost.

use std::collections::HashMap;
use std::sync::Arc;

use ballista_core::execution_plans::plan_algebra::as_partition_sliceable;
use datafusion::common::Result;
use datafusion::physical_expr::Distribution;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};
use parking_lot::Mutex;
use root_engine::wire::ScanShares;

/// The plan of a stage that scans ROOT files.
#[derive(Debug)]
pub(crate) struct Shares {
    /// The operators above the scan, which work on each partition for itself; that of the stage first.
    above: Vec<Arc<dyn ExecutionPlan>>,
    scan: ScanShares,
    /// The operators above a share of so many partitions; that of the stage last.
    templates: Mutex<HashMap<usize, Template>>,
}

type Template = Arc<[Arc<dyn ExecutionPlan>]>;

impl Shares {
    /// That of a stage, if it is a scan and what is done with it. Other plans are left to Ballista.
    pub(crate) fn of(stage: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let (mut above, mut node) = (Vec::new(), stage);
        loop {
            match node.children().as_slice() {
                [] => {
                    let scan = ScanShares::of(node.as_ref())?;
                    return Some(Self { above, scan, templates: Mutex::default() });
                }
                [child] if passes_partitions(node) => {
                    above.push(Arc::clone(node));
                    node = child;
                }
                _ => return None,
            }
        }
    }

    /// The plan with some of its partitions. What Ballista has to cut further is not in it.
    pub(crate) fn share(&self, partitions: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = self.scan.share(partitions)?;
        let template = self.template(&scan, partitions.len())?;
        template.iter().try_fold(scan, |below, node| replace_children_if_necessary(Arc::clone(node), vec![below]))
    }

    /// What operators know of themselves is computed once for all shares of as many partitions.
    fn template(&self, scan: &Arc<dyn ExecutionPlan>, partitions: usize) -> Result<Template> {
        if let Some(template) = self.templates.lock().get(&partitions) {
            return Ok(Arc::clone(template));
        }
        let mut below = Arc::clone(scan);
        let nodes = self.above.iter().rev().map(|node| {
            below = replace_children_if_necessary(Arc::clone(node), vec![Arc::clone(&below)])?;
            Ok(Arc::clone(&below))
        });
        let template: Template = nodes.collect::<Result<Vec<_>>>()?.into();
        self.templates.lock().insert(partitions, Arc::clone(&template));
        Ok(template)
    }
}

/// Whether each partition of the only input of an operator may be with another task.
fn passes_partitions(node: &Arc<dyn ExecutionPlan>) -> bool {
    let is_special = node.is::<CoalescePartitionsExec>()
        || node.is::<SortPreservingMergeExec>()
        || node.is::<UnionExec>()
        || as_partition_sliceable(node).is_some();
    let required = node.input_distribution_requirements();
    !is_special && required.per_child_distributions().all(|wanted| !matches!(wanted, Distribution::SinglePartition))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ballista_scheduler::state::task_builder::restrict_plan_to_partitions;
    use datafusion_proto::physical_plan::AsExecutionPlan;
    use datafusion_proto::protobuf::PhysicalPlanNode;
    use eos_io::Stores;
    use root_cluster::setup;
    use root_engine::{PartitionSize, RootSession, TableOptions, wire};

    use super::*;

    const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");

    /// The plan of a query over copies of a file, each of which is a partition.
    async fn plan_of(query: &str, files: usize) -> Arc<dyn ExecutionPlan> {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..files {
            fs::copy(SAMPLE, folder.path().join(format!("{number}.root"))).unwrap();
        }
        let session = RootSession::new();
        let size = PartitionSize { bytes: 1, per_core: usize::MAX };
        session.context().state_ref().write().config_mut().set_extension(Arc::new(size));
        let pattern = folder.path().join("*.root:Events").display().to_string();
        session.register("t", &[pattern], &TableOptions::default()).await.unwrap();
        wire::to_standard(session.sql(query).await.unwrap().create_physical_plan().await.unwrap()).unwrap()
    }

    fn sent(plan: Arc<dyn ExecutionPlan>) -> Vec<u8> {
        let codec = setup::codec(&Stores::default());
        let mut bytes = Vec::new();
        PhysicalPlanNode::try_from_physical_plan(plan, codec.as_ref()).unwrap().try_encode(&mut bytes).unwrap();
        bytes
    }

    #[tokio::test]
    async fn a_task_is_sent_what_ballista_would_cut_for_it() {
        let plan = plan_of("SELECT \"MET_pt\" + 1 FROM t WHERE \"nMuon\" = 2", 5).await;
        let shares = Shares::of(&plan).unwrap();
        for partitions in [&[0][..], &[3, 1], &[4]] {
            let cut = restrict_plan_to_partitions(plan.clone(), partitions).unwrap();
            let share = shares.share(partitions).unwrap();
            let left = restrict_plan_to_partitions(share, partitions).unwrap();
            assert_eq!(sent(left), sent(cut), "{partitions:?}");
        }
        assert!(shares.share(&[5]).is_err(), "there are five");
    }

    #[tokio::test]
    async fn what_all_partitions_come_together_in_is_left_to_ballista() {
        assert!(Shares::of(&plan_of("SELECT \"MET_pt\" FROM t ORDER BY 1 LIMIT 3", 3).await).is_none());
    }
}
