//! Our own operators do not travel: a plan is sent with those of DataFusion that they replaced, and who runs a part of it
//! puts them back.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use crate::accelerate::{Accelerate, replaced};

/// The plan with DataFusion's operators in place of ours.
pub fn to_standard(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| match replaced(&node)? {
        Some(standard) => Ok(Transformed::yes(standard)),
        None => Ok(Transformed::no(node)),
    })
    .data()
}

/// The plan with our operators wherever they are faster.
pub fn accelerate(plan: Arc<dyn ExecutionPlan>, options: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
    Accelerate.optimize(plan, options)
}
