//! Scans cut into shares, one for each task. Whoever cuts the plan of a stage down to a task otherwise copies the whole scan with
//! all of its files, and then keeps a few: time for each task in proportion to the files of all tasks.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, plan_err};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use parking_lot::Mutex;

use super::root_scan;

/// A scan of ROOT files that is given out in shares. Clones share it.
#[derive(Debug, Clone)]
pub struct ScanShares(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// The scan without files.
    scan: FileScanConfig,
    /// The files of each partition.
    groups: Vec<FileGroup>,
    /// Those of scans of so many partitions.
    properties: Mutex<HashMap<usize, Arc<PlanProperties>>>,
}

impl ScanShares {
    /// Those of a leaf of a plan, if it scans ROOT files.
    pub fn of(leaf: &dyn ExecutionPlan) -> Option<Self> {
        let (scan, _) = root_scan(leaf)?;
        let mut scan = scan.clone();
        let groups = std::mem::take(&mut scan.file_groups);
        Some(Self(Arc::new(Parts { scan, groups, properties: Mutex::default() })))
    }

    /// The scan with some of its partitions, in this order, for a plan that is sent: it arrives as a scan like any other. Shares
    /// of as many partitions have the same properties, so that thousands of them cost little, and what is above one can be
    /// above another as it is.
    ///
    /// # Errors
    /// Where there are no such partitions.
    pub fn share(&self, partitions: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let count = self.0.groups.len();
        if let Some(partition) = partitions.iter().find(|partition| **partition >= count) {
            return plan_err!("there is no partition {partition} of a scan of {count}");
        }
        let mut known = self.0.properties.lock();
        let properties = known.entry(partitions.len()).or_insert_with(|| {
            let scan = DataSourceExec::from_data_source(self.part(partitions));
            Arc::clone(scan.properties())
        });
        let properties = Arc::clone(properties);
        Ok(Arc::new(ScanShare { whole: self.clone(), partitions: partitions.into(), properties }))
    }

    fn part(&self, partitions: &[usize]) -> FileScanConfig {
        let mut scan = self.0.scan.clone();
        scan.file_groups = partitions.iter().filter_map(|partition| self.0.groups.get(*partition).cloned()).collect();
        scan
    }
}

/// A scan for a task.
#[derive(Debug)]
pub(super) struct ScanShare {
    whole: ScanShares,
    partitions: Box<[usize]>,
    properties: Arc<PlanProperties>,
}

impl ScanShare {
    /// The scan with its partitions alone.
    pub(super) fn scan(&self) -> FileScanConfig {
        self.whole.part(&self.partitions)
    }
}

impl DisplayAs for ScanShare {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanShare: partitions={:?}", self.partitions)
    }
}

impl ExecutionPlan for ScanShare {
    fn name(&self) -> &str {
        "ScanShare"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { plan_err!("a scan reads from no other operator") }
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        DataSourceExec::from_data_source(self.scan()).execute(partition, context)
    }
}
