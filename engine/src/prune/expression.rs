//! What expressions touch of the columns of their inputs.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, Result, plan_err};
use datafusion::logical_expr::expr::{AggregateFunction, Case, HigherOrderFunction, Lambda, ScalarFunction};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::need::Need;
use crate::functions::{MEMBERS, MOMENTUM, members_needed};

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

    /// The need of what is one of several values.
    pub(super) fn of_branch(&self, need: &Need) -> Need {
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
        let needs = self.needs_of_arguments(function, &need);
        function.args.iter().zip(needs).try_for_each(|(argument, need)| self.expression(argument, need))
    }

    /// What it takes of each argument to know so much of what a function gives.
    pub(super) fn needs_of_arguments(&self, function: &ScalarFunction, need: &Need) -> Vec<Need> {
        let arguments = function.args.as_slice();
        let mut needs = vec![Need::All; arguments.len()];
        let of_first = match (function.func.name(), arguments) {
            ("get_field", [_, path @ ..]) => field_names(path)
                .map(|names| names.into_iter().rev().fold(need.clone(), |need, name| need.within(name))),
            (MEMBERS, [_, names @ ..]) => field_names(names).map(|names| need.of_fields(&names)),
            (
                "array_element" | "array_take" | "array_sort_by" | "array_slice" | "array_pop_front" | "array_pop_back"
                | "array_reverse" | "flatten",
                _,
            ) => Some(need.clone()),
            ("cardinality" | "array_length" | "empty", _) => Some(Need::NOTHING),
            ("combinations", _) => Some(need.of_any_field()),
            ("nearest" | "any_near", [_, _, ..]) => {
                let direction = Need::fields(&["eta", "phi"]);
                needs.iter_mut().take(2).for_each(|need| need.clone_from(&direction));
                None
            }
            ("coalesce" | "make_array" | "array_concat", _) => {
                needs.fill(self.of_branch(need));
                None
            }
            ("named_struct" | "named_zip", _) => {
                for (pair, needs) in arguments.as_chunks::<2>().0.iter().zip(needs.as_chunks_mut::<2>().0) {
                    let ([name, _], [_, of_value]) = (pair, needs);
                    *of_value = literal_name(name).map_or(Need::All, |name| need.of_field(name));
                }
                None
            }
            ("cartesian", _) => {
                (0..).zip(&mut needs).for_each(|(at, of_list): (usize, _)| *of_list = need.of_field(&at.to_string()));
                None
            }
            ("p4", _) => {
                needs.iter_mut().zip(MOMENTUM).for_each(|(of_value, name)| *of_value = need.of_field(name));
                None
            }
            ("struct", _) => {
                (0..).zip(&mut needs).for_each(|(at, value): (usize, _)| *value = need.of_field(&format!("c{at}")));
                None
            }
            (name, _) => {
                needs.fill(members_needed(name).map_or(Need::All, |members| Need::fields(&members)));
                None
            }
        };
        if let (Some(need), Some(first)) = (of_first, needs.first_mut()) {
            *first = need;
        }
        needs
    }

    fn higher_order_function(&mut self, function: &HigherOrderFunction, need: Need) -> Result<()> {
        let needs = self.needs_of_lists(function, &need)?;
        let values = function.args.iter().zip(needs).filter(|(argument, _)| !matches!(argument, Expr::Lambda(_)));
        values.into_iter().try_for_each(|(value, need)| self.expression(value, need))
    }

    /// The same for a function that takes lambdas, which have no need themselves; what they touch of columns is added.
    pub(super) fn needs_of_lists(&mut self, function: &HigherOrderFunction, need: &Need) -> Result<Vec<Need>> {
        let arguments = function.args.as_slice();
        let mut needs = vec![Need::All; arguments.len()];
        // A name such as array_filter/2 is that of lambdas with two parameters for one list.
        let (name, variant) = match function.func.name().split_once('/') {
            Some((name, variant)) => (name, Some(variant)),
            None => (function.func.name(), None),
        };
        let (of_body, of_result) = match (name, arguments) {
            ("nearest_mass", _) => {
                self.needs_of_nearest_mass(arguments, need, &mut needs)?;
                return Ok(needs);
            }
            ("array_filter" | "array_first", [.., Expr::Lambda(_)]) => (Need::All, need.clone()),
            ("array_count" | "array_any_match" | "array_all_match", [.., Expr::Lambda(_)]) => {
                (Need::All, Need::NOTHING)
            }
            ("array_transform", [.., Expr::Lambda(_)]) => (need.clone(), Need::NOTHING),
            _ => {
                for argument in arguments {
                    if let Expr::Lambda(lambda) = argument {
                        self.body(lambda, Need::All)?;
                    }
                }
                return Ok(needs);
            }
        };
        let Some((Expr::Lambda(lambda), lists)) = arguments.split_last() else { return Ok(needs) };
        let mut of_lists = self.body(lambda, of_body)?;
        if variant.is_some() {
            // They are the members of a tuple, or an element and its index. What is no member costs nothing.
            let members = of_lists.iter().enumerate().map(|(i, need)| need.clone().within(&i.to_string()));
            let members = members.fold(Need::NOTHING, Need::and);
            of_lists.truncate(1);
            of_lists.iter_mut().for_each(|need| need.merge(members.clone()));
        }
        of_lists.resize(lists.len(), Need::NOTHING);
        if let Some(first) = of_lists.first_mut() {
            first.merge(of_result);
        }
        needs.iter_mut().zip(of_lists).for_each(|(need, of_list)| *need = of_list);
        Ok(needs)
    }

    fn needs_of_nearest_mass(&mut self, arguments: &[Expr], need: &Need, needs: &mut [Need]) -> Result<()> {
        let mut of_particles = Need::fields(MOMENTUM).and(need.of_any_field());
        if let Some((Expr::Lambda(condition), values)) = arguments.split_last() {
            let of_parameters = self.body(condition, Need::All)?.into_iter().fold(Need::NOTHING, Need::and);
            // The condition may have a list of its own.
            match (values.len(), needs.get_mut(3)) {
                (4, Some(of_condition)) => *of_condition = of_parameters,
                _ => of_particles.merge(of_parameters),
            }
        }
        if let Some(first) = needs.first_mut() {
            *first = of_particles;
        }
        Ok(())
    }

    /// Adds what a lambda touches of columns, if so much is needed of its result. Returns what it touches of each of its
    /// parameters.
    pub(super) fn body(&mut self, lambda: &Lambda, need: Need) -> Result<Vec<Need>> {
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
