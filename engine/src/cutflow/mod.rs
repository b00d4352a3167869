//! Cutflows: how many events pass each of a list of cuts, one after the other and without each other.
//!
//! One pass over the data answers all of it: every event gets a number whose bits say which cuts it passes, and the
//! events are counted by that number. There are few such numbers, however many events there are. Their weights go into a
//! histogram with one bin, whose sums are exact, so that they are the same however the events are spread.

mod parse;

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch, StringArray, UInt64Array};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::common::DataFusionError;
use root_hist::{Content, Histogram};

use crate::error::Error;
use crate::expression;
use crate::histogram::histograms;
use crate::session::RootSession;

/// Bits of the number that says which cuts an event passes.
const MOST_CUTS: usize = 62;

/// A named condition on events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// What it is called.
    pub name: String,
    /// The condition, in SQL. An event for which it is NULL does not pass.
    pub condition: String,
}

/// Cuts in order, and the weight of events if they have one.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
/// use root_engine::{Cutflow, RootSession, TableOptions};
///
/// let session = RootSession::new();
/// session.register("events", &[format!("{path}:Events")], &TableOptions::default()).await?;
/// let cutflow = Cutflow::new()
///     .cut("two muons", "nMuon = 2")?
///     .cut("opposite charge", "Muon_charge[1] <> Muon_charge[2]")?;
/// let result = cutflow.of(&session, "events").await?;
/// assert_eq!(result.all().events, 1000);
/// assert!(result.after(1).events <= result.after(0).events);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cutflow {
    cuts: Vec<Cut>,
    weight: Option<String>,
}

/// Events that pass something.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Passed {
    /// How many.
    pub events: u64,
    /// The sum of their weights; without weights their number.
    pub weights: f64,
    /// The sum of the squares of their weights, whose root is the statistical error.
    pub squares: f64,
}

/// Events that pass the same cuts.
#[derive(Debug, Clone)]
struct Class {
    /// The cuts, as bits.
    cuts: u64,
    events: u64,
    /// The weights, in the only bin of a histogram, if events have any.
    weights: Option<Histogram>,
}

/// How many events pass which cuts.
#[derive(Debug, Clone)]
pub struct CutflowResult {
    cuts: Vec<Cut>,
    weighted: bool,
    classes: Vec<Class>,
    /// Events whose weight is NULL, which weigh nothing.
    without_weight: u64,
}

impl Cutflow {
    /// Without cuts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a cut behind the others.
    ///
    /// # Errors
    /// Where the condition is not one SQL expression, another cut has the name, or there are too many.
    pub fn cut(mut self, name: impl Into<String>, condition: impl Into<String>) -> Result<Self, Error> {
        let (name, condition) = (name.into(), condition.into());
        let fault = |reason: String| Error::Cuts { file: format!("cut '{name}'"), line: None, reason };
        expression::check(&condition).map_err(fault)?;
        if self.cuts.iter().any(|cut| cut.name == name) {
            return Err(fault("another cut has the same name".to_owned()));
        }
        if self.cuts.len() == MOST_CUTS {
            return Err(fault(format!("a cutflow has at most {MOST_CUTS} cuts; join some of them with AND")));
        }
        self.cuts.push(Cut { name, condition });
        Ok(self)
    }

    /// Counts events by a weight too, which is an SQL expression.
    ///
    /// # Errors
    /// Where it is not one SQL expression.
    pub fn weight(mut self, weight: impl Into<String>) -> Result<Self, Error> {
        let weight = weight.into();
        let fault = |reason| Error::Cuts { file: "the weight".to_owned(), line: None, reason };
        expression::check(&weight).map_err(fault)?;
        self.weight = Some(weight);
        Ok(self)
    }

