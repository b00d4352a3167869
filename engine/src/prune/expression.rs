//! What expressions touch of the columns of their inputs.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, Result, plan_err};
use datafusion::logical_expr::expr::{AggregateFunction, Case, HigherOrderFunction, Lambda, ScalarFunction};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::need::Need;
use crate::functions::{MOMENTUM, members_needed};

/// Whether a need goes through what joins several values of one type: branches of CASE, inputs of UNION. They must
/// stay of one type, and may not, where one of them is needed elsewhere too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Branches {
    /// Each branch is needed as much as the result.
    Narrowed,
    /// Branches are needed whole.
    Whole,
}

/// Collects what is needed of the columns of a node's inputs.
///
/// Whatever it does not know needs all of its arguments: that costs bytes, never answers.
pub(super) struct Touched {
    /// For each input its schema and the needs of its columns.
    inputs: Vec<(DFSchemaRef, Vec<Need>)>,
    /// Parameters of the lambdas in scope, the innermost last.
    parameters: Vec<(String, Need)>,
    branches: Branches,
}

impl Touched {
    /// Nothing of any column.
    pub(super) fn nothing(plan: &LogicalPlan, branches: Branches) -> Self {
        let unneeded = |schema: &DFSchemaRef| (schema.clone(), vec![Need::NOTHING; schema.fields().len()]);
        let inputs = plan.inputs().into_iter().map(|input| unneeded(input.schema())).collect();
        Self { inputs, parameters: Vec::new(), branches }
    }

    /// What is needed of the columns of each input.
    pub(super) fn into_needs(self) -> Vec<Vec<Need>> {
        self.inputs.into_iter().map(|(_, needs)| needs).collect()
    }

    /// Adds a need of a column, by its place in the input.
    pub(super) fn column_at(&mut self, input: usize, column: usize, need: Need) {
        if let Some(known) = self.inputs.get_mut(input).and_then(|(_, needs)| needs.get_mut(column)) {
            known.merge(need);
        }
    }

    /// Adds what it takes to know so much of the value of an expression.
    pub(super) fn expression(&mut self, expression: &Expr, need: Need) -> Result<()> {
        match expression {
            Expr::Column(column) => self.column(column, &need),
            Expr::LambdaVariable(variable) => {
                let known = self.parameters.iter_mut().rev().find(|(name, _)| *name == variable.name);
                match known {
                    Some((_, known)) => known.merge(need),
                    None => return plan_err!("parameter '{}' is used outside of its lambda", variable.name),
                }
                Ok(())
            }
            Expr::Alias(alias) => self.expression(&alias.expr, need),
            Expr::Unnest(unnest) => self.expression(&unnest.expr, need),
            Expr::IsNull(value) | Expr::IsNotNull(value) => self.expression(value, Need::NOTHING),
            Expr::Case(case) => self.case(case, need),
            Expr::ScalarFunction(function) => self.scalar_function(function, need),
            Expr::HigherOrderFunction(function) => self.higher_order_function(function, need),
            Expr::Lambda(lambda) => self.body(lambda, Need::All).map(|_| ()),
            Expr::AggregateFunction(function) => self.aggregate(expression, function),
            Expr::OuterReferenceColumn(_, column) => plan_err!("{column} belongs to a query around this one"),
            _ => self.parts(expression),
        }
    }

    fn column(&mut self, column: &Column, need: &Need) -> Result<()> {
        let mut is_known = false;
        // A join may have the name on both sides; then both are needed.
        for (schema, needs) in &mut self.inputs {
            if let Some(known) = schema.maybe_index_of_column(column).and_then(|at| needs.get_mut(at)) {
                known.merge(need.clone());
                is_known = true;
            }
        }
        if !is_known {
            return plan_err!("{column} is no column of the inputs");
        }
        Ok(())
    }

    /// All of all parts of an expression.
    fn parts(&mut self, expression: &Expr) -> Result<()> {
        expression
            .apply_children(|child| {
                self.expression(child, Need::All)?;
                Ok(TreeNodeRecursion::Continue)
            })
            .map(|_| ())
    }

    fn all_of(&mut self, expressions: &[Expr]) -> Result<()> {
        expressions.iter().try_for_each(|e| self.expression(e, Need::All))
    }

    /// The need of what is one of several values.
    fn of_branch(&self, need: &Need) -> Need {
        match self.branches {
            Branches::Narrowed => need.clone(),
            Branches::Whole => Need::All,
        }
    }

    fn case(&mut self, case: &Case, need: Need) -> Result<()> {
        let need = self.of_branch(&need);
        if let Some(value) = &case.expr {
            self.expression(value, Need::All)?;
        }
        for (when, then) in &case.when_then_expr {
            self.expression(when, Need::All)?;
            self.expression(then, need.clone())?;
        }
        case.else_expr.iter().try_for_each(|e| self.expression(e, need.clone()))
    }

