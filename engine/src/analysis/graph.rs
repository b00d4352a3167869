//! The graph: events, and the steps that make others of them.

use std::sync::Arc;

use datafusion::arrow::compute::can_cast_types;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::Expr;
use parking_lot::Mutex;

use super::booking::Booking;
use super::expression::{Expression, Scope, in_type};
use super::run::Run;
use crate::error::Error;
use crate::session::RootSession;

/// Events with the columns of their files and those that were defined, weighted perhaps. A step gives other events and
/// leaves these as they are; clones are cheap. The documentation of the [module](super) has an example.
#[derive(Clone)]
pub struct Events {
    pub(super) graph: Arc<Graph>,
    pub(super) node: Arc<Node>,
}

/// What all events that were made of the same files share.
pub(super) struct Graph {
    pub session: RootSession,
    pub table: DataFrame,
    pub unreadable: Vec<(String, String)>,
    pub bookings: Mutex<Vec<Booking>>,
}

/// A step, behind those before it.
pub(super) struct Node {
    pub before: Option<Arc<Node>>,
    pub step: Step,
    /// The columns that there are behind it.
    pub columns: DFSchemaRef,
}

pub(super) enum Step {
    Source,
    Filter { name: String, condition: Expr },
    Define { column: String, value: Expr },
    Weight(Expr),
    Vary { name: String, variations: Vec<Variation> },
}

/// A variation of several that are made together: what stands in place of columns.
pub(super) struct Variation {
    pub tag: String,
    pub columns: Vec<(String, Expr)>,
}

impl Node {
    /// The steps from the files to this one.
    pub(super) fn chain(&self) -> Vec<&Self> {
        let mut chain: Vec<&Self> = std::iter::successors(Some(self), |node| node.before.as_deref()).collect();
        chain.reverse();
        chain
    }

    /// The names of all variations, `name:tag`, in the order in which they were made.
    pub(super) fn variations(&self) -> Vec<String> {
        let of_step = |node: &&Self| match &node.step {
            Step::Vary { name, variations } => variations.iter().map(|v| full_name(name, &v.tag)).collect(),
            _ => Vec::new(),
        };
        self.chain().iter().flat_map(of_step).collect()
    }
}

pub(super) fn full_name(name: &str, tag: &str) -> String {
    format!("{name}:{tag}")
}

impl Events {
    pub(crate) fn new(
        session: &RootSession,
        table: DataFrame,
        unreadable: Vec<(String, String)>,
    ) -> Result<Self, Error> {
        let columns = Arc::new(DFSchema::try_from(table.schema().inner().clone())?);
        let node = Node { before: None, step: Step::Source, columns };
        let graph = Graph { session: session.clone(), table, unreadable, bookings: Mutex::default() };
        Ok(Self { graph: Arc::new(graph), node: Arc::new(node) })
    }

    /// The events for which a condition holds. Those for which it is NULL are dropped.
    ///
    /// # Errors
    /// Where the condition does not fit the columns; they are named.
    pub fn filter(&self, condition: impl Into<Expression>) -> Result<Self, Error> {
        let condition = condition.into();
        let name = condition.to_string();
        self.cut(name, condition)
    }

    /// The same, under a name of its own for the [`cutflow`](Self::cutflow).
    ///
    /// # Errors
    /// As those of [`filter`](Self::filter).
    pub fn cut(&self, name: impl Into<String>, condition: impl Into<Expression>) -> Result<Self, Error> {
        let condition = self.scope().condition(condition.into())?;
        Ok(self.step(Step::Filter { name: name.into(), condition }, self.node.columns.clone()))
    }

    /// The events with one more column.
    ///
    /// # Errors
    /// Where the expression does not fit the columns, or there is a column of that name.
    pub fn define(&self, column: impl Into<String>, value: impl Into<Expression>) -> Result<Self, Error> {
        let column = column.into();
        if self.node.columns.has_column_with_unqualified_name(&column) {
            return Err(Error::DefinedTwice { column });
        }
        let value = self.scope().check("definition", value.into())?;
        let mut fields = self.node.columns.inner().fields().to_vec();
        fields.push(Arc::new(Field::new(&column, value.data_type.clone(), true)));
        let metadata = self.node.columns.inner().metadata().clone();
        let schema = datafusion::arrow::datatypes::Schema::new_with_metadata(fields, metadata);
        let columns = Arc::new(DFSchema::try_from(schema)?);
        Ok(self.step(Step::Define { column, value: value.expr }, columns))
    }

