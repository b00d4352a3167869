//! What a run found, by the handles of what was booked.

use std::any::Any;
use std::fmt;
use std::ops::Index;
use std::sync::{Arc, Weak};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use datafusion::common::DataFusionError;
use root_hist::Histogram;

use super::booking::{Booked, CutflowStep};
use super::compile::{Form, Outputs, Recipe};
use super::graph::Graph;
use crate::cutflow::Passed;
use crate::error::Error;

/// The results of a run.
///
/// Indexing gives the result of a booking without variation, and panics for one that was not booked before the run;
/// [`get`](Self::get) gives an error then.
pub struct Results {
    graph: Weak<Graph>,
    results: Vec<Found>,
}

/// A result as it is, and with each variation.
struct Found {
    nominal: Box<dyn Any + Send + Sync>,
    varied: Vec<(String, Box<dyn Any + Send + Sync>)>,
}

impl Results {
    /// Reads the row of a plan.
    pub(super) fn read(graph: &Arc<Graph>, row: &RecordBatch, recipes: Vec<Recipe>) -> Result<Self, Error> {
        let found = recipes.into_iter().map(|recipe| {
            let varied = recipe.varied.into_iter().map(|(name, outputs)| {
                let value = value(row, &outputs, &recipe.form)?;
                Ok((name, value))
            });
            let varied = varied.collect::<Result<_, Error>>()?;
            Ok(Found { nominal: value(row, &recipe.nominal, &recipe.form)?, varied })
        });
        Ok(Self { graph: Arc::downgrade(graph), results: found.collect::<Result<_, Error>>()? })
    }

    /// A result, without variation.
    ///
    /// # Errors
    /// Where it was booked on the events of other files, or after the run.
    pub fn get<T: 'static>(&self, booked: &Booked<T>) -> Result<&T, Error> {
        let found = self.found(booked).and_then(|found| found.nominal.downcast_ref());
        found.ok_or(Error::NotBooked)
    }

    /// A result with each of the variations that the events have on which it was booked, as `name:tag`, in their order. None
    /// for what this run does not have.
    pub fn varied<T: 'static>(&self, booked: &Booked<T>) -> impl Iterator<Item = (&str, &T)> {
        let varied = self.found(booked).into_iter().flat_map(|found| &found.varied);
        varied.filter_map(|(name, value)| Some((name.as_str(), value.downcast_ref()?)))
    }

    fn found<T>(&self, booked: &Booked<T>) -> Option<&Found> {
        self.results.get(booked.number).filter(|_| Weak::ptr_eq(&self.graph, &booked.graph))
    }
}

impl<T: 'static> Index<&Booked<T>> for Results {
    type Output = T;

    #[expect(clippy::panic, reason = "as every Index does; `get` tells it as an error")]
    fn index(&self, booked: &Booked<T>) -> &T {
        match self.get(booked) {
            Ok(result) => result,
            Err(error) => panic!("{error}"),
        }
    }
}

impl fmt::Debug for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("results", &self.results.len()).finish_non_exhaustive()
    }
}

fn value(row: &RecordBatch, outputs: &Outputs, form: &Form) -> Result<Box<dyn Any + Send + Sync>, Error> {
    let mut outputs = outputs.iter().copied();
    let mut next = || outputs.next().and_then(|at| row.columns().get(at)).ok_or_else(not_as_planned);
    Ok(match form {
        Form::Histogram => Box::new(histogram(next()?)?),
        Form::Count => Box::new(count(next()?)?),
        Form::Sum => Box::new(sum(next()?)?),
        Form::Cutflow { steps } => {
            let steps = steps.iter().map(|(name, is_weighted)| {
                let events = count(next()?)?;
                let (weights, squares) = match is_weighted {
                    true => (sum(next()?)?, sum(next()?)?),
                    false => (events as f64, events as f64),
                };
                Ok(CutflowStep { name: name.clone(), passed: Passed { events, weights, squares } })
            });
            Box::new(steps.collect::<Result<Vec<_>, Error>>()?)
        }
    })
}

fn histogram(column: &ArrayRef) -> Result<Histogram, Error> {
    let states = column.as_binary_opt::<i64>().ok_or_else(not_as_planned)?;
    let state = states.iter().flatten().next().ok_or_else(not_as_planned)?;
    Ok(Histogram::from_bytes(state)?)
}

fn count(column: &ArrayRef) -> Result<u64, Error> {
    let counts = column.as_primitive_opt::<Int64Type>().ok_or_else(not_as_planned)?;
    let count = counts.iter().flatten().next().ok_or_else(not_as_planned)?;
    Ok(u64::try_from(count).unwrap_or_default())
}

/// A sum over nothing is NULL, and means 0.
fn sum(column: &ArrayRef) -> Result<f64, Error> {
    let sums = column.as_primitive_opt::<Float64Type>().filter(|sums| sums.len() == 1).ok_or_else(not_as_planned)?;
    Ok(sums.iter().flatten().next().unwrap_or_default())
}

fn not_as_planned() -> Error {
    DataFusionError::Internal("the plan of an analysis has another result than was asked for".into()).into()
}
