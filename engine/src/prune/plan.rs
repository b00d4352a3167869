//! From what is needed of a plan to what is needed of its tables, and back up with the narrower types.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, internal_err, plan_err};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Join, JoinType, LogicalPlan, Projection, TableScan, Union, Unnest,
};

use super::computed::Narrower;
use super::expression::{Branches, Touched, branches};
use super::need::Need;
use super::rule::{AsNarrow, has_struct};

/// Prunes one plan.
pub(super) struct Pruner<'a> {
    pub as_narrow: AsNarrow,
    pub branches: Branches,
    /// Narrows what projections compute, if that is wanted.
    pub computed: Option<&'a Narrower>,
}

impl Pruner<'_> {
    /// Prunes a plan whose result is needed whole. The result's schema stays as it is.
    pub(super) fn whole(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let schema = plan.schema().clone();
        let needs = vec![Need::All; schema.fields().len()];
        let pruned = self.prune(plan, needs)?;
        let is_same = schema.iter().eq(pruned.data.schema().iter());
        if !is_same {
            return internal_err!("pruning changed the result to {}", pruned.data.schema());
        }
        Ok(pruned)
    }

    /// Prunes a plan of whose columns so much is needed.
    fn prune(&self, plan: LogicalPlan, needs: Vec<Need>) -> Result<Transformed<LogicalPlan>> {
        plan.map_subqueries(|subquery| self.whole(subquery))?.transform_data(|plan| match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, needs),
            plan => {
                let narrowed = self.with_narrow_outputs(plan, &needs)?;
                let mut inputs = self.needs_of_inputs(&narrowed.data, needs)?.into_iter();
                let pruned = narrowed.transform_data(|plan| {
                    plan.map_children(|input| self.prune(input, inputs.next().unwrap_or_default()))
                })?;
                if !pruned.transformed {
                    return Ok(pruned);
                }
                Ok(Transformed::yes(self.with_types_of_inputs(pruned.data)?))
            }
        })
    }

    /// Has a projection compute no more than is needed of its columns.
    fn with_narrow_outputs(&self, plan: LogicalPlan, needs: &[Need]) -> Result<Transformed<LogicalPlan>> {
        let (Some(narrower), LogicalPlan::Projection(projection)) = (self.computed, &plan) else {
            return Ok(Transformed::no(plan));
        };
        if !projection.expr.iter().any(|expression| computes_structs(expression, projection.input.schema())) {
            return Ok(Transformed::no(plan));
        }
        let (schema, names) = (projection.input.schema(), NamePreserver::new_for_projection());
        let of_columns = self.needs_of_inputs(&plan, needs.to_vec())?.into_iter().next().unwrap_or_default();
        let touched = Touched::nothing(&plan, self.branches);
        let narrowed = narrower.outputs(projection, touched, needs, &of_columns)?;
        if !narrowed.iter().any(|output| output.transformed) {
            return Ok(Transformed::no(plan));
        }
        let outputs = projection.expr.iter().zip(narrowed).map(|(output, narrowed)| {
            let narrowed = with_types_of_parameters(narrowed.data, schema)?.data;
            Ok(names.save(output).restore(narrowed))
        });
        let expressions = outputs.collect::<Result<_>>()?;
        Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(expressions, projection.input.clone())?)))
    }

    /// Declares a table with no more than what is needed of it.
    fn scan(&self, scan: TableScan, needs: Vec<Need>) -> Result<Transformed<LogicalPlan>> {
        let unchanged = |scan| Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        let Ok(table) = source_as_provider(&scan.source) else { return unchanged(scan) };
        let Some(narrow) = (self.as_narrow)(table.as_ref()) else { return unchanged(scan) };
        let schema = table.schema();
        // Columns that are not read keep their types, or the plan would change for nothing.
        let mut of_columns = vec![Need::All; schema.fields().len()];
        let read = scan.projection.clone().unwrap_or_else(|| (0..of_columns.len()).collect());
        for (column, need) in read.into_iter().zip(needs) {
            if let Some(known) = of_columns.get_mut(column) {
                *known = need;
            }
        }
        // The filters that a table takes over compare plain columns; what they touch is needed whole.
        for column in scan.filters.iter().flat_map(Expr::column_refs) {
            if let Some(known) = of_columns.get_mut(schema.index_of(&column.name)?) {
                *known = Need::All;
            }
        }
        let fields: Vec<_> = schema.fields().iter().zip(of_columns).map(|(field, need)| need.narrow(field)).collect();
        if fields.as_slice() == schema.fields().as_ref() {
            return unchanged(scan);
        }
        let narrower = narrow.narrowed(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))?;
        let scan = TableScanBuilder::new(scan.table_name, provider_as_source(narrower))
            .with_projection(scan.projection)
            .with_filters(scan.filters)
            .with_fetch(scan.fetch)
            .with_statistics_requests(scan.statistics_requests)
            .build()?;
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    }

    /// What a node needs of the columns of its inputs, if so much is needed of its own.
    fn needs_of_inputs(&self, plan: &LogicalPlan, needs: Vec<Need>) -> Result<Vec<Vec<Need>>> {
        let mut touched = Touched::nothing(plan, self.branches);
        match plan {
            LogicalPlan::Projection(projection) => {
                for (expression, need) in projection.expr.iter().zip(needs) {
                    touched.expression(expression, need)?;
                }
                return Ok(touched.into_needs());
            }
            LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Repartition(_)
            | LogicalPlan::SubqueryAlias(_)
            // What a window adds comes after the columns that it passes on, and is computed whole.
            | LogicalPlan::Window(_) => pass(&mut touched, 0, needs),
            LogicalPlan::Aggregate(_) => {}
            LogicalPlan::Join(join) => pass_join(&mut touched, join, needs),
            LogicalPlan::Unnest(unnest) => {
                pass_unnest(&mut touched, unnest, needs);
                return Ok(touched.into_needs());
            }
            LogicalPlan::Union(union) => {
                let needs = match self.branches {
                    Branches::Narrowed => needs,
                    Branches::Whole => vec![Need::All; needs.len()],
                };
                (0..union.inputs.len()).for_each(|input| pass(&mut touched, input, needs.clone()));
            }
            _ => {
                let all = |input: &LogicalPlan| vec![Need::All; input.schema().fields().len()];
                return Ok(plan.inputs().into_iter().map(all).collect());
            }
        }
        plan.apply_expressions(|expression| {
            touched.expression(expression, Need::All)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(touched.into_needs())
    }

    /// Computes anew what a node remembers of the types of its inputs.
    fn with_types_of_inputs(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let schema = merge_schema(&plan.inputs());
        let plan = plan.map_expressions(|expression| with_types_of_parameters(expression, &schema))?.data;
        if self.branches == Branches::Narrowed {
            plan.apply_expressions(|expression| expression.apply(|part| same_types(part, &schema)))?;
        }
        match plan {
            LogicalPlan::Union(union) => union_with_types_of_inputs(union),
            plan => plan.recompute_schema(),
        }
    }
}

/// Whether an expression, or a part of it, is or has structs.
fn computes_structs(expression: &Expr, schema: &DFSchema) -> bool {
    expression
        .exists(|part| {
            let is_value = matches!(part, Expr::Column(_) | Expr::ScalarFunction(_) | Expr::HigherOrderFunction(_));
            Ok(is_value && part.get_type(schema).is_ok_and(|data_type| has_struct(&data_type)))
        })
        .unwrap_or(false)
}

/// The columns of an input are the columns of the node.
fn pass(touched: &mut Touched, input: usize, needs: impl IntoIterator<Item = Need>) {
    needs.into_iter().enumerate().for_each(|(column, need)| touched.column_at(input, column, need));
}

/// The columns of a join are the left ones, the right ones, or both; some joins add a mark.
fn pass_join(touched: &mut Touched, join: &Join, mut needs: Vec<Need>) {
    match join.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
            let right = needs.split_off(join.left.schema().fields().len().min(needs.len()));
            pass(touched, 0, needs);
            pass(touched, 1, right);
        }
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => pass(touched, 0, needs),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => pass(touched, 1, needs),
    }
}