    /// Reads cuts in YAML:
    ///
    /// ```
    /// let cuts = root_engine::Cutflow::parse("cuts.yaml", "
    /// weight: genWeight
    /// cuts:
    ///   - two muons: nMuon = 2
    ///   - opposite charge: Muon_charge[1] <> Muon_charge[2]
    ///   - MET_pt < 50          # its own name
    /// ")?;
    /// assert_eq!(cuts.cuts().len(), 3);
    /// # Ok::<(), root_engine::Error>(())
    /// ```
    ///
    /// # Errors
    /// With the `file` and the line, where the text is something else.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        parse::parse(file, text)
    }

    /// The cuts, in order.
    pub fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// The weight, if there is one.
    pub fn weight_sql(&self) -> Option<&str> {
        self.weight.as_deref()
    }

    /// The query that counts the events of a table.
    pub fn sql(&self, table: &str) -> String {
        let bit = |(at, cut): (usize, &Cut)| format!("CASE WHEN ({}\n) THEN {} ELSE 0 END", cut.condition, 1_u64 << at);
        let bits: Vec<String> = self.cuts.iter().enumerate().map(bit).collect();
        let bits = if bits.is_empty() { "CAST(0 AS BIGINT)".to_owned() } else { bits.join(" + ") };
        let table = format!("\"{}\"", table.replace('"', "\"\""));
        match &self.weight {
            None => format!("SELECT cuts, count(*) AS events FROM (SELECT {bits} AS cuts FROM {table}) GROUP BY cuts"),
            Some(weight) => format!(
                "SELECT cuts, count(*) AS events, hist(zero, 1, -1, 1, w) AS weights \
                 FROM (SELECT {bits} AS cuts, CAST(0 AS DOUBLE) AS zero, CAST(({weight}\n) AS DOUBLE) AS w FROM {table}) \
                 GROUP BY cuts"
            ),
        }
    }

    /// Counts the events of a table of the session.
    ///
    /// # Errors
    /// Where a condition does not fit the table, or the table cannot be read.
    pub async fn of(&self, session: &RootSession, table: &str) -> Result<CutflowResult, Error> {
        let batches = session.sql(&self.sql(table)).await?.collect().await?;
        self.result(&batches)
    }

    /// What the query's answer says.
    fn result(&self, batches: &[RecordBatch]) -> Result<CutflowResult, Error> {
        let wrong = || DataFusionError::Internal("the cutflow's query has another answer than was asked for".into());
        let (mut classes, mut without_weight) = (Vec::new(), 0);
        for batch in batches {
            let whole = |at: usize| batch.columns().get(at).and_then(|column| column.as_primitive_opt::<Int64Type>());
            let (cuts, events) = whole(0).zip(whole(1)).ok_or_else(wrong)?;
            let mut weights = histograms(batch)?.into_iter().map(|(_, weights)| weights);
            for (cuts, events) in cuts.values().iter().zip(events.values()) {
                let weights = self.weight.as_ref().map(|_| weights.next().ok_or_else(wrong)).transpose()?;
                without_weight += weights.as_ref().map_or(0, |weights| weights.tally().nulls);
                let (cuts, events) = (u64::try_from(*cuts), u64::try_from(*events));
                classes.push(Class { cuts: cuts.unwrap_or_default(), events: events.unwrap_or_default(), weights });
            }
        }
        Ok(CutflowResult { cuts: self.cuts.clone(), weighted: self.weight.is_some(), classes, without_weight })
    }
}

impl CutflowResult {
    /// The cuts, in order.
    pub fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// Whether events have weights.
    pub fn is_weighted(&self) -> bool {
        self.weighted
    }

    /// Events whose weight is NULL; they count as events and weigh nothing.
    pub fn without_weight(&self) -> u64 {
        self.without_weight
    }

    /// All events.
    pub fn all(&self) -> Passed {
        self.passing(0)
    }

    /// Events that pass a cut and all before it; cuts are numbered from 0.
    pub fn after(&self, cut: usize) -> Passed {
        self.passing(bit(cut) | (bit(cut).saturating_sub(1)))
    }

    /// Events that pass one cut, whatever the others say.
    pub fn alone(&self, cut: usize) -> Passed {
        self.passing(bit(cut))
    }

    /// Events that pass all cuts but one, whatever that says (N−1).
    pub fn without(&self, cut: usize) -> Passed {
        let all = bit(self.cuts.len()).saturating_sub(1);
        self.passing(all & !bit(cut))
    }

    fn passing(&self, cuts: u64) -> Passed {
        let passing = || self.classes.iter().filter(|class| class.cuts & cuts == cuts);
        let events = passing().map(|class| class.events).sum();
        if !self.weighted {
            return Passed { events, weights: events as f64, squares: events as f64 };
        }
        let mut weights = passing().filter_map(|class| class.weights.as_ref());
        let Some(mut sum) = weights.next().cloned() else { return Passed { events, weights: 0.0, squares: 0.0 } };
        // They all have the same axis, so that they can be merged.
        let is_whole = weights.all(|weights| sum.merge(weights).is_ok());
        match sum.get(&[0]) {
            Some(Content::Weight { sum, sum_of_squares }) if is_whole => {
                Passed { events, weights: sum, squares: sum_of_squares }
            }
            _ => Passed { events, weights: f64::NAN, squares: f64::NAN },
        }
    }

