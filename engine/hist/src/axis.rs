//! Axes: where the bins lie, and into which of them a value falls.
//!
//! The bins are those of boost-histogram to the last bit: the upper edge belongs to the next bin, NaN goes where numbers
//! that are too large go, and the index on a regular axis is `(x - lower) / (upper - lower) * bins`, computed in that
//! order in `f64`.

use std::collections::{BTreeSet, HashMap};

use crate::error::{Error, Result};

/// The position of a value that has no bin.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// One dimension of a histogram.
///
/// Numeric axes have an underflow and an overflow bin, fixed categories an overflow bin for what is none of them, unless
/// [`without_flow`](Self::without_flow) takes them away.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    kind: AxisKind,
    name: String,
    label: String,
    unit: String,
    underflow: bool,
    overflow: bool,
}

/// What the bins of an axis are.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AxisKind {
    /// Bins of the same width.
    Regular {
        /// How many, without underflow and overflow.
        bins: u32,
        /// The lower edge of the first.
        lower: f64,
        /// The upper edge of the last.
        upper: f64,
    },
    /// Bins of the same width in the logarithm.
    Log {
        /// How many, without underflow and overflow.
        bins: u32,
        /// The lower edge of the first; positive.
        lower: f64,
        /// The upper edge of the last.
        upper: f64,
    },
    /// Bins between edges that rise.
    Variable {
        /// The edges, one more than bins.
        edges: Vec<f64>,
    },
    /// A bin for each of some whole numbers.
    IntCategory {
        /// The numbers; in ascending order if `growing`.
        categories: Vec<i64>,
        /// Whether numbers that are filled become categories.
        growing: bool,
    },
    /// A bin for each of some words.
    StrCategory {
        /// The words; in ascending order if `growing`.
        categories: Vec<String>,
        /// Whether words that are filled become categories.
        growing: bool,
    },
    /// A bin for false, and one for true.
    Boolean,
}

/// What falls into a bin along one axis.
#[derive(Debug, Clone, PartialEq)]
pub enum Interval {
    /// Numbers from the first to the second, without the second. Infinite for underflow and overflow.
    Range(f64, f64),
    /// A whole number.
    Int(i64),
    /// A word.
    Str(String),
    /// False or true.
    Bool(bool),
    /// All that is none of the categories.
    Other,
}

impl Axis {
    /// Bins of the same width.
    pub fn regular(bins: usize, lower: f64, upper: f64) -> Result<Self> {
        check_range("regular", bins, lower, upper)?;
        Ok(Self::numeric(AxisKind::Regular { bins: bins as u32, lower, upper }))
    }

    /// Bins of the same width in the logarithm. As in boost-histogram zero is underflow; numbers below have no
    /// logarithm and go where NaN goes, into overflow.
    pub fn log(bins: usize, lower: f64, upper: f64) -> Result<Self> {
        check_range("log", bins, lower, upper)?;
        if lower <= 0.0 {
            return Err(problem("log", format!("the lower edge must be positive, not {lower}")));
        }
        Ok(Self::numeric(AxisKind::Log { bins: bins as u32, lower, upper }))
    }

    /// Bins between edges that rise.
    pub fn variable(edges: Vec<f64>) -> Result<Self> {
        check_bins("variable", edges.len().saturating_sub(1))?;
        if !edges.is_sorted_by(|a, b| a < b) || edges.iter().any(|edge| edge.is_nan()) {
            return Err(problem("variable", "each edge must be greater than the one before it".into()));
        }
        Ok(Self::numeric(AxisKind::Variable { edges }))
    }

    /// A bin for each of these whole numbers, in this order, and one for all others.
    pub fn int_category(categories: Vec<i64>) -> Result<Self> {
        check_categories("int category", &categories)?;
        Ok(Self::new(AxisKind::IntCategory { categories, growing: false }, false, true))
    }

    /// A bin for each of these words, in this order, and one for all others.
    pub fn str_category<S: Into<String>>(categories: impl IntoIterator<Item = S>) -> Result<Self> {
        let categories: Vec<String> = categories.into_iter().map(Into::into).collect();
        check_categories("str category", &categories)?;
        Ok(Self::new(AxisKind::StrCategory { categories, growing: false }, false, true))
    }

