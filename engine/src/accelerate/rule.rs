//! The optimizer rule that puts the operators of this module into a plan.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::unnest::UnnestExec;

use super::bin_count::BinCountExec;
use super::unnest::ListUnnestExec;

/// Replaces operators by faster ones of the same meaning.
#[derive(Debug)]
pub(crate) struct Accelerate;

impl PhysicalOptimizerRule for Accelerate {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if let Some(unnest) = node.downcast_ref::<UnnestExec>()
                && ListUnnestExec::can_replace(unnest)
            {
                return Ok(Transformed::yes(Arc::new(ListUnnestExec::new(unnest.clone())) as Arc<dyn ExecutionPlan>));
            }
            if let Some(aggregate) = node.downcast_ref::<AggregateExec>()
                && let Some(faster) = count_by_bin(aggregate)?
            {
                return Ok(Transformed::yes(faster));
            }
            Ok(Transformed::no(node))
        })
        .data()
    }

    fn name(&self) -> &str {
        "accelerate"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Counting by one numeric key: the first stage of the aggregation becomes a [`BinCountExec`].
fn count_by_bin(aggregate: &AggregateExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if !BinCountExec::can_replace(aggregate) {
        return Ok(None);
    }
    match aggregate.mode() {
        AggregateMode::Partial => Ok(Some(Arc::new(BinCountExec::new(aggregate.clone())))),
        AggregateMode::Single => {
            let rebuilt = |mode, group, input| {
                AggregateExec::try_new(
                    mode,
                    group,
                    aggregate.aggr_expr().to_vec(),
                    aggregate.filter_expr().to_vec(),
                    input,
                    aggregate.input_schema(),
                )
            };
            let group = aggregate.group_expr();
            let partial = rebuilt(AggregateMode::Partial, group.clone(), aggregate.input().clone())?;
            let bins = Arc::new(BinCountExec::new(partial));
            Ok(Some(Arc::new(rebuilt(AggregateMode::Final, group.as_final(), bins)?)))
        }
        _ => Ok(None),
    }
}
