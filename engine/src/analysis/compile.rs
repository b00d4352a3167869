//! From bookings to one plan.
//!
//! Each booking, as it is and with each variation, goes through the steps from the files to its node once. What a step
//! computes becomes a value: an expression over columns and other values. The same expression over the same values is one
//! value, so branches and variations share what does not differ between them. Conditions are values too, and a mask is a
//! list of them, which again are shared as far as they are the same.
//!
//! The conditions that all masks begin with become filters, which prune the scan. The rest of a mask goes into the
//! aggregates, and what takes time to compute is computed for events only that pass a mask of those that need it.

use std::collections::{BTreeSet, HashMap};

use datafusion::common::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::booking::{Booking, FillForm, Request};
use super::graph::{Graph, Node, Step, Variation, full_name};
use super::layers::{column, replace};
use crate::error::Error;

/// A plan of one row, and where in it each result is.
pub(super) struct Compiled {
    pub plan: LogicalPlan,
    /// For each booking what it is without variation, and with each.
    pub results: Vec<Recipe>,
}

/// Where a booking's results are.
pub(super) struct Recipe {
    pub nominal: Outputs,
    pub varied: Vec<(String, Outputs)>,
    pub form: Form,
}

/// Columns of the plan's row.
pub(super) type Outputs = Vec<usize>;

/// What the columns are.
pub(super) enum Form {
    Histogram,
    Count,
    Sum,
    /// For each name a count and, with weights, their sum and that of their squares.
    Cutflow {
        steps: Vec<(String, bool)>,
    },
}

/// Compiles all bookings of a graph.
pub(super) fn compile(graph: &Graph) -> Result<Compiled, Error> {
    let bookings = graph.bookings.lock();
    if bookings.is_empty() {
        return Err(Error::NothingBooked);
    }
    let table = graph.table.logical_plan().clone();
    let mut values = Values::new(table.schema().fields().iter().map(|field| field.name().clone()).collect());
    let results = bookings.iter().map(|booking| values.add(booking)).collect::<Result<Vec<_>, Error>>()?;
    Ok(Compiled { plan: values.plan(table)?, results })
}

/// A list of conditions by its last, and the list before it; `None` is the empty one.
pub(super) type Mask = Option<usize>;

/// An expression over columns of the table and other values, which stand before it.
pub(super) struct Value {
    pub name: String,
    pub expr: Expr,
}

/// What is computed of the whole input.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Output {
    /// A histogram, by the state that it begins with; columns, and the weight as the last of them if there is one.
    Fill {
        empty: Vec<u8>,
        columns: Vec<String>,
        mask: Mask,
    },
    Count {
        mask: Mask,
    },
    Sum {
        value: String,
        mask: Mask,
    },
}

impl Output {
    pub(super) fn mask(&self) -> Mask {
        match self {
            Self::Fill { mask, .. } | Self::Count { mask } | Self::Sum { mask, .. } => *mask,
        }
    }

    /// The columns that it is computed of.
    pub(super) fn columns(&self) -> &[String] {
        match self {
            Self::Fill { columns, .. } => columns,
            Self::Sum { value, .. } => std::slice::from_ref(value),
            Self::Count { .. } => &[],
        }
    }
}

/// Values, masks and outputs, each only once.
pub(super) struct Values {
    /// The columns of the table.
    pub raw: BTreeSet<String>,
    pub values: Vec<Value>,
    by_expr: HashMap<Expr, usize>,
    pub by_name: HashMap<String, usize>,
    /// The list before, and the name of the condition.
    pub masks: Vec<(Mask, String)>,
    by_mask: HashMap<(Mask, String), usize>,
    pub outputs: Vec<Output>,
    by_output: HashMap<Output, usize>,
}

/// What names mean, and what holds, behind a step.
#[derive(Default)]
struct Place {
    /// Columns that are not those of the table.
    meaning: HashMap<String, String>,
    mask: Mask,
    weight: Option<String>,
    /// For the cutflow: the mask and the weight in front of the first condition, and behind each.
    passed: Vec<(Mask, Option<String>)>,
}

impl Values {
    fn new(raw: BTreeSet<String>) -> Self {
        Self {
            raw,
            values: Vec::new(),
            by_expr: HashMap::new(),
            by_name: HashMap::new(),
            masks: Vec::new(),
            by_mask: HashMap::new(),
            outputs: Vec::new(),
            by_output: HashMap::new(),
        }
    }

    fn add(&mut self, booking: &Booking) -> Result<Recipe, Error> {
        let (nominal, form) = self.replay(booking, None)?;
        let variations = booking.node.variations().into_iter();
        let varied = variations.map(|name| {
            let outputs = self.replay(booking, Some(&name))?.0;
            Ok((name, outputs))
        });
        Ok(Recipe { nominal, varied: varied.collect::<Result<_, Error>>()?, form })
    }

