//! What a task finds out besides its rows: files that it had to leave out, warnings, and the events that a luminosity mask was
//! asked about. It is told with the task's result, and stands in the ledger of whoever asked.

use std::any::Any;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ScalarUDFImpl;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use serde::{Deserialize, Serialize};

use super::root_scan;
use crate::functions::InLumiMask;
use crate::ledger::{FileRecord, Ledger, Outcome};
use crate::progress::Progress;

/// What a task found out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReport {
    /// Files that were left out, whole or from some entry on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<SkippedFile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    masks: Vec<MaskReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SkippedFile {
    file: String,
    bytes: u64,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct MaskReport {
    file: String,
    events: u64,
    certified: u64,
}

impl TaskReport {
    /// What the scans and functions of a plan have found out so far, which [`RootCodec`](super::RootCodec) has decoded.
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Result<Self> {
        let mut report = Self::default();
        plan.apply(|node| {
            if let Some((_, source)) = root_scan(node.as_ref()) {
                report.add_ledger(&source.shared.ledger);
            }
            node.apply_expressions(&mut |expression| {
                report.add_masks(expression)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(report)
    }

    /// What others say of a task: something did not go as it should, but did no harm.
    pub fn of_warnings(warnings: Vec<String>) -> Self {
        Self { warnings, ..Self::default() }
    }

    fn add_ledger(&mut self, ledger: &Ledger) {
        self.warnings.extend(ledger.warnings());
        for FileRecord { file, bytes, outcome, .. } in ledger.files() {
            if let Outcome::Skipped { reason } = outcome {
                self.skipped.push(SkippedFile { file, bytes, reason });
            }
        }
    }

    fn add_masks(&mut self, expression: &Arc<dyn PhysicalExpr>) -> Result<(), DataFusionError> {
        expression.apply(|node| {
            let function = node.downcast_ref::<ScalarFunctionExpr>().map(|call| call.fun().inner().as_ref());
            let mask = function.and_then(|function: &dyn ScalarUDFImpl| {
                (function as &dyn Any).downcast_ref::<InLumiMask>()?.mask()?.counts.as_ref()
            });
            if let Some(counts) = mask.filter(|counts| counts.events() > 0) {
                let (events, certified) = (counts.events(), counts.certified());
                self.masks.push(MaskReport { file: counts.file().to_string(), events, certified });
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }

    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Entries that the scans of a plan have passed so far, and stored bytes of the baskets that they have read.
pub fn read_by(plan: &Arc<dyn ExecutionPlan>) -> (u64, u64) {
    if let Some((_, source)) = root_scan(plan.as_ref()) {
        let now = source.shared.progress.snapshot();
        return (now.entries_done, now.bytes_read);
    }
    let children = plan.children().into_iter().map(read_by);
    children.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

/// The files that a plan scans, as messages call them.
pub fn files_of(plan: &Arc<dyn ExecutionPlan>) -> Vec<String> {
    files_that(plan, &|_, _| true)
}

/// The files that some partitions of a plan scan, as messages call them; all files of scans of which the plan's partitions
/// are not those of the scan.
pub fn files_of_partitions(plan: &Arc<dyn ExecutionPlan>, partitions: &[usize]) -> Vec<String> {
    let count = plan.properties().output_partitioning().partition_count();
    files_that(plan, &|groups, group| groups != count || partitions.contains(&group))
}

fn files_that(plan: &Arc<dyn ExecutionPlan>, wanted: &dyn Fn(usize, usize) -> bool) -> Vec<String> {
    let Some((config, source)) = root_scan(plan.as_ref()) else {
        return plan.children().into_iter().flat_map(|child| files_that(child, wanted)).collect();
    };
    let groups = config.file_groups.len();
    let files = config.file_groups.iter().enumerate().filter(|(group, _)| wanted(groups, *group));
    let files = files.flat_map(|(_, group)| group.iter());
    let store = config.object_store_url.as_ref();
    let mut names: Vec<String> =
        files.map(|file| source.shared.stores.name(store, &file.object_meta.location)).collect();
    names.dedup();
    names
}

/// The record of the session that a plan belongs to.
#[derive(Debug, Clone)]
pub struct Observers {
    progress: Progress,
    ledger: Ledger,
}

impl Observers {
    /// Those of the scans of a plan; `None` where it scans no ROOT files.
    pub fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        if let Some((_, source)) = root_scan(plan.as_ref()) {
            let shared = &source.shared;
            return Some(Self { progress: shared.progress.clone(), ledger: shared.ledger.clone() });
        }
        plan.children().into_iter().find_map(Self::of)
    }

    /// Tells of entries and stored bytes that were read since the last time.
    pub fn advance(&self, entries: u64, bytes: u64) {
        self.progress.advance(entries, bytes);
    }

    /// Tells of something that did not go as it should, but did no harm.
    pub fn warn(&self, warning: String) {
        self.ledger.warn(warning);
    }

    /// Tells what a task found out.
    pub fn tell(&self, report: TaskReport) {
        for SkippedFile { file, bytes, reason } in report.skipped {
            self.ledger.record(FileRecord { file, entries: 0, bytes, outcome: Outcome::Skipped { reason } });
        }
        for warning in report.warnings {
            self.ledger.warn(warning);
        }
        for MaskReport { file, events, certified } in report.masks {
            self.ledger.mask(&file).add(events, certified);
        }
    }
}
