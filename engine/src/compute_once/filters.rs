//! The rule that pushes filters towards the tables, but for those whose columns are costly and needed above as well.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNodeRecursion, TreeNodeRewriter};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection};
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::{is_costly, names_in};

/// DataFusion's [`PushDownFilter`], held back where it would compute twice.
#[derive(Debug, Default)]
pub(crate) struct PushCheapFilters {
    general: PushDownFilter,
}

impl OptimizerRule for PushCheapFilters {
    fn name(&self) -> &str {
        self.general.name()
    }

    /// It goes through the plan by itself, since what a filter may do depends on what is above it.
    fn apply_order(&self) -> Option<ApplyOrder> {
        None
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let mut pushing = Pushing { general: &self.general, config, used: Vec::new() };
        plan.rewrite_with_subqueries(&mut pushing)
    }
}

/// What the nodes above need of a plan's columns.
#[derive(Debug, Clone)]
enum Used {
    All,
    Names(HashSet<String>),
}

impl Used {
    fn of<'a>(expressions: impl IntoIterator<Item = &'a Expr>) -> Self {
        Self::Names(expressions.into_iter().flat_map(names_in).map(str::to_string).collect())
    }

    fn and<'a>(&self, expressions: impl IntoIterator<Item = &'a Expr>) -> Self {
        match (self, Self::of(expressions)) {
            (Self::Names(names), Self::Names(more)) => Self::Names(names.union(&more).cloned().collect()),
            _ => Self::All,
        }
    }

    fn contains(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Names(names) => names.contains(name),
        }
    }
}

struct Pushing<'a> {
    general: &'a PushDownFilter,
    config: &'a dyn OptimizerConfig,
    /// What is needed of the node that is looked at, and of those above it.
    used: Vec<Used>,
}

impl TreeNodeRewriter for Pushing<'_> {
    type Node = LogicalPlan;

    fn f_down(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let used = self.used.last().cloned().unwrap_or(Used::All);
        let plan = match plan {
            LogicalPlan::Filter(filter) => self.push(filter, &used)?,
            other => self.general.rewrite(other, self.config)?,
        };
        self.used.push(match &plan.data {
            LogicalPlan::Projection(projection) => Used::of(&projection.expr),
            LogicalPlan::Aggregate(aggregate) => Used::of(aggregate.group_expr.iter().chain(&aggregate.aggr_expr)),
            LogicalPlan::Filter(filter) => used.and([&filter.predicate]),
            LogicalPlan::Sort(sort) => used.and(sort.expr.iter().map(|key| &key.expr)),
            LogicalPlan::SubqueryAlias(_) | LogicalPlan::Limit(_) => used,
            _ => Used::All,
        });
        Ok(plan)
    }

    fn f_up(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        self.used.pop();
        Ok(Transformed::no(plan))
    }
}

impl Pushing<'_> {
    /// Pushes the conditions of a filter that may be.
    fn push(&self, filter: Filter, used: &Used) -> Result<Transformed<LogicalPlan>> {
        let (mut conditions, mut input, mut merged) = (split_conjunction_owned(filter.predicate), filter.input, false);
        while let LogicalPlan::Filter(below) = input.as_ref() {
            conditions.extend(split_conjunction_owned(below.predicate.clone()));
            input = below.input.clone();
            merged = true;
        }
        let Some(projection) = projection_of(&input) else { return self.general_push(conditions, input) };
        let outputs: HashMap<&str, &Expr> =
            projection.schema.fields().iter().map(|field| field.name().as_str()).zip(&projection.expr).collect();
        let mut held = Vec::new();
        let mut pushed = Vec::new();
        for condition in conditions {
            let stays = computes_twice(&condition, &outputs, used)?;
            if stays { held.push(condition) } else { pushed.push(condition) }
        }
        let changes = merged || !pushed.is_empty();
        if held.is_empty() {
            return self.general_push(pushed, input);
        }
        let below =
            if pushed.is_empty() { Arc::unwrap_or_clone(input) } else { self.general_push(pushed, input)?.data };
        let plan = with_filter(held, Arc::new(below))?;
        let answer = if changes { Transformed::yes(plan) } else { Transformed::no(plan) };
        Ok(Transformed { tnr: TreeNodeRecursion::Continue, ..answer })
    }

    fn general_push(&self, conditions: Vec<Expr>, input: Arc<LogicalPlan>) -> Result<Transformed<LogicalPlan>> {
        self.general.rewrite(with_filter(conditions, input)?, self.config)
    }
}

fn with_filter(conditions: Vec<Expr>, input: Arc<LogicalPlan>) -> Result<LogicalPlan> {
    Ok(match conjunction(conditions) {
        Some(predicate) => LogicalPlan::Filter(Filter::try_new(predicate, input)?),
        None => Arc::unwrap_or_clone(input),
    })
}

/// The projection that computes the columns of a plan.
fn projection_of(plan: &LogicalPlan) -> Option<&Projection> {
    match plan {
        LogicalPlan::Projection(projection) => Some(projection),
        LogicalPlan::SubqueryAlias(alias) => projection_of(&alias.input),
        _ => None,
    }
}

/// Whether a condition names a costly column that is needed above too, and not many columns need not be read for rows
/// that it drops.
fn computes_twice(condition: &Expr, outputs: &HashMap<&str, &Expr>, used: &Used) -> Result<bool> {
    let (mut shared, mut read_anyway) = (false, HashSet::new());
    for name in names_in(condition) {
        let Some(expression) = outputs.get(name) else { continue };
        shared |= used.contains(name) && is_costly(expression)?;
        read_anyway.extend(names_in(expression));
    }
    if !shared {
        return Ok(false);
    }
    let needed =
        outputs.iter().filter(|(name, _)| used.contains(name)).flat_map(|(_, expression)| names_in(expression));
    let spared: HashSet<&str> = needed.filter(|column| !read_anyway.contains(column)).collect();
    Ok(spared.len() <= read_anyway.len())
}