    /// A bin for each whole number that is filled, in ascending order.
    pub fn growing_int_category() -> Self {
        Self::new(AxisKind::IntCategory { categories: Vec::new(), growing: true }, false, false)
    }

    /// A bin for each word that is filled, in ascending order.
    pub fn growing_str_category() -> Self {
        Self::new(AxisKind::StrCategory { categories: Vec::new(), growing: true }, false, false)
    }

    /// A bin for false, and one for true.
    pub fn boolean() -> Self {
        Self::new(AxisKind::Boolean, false, false)
    }

    fn numeric(kind: AxisKind) -> Self {
        Self::new(kind, true, true)
    }

    fn new(kind: AxisKind, underflow: bool, overflow: bool) -> Self {
        Self { kind, name: String::new(), label: String::new(), unit: String::new(), underflow, overflow }
    }

    /// Gives it a name, by which programs and messages refer to it.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Gives it a label for people. Plots understand `p_{T}` and `cm^{2}`.
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Gives it a unit, which plots write behind the label.
    pub fn with_unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = unit.into();
        self
    }

    /// Takes the underflow and overflow bins away. Then the last bin of a numeric axis includes its upper edge, and what
    /// falls outside is only counted, in [`Tally::outside`](crate::Tally::outside).
    pub fn without_flow(self) -> Self {
        self.with_flow(false, false)
    }

    /// Says which of the underflow and overflow bins there are. Categories have no underflow, growing ones and booleans
    /// no overflow either: for them this changes nothing.
    pub fn with_flow(mut self, underflow: bool, overflow: bool) -> Self {
        let numeric = self.is_numeric();
        self.underflow = underflow && numeric;
        self.overflow = overflow && (numeric || (self.kind != AxisKind::Boolean && !self.is_growing()));
        self
    }

    /// What the bins are.
    pub fn kind(&self) -> &AxisKind {
        &self.kind
    }

    /// The name, perhaps empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The label, perhaps empty.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The unit, perhaps empty.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// Whether there is an underflow bin.
    pub fn underflow(&self) -> bool {
        self.underflow
    }

    /// Whether there is an overflow bin.
    pub fn overflow(&self) -> bool {
        self.overflow
    }

    /// The bins without underflow and overflow.
    pub fn bins(&self) -> usize {
        match &self.kind {
            AxisKind::Regular { bins, .. } | AxisKind::Log { bins, .. } => *bins as usize,
            AxisKind::Variable { edges } => edges.len().saturating_sub(1),
            AxisKind::IntCategory { categories, .. } => categories.len(),
            AxisKind::StrCategory { categories, .. } => categories.len(),
            AxisKind::Boolean => 2,
        }
    }

    /// The bins with underflow and overflow.
    pub fn extent(&self) -> usize {
        self.bins() + usize::from(self.underflow) + usize::from(self.overflow)
    }

    /// Whether its bins are ranges of numbers.
    pub fn is_numeric(&self) -> bool {
        matches!(self.kind, AxisKind::Regular { .. } | AxisKind::Log { .. } | AxisKind::Variable { .. })
    }

    /// Whether what is filled becomes a category.
    pub fn is_growing(&self) -> bool {
        matches!(self.kind, AxisKind::IntCategory { growing: true, .. } | AxisKind::StrCategory { growing: true, .. })
    }

    /// The edges of the bins of a numeric axis, without underflow and overflow; for others 0, 1, 2, …
    pub fn edges(&self) -> Vec<f64> {
        (0..=self.bins()).map(|edge| self.edge(edge)).collect()
    }

    /// What falls into bin `index`: −1 is underflow, the number of bins is overflow.
    pub fn interval(&self, index: i64) -> Interval {
        let place = usize::try_from(index).ok().filter(|&place| place < self.bins());
        match (&self.kind, place) {
            (AxisKind::IntCategory { categories, .. }, Some(place)) => {
                categories.get(place).map_or(Interval::Other, |category| Interval::Int(*category))
            }
            (AxisKind::StrCategory { categories, .. }, Some(place)) => {
                categories.get(place).map_or(Interval::Other, |category| Interval::Str(category.clone()))
            }
            (AxisKind::Boolean, Some(place)) => Interval::Bool(place == 1),
            (AxisKind::IntCategory { .. } | AxisKind::StrCategory { .. } | AxisKind::Boolean, None) => Interval::Other,
            (_, Some(place)) => Interval::Range(self.edge(place), self.edge(place + 1)),
            (_, None) if index < 0 => Interval::Range(f64::NEG_INFINITY, self.edge(0)),
            (_, None) => Interval::Range(self.edge(self.bins()), f64::INFINITY),
        }
    }

    /// The name, or where it has none what kind it is and its number.
    pub(crate) fn display_name(&self, number: usize) -> String {
        if self.name.is_empty() { format!("axis {number}") } else { format!("axis {:?}", self.name) }
    }

    fn edge(&self, edge: usize) -> f64 {
        let part = |bins: u32| edge as f64 / f64::from(bins);
        match &self.kind {
            AxisKind::Regular { bins, lower, upper } => between(part(*bins), *lower, *upper),
            AxisKind::Log { bins, lower, upper } => between(part(*bins), lower.ln(), upper.ln()).exp(),
            AxisKind::Variable { edges } => edges.get(edge).copied().unwrap_or(f64::NAN),
            _ => edge as f64,
        }
    }
}

