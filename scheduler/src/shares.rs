//! How the plan of a stage is cut into plans of tasks. Ballista (55.0) copies the scan with the list of all of its files for each
//! task, and keeps some: time for each task in proportion to the files of all. Here a task costs what its own files cost.

use std::sync::Arc;

use ballista_core::execution_plans::plan_algebra::as_partition_sliceable;
use datafusion::common::Result;
use datafusion::physical_expr::Distribution;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};
use root_engine::wire::ScanShares;

/// The plan of a stage that scans ROOT files.
#[derive(Debug)]
pub(crate) struct Shares {
    /// The operators above the scan, which work on each partition for itself; that of the stage first.
    above: Vec<Arc<dyn ExecutionPlan>>,
    scan: ScanShares,
}

impl Shares {
    /// That of a stage, if it is a scan and what is done with it. Other plans are left to Ballista.
    pub(crate) fn of(stage: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let (mut above, mut node) = (Vec::new(), stage);
        loop {
            match node.children().as_slice() {
                [] => return Some(Self { above, scan: ScanShares::of(node.as_ref())? }),
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
        self.above
            .iter()
            .rev()
            .try_fold(scan, |below, node| replace_children_if_necessary(Arc::clone(node), vec![below]))
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