    /// The events with a weight, which multiplies those that they have. Histograms, profiles and cutflows are weighted;
    /// counts and sums are not.
    ///
    /// # Errors
    /// Where the expression does not fit the columns, or is no number.
    pub fn weight(&self, weight: impl Into<Expression>) -> Result<Self, Error> {
        let weight = self.scope().number("weight", weight.into())?;
        Ok(self.step(Step::Weight(weight), self.node.columns.clone()))
    }

    /// The events with variations: from here on every result is made once more for each of them, with other values in place
    /// of some columns, and found by [`Results::varied`](super::Results::varied) as `name:tag`. All is computed in the same
    /// pass, and what does not depend on these columns only once. The columns keep their types; what was defined of them
    /// before stays as it is. Of several sets of variations one at a time is applied.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
    /// # use root_engine::{Axis, RootSession};
    /// # let events = RootSession::new().events(&format!("{path}:Events")).await?;
    /// let varied = events.vary("jes", [("up", [("Jet_pt", "Jet_pt * 1.05")]), ("down", [("Jet_pt", "Jet_pt * 0.95")])])?;
    /// let hard = varied.filter("array_any_match(Jet_pt, pt -> pt > 40)")?.hist("MET_pt", Axis::regular(10, 0.0, 100.0)?)?;
    /// let results = events.run().await?;
    /// let entries = |name| results.varied(&hard).find(|(n, _)| *n == name).map(|(_, h)| h.tally().entries);
    /// assert!(entries("jes:down") < entries("jes:up"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Where there is no such column, an expression does not fit, or a name is taken.
    pub fn vary<V, T, C, N, E>(&self, name: impl Into<String>, variations: V) -> Result<Self, Error>
    where
        V: IntoIterator<Item = (T, C)>,
        T: Into<String>,
        C: IntoIterator<Item = (N, E)>,
        N: Into<String>,
        E: Into<Expression>,
    {
        let name = name.into();
        let refuse = |reason: String| Error::Variation { name: name.clone(), reason };
        let is_taken = |node: &&Node| matches!(&node.step, Step::Vary { name: other, .. } if *other == name);
        if self.node.chain().iter().any(is_taken) {
            return Err(refuse("there are variations of that name already".into()));
        }
        let mut made: Vec<Variation> = Vec::new();
        for (tag, replaced) in variations {
            let tag = tag.into();
            if made.iter().any(|other| other.tag == tag) {
                return Err(refuse(format!("there are two '{tag}'")));
            }
            let mut columns: Vec<(String, Expr)> = Vec::new();
            for (column, value) in replaced {
                let column = column.into();
                if columns.iter().any(|(other, _)| *other == column) {
                    return Err(refuse(format!("'{tag}' replaces the column '{column}' twice")));
                }
                let value = self.replacement(&column, value.into()).map_err(|error| match error {
                    Error::Variation { reason, .. } => refuse(format!("'{tag}': {reason}")),
                    other => other,
                })?;
                columns.push((column, value));
            }
            if columns.is_empty() {
                return Err(refuse(format!("'{tag}' replaces no column")));
            }
            made.push(Variation { tag, columns });
        }
        if made.is_empty() {
            return Err(refuse("there are none".into()));
        }
        Ok(self.step(Step::Vary { name, variations: made }, self.node.columns.clone()))
    }

    /// What stands in place of a column, in its type.
    fn replacement(&self, column: &str, value: Expression) -> Result<Expr, Error> {
        let refuse = |reason: String| Error::Variation { name: String::new(), reason };
        let scope = self.scope();
        let Ok(field) = self.node.columns.field_with_unqualified_name(column) else {
            return Err(refuse(scope.missing(column)));
        };
        let wanted: DataType = field.data_type().clone();
        let value = scope.check("variation", value)?;
        if !can_cast_types(&value.data_type, &wanted) {
            return Err(refuse(format!(
                "the column '{column}' is {wanted}, and what would replace it is {}",
                value.data_type
            )));
        }
        Ok(in_type(value.expr, &value.data_type, &wanted))
    }

    /// Runs everything that is booked on these events and on all that were made of the same files, in one pass.
    pub fn run(&self) -> Run {
        Run::new(self.graph.clone())
    }

    /// The names of the columns: those of the files, and those that were defined.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.node.columns.fields().iter().map(|field| field.name().as_str())
    }

    pub(super) fn scope(&self) -> Scope<'_> {
        Scope { session: &self.graph.session, columns: &self.node.columns, unreadable: &self.graph.unreadable }
    }

    fn step(&self, step: Step, columns: DFSchemaRef) -> Self {
        let node = Node { before: Some(self.node.clone()), step, columns };
        Self { graph: self.graph.clone(), node: Arc::new(node) }
    }
}