/// The way from `lower` to `upper`, as boost-histogram computes edges.
fn between(part: f64, lower: f64, upper: f64) -> f64 {
    (1.0 - part) * lower + part * (lower + (upper - lower))
}

fn problem(axis: &str, problem: String) -> Error {
    Error::Axis { axis: axis.into(), problem }
}

fn check_bins(kind: &str, bins: usize) -> Result<()> {
    match bins {
        0 => Err(problem(kind, "there must be at least one bin".into())),
        _ if bins > crate::MAX_CELLS => Err(Error::TooManyBins),
        _ => Ok(()),
    }
}

fn check_range(kind: &str, bins: usize, lower: f64, upper: f64) -> Result<()> {
    check_bins(kind, bins)?;
    if lower >= upper || !(upper - lower).is_finite() {
        return Err(problem(kind, format!("the range must be finite and not empty, which {lower} to {upper} is not")));
    }
    Ok(())
}

fn check_categories<T: Ord>(kind: &str, categories: &[T]) -> Result<()> {
    check_bins(kind, categories.len())?;
    let mut sorted: Vec<&T> = categories.iter().collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(problem(kind, "a category is named twice".into()));
    }
    Ok(())
}

/// Numeric axes find the bins of whole slices.
impl Axis {
    /// Writes the position of each value (its bin, counted with underflow, or [`NOWHERE`]), and tells how many values
    /// were NaN.
    pub(crate) fn locate<T: Copy>(&self, values: &[T], number: impl Fn(T) -> f64, positions: &mut [u32]) -> usize {
        match &self.kind {
            AxisKind::Regular { bins, lower, upper } => {
                let scale = Scale { lower: *lower, width: upper - lower, bins: f64::from(*bins) };
                self.place(values, number, positions, |x| scale.index(x), |x| (x - scale.lower) / scale.width == 1.0)
            }
            AxisKind::Log { bins, lower, upper } => {
                let (lower, upper) = (lower.ln(), upper.ln());
                let scale = Scale { lower, width: upper - lower, bins: f64::from(*bins) };
                let is_last = |x: f64| (x.ln() - scale.lower) / scale.width == 1.0;
                self.place(values, number, positions, |x| scale.index(x.ln()), is_last)
            }
            AxisKind::Variable { edges } => {
                let last = edges.last().copied().unwrap_or(f64::NAN);
                if edges.len() <= FEW_EDGES {
                    // Compared with all of them, without branches.
                    let index =
                        |x: f64| edges.len() as i32 - edges.iter().map(|&edge| i32::from(x < edge)).sum::<i32>() - 1;
                    self.place(values, number, positions, index, |x| x == last)
                } else {
                    // NaN is below no edge, and so beyond all of them.
                    let below = |x: f64, edge: f64| x < edge;
                    let index = |x: f64| edges.partition_point(|&edge| !below(x, edge)) as i32 - 1;
                    self.place(values, number, positions, index, |x| x == last)
                }
            }
            _ => {
                positions.fill(NOWHERE);
                0
            }
        }
    }