/// An unnested list needs of its elements what is needed of the column; an unnested struct becomes columns, all of
/// which must stay.
fn pass_unnest(touched: &mut Touched, unnest: &Unnest, needs: Vec<Need>) {
    for (input, need) in unnest.dependency_indices.iter().zip(needs) {
        let is_struct = unnest.struct_type_columns.contains(input);
        touched.column_at(0, *input, if is_struct { Need::All } else { need });
    }
}

/// Computes anew the types of what the parameters of lambdas stand for, which these carry along.
fn with_types_of_parameters(expression: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expression.transform_down(|part| {
        let Expr::HigherOrderFunction(mut function) = part else { return Ok(Transformed::no(part)) };
        // DataFusion passes over the lambdas in the first argument; they come first, as its type depends on them.
        for argument in function.args.iter_mut().filter(|a| !matches!(a, Expr::Lambda(_))) {
            *argument = with_types_of_parameters(std::mem::take(argument), schema)?.data;
        }
        let resolved = Expr::HigherOrderFunction(function).resolve_lambda_variables(schema)?;
        Ok(Transformed::new(resolved.data, true, TreeNodeRecursion::Jump))
    })
}

/// Refuses branches that have become of different types.
fn same_types(expression: &Expr, schema: &DFSchema) -> Result<TreeNodeRecursion> {
    let mut types = Vec::new();
    for branch in branches(expression) {
        types.push(branch.get_type(schema)?);
    }
    types.retain(|t| *t != DataType::Null);
    if types.windows(2).any(|pair| matches!(pair, [a, b] if a != b)) {
        return plan_err!("the branches of {expression} differ in their types");
    }
    Ok(TreeNodeRecursion::Continue)
}

/// The names of a union are its own, the types those of its inputs.
fn union_with_types_of_inputs(union: Union) -> Result<LogicalPlan> {
    let Some((first, rest)) = union.inputs.split_first() else { return internal_err!("a union without inputs") };
    let types = |plan: &LogicalPlan| plan.schema().fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
    let of_first = types(first);
    if rest.iter().any(|input| types(input) != of_first) {
        return plan_err!("the inputs of a union differ in their types");
    }
    let fields = union.schema.iter().zip(of_first).map(|((qualifier, field), data_type)| {
        (qualifier.cloned(), Arc::new(field.as_ref().clone().with_data_type(data_type)))
    });
    let schema = DFSchema::new_with_metadata(fields.collect(), union.schema.metadata().clone())?;
    Ok(LogicalPlan::Union(Union { inputs: union.inputs, schema: Arc::new(schema) }))
}
