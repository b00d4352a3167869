//! The physical rule that hands filters to scans, but for those that the logical one has held back.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{HigherOrderFunctionExpr, PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;

use super::is_cheap;

/// DataFusion's first [`FilterPushdown`] for each filter that has nothing costly between itself and its scan. Which
/// filters come near enough to their table was decided in the logical plan.
#[derive(Debug)]
pub(crate) struct PushFiltersIntoScans {
    general: FilterPushdown,
}

impl Default for PushFiltersIntoScans {
    fn default() -> Self {
        Self { general: FilterPushdown::new() }
    }
}

impl PhysicalOptimizerRule for PushFiltersIntoScans {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|node| {
            let reaches_scan = match node.downcast_ref::<FilterExec>() {
                Some(filter) => reaches_scan(filter.predicate(), filter.input())?,
                None => false,
            };
            if !reaches_scan {
                return Ok(Transformed::no(node));
            }
            // What is below a filter that reaches its scan is nothing but projections.
            let pushed = self.general.optimize(node, config)?;
            Ok(Transformed::new(pushed, true, TreeNodeRecursion::Jump))
        })
        .data()
    }

    fn name(&self) -> &str {
        self.general.name()
    }

    fn schema_check(&self) -> bool {
        self.general.schema_check()
    }
}

/// Whether there are only projections between a filter and a scan, and none computes what the filter names.
fn reaches_scan(condition: &Arc<dyn PhysicalExpr>, input: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    if input.downcast_ref::<DataSourceExec>().is_some() {
        return Ok(true);
    }
    if let Some(filter) = input.downcast_ref::<FilterExec>() {
        return Ok(filter.projection().is_none()
            && reaches_scan(condition, filter.input())?
            && reaches_scan(filter.predicate(), filter.input())?);
    }
    let Some(projection) = input.downcast_ref::<ProjectionExec>() else { return Ok(false) };
    for column in collect_columns(condition) {
        let Some(computed) = projection.expr().get(column.index()) else { return Ok(false) };
        if is_costly(&computed.expr)? || !reaches_scan(&computed.expr, projection.input())? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_costly(expression: &Arc<dyn PhysicalExpr>) -> Result<bool> {
    expression.exists(|part| {
        let call = part.downcast_ref::<ScalarFunctionExpr>();
        Ok(part.downcast_ref::<HigherOrderFunctionExpr>().is_some() || call.is_some_and(|call| !is_cheap(call.name())))
    })
}
