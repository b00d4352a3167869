//! The rule as the optimizer runs it.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::computed::Narrower;
use super::expression::Branches;
use super::plan::Pruner;

/// A table that can be declared with less than it has.
pub(crate) trait Narrow {
    /// The same table with a narrower schema: the same columns in the same order, each of its type or of one with fewer
    /// fields in its structs, at any depth. The elements of a list may be structs without fields; other structs have at
    /// least one.
    fn narrowed(&self, schema: SchemaRef) -> Result<Arc<dyn TableProvider>>;
}

/// Tells whether a table can be narrowed.
pub(super) type AsNarrow = fn(&dyn TableProvider) -> Option<&dyn Narrow>;

/// Narrows the tables of a plan to the members that it touches.
pub(crate) struct PruneLeaves {
    as_narrow: AsNarrow,
    computed: Narrower,
}

impl PruneLeaves {
    pub(crate) fn new(as_narrow: AsNarrow) -> Self {
        Self { as_narrow, computed: Narrower::new() }
    }

    /// Whether any table of the plan could be narrowed, or what a projection passes on.
    fn concerns(&self, plan: &LogicalPlan) -> bool {
        let mut concerns = false;
        let walked = plan.apply_with_subqueries(|node| {
            concerns = match node {
                LogicalPlan::TableScan(scan) => {
                    scan.projected_schema.fields().iter().any(|f| has_struct(f.data_type()))
                        && source_as_provider(&scan.source).is_ok_and(|t| (self.as_narrow)(t.as_ref()).is_some())
                }
                LogicalPlan::Projection(projection) => {
                    projection.schema.fields().iter().any(|field| has_struct(field.data_type()))
                }
                _ => false,
            };
            Ok(if concerns { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        walked.is_ok() && concerns
    }
}

impl fmt::Debug for PruneLeaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PruneLeaves")
    }
}

impl OptimizerRule for PruneLeaves {
    fn name(&self) -> &str {
        "prune_leaves"
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        if !self.concerns(&plan) {
            return Ok(Transformed::no(plan));
        }
        let computed = Some(&self.computed);
        for (branches, computed) in
            [(Branches::Narrowed, computed), (Branches::Narrowed, None), (Branches::Whole, None)]
        {
            // A plan that cannot be narrowed is right as it is and only reads more.
            let pruner = Pruner { as_narrow: self.as_narrow, branches, computed };
            if let Ok(pruned) = pruner.whole(plan.clone()) {
                return Ok(if pruned.transformed { pruned } else { Transformed::no(plan) });
            }
        }
        Ok(Transformed::no(plan))
    }
}

/// Whether values of a type are structs, or lists of them.
pub(super) fn has_struct(data_type: &DataType) -> bool {
    match data_type {
        DataType::Struct(_) => true,
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            has_struct(element.data_type())
        }
        _ => false,
    }
}
