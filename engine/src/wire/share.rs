//! Scans cut into shares, one for each task. Whoever cuts the plan of a stage down to a task otherwise copies the whole scan with
//! all of its files, and then keeps a few: time for each task in proportion to the files of all tasks.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, plan_err};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use super::root_scan;

/// A scan of ROOT files that is given out in shares.
#[derive(Debug)]
pub struct ScanShares {
    /// The scan without files.
    scan: FileScanConfig,
    /// The files of each partition.
    groups: Vec<FileGroup>,
}

impl ScanShares {
    /// Those of a leaf of a plan, if it scans ROOT files.
    pub fn of(leaf: &dyn ExecutionPlan) -> Option<Self> {
        let (scan, _) = root_scan(leaf)?;
        let mut scan = scan.clone();
        let groups = std::mem::take(&mut scan.file_groups);
        Some(Self { scan, groups })
    }

    /// The scan with some of its partitions, in this order. It arrives as a scan like any other; here it has no partitions
    /// that could be cut from it once more.
    pub fn share(&self, partitions: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let groups = partitions.iter().map(|partition| self.groups.get(*partition).cloned());
        let Some(file_groups) = groups.collect::<Option<Vec<_>>>() else {
            return plan_err!("there are no partitions {partitions:?} of a scan of {}", self.groups.len());
        };
        let mut scan = self.scan.clone();
        scan.file_groups = file_groups;
        Ok(Arc::new(ScanShare { scan: DataSourceExec::from_data_source(scan) }))
    }
}

/// A scan for a task.
#[derive(Debug)]
pub(super) struct ScanShare {
    pub(super) scan: Arc<DataSourceExec>,
}

impl DisplayAs for ScanShare {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.scan.fmt_as(format, f)
    }
}

impl ExecutionPlan for ScanShare {
    fn name(&self) -> &str {
        "ScanShare"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.scan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { plan_err!("a scan reads from no other operator") }
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.scan.apply_expressions(f)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.scan.execute(partition, context)
    }
}