    /// `index` tells the bin of a value, `is_last` whether it is the upper edge.
    #[inline(always)]
    fn place<T: Copy>(
        &self,
        values: &[T],
        number: impl Fn(T) -> f64,
        positions: &mut [u32],
        index: impl Fn(f64) -> i32,
        is_last: impl Fn(f64) -> bool,
    ) -> usize {
        let mut nans = 0_u32;
        let shift = i32::from(self.underflow);
        if self.underflow && self.overflow {
            for (&value, position) in values.iter().zip(positions) {
                let x = number(value);
                nans += u32::from(x.is_nan());
                *position = (index(x) + 1) as u32;
            }
            return nans as usize;
        }
        let bins = self.bins() as i32;
        for (&value, position) in values.iter().zip(positions) {
            let x = number(value);
            nans += u32::from(x.is_nan());
            let index = match index(x) {
                index if index == bins && !self.overflow && is_last(x) => bins - 1,
                index => index,
            };
            let missing = (index < 0 && !self.underflow) || (index >= bins && !self.overflow);
            *position = if missing { NOWHERE } else { (index + shift) as u32 };
        }
        nans as usize
    }
}

/// Up to so many edges, comparing with all of them is faster than searching.
const FEW_EDGES: usize = 16;

/// From here on numbers are whole, and the lowest bit counts ones.
const WHOLE: f64 = (1_u64 << 52) as f64;

/// Bins of the same width in some coordinate.
#[derive(Clone, Copy)]
struct Scale {
    lower: f64,
    width: f64,
    bins: f64,
}

impl Scale {
    /// −1 for underflow and the number of bins for overflow. Divides, as multiplying with an inverse would put some
    /// values into the next bin.
    #[inline(always)]
    fn index(self, x: f64) -> i32 {
        let part = (x - self.lower) / self.width;
        let inside = if part >= 0.0 { part * self.bins } else { -1.0 };
        let index = if part < 1.0 { inside } else { self.bins };
        // A cast that looks out for NaN and overflow would be done value by value: the integer is taken from the lowest
        // bits of a number with the exponent 52.
        ((index.floor() + 1.0) + WHOLE).to_bits() as i32 - 1
    }
}

/// Categories find their positions, and take new ones up.
impl Axis {
    /// The categories that are not there yet and that a growing axis takes up; in order, each once.
    pub(crate) fn missing_words<'a>(&self, words: impl Iterator<Item = &'a str>) -> Vec<String> {
        let AxisKind::StrCategory { categories, growing: true } = &self.kind else {
            return Vec::new();
        };
        missing(words.filter(|word| categories.binary_search_by(|known| known.as_str().cmp(word)).is_err()))
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    /// As [`missing_words`](Self::missing_words), of whole numbers.
    pub(crate) fn missing_numbers(&self, numbers: impl Iterator<Item = i64>) -> Vec<i64> {
        let AxisKind::IntCategory { categories, growing: true } = &self.kind else {
            return Vec::new();
        };
        missing(numbers.filter(|number| categories.binary_search(number).is_err()))
    }

    /// The axis with the categories of both, and the new position of each of its own.
    pub(crate) fn grown(&self, words: &[String], numbers: &[i64]) -> (Self, Vec<u32>) {
        let mut grown = self.clone();
        let places = match (&self.kind, &mut grown.kind) {
            (AxisKind::StrCategory { categories: old, .. }, AxisKind::StrCategory { categories, growing: true }) => {
                insert(categories, words);
                places(old, categories)
            }
            (AxisKind::IntCategory { categories: old, .. }, AxisKind::IntCategory { categories, growing: true }) => {
                insert(categories, numbers);
                places(old, categories)
            }
            _ => (0..self.extent() as u32).collect(),
        };
        (grown, places)
    }

    /// The position of words; the second is that of all that are no category.
    pub(crate) fn word_positions(&self) -> (HashMap<&str, u32>, u32) {
        let AxisKind::StrCategory { categories, .. } = &self.kind else {
            return (HashMap::new(), NOWHERE);
        };
        (categories.iter().zip(0..).map(|(word, place)| (word.as_str(), place)).collect(), self.other())
    }

    /// The position of whole numbers; the second is that of all that are no category.
    pub(crate) fn number_positions(&self) -> (HashMap<i64, u32>, u32) {
        let AxisKind::IntCategory { categories, .. } = &self.kind else {
            return (HashMap::new(), NOWHERE);
        };
        (categories.iter().copied().zip(0..).collect(), self.other())
    }

    fn other(&self) -> u32 {
        if self.overflow { self.bins() as u32 } else { NOWHERE }
    }
}