    /// As a table. The first row is all events; `efficiency` is that of a cut behind those before it, `of_all` that of all
    /// cuts up to this one, `alone` and `without` are [`alone`](Self::alone) and [`without`](Self::without). With weights,
    /// efficiencies are of weights, and there are sums of weights with their errors.
    ///
    /// # Errors
    /// None that could be seen; Arrow checks the columns.
    pub fn to_batch(&self) -> Result<RecordBatch, Error> {
        let steps: Vec<usize> = (0..self.cuts.len()).collect();
        let passed: Vec<Passed> = std::iter::once(self.all()).chain(steps.iter().map(|&cut| self.after(cut))).collect();
        let before: Vec<Passed> = std::iter::once(self.all()).chain(passed.iter().copied()).collect();
        let names = std::iter::once("all events").chain(self.cuts.iter().map(|cut| cut.name.as_str()));
        let counts = |of: &dyn Fn(usize) -> Passed| -> UInt64Array {
            std::iter::once(None).chain(steps.iter().map(|&cut| Some(of(cut).events))).collect()
        };
        let ratio = |part: &Passed, whole: &Passed| (whole.weights != 0.0).then(|| part.weights / whole.weights);
        let efficiency: Float64Array = passed.iter().zip(&before).map(|(part, whole)| ratio(part, whole)).collect();
        let of_all: Float64Array = passed.iter().map(|part| ratio(part, &self.all())).collect();
        let mut columns: Vec<(&str, ArrayRef)> = vec![
            ("cut", Arc::new(StringArray::from_iter_values(names))),
            ("passed", Arc::new(passed.iter().map(|passed| Some(passed.events)).collect::<UInt64Array>())),
            ("efficiency", Arc::new(efficiency)),
            ("of_all", Arc::new(of_all)),
            ("alone", Arc::new(counts(&|cut| self.alone(cut)))),
            ("without", Arc::new(counts(&|cut| self.without(cut)))),
        ];
        if self.weighted {
            let weights = passed.iter().map(|passed| Some(passed.weights)).collect::<Float64Array>();
            let errors = passed.iter().map(|passed| Some(passed.squares.sqrt())).collect::<Float64Array>();
            columns.push(("weights", Arc::new(weights)));
            columns.push(("error", Arc::new(errors)));
        }
        RecordBatch::try_from_iter(columns).map_err(|error| Error::Query(error.into()))
    }
}

fn bit(cut: usize) -> u64 {
    u32::try_from(cut).ok().and_then(|cut| 1_u64.checked_shl(cut)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_after_alone_and_without_each_cut() {
        let cutflow = Cutflow::new().cut("a", "x > 1").unwrap().cut("b", "y > 1").unwrap().cut("c", "z > 1").unwrap();
        // 100 pass nothing, 10 only a, 5 a and b, 3 b and c, 2 everything.
        let classes = vec![(0, 100), (0b001, 10), (0b011, 5), (0b110, 3), (0b111, 2)];
        let classes = classes.into_iter().map(|(cuts, events)| Class { cuts, events, weights: None }).collect();
        let result = CutflowResult { cuts: cutflow.cuts, weighted: false, classes, without_weight: 0 };

        let events = |of: &dyn Fn(usize) -> Passed| (0..3).map(|cut| of(cut).events).collect::<Vec<_>>();
        assert_eq!(result.all().events, 120);
        assert_eq!(events(&|cut| result.after(cut)), [17, 7, 2]);
        assert_eq!(events(&|cut| result.alone(cut)), [17, 10, 5]);
        assert_eq!(events(&|cut| result.without(cut)), [5, 2, 7]);
    }

    #[test]
    fn what_is_not_one_expression_is_no_cut() {
        for condition in ["", "x >", "x > 1) OR (1 = 1", "x > 1; DROP TABLE t", "x > 1, y", "SELECT 1", "x > 1 --"] {
            let refused = Cutflow::new().cut("a", condition);
            assert_eq!(refused.is_err(), condition != "x > 1 --", "{condition}: {refused:?}");
        }
        assert!(Cutflow::new().cut("a", "array_any_match(Muon_pt, pt -> pt > 20)").is_ok());
    }
}
