//! What a step computes: SQL as text or an expression of DataFusion, planned over the columns that there are.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchemaRef, DataFusionError, SchemaError};
use datafusion::logical_expr::{EmptyRelation, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::parser::DFParserBuilder;

use crate::dialect::RootDialect;
use crate::error::{Error, message_of};
use crate::names::{NamedTable, name_products_in, spell_expression};
use crate::session::{RootSession, missing_column};
use crate::suggest::no_such_column;

/// An expression over the columns of events: SQL as text, in which lambdas, members of objects and operators between lists
/// are understood, or an expression of DataFusion.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// SQL.
    Text(String),
    /// An expression of DataFusion, with columns that are called as in the files: [`expr_fn::col`](crate::expr_fn::col).
    Planned(Expr),
}

impl From<&str> for Expression {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Expression {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Expression {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<Expr> for Expression {
    fn from(expr: Expr) -> Self {
        Self::Planned(expr)
    }
}

impl std::fmt::Display for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Planned(expr) => expr.fmt(f),
        }
    }
}

/// An expression that fits the columns, and its type.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub expr: Expr,
    pub data_type: DataType,
}

/// The columns that expressions are over.
pub(super) struct Scope<'a> {
    pub session: &'a RootSession,
    pub columns: &'a DFSchemaRef,
    /// Branches that cannot be read, and why.
    pub unreadable: &'a [(String, String)],
}

impl Scope<'_> {
    /// Plans an expression; `what` is what it is for.
    pub(super) fn check(&self, what: &'static str, expression: Expression) -> Result<Checked, Error> {
        let text = expression.to_string();
        let planned = self.plan(expression).and_then(|expr| {
            refuse_rows(&expr)?;
            let data_type = self.type_of(&expr)?;
            Ok(Checked { expr, data_type })
        });
        planned.map_err(|error| Error::Expression { what, text, reason: self.explain(&error) })
    }

    /// A condition.
    pub(super) fn condition(&self, expression: Expression) -> Result<Expr, Error> {
        const WHAT: &str = "condition";
        let text = expression.to_string();
        let Checked { expr, data_type } = self.check(WHAT, expression)?;
        let reason = match data_type {
            DataType::Boolean => return Ok(expr),
            DataType::List(_) => "it is true or false for each element of a list, but events are kept whole: ask \
                                  array_any_match or array_all_match, or take elements by array_filter"
                .to_owned(),
            other => format!("it is {other}, and must be true or false"),
        };
        Err(Error::Expression { what: WHAT, text, reason })
    }

    /// A number for each event.
    pub(super) fn number(&self, what: &'static str, expression: Expression) -> Result<Expr, Error> {
        let text = expression.to_string();
        let Checked { expr, data_type } = self.check(what, expression)?;
        if !(data_type.is_numeric() || data_type == DataType::Boolean) {
            return Err(Error::Expression { what, text, reason: format!("it is {data_type}, and must be a number") });
        }
        Ok(in_type(expr, &data_type, &DataType::Float64))
    }

    fn plan(&self, expression: Expression) -> Result<Expr, DataFusionError> {
        let text = match expression {
            Expression::Planned(expr) => return Ok(expr),
            Expression::Text(text) => text,
        };
        let mut parsed = DFParserBuilder::new(text.as_str()).with_dialect(&RootDialect).build()?.parse_into_expr()?;
        spell_expression(&mut parsed.expr);
        let state = self.session.context().state();
        let mut table = None;
        loop {
            let error = match state.create_logical_expr_from_sql_expr(parsed.clone(), self.columns) {
                Ok(expr) => return Ok(expr),
                Err(error) => error,
            };
            let Some(missing) = missing_column(&error) else { return Err(error) };
            let schema = || self.columns.inner().clone();
            let table = table.get_or_insert_with(|| NamedTable::new(schema()));
            if !name_products_in(&mut parsed.expr, missing, table)? {
                return Err(error);
            }
        }
    }

    /// The type of an expression. All types are checked, as they would be before it is computed.
    fn type_of(&self, expr: &Expr) -> Result<DataType, DataFusionError> {
        let none = EmptyRelation { produce_one_row: false, schema: self.columns.clone() };
        let plan = LogicalPlanBuilder::from(LogicalPlan::EmptyRelation(none)).project([expr.clone().alias("x")])?;
        let state = self.session.context().state();
        let plan = state.analyzer().execute_and_check(plan.build()?, state.config_options(), |_, _| {})?;
        let column = Expr::Column(Column::new_unqualified("x"));
        column.get_type(plan.schema())
    }

    fn explain(&self, error: &DataFusionError) -> String {
        if let DataFusionError::SchemaError(schema, _) = error.find_root()
            && let SchemaError::FieldNotFound { field, .. } = schema.as_ref()
        {
            return self.missing(&field.name);
        }
        message_of(error)
    }

    /// Why there is no such column.
    pub(super) fn missing(&self, name: &str) -> String {
        if let Some((_, reason)) = self.unreadable.iter().find(|(column, _)| column == name) {
            return format!("column '{name}' cannot be read: {reason}");
        }
        no_such_column(name, self.columns.fields().iter().map(|field| field.name().as_str()))
    }
}

/// An expression gives one value for each event, out of that event.
fn refuse_rows(expr: &Expr) -> Result<(), DataFusionError> {
    let mut found = None;
    expr.exists(|part| {
        found = match part {
            Expr::AggregateFunction(_) => Some("it takes several events together; book the result instead"),
            Expr::WindowFunction(_) => Some("it looks at other events"),
            Expr::Unnest(_) => Some("it makes rows of a list; lists are filled as they are, element by element"),
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_) => {
                Some("it has a query of its own")
            }
            Expr::Placeholder(_) => Some("it has a placeholder without a value"),
            _ => None,
        };
        Ok(found.is_some())
    })?;
    match found {
        Some(reason) => Err(DataFusionError::Plan(reason.to_owned())),
        None => Ok(()),
    }
}

/// An expression in another type, unless it has it.
pub(super) fn in_type(expr: Expr, found: &DataType, wanted: &DataType) -> Expr {
    if found == wanted { expr } else { datafusion::logical_expr::cast(expr, wanted.clone()) }
}
