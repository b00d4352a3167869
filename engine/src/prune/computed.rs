//! What is computed, made to give no more than is needed of it: lists of structs lose members before elements or rows of
//! them are copied, and `nearest_mass` leaves out what nobody looks at.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{Case, HigherOrderFunction, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, HigherOrderUDF, Projection, ScalarUDF, lit};

use super::expression::Touched;
use super::need::Need;
use crate::functions::{NEAREST_INDICES, members_of, nearest_mass_parts};

/// What a function does with an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It copies elements, so that each member that it does not get spares something.
    Copied,
    /// It looks at the members that it wants, where they lie.
    Seen,
}

/// The functions that are put into expressions.
pub(super) struct Narrower {
    members: Arc<ScalarUDF>,
    nearest_mass: [Arc<HigherOrderUDF>; 2],
}

impl Narrower {
    pub(super) fn new() -> Self {
        Self { members: Arc::new(members_of()), nearest_mass: nearest_mass_parts().map(Arc::new) }
    }

    /// The outputs of a projection of which so much is needed, where so much is needed of the columns of its input. Nodes
    /// above copy them.
    pub(super) fn outputs(
        &self,
        projection: &Projection,
        touched: Touched,
        needs: &[Need],
        of_columns: &[Need],
    ) -> Result<Vec<Transformed<Expr>>> {
        let mut narrowing = Narrowing { narrower: self, schema: projection.input.schema(), of_columns, touched };
        let outputs = projection.expr.iter().zip(needs);
        outputs.map(|(output, need)| narrowing.narrowed(output.clone(), need, Use::Copied)).collect()
    }
}

/// Narrows the expressions of one node.
struct Narrowing<'a> {
    narrower: &'a Narrower,
    /// The columns of the node's inputs.
    schema: &'a DFSchema,
    /// How much of them is needed for all expressions together: they have no more anyway.
    of_columns: &'a [Need],
    /// Tells what arguments are needed for; what it gathers of columns is not looked at.
    touched: Touched,
}

