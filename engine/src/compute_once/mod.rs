//! What is costly is computed once. A filter that is pushed below the projection that computes its columns computes them
//! again, and what is above does so a second time. That is as it should be for comparisons and members, and for filters
//! that spare the reading of many columns, but not for combinations of particles.

mod filters;
mod physical;
mod ranges;

use std::collections::HashSet;

use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;

pub(crate) use filters::PushCheapFilters;
pub(crate) use physical::PushFiltersIntoScans;
pub(crate) use ranges::{ComputeRangesOnce, is_within};

/// Functions that only look at what is there, or make it up from parts without copying.
const CHEAP: &[&str] = &[
    "abs",
    "array_element",
    "array_length",
    "cardinality",
    "ceil",
    "coalesce",
    "floor",
    "get_field",
    "members_of",
    "named_struct",
    "named_zip",
    "p4",
    "struct",
];

fn is_cheap(function: &str) -> bool {
    CHEAP.contains(&function)
}

/// Whether an expression should not be computed twice.
fn is_costly(expression: &Expr) -> Result<bool> {
    expression.exists(|part| {
        Ok(match part {
            Expr::HigherOrderFunction(_) => true,
            Expr::ScalarFunction(call) => !is_cheap(call.func.name()),
            _ => false,
        })
    })
}

/// The columns that an expression names, without the names of their tables.
fn names_in(expression: &Expr) -> HashSet<&str> {
    expression.column_refs().into_iter().map(|column| column.name.as_str()).collect()
}
