//! Columns that are computed of others, in as few projections as their dependence allows.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Operator};

/// A column by its name alone, whatever is in it.
pub(super) fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// How often an expression names each column. Both ends of a range are compared with the value between them.
pub(super) fn columns_in(expr: &Expr) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    count_columns(expr, 1, &mut found);
    found
}

fn count_columns(expr: &Expr, times: usize, found: &mut BTreeMap<String, usize>) {
    match expr {
        Expr::Column(column) => *found.entry(column.name.clone()).or_default() += times,
        Expr::Between(between) => {
            count_columns(&between.expr, 2 * times, found);
            count_columns(&between.low, times, found);
            count_columns(&between.high, times, found);
        }
        other => {
            // Nothing here fails, and the walk does not end early.
            let _ = other.apply_children(|child| {
                count_columns(child, times, found);
                Ok(TreeNodeRecursion::Continue)
            });
        }
    }
}

/// Puts expressions in place of columns, where there is one.
pub(super) fn replace(expr: Expr, by: &dyn Fn(&str) -> Option<Expr>) -> Result<Expr> {
    let put = |part: Expr| match &part {
        Expr::Column(column) => match by(&column.name) {
            // What is put there is not looked into.
            Some(other) => Ok(Transformed::new(other, true, TreeNodeRecursion::Jump)),
            None => Ok(Transformed::no(part)),
        },
        _ => Ok(Transformed::no(part)),
    };
    expr.transform_down(put).data()
}

/// Whether a column is named inside of a lambda, which is evaluated once for each element of a list.
pub(super) fn is_in_lambda(expr: &Expr, name: &str) -> bool {
    let mut found = false;
    let _ = expr.apply(|part| {
        if let Expr::Lambda(lambda) = part {
            found |= columns_in(&lambda.body).contains_key(name);
            return Ok(TreeNodeRecursion::Jump);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// Functions that only take values apart, put them together, or look at lengths.
const CHEAP: [&str; 9] =
    ["array_element", "get_field", "named_struct", "named_zip", "p4", "cardinality", "array_length", "abs", "coalesce"];

/// Whether an expression should not be computed for events that nobody asks about: it takes time, or can fail.
pub(super) fn is_costly(expr: &Expr) -> bool {
    let costly = |part: &Expr| match part {
        Expr::ScalarFunction(function) => !CHEAP.contains(&function.func.name()),
        Expr::BinaryExpr(binary) => matches!(binary.op, Operator::Divide | Operator::Modulo | Operator::IntegerDivide),
        Expr::Cast(cast) => !cast.field.data_type().is_numeric(),
        Expr::HigherOrderFunction(_) | Expr::Like(_) | Expr::SimilarTo(_) | Expr::TryCast(_) => true,
        _ => false,
    };
    expr.exists(|part| Ok(costly(part))).unwrap_or(true)
}

/// Adds to a plan the columns of `computed` that `wanted` needs, in layers: each has those whose own columns are there. Of
/// the plan's columns only those stay that are needed.
pub(super) fn with_columns(
    mut plan: LogicalPlan,
    computed: &BTreeMap<String, Expr>,
    wanted: &BTreeSet<String>,
) -> Result<LogicalPlan> {
    let mut depths = BTreeMap::new();
    for name in wanted {
        depth(name, computed, &mut depths);
    }
    let deepest = depths.values().copied().max().unwrap_or_default();
    for layer in 1..=deepest {
        // What later layers and the results take as it is by now.
        let mut needed = wanted.clone();
        for (name, _) in depths.iter().filter(|(_, depth)| **depth > layer) {
            needed.extend(computed.get(name).into_iter().flat_map(columns_in).map(|(name, _)| name));
        }
        let depth_of = |name: &str| depths.get(name).copied().unwrap_or_default();
        let columns = needed.iter().filter(|name| depth_of(name) <= layer).map(|name| match computed.get(name) {
            Some(expr) if depth_of(name) == layer => expr.clone().alias(name.clone()),
            _ => column(name),
        });
        plan = LogicalPlanBuilder::from(plan).project(columns.collect::<Vec<_>>())?.build()?;
    }
    Ok(plan)
}

/// How many layers a column takes.
fn depth(name: &str, computed: &BTreeMap<String, Expr>, depths: &mut BTreeMap<String, usize>) -> usize {
    if let Some(known) = depths.get(name) {
        return *known;
    }
    let Some(expr) = computed.get(name) else { return 0 };
    let below = columns_in(expr).into_keys().map(|name| depth(&name, computed, depths)).max();
    let depth = 1 + below.unwrap_or_default();
    depths.insert(name.to_owned(), depth);
    depth
}