impl Narrowing<'_> {
    fn narrowed(&mut self, expression: Expr, need: &Need, used: Use) -> Result<Transformed<Expr>> {
        let inner = match expression {
            Expr::Alias(mut alias) => {
                let inner = self.narrowed(std::mem::take(alias.expr.as_mut()), need, used)?;
                return Ok(inner.update_data(|inner| {
                    *alias.expr = inner;
                    Expr::Alias(alias)
                }));
            }
            Expr::ScalarFunction(function) => self.scalar_function(function, need)?,
            Expr::HigherOrderFunction(function) => self.higher_order_function(function, need)?,
            Expr::Case(case) => self.case(case, need)?,
            Expr::Lambda(_) => return Ok(Transformed::no(expression)),
            other => other.map_children(|part| self.narrowed(part, &Need::All, Use::Seen))?,
        };
        if used == Use::Seen {
            return Ok(inner);
        }
        let data_type = inner.data.get_type(self.schema)?;
        let of_column = match &inner.data {
            Expr::Column(column) => {
                self.schema.maybe_index_of_column(column).and_then(|at| self.of_columns.get(at)?.members(&data_type))
            }
            _ => None,
        };
        match need.members(&data_type) {
            members if members == of_column => Ok(inner),
            Some(members) => {
                let arguments = std::iter::once(inner.data).chain(members.into_iter().map(lit)).collect();
                let function = ScalarFunction::new_udf(self.narrower.members.clone(), arguments);
                Ok(Transformed::yes(Expr::ScalarFunction(function)))
            }
            None => Ok(inner),
        }
    }

    fn all(&mut self, arguments: Vec<Expr>, needs: &[Need], uses: impl Fn(usize) -> Use) -> Result<(Vec<Expr>, bool)> {
        let mut changed = false;
        let mut narrowed = Vec::with_capacity(arguments.len());
        for (at, (argument, need)) in arguments.into_iter().zip(needs).enumerate() {
            let argument = self.narrowed(argument, need, uses(at))?;
            changed |= argument.transformed;
            narrowed.push(argument.data);
        }
        Ok((narrowed, changed))
    }

    fn scalar_function(&mut self, function: ScalarFunction, need: &Need) -> Result<Transformed<Expr>> {
        let needs = self.touched.needs_of_arguments(&function, need);
        let name = function.func.name();
        let (of_first, of_all) = (COPIES_FIRST.contains(&name), COPIES_ALL.contains(&name));
        let uses = |at| if of_all || (of_first && at == 0) { Use::Copied } else { Use::Seen };
        let (args, changed) = self.all(function.args, &needs, uses)?;
        let function = Expr::ScalarFunction(ScalarFunction { func: function.func, args });
        Ok(Transformed::new(function, changed, TreeNodeRecursion::Continue))
    }

    fn case(&mut self, mut case: Case, need: &Need) -> Result<Transformed<Expr>> {
        let need = self.touched.of_branch(need);
        let mut changed = false;
        let branches = case.when_then_expr.iter_mut().map(|(_, then)| then).chain(&mut case.else_expr);
        for branch in branches {
            let narrowed = self.narrowed(std::mem::take(branch.as_mut()), &need, Use::Copied)?;
            changed |= narrowed.transformed;
            **branch = narrowed.data;
        }
        Ok(Transformed::new(Expr::Case(case), changed, TreeNodeRecursion::Continue))
    }

    fn higher_order_function(&mut self, function: HigherOrderFunction, need: &Need) -> Result<Transformed<Expr>> {
        let name = function.func.name();
        if name == "nearest_mass" {
            return self.nearest_mass(function, need);
        }
        let copies = name == "array_filter" || name.starts_with("array_filter/");
        let needs = self.touched.needs_of_lists(&function, need)?;
        let uses = |at| if copies && at == 0 { Use::Copied } else { Use::Seen };
        let (args, changed) = self.all(function.args, &needs, uses)?;
        let function = Expr::HigherOrderFunction(HigherOrderFunction::new(function.func, args));
        Ok(Transformed::new(function, changed, TreeNodeRecursion::Continue))
    }

    /// It gives the particles or their indices alone where nobody looks at the rest, and its condition gets a list of its
    /// own, with no more than it looks at, where the list is a column.
    fn nearest_mass(&mut self, function: HigherOrderFunction, need: &Need) -> Result<Transformed<Expr>> {
        let HigherOrderFunction { mut func, mut args } = function;
        let mut changed = false;
        if let Need::Fields(fields) = need {
            let [indices, particles] = &self.narrower.nearest_mass;
            if fields.keys().all(|name| name == NEAREST_INDICES) {
                (func, changed) = (indices.clone(), true);
            } else if !fields.keys().any(|name| name == NEAREST_INDICES || name == "mass") {
                (func, changed) = (particles.clone(), true);
            }
        }
        if let [list @ Expr::Column(_), _, _, Expr::Lambda(condition)] = args.as_slice() {
            let of_condition = self.touched.body(condition, Need::All)?.into_iter().fold(Need::NOTHING, Need::and);
            if of_condition.members(&list.get_type(self.schema)?).is_some() {
                args.insert(3, list.clone());
            }
        }
        let function = HigherOrderFunction::new(func, args);
        let needs = self.touched.needs_of_lists(&function, need)?;
        let uses = |at| if at == 0 || at == 3 { Use::Copied } else { Use::Seen };
        let (args, narrowed) = self.all(function.args, &needs, uses)?;
        let function = Expr::HigherOrderFunction(HigherOrderFunction::new(function.func, args));
        Ok(Transformed::new(function, changed || narrowed, TreeNodeRecursion::Continue))
    }
}

/// Functions that copy elements of their first argument.
const COPIES_FIRST: &[&str] = &[
    "array_element",
    "array_pop_back",
    "array_pop_front",
    "array_reverse",
    "array_slice",
    "array_sort_by",
    "array_take",
    "combinations",
];

/// Functions that copy elements of all arguments.
const COPIES_ALL: &[&str] = &["array_concat", "cartesian", "coalesce", "make_array"];