    /// Goes through the steps to a booking, with a variation or without.
    fn replay(&mut self, booking: &Booking, variation: Option<&str>) -> Result<(Outputs, Form), Error> {
        let mut place = Place::default();
        place.passed.push((None, None));
        for node in booking.node.chain() {
            self.step(node, variation, &mut place)?;
        }
        Ok(match &booking.request {
            Request::Fill { empty, columns } => (vec![self.fill(empty, columns, &place)?], Form::Histogram),
            Request::Count => (vec![self.output(Output::Count { mask: place.mask })], Form::Count),
            Request::Sum(value) => {
                let value = self.value(value, "sum", &place)?;
                (vec![self.output(Output::Sum { value, mask: place.mask })], Form::Sum)
            }
            Request::Cutflow => self.cutflow(booking, &place)?,
        })
    }

    fn step(&mut self, node: &Node, variation: Option<&str>, place: &mut Place) -> Result<()> {
        match &node.step {
            Step::Source => {}
            Step::Filter { condition, .. } => {
                let condition = self.value(condition, "cut", place)?;
                place.mask = Some(self.mask(place.mask, condition));
                place.passed.push((place.mask, place.weight.clone()));
            }
            Step::Define { column, value } => {
                let value = self.value(value, column, place)?;
                place.meaning.insert(column.clone(), value);
            }
            Step::Weight(weight) => {
                let weight = resolved(weight, &place.meaning)?;
                let all = match &place.weight {
                    Some(before) => column(before) * weight,
                    None => weight,
                };
                place.weight = Some(self.intern(all, "weight"));
                if let Some((_, weight)) = place.passed.last_mut() {
                    weight.clone_from(&place.weight);
                }
            }
            Step::Vary { name, variations } => {
                let is_meant = |v: &&Variation| variation == Some(full_name(name, &v.tag).as_str());
                let Some(meant) = variations.iter().find(is_meant) else { return Ok(()) };
                let replaced = meant.columns.iter().map(|(column, value)| {
                    let value = self.value(value, &format!("{column}[{name}:{}]", meant.tag), place)?;
                    Ok((column.clone(), value))
                });
                let replaced = replaced.collect::<Result<Vec<_>>>()?;
                place.meaning.extend(replaced);
            }
        }
        Ok(())
    }

    fn fill(&mut self, empty: &FillForm, columns: &[Expr], place: &Place) -> Result<usize, Error> {
        let names = columns.iter().enumerate().map(|(at, value)| self.value(value, &format!("x{at}"), place));
        let columns = names.collect::<Result<Vec<_>>>()?.into_iter().chain(place.weight.clone()).collect();
        let empty = empty.histogram(place.weight.is_some())?.to_bytes();
        Ok(self.output(Output::Fill { empty, columns, mask: place.mask }))
    }

    fn cutflow(&mut self, booking: &Booking, place: &Place) -> Result<(Outputs, Form), Error> {
        let names = std::iter::once("all events".to_owned()).chain(booking.cuts());
        let mut outputs = Vec::new();
        let mut steps = Vec::new();
        for (name, (mask, weight)) in names.zip(&place.passed) {
            outputs.push(self.output(Output::Count { mask: *mask }));
            steps.push((name, weight.is_some()));
            if let Some(weight) = weight {
                let square = self.intern(column(weight) * column(weight), "square");
                outputs.push(self.output(Output::Sum { value: weight.clone(), mask: *mask }));
                outputs.push(self.output(Output::Sum { value: square, mask: *mask }));
            }
        }
        Ok((outputs, Form::Cutflow { steps }))
    }

    fn output(&mut self, output: Output) -> usize {
        let next = self.outputs.len();
        let place = *self.by_output.entry(output.clone()).or_insert(next);
        if place == next {
            self.outputs.push(output);
        }
        place
    }

    fn mask(&mut self, before: Mask, condition: String) -> usize {
        let next = self.masks.len();
        let mask = *self.by_mask.entry((before, condition.clone())).or_insert(next);
        if mask == next {
            self.masks.push((before, condition));
        }
        mask
    }

    /// The name of what an expression computes.
    fn value(&mut self, expr: &Expr, hint: &str, place: &Place) -> Result<String> {
        Ok(self.intern(resolved(expr, &place.meaning)?, hint))
    }

    fn intern(&mut self, expr: Expr, hint: &str) -> String {
        if let Expr::Column(column) = &expr {
            return column.name.clone();
        }
        if let Some(value) = self.by_expr.get(&expr).and_then(|&known| self.values.get(known)) {
            return value.name.clone();
        }
        let number = self.values.len();
        let mut name = format!("{hint}#{number}");
        while self.raw.contains(&name) {
            name.push('#');
        }
        self.by_expr.insert(expr.clone(), number);
        self.by_name.insert(name.clone(), number);
        self.values.push(Value { name: name.clone(), expr });
        name
    }
}

/// An expression over the values that its names mean.
fn resolved(expr: &Expr, meaning: &HashMap<String, String>) -> Result<Expr> {
    let meant = |name: &str| Some(column(meaning.get(name)?));
    replace(expr.clone(), &|name| Some(meant(name).unwrap_or_else(|| column(name))))
}
