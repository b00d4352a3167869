//! What is booked on events, and the handles by which it is found.

use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use datafusion::arrow::datatypes::DataType;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::Expr;
use root_hist::{Axis, Histogram, Storage};

use super::expression::{Expression, in_type};
use super::graph::{Events, Graph, Node, Step};
use crate::cutflow::Passed;
use crate::error::Error;
use crate::histogram::has_place_on;

/// A result that is booked: the key to it in the [`Results`](super::Results) of a run.
#[derive(Debug)]
pub struct Booked<T> {
    /// Where it was booked; a handle keeps nothing alive.
    pub(super) graph: Weak<Graph>,
    pub(super) number: usize,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Booked<T> {
    fn clone(&self) -> Self {
        Self { graph: self.graph.clone(), number: self.number, kind: PhantomData }
    }
}

/// The events that are left behind a condition.
#[derive(Debug, Clone, PartialEq)]
pub struct CutflowStep {
    /// What the condition is called; `all events` in front of the first.
    pub name: String,
    /// The events, with the weights that they have there.
    pub passed: Passed,
}

/// A result that is wanted of a node.
pub(super) struct Booking {
    pub node: Arc<Node>,
    pub request: Request,
}

pub(super) enum Request {
    /// The empty histogram; a column for each axis, and that of the samples of a profile.
    Fill {
        empty: FillForm,
        columns: Vec<Expr>,
    },
    Count,
    Sum(Expr),
    Cutflow,
}

/// The axes of a histogram, and whether samples are averaged in its bins.
pub(super) struct FillForm {
    pub axes: Vec<Axis>,
    pub profile: bool,
}

impl FillForm {
    /// The empty histogram.
    pub(super) fn histogram(&self, weighted: bool) -> Result<Histogram, root_hist::Error> {
        let storage = match (self.profile, weighted) {
            (false, false) => Storage::Count,
            (false, true) => Storage::Weight,
            (true, false) => Storage::Mean,
            (true, true) => Storage::WeightedMean,
        };
        Histogram::new(self.axes.clone(), storage)
    }
}

impl Events {
    /// Books a histogram of an expression. A list fills all of its elements. An axis without name and label is labelled by
    /// the expression.
    ///
    /// # Errors
    /// Where the expression does not fit the columns, or its values have no place on the axis.
    pub fn hist(&self, x: impl Into<Expression>, axis: Axis) -> Result<Booked<Histogram>, Error> {
        self.hist_nd([(x.into(), axis)])
    }

    /// Books a histogram of two expressions, each with its axis. Where both are lists, their elements are filled pairwise.
    ///
    /// # Errors
    /// As those of [`hist`](Self::hist).
    pub fn hist2d(
        &self,
        (x, x_axis): (impl Into<Expression>, Axis),
        (y, y_axis): (impl Into<Expression>, Axis),
    ) -> Result<Booked<Histogram>, Error> {
        self.hist_nd([(x.into(), x_axis), (y.into(), y_axis)])
    }

    /// Books a histogram of any number of expressions, each with its axis; lists are filled as by [`hist2d`](Self::hist2d).
    ///
    /// # Errors
    /// As those of [`hist`](Self::hist), or where there are too many axes or bins.
    pub fn hist_nd<E: Into<Expression>>(
        &self,
        axes: impl IntoIterator<Item = (E, Axis)>,
    ) -> Result<Booked<Histogram>, Error> {
        let axes = axes.into_iter().map(|(expression, axis)| self.on_axis(expression.into(), axis));
        let (columns, axes) = axes.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        self.fill(FillForm { axes, profile: false }, columns)
    }

    /// Books a profile: the mean of `y`, and its error, in bins of `x`.
    ///
    /// # Errors
    /// As those of [`hist`](Self::hist).
    pub fn profile(
        &self,
        x: impl Into<Expression>,
        axis: Axis,
        y: impl Into<Expression>,
    ) -> Result<Booked<Histogram>, Error> {
        const WHAT: &str = "sample";
        let (x, axis) = self.on_axis(x.into(), axis)?;
        let y = y.into();
        let text = y.to_string();
        let y = self.scope().check(WHAT, y)?;
        if !is_number(&y.data_type) {
            let reason = format!("it is {}, of which there is no mean", y.data_type);
            return Err(Error::Expression { what: WHAT, text, reason });
        }
        self.fill(FillForm { axes: vec![axis], profile: true }, vec![x, y.expr])
    }

    /// Books the number of events, whatever their weights.
    pub fn count(&self) -> Booked<u64> {
        self.book(Request::Count)
    }

    /// Books the sum of a number over the events, whatever their weights; of a list all elements are added. NULL adds
    /// nothing.
    ///
    /// # Errors
    /// Where the expression does not fit the columns, or is no number.
    pub fn sum(&self, value: impl Into<Expression>) -> Result<Booked<f64>, Error> {
        const WHAT: &str = "sum";
        let value = value.into();
        let text = value.to_string();
        let checked = self.scope().check(WHAT, value)?;
        if !is_number(&checked.data_type) {
            let reason = format!("it is {}, which cannot be added up", checked.data_type);
            return Err(Error::Expression { what: WHAT, text, reason });
        }
        let value = match checked.data_type.is_nested() {
            true => self.graph.session.context().udf("array_sum")?.call(vec![checked.expr]),
            false => checked.expr,
        };
        // Of a list the type of the sum is not known here.
        let value = in_type(value, &checked.data_type, &DataType::Float64);
        Ok(self.book(Request::Sum(value)))
    }

    /// Books the number of events behind each condition that led to these events. All conditions are then evaluated above
    /// the scan, which cannot leave anything out.
    pub fn cutflow(&self) -> Booked<Vec<CutflowStep>> {
        self.book(Request::Cutflow)
    }

    fn on_axis(&self, expression: Expression, axis: Axis) -> Result<(Expr, Axis), Error> {
        const WHAT: &str = "axis";
        let text = expression.to_string();
        let column = self.scope().check(WHAT, expression)?;
        if !has_place_on(&axis, &column.data_type) {
            let reason = format!("it is {}, which has no place on {}", column.data_type, kind_of(&axis));
            return Err(Error::Expression { what: WHAT, text, reason });
        }
        let axis = match axis.name().is_empty() && axis.label().is_empty() {
            true => axis.with_label(text),
            false => axis,
        };
        Ok((column.expr, axis))
    }

    fn fill(&self, empty: FillForm, columns: Vec<Expr>) -> Result<Booked<Histogram>, Error> {
        empty.histogram(false)?;
        Ok(self.book(Request::Fill { empty, columns }))
    }

    fn book<T>(&self, request: Request) -> Booked<T> {
        let mut bookings = self.graph.bookings.lock();
        let number = bookings.len();
        bookings.push(Booking { node: self.node.clone(), request });
        Booked { graph: Arc::downgrade(&self.graph), number, kind: PhantomData }
    }
}

impl Booking {
    /// What the conditions on the way to the node are called.
    pub(super) fn cuts(&self) -> Vec<String> {
        let name = |node: &&Node| match &node.step {
            Step::Filter { name, .. } => Some(name.clone()),
            _ => None,
        };
        self.node.chain().iter().filter_map(name).collect()
    }
}

fn kind_of(axis: &Axis) -> &'static str {
    if axis.is_numeric() { "an axis of numbers" } else { "an axis of categories" }
}

/// Whether it is a number, or a list of them.
fn is_number(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            element.data_type().is_numeric() || element.data_type() == &DataType::Boolean
        }
        other => other.is_numeric() || other == &DataType::Boolean,
    }
}