fn missing<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.collect::<BTreeSet<T>>().into_iter().collect()
}

fn insert<T: Ord + Clone>(categories: &mut Vec<T>, new: &[T]) {
    categories.extend_from_slice(new);
    categories.sort_unstable();
    categories.dedup();
}

fn places<T: Ord>(old: &[T], new: &[T]) -> Vec<u32> {
    old.iter().map(|category| new.binary_search(category).map_or(NOWHERE, |place| place as u32)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(axis: &Axis, values: &[f64]) -> Vec<u32> {
        let mut positions = vec![0; values.len()];
        axis.locate(values, |x| x, &mut positions);
        positions
    }

    #[test]
    fn the_upper_edge_is_overflow_and_so_is_nan() {
        let axis = Axis::regular(4, 0.0, 1.0).unwrap();

        let found = positions(&axis, &[-0.1, 0.0, 0.25, 0.999, 1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);

        assert_eq!(found, [0, 1, 2, 4, 5, 5, 5, 0]);
    }

    #[test]
    fn without_flow_bins_the_upper_edge_is_in_the_last_bin() {
        for axis in [Axis::regular(2, 0.0, 2.0), Axis::variable(vec![0.0, 1.0, 2.0])] {
            let found = positions(&axis.unwrap().without_flow(), &[-0.1, 0.0, 1.0, 2.0, 2.1, f64::NAN]);

            assert_eq!(found, [NOWHERE, 0, 1, 1, NOWHERE, NOWHERE]);
        }
    }

    #[test]
    fn few_edges_and_many_are_searched_alike() {
        let edges: Vec<f64> = (0..40).map(|edge| f64::from(edge * edge)).collect();
        let values: Vec<f64> = (-10..200).map(f64::from).chain([f64::NAN, f64::INFINITY]).collect();
        let many = positions(&Axis::variable(edges.clone()).unwrap(), &values);
        let few = positions(&Axis::variable(edges[..14].to_vec()).unwrap(), &values);

        for (&value, (&many, &few)) in values.iter().zip(many.iter().zip(&few)) {
            let expected = if value.is_nan() { 40 } else { edges.iter().filter(|&&edge| edge <= value).count() as u32 };
            assert_eq!(many, expected);
            assert_eq!(few, expected.min(14));
        }
    }

    #[test]
    fn axes_without_bins_or_with_edges_that_fall_are_refused() {
        assert!(Axis::regular(0, 0.0, 1.0).is_err());
        assert!(Axis::regular(1, 1.0, 1.0).is_err());
        assert!(Axis::regular(1, 0.0, f64::NAN).is_err());
        assert!(Axis::log(1, 0.0, 1.0).is_err());
        assert!(Axis::variable(vec![0.0]).is_err());
        assert!(Axis::variable(vec![0.0, 2.0, 1.0]).is_err());
        assert!(Axis::str_category(["a", "b", "a"]).is_err());
        assert!(Axis::regular(usize::MAX, 0.0, 1.0).is_err());
    }
}
