//! Plans are made for one process, where the partitions of a join share what they know. On a cluster each task runs some of
//! the partitions for itself; where that would change the rows, the partitions are brought together first. And a task ends
//! when its query is cancelled, which it notices only where it waits: joins that multiply rows wait now and then.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, Result};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, replace_children_if_necessary};

use crate::error::Error;

/// The plan, with rows of its own that are right wherever its partitions run.
pub(crate) fn fit(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        // The encoded form of a series does not say which of its columns are left.
        if node.is::<LazyMemoryExec>() && node.schema().fields().is_empty() {
            let reason = "it has a generate_series of which no column is used; select its column".to_string();
            return Err(Error::NotPortable { reason }.into());
        }
        if node.is::<CrossJoinExec>() {
            return Ok(Transformed::yes(Arc::new(CooperativeExec::new(node))));
        }
        let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else { return Ok(Transformed::no(node)) };
        let (left, right) = (join.left().clone(), join.right().clone());
        if !tells_of_left(*join.join_type()) || right.output_partitioning().partition_count() == 1 {
            return Ok(Transformed::yes(Arc::new(CooperativeExec::new(node))));
        }
        let right = Arc::new(CoalescePartitionsExec::new(right));
        let join = replace_children_if_necessary(node, vec![left, right])?;
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(join))))
    })
    .data()
}

/// Whether a join has rows for what it did not find on the right: that is known when all of the right was seen.
fn tells_of_left(join_type: JoinType) -> bool {
    matches!(join_type, JoinType::Left | JoinType::Full | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark)
}
