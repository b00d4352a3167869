//! Sorting by what a lambda computes. DataFusion compares the keys of a sort across partitions as expressions, and does not
//! find two lambdas equal that are; here such keys are computed first and sorted by as columns.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Sort};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// Computes sort keys with lambdas below the sort.
#[derive(Debug)]
pub(crate) struct ComputeSortKeys;

impl OptimizerRule for ComputeSortKeys {
    fn name(&self) -> &str {
        "compute_sort_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Sort(sort) = plan else { return Ok(Transformed::no(plan)) };
        let mut computed = Vec::new();
        let mut keys = sort.expr.clone();
        for key in &mut keys {
            if key.expr.exists(|part| Ok(matches!(part, Expr::Lambda(_))))? {
                let alias = config.alias_generator().next("__sort_key");
                let known = std::mem::replace(&mut key.expr, Expr::Column(alias.clone().into()));
                computed.push(known.alias(alias));
            }
        }
        if computed.is_empty() {
            return Ok(Transformed::no(LogicalPlan::Sort(sort)));
        }
        let columns: Vec<Expr> = sort.input.schema().columns().into_iter().map(Expr::Column).collect();
        let input = LogicalPlanBuilder::from(sort.input).project(columns.iter().cloned().chain(computed))?.build()?;
        let sorted = LogicalPlan::Sort(Sort { expr: keys, input: input.into(), fetch: sort.fetch });
        Ok(Transformed::yes(LogicalPlanBuilder::from(sorted).project(columns)?.build()?))
    }
}