    fn scalar_function(&mut self, function: &ScalarFunction, need: Need) -> Result<()> {
        let arguments = function.args.as_slice();
        match (function.func.name(), arguments) {
            ("get_field", [value, path @ ..]) => match field_names(path) {
                Some(names) => {
                    let need = names.into_iter().rev().fold(need, |need, name| need.within(name));
                    self.expression(value, need)
                }
                None => self.all_of(arguments),
            },
            (
                "array_element" | "array_take" | "array_sort_by" | "array_slice" | "array_pop_front" | "array_pop_back"
                | "array_reverse" | "flatten",
                [list, rest @ ..],
            ) => {
                self.all_of(rest)?;
                self.expression(list, need)
            }
            ("cardinality" | "array_length" | "empty", [list, rest @ ..]) => {
                self.all_of(rest)?;
                self.expression(list, Need::NOTHING)
            }
            ("coalesce" | "make_array" | "array_concat", values) => {
                let need = self.of_branch(&need);
                values.iter().try_for_each(|value| self.expression(value, need.clone()))
            }
            ("combinations", [list, size]) => {
                self.expression(size, Need::All)?;
                self.expression(list, need.of_any_field())
            }
            ("cartesian", lists) => {
                let mut lists = lists.iter().enumerate();
                lists.try_for_each(|(i, list)| self.expression(list, need.of_field(&i.to_string())))
            }
            ("p4", values) => {
                let mut values = values.iter().zip(MOMENTUM);
                values.try_for_each(|(value, name)| self.expression(value, need.of_field(name)))
            }
            ("nearest" | "any_near", [of, among, rest @ ..]) => {
                self.all_of(rest)?;
                self.expression(of, Need::fields(&["eta", "phi"]))?;
                self.expression(among, Need::fields(&["eta", "phi"]))
            }
            ("named_struct" | "named_zip", pairs) => {
                let (pairs, rest) = pairs.as_chunks::<2>();
                self.all_of(rest)?;
                for [name, value] in pairs {
                    let need = literal_name(name).map_or(Need::All, |name| need.of_field(name));
                    self.expression(name, Need::All)?;
                    self.expression(value, need)?;
                }
                Ok(())
            }
            ("struct", values) => {
                let mut values = values.iter().enumerate();
                values.try_for_each(|(i, value)| self.expression(value, need.of_field(&format!("c{i}"))))
            }
            (name, values) => {
                let need = members_needed(name).map_or(Need::All, |members| Need::fields(&members));
                values.iter().try_for_each(|value| self.expression(value, need.clone()))
            }
        }
    }

    fn higher_order_function(&mut self, function: &HigherOrderFunction, need: Need) -> Result<()> {
        // A name such as array_filter/2 is that of lambdas with two parameters for one list.
        let (name, of_one_list) = match function.func.name().split_once('/') {
            Some((name, _)) => (name, true),
            None => (function.func.name(), false),
        };
        let (lists, lambda) = match function.args.as_slice() {
            [list, rest @ ..] if name == "nearest_mass" => return self.nearest_mass(list, rest, need),
            [lists @ .., Expr::Lambda(lambda)] => (lists, lambda),
            all => return self.all_of(all),
        };
        let (of_body, of_result) = match name {
            "array_filter" | "array_first" => (Need::All, need),
            "array_count" | "array_any_match" | "array_all_match" => (Need::All, Need::NOTHING),
            "array_transform" => (need, Need::NOTHING),
            _ => return self.all_of(&function.args),
        };
        let mut needs = self.body(lambda, of_body)?;
        if of_one_list {
            // They are the members of a tuple, or an element and its index. What is no member costs nothing.
            let members = needs.iter().enumerate().map(|(i, need)| need.clone().within(&i.to_string()));
            let members = members.fold(Need::NOTHING, Need::and);
            needs.truncate(1);
            needs.iter_mut().for_each(|need| need.merge(members.clone()));
        }
        needs.resize(lists.len(), Need::NOTHING);
        if let Some(first) = needs.first_mut() {
            first.merge(of_result);
        }
        lists.iter().zip(needs).try_for_each(|(list, need)| self.expression(list, need))
    }

    fn nearest_mass(&mut self, list: &Expr, rest: &[Expr], need: Need) -> Result<()> {
        let mut of_particles = Need::fields(MOMENTUM).and(need.of_any_field());
        for argument in rest {
            match argument {
                Expr::Lambda(condition) => {
                    let needs = self.body(condition, Need::All)?;
                    needs.into_iter().for_each(|need| of_particles.merge(need));
                }
                other => self.expression(other, Need::All)?,
            }
        }
        self.expression(list, of_particles)
    }

    /// Adds what a lambda touches of columns, if so much is needed of its result. Returns what it touches of each of its
    /// parameters.
    fn body(&mut self, lambda: &Lambda, need: Need) -> Result<Vec<Need>> {
        let outer = self.parameters.len();
        self.parameters.extend(lambda.params.iter().map(|name| (name.clone(), Need::NOTHING)));
        let walked = self.expression(&lambda.body, need);
        let touched = self.parameters.split_off(outer).into_iter().map(|(_, need)| need).collect();
        walked.map(|()| touched)
    }

    fn aggregate(&mut self, expression: &Expr, function: &AggregateFunction) -> Result<()> {
        let parameters = &function.params;
        if function.func.name() != "count" || parameters.distinct {
            return self.parts(expression);
        }
        parameters.args.iter().try_for_each(|value| self.expression(value, Need::NOTHING))?;
        parameters.filter.iter().try_for_each(|filter| self.expression(filter, Need::All))?;
        parameters.order_by.iter().try_for_each(|by| self.expression(&by.expr, Need::All))
    }
}

/// The values of which an expression gives one, if there are several; all are of one type.
pub(super) fn branches(expression: &Expr) -> Vec<&Expr> {
    match expression {
        Expr::Case(case) => {
            let then = case.when_then_expr.iter().map(|(_, then)| then);
            then.chain(&case.else_expr).map(AsRef::as_ref).collect()
        }
        Expr::ScalarFunction(function) => match function.func.name() {
            "coalesce" | "make_array" | "array_concat" => function.args.iter().collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn literal_name(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// The names of the fields that one leads through to the next, if all are known.
fn field_names(path: &[Expr]) -> Option<Vec<&str>> {
    path.iter().map(literal_name).collect()
}
