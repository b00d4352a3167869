//! The optimizer rule that puts the operators of this module into a plan.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CaseExpr, LambdaExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::unnest::UnnestExec;

use super::bin_count::BinCountExec;
use super::filter::ListFilterExec;
use super::only_where::OnlyWhere;
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
            if let Some(filter) = node.downcast_ref::<FilterExec>()
                && ListFilterExec::can_replace(filter)
            {
                return Ok(Transformed::yes(Arc::new(ListFilterExec::new(filter.clone())) as Arc<dyn ExecutionPlan>));
            }
            if let Some(projection) = node.downcast_ref::<ProjectionExec>()
                && let Some(faster) = compute_only_where(projection)?
            {
                return Ok(Transformed::yes(faster));
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

/// Values that are computed where a condition holds become [`OnlyWhere`], where rows have lists.
fn compute_only_where(projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let schema = projection.input().schema();
    if !schema.fields().iter().any(|field| matches!(field.data_type(), DataType::List(_))) {
        return Ok(None);
    }
    let mut is_changed = false;
    let mut outputs = projection.expr().to_vec();
    for output in &mut outputs {
        let faster = output.expr.clone().transform_down(|part| {
            // Parameters of lambdas are no columns of the rows.
            if part.downcast_ref::<LambdaExpr>().is_some() {
                return Ok(Transformed::new(part, false, TreeNodeRecursion::Jump));
            }
            Ok(match part.downcast_ref::<CaseExpr>().and_then(OnlyWhere::of) {
                Some(faster) => Transformed::yes(Arc::new(faster) as Arc<dyn PhysicalExpr>),
                None => Transformed::no(part),
            })
        })?;
        is_changed |= faster.transformed;
        output.expr = faster.data;
    }
    if !is_changed {
        return Ok(None);
    }
    let (input, schema) = (projection.input().clone(), projection.schema());
    Ok(Some(Arc::new(ProjectionExec::try_new_with_schema_metadata(outputs, input, &schema)?)))
}

/// DataFusion's operator that one of ours stands for, or that has DataFusion's expressions in place of ours; over the same
/// input.
pub(crate) fn replaced(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(bins) = node.downcast_ref::<BinCountExec>() {
        return Ok(Some(Arc::new(bins.replaced().clone())));
    }
    if let Some(filter) = node.downcast_ref::<ListFilterExec>() {
        return Ok(Some(Arc::new(filter.replaced().clone())));
    }
    if let Some(unnest) = node.downcast_ref::<ListUnnestExec>() {
        return Ok(Some(Arc::new(unnest.replaced().clone())));
    }
    match node.downcast_ref::<ProjectionExec>() {
        Some(projection) => without_only_where(projection),
        None => Ok(None),
    }
}

fn without_only_where(projection: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let mut is_changed = false;
    let mut outputs = projection.expr().to_vec();
    for output in &mut outputs {
        let standard = output.expr.clone().transform_down(|part| match part.downcast_ref::<OnlyWhere>() {
            Some(own) => Ok(Transformed::yes(Arc::new(own.as_case()?) as Arc<dyn PhysicalExpr>)),
            None => Ok(Transformed::no(part)),
        })?;
        is_changed |= standard.transformed;
        output.expr = standard.data;
    }
    if !is_changed {
        return Ok(None);
    }
    let (input, schema) = (projection.input().clone(), projection.schema());
    Ok(Some(Arc::new(ProjectionExec::try_new_with_schema_metadata(outputs, input, &schema)?)))
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
