//! What a bin holds: counts, sums of weights, or what means are computed from.

use crate::error::{Error, Result};
use crate::exact::{self, ExactSums};
use crate::wide::{Wide, product};

/// What the bins of a histogram hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Storage {
    /// Numbers of entries.
    Count,
    /// Sums of weights and of their squares.
    Weight,
    /// Mean and variance of a sample: a profile.
    Mean,
    /// The same of a sample with weights.
    WeightedMean,
}

impl Storage {
    /// Whether entries may have weights other than one.
    pub fn is_weighted(self) -> bool {
        matches!(self, Self::Weight | Self::WeightedMean)
    }

    /// Whether entries have a sample whose mean is taken.
    pub fn is_mean(self) -> bool {
        matches!(self, Self::Mean | Self::WeightedMean)
    }
}

/// What a bin holds, computed from exact sums and rounded at the end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Content {
    /// A number of entries.
    Count(u64),
    /// Of the weights of the entries:
    Weight {
        /// their sum,
        sum: f64,
        /// and the sum of their squares.
        sum_of_squares: f64,
    },
    /// Of a sample:
    Mean {
        /// how many it has,
        count: u64,
        /// their mean, 0 where there are none,
        mean: f64,
        /// and the variance of the sample, NaN for fewer than two.
        variance: f64,
    },
    /// Of a sample with weights:
    WeightedMean {
        /// the sum of the weights,
        sum_of_weights: f64,
        /// the sum of their squares,
        sum_of_weights_squared: f64,
        /// the mean, 0 where the weights add to nothing,
        mean: f64,
        /// and the variance `Σw(x−μ)² / (Σw − Σw²/Σw)`, NaN where that is not defined.
        variance: f64,
    },
}

impl Content {
    /// The height of the bin: the number of entries, the sum of weights, or the mean.
    pub fn value(&self) -> f64 {
        match *self {
            Self::Count(count) => count as f64,
            Self::Weight { sum, .. } => sum,
            Self::Mean { mean, .. } | Self::WeightedMean { mean, .. } => mean,
        }
    }

    /// The square of the statistical error of the height; NaN for a mean of fewer than two.
    pub fn variance(&self) -> f64 {
        match *self {
            Self::Count(count) => count as f64,
            Self::Weight { sum_of_squares, .. } => sum_of_squares,
            Self::Mean { count, variance, .. } => variance / count as f64,
            // Divided by the effective number of entries, `(Σw)² / Σw²`: weights of another unit are no more entries.
            Self::WeightedMean { sum_of_weights, sum_of_weights_squared, variance, .. } => {
                variance * (sum_of_weights_squared / sum_of_weights / sum_of_weights)
            }
        }
    }

    /// The number of entries, or what stands for it: the sum of weights.
    pub fn weight(&self) -> f64 {
        match *self {
            Self::Count(count) | Self::Mean { count, .. } => count as f64,
            Self::Weight { sum, .. } => sum,
            Self::WeightedMean { sum_of_weights, .. } => sum_of_weights,
        }
    }
}

/// The bins of a histogram.
#[derive(Debug, Clone)]
pub(crate) enum Cells {
    Count(Vec<u64>),
    Weight { w: ExactSums, ww: ExactSums },
    Mean { count: Vec<u64>, x: ExactSums, xx: ExactSums },
    WeightedMean { w: ExactSums, ww: ExactSums, wx: ExactSums, wxx: ExactSums },
}

impl Cells {
    pub(crate) fn new(storage: Storage, cells: usize) -> Self {
        let sums = || ExactSums::new(cells);
        match storage {
            Storage::Count => Self::Count(vec![0; cells]),
            Storage::Weight => Self::Weight { w: sums(), ww: sums() },
            Storage::Mean => Self::Mean { count: vec![0; cells], x: sums(), xx: sums() },
            Storage::WeightedMean => Self::WeightedMean { w: sums(), ww: sums(), wx: sums(), wxx: sums() },
        }
    }

    pub(crate) fn storage(&self) -> Storage {
        match self {
            Self::Count(_) => Storage::Count,
            Self::Weight { .. } => Storage::Weight,
            Self::Mean { .. } => Storage::Mean,
            Self::WeightedMean { .. } => Storage::WeightedMean,
        }
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        let counts = |counts: &Vec<u64>| counts.capacity() * size_of::<u64>();
        match self {
            Self::Count(count) => counts(count),
            Self::Weight { w, ww } => w.memory() + ww.memory(),
            Self::Mean { count, x, xx } => counts(count) + x.memory() + xx.memory(),
            Self::WeightedMean { w, ww, wx, wxx } => w.memory() + ww.memory() + wx.memory() + wxx.memory(),
        }
    }

    /// Adds entries of weight one each, or all of one weight, that were counted by bin.
    pub(crate) fn add_counted(&mut self, counts: impl Iterator<Item = u32>, weight: f64) {
        match self {
            Self::Count(count) => count.iter_mut().zip(counts).for_each(|(sum, count)| *sum += u64::from(count)),
            Self::Weight { w, ww } => {
                for (cell, count) in counts.enumerate().filter(|&(_, count)| count > 0) {
                    w.add_times(cell, weight, count);
                    ww.add_times(cell, weight * weight, count);
                }
            }
            Self::Mean { .. } | Self::WeightedMean { .. } => {}
        }
    }

    /// Adds entries one by one. What the storage has no use for is not looked at.
    pub(crate) fn add(&mut self, cells: &[u32], weights: &[f64], samples: &[f64], scratch: &mut Scratch) {
        match self {
            Self::Count(count) => add_counts(count, cells),
            Self::Weight { w, ww } => {
                w.add_all(cells, weights);
                ww.add_all(cells, scratch.rounded(weights.iter().map(|w| w * w)));
            }
            Self::Mean { count, x, xx } => {
                add_counts(count, cells);
                x.add_all(cells, samples);
                scratch.add_products(xx, cells, samples.iter().map(|&x| product(x, x)));
            }
            Self::WeightedMean { w, ww, wx, wxx } => {
                w.add_all(cells, weights);
                ww.add_all(cells, scratch.rounded(weights.iter().map(|w| w * w)));
                let pairs = || weights.iter().zip(samples);
                scratch.add_products(wx, cells, pairs().map(|(&w, &x)| product(w, x)));
                let squares = || pairs().map(|(&w, &x)| (w, product(x, x)));
                scratch.add_products(wxx, cells, squares().map(|(w, xx)| product(w, xx.hi)));
                // Where the product is not finite there is nothing left over, as `product` has it.
                let low = |(w, xx): (f64, Wide)| if (w * xx.hi).is_finite() { w * xx.lo } else { 0.0 };
                scratch.add_if_any(wxx, cells, squares().map(low));
            }
        }
    }

    /// Adds the contents of other bins: to the bins of the same places, or to those at `places`.
    pub(crate) fn merge(&mut self, other: &Self, places: Option<&[u32]>) -> Result<()> {
        match (self, other) {
            (Self::Count(mine), Self::Count(theirs)) => merge_counts(mine, theirs, places),
            (Self::Weight { w, ww }, Self::Weight { w: w2, ww: ww2 }) => {
                w.merge(w2, places);
                ww.merge(ww2, places);
            }
            (Self::Mean { count, x, xx }, Self::Mean { count: count2, x: x2, xx: xx2 }) => {
                merge_counts(count, count2, places);
                x.merge(x2, places);
                xx.merge(xx2, places);
            }
            (Self::WeightedMean { w, ww, wx, wxx }, Self::WeightedMean { w: w2, ww: ww2, wx: wx2, wxx: wxx2 }) => {
                w.merge(w2, places);
                ww.merge(ww2, places);
                wx.merge(wx2, places);
                wxx.merge(wxx2, places);
            }
            (mine, theirs) => {
                return Err(Error::Merge(format!("one holds {:?}, the other {:?}", mine.storage(), theirs.storage())));
            }
        }
        Ok(())
    }

    /// The same contents in other bins: `place` has the new bin of each old one.
    pub(crate) fn moved(&self, cells: usize, place: &[u32]) -> Self {
        let counts = |counts: &[u64]| {
            // `moved` leaves what is empty empty, and here it must have the new size.
            if counts.is_empty() { vec![0; cells] } else { exact::moved(counts, cells, place) }
        };
        let sums = |sums: &ExactSums| sums.moved(cells, place);
        match self {
            Self::Count(count) => Self::Count(counts(count)),
            Self::Weight { w, ww } => Self::Weight { w: sums(w), ww: sums(ww) },
            Self::Mean { count, x, xx } => Self::Mean { count: counts(count), x: sums(x), xx: sums(xx) },
            Self::WeightedMean { w, ww, wx, wxx } => {
                Self::WeightedMean { w: sums(w), ww: sums(ww), wx: sums(wx), wxx: sums(wxx) }
            }
        }
    }

    /// The contents of some bins, in this order.
    pub(crate) fn taken(&self, places: &[u32]) -> Self {
        let counts = |counts: &[u64]| exact::taken(counts, places);
        match self {
            Self::Count(count) => Self::Count(counts(count)),
            Self::Weight { w, ww } => Self::Weight { w: w.taken(places), ww: ww.taken(places) },
            Self::Mean { count, x, xx } => {
                Self::Mean { count: counts(count), x: x.taken(places), xx: xx.taken(places) }
            }
            Self::WeightedMean { w, ww, wx, wxx } => Self::WeightedMean {
                w: w.taken(places),
                ww: ww.taken(places),
                wx: wx.taken(places),
                wxx: wxx.taken(places),
            },
        }
    }

    /// Adds empty bins until there are so many.
    pub(crate) fn extend_to(&mut self, cells: usize) {
        match self {
            Self::Count(count) => count.resize(cells, 0),
            Self::Weight { w, ww } => [w, ww].into_iter().for_each(|sums| sums.extend_to(cells)),
            Self::Mean { count, x, xx } => {
                count.resize(cells, 0);
                [x, xx].into_iter().for_each(|sums| sums.extend_to(cells));
            }
            Self::WeightedMean { w, ww, wx, wxx } => {
                [w, ww, wx, wxx].into_iter().for_each(|sums| sums.extend_to(cells));
            }
        }
    }

    /// Whether a bin holds nothing. Squares are asked first, as they hardly ever add to nothing.
    pub(crate) fn is_empty(&self, cell: usize) -> bool {
        let counted = |count: &[u64]| count.get(cell).is_some_and(|&count| count > 0);
        match self {
            Self::Count(count) => !counted(count),
            Self::Weight { w, ww } => ww.is_empty(cell) && w.is_empty(cell),
            Self::Mean { count, x, xx } => !counted(count) && xx.is_empty(cell) && x.is_empty(cell),
            Self::WeightedMean { w, ww, wx, wxx } => [ww, wxx, w, wx].into_iter().all(|sums| sums.is_empty(cell)),
        }
    }

    pub(crate) fn content(&self, cell: usize) -> Content {
        match self {
            Self::Count(count) => Content::Count(count.get(cell).copied().unwrap_or(0)),
            Self::Weight { w, ww } => Content::Weight { sum: w.sum(cell), sum_of_squares: ww.sum(cell) },
            Self::Mean { count, x, xx } => {
                let count = count.get(cell).copied().unwrap_or(0);
                let n = Wide::from(count as f64);
                let (mean, deviations) = moments(n, x.wide_sum(cell), xx.wide_sum(cell));
                let variance = if count > 1 { deviations.div(n.sub(Wide::from(1.0))).value() } else { f64::NAN };
                Content::Mean { count, mean, variance }
            }
            Self::WeightedMean { w, ww, wx, wxx } => {
                let (w, ww) = (w.wide_sum(cell), ww.wide_sum(cell));
                let (mean, deviations) = moments(w, wx.wide_sum(cell), wxx.wide_sum(cell));
                Content::WeightedMean {
                    sum_of_weights: w.value(),
                    sum_of_weights_squared: ww.value(),
                    mean,
                    variance: freedom(w, ww).map_or(f64::NAN, |freedom| deviations.div(freedom).value()),
                }
            }
        }
    }

    /// Puts a content, as another program has computed it, into an empty bin.
    pub(crate) fn set(&mut self, cell: usize, content: Content) {
        match (self, content) {
            (Self::Count(counts), Content::Count(count)) => set_count(counts, cell, count),
            (Self::Weight { w, ww }, Content::Weight { sum, sum_of_squares }) => {
                w.add_wide(cell, Wide::from(sum));
                ww.add_wide(cell, Wide::from(sum_of_squares));
            }
            (Self::Mean { count: counts, x, xx }, Content::Mean { count, mean, variance }) => {
                set_count(counts, cell, count);
                let n = Wide::from(count as f64);
                let freedom = n.sub(Wide::from(1.0));
                add_moments(
                    x,
                    xx,
                    cell,
                    n,
                    mean,
                    if count > 1 { Wide::from(variance).mul(freedom) } else { Wide::from(0.0) },
                );
            }
            (
                Self::WeightedMean { w, ww, wx, wxx },
                Content::WeightedMean { sum_of_weights, sum_of_weights_squared, mean, variance },
            ) => {
                let (sum, squares) = (Wide::from(sum_of_weights), Wide::from(sum_of_weights_squared));
                w.add_wide(cell, sum);
                ww.add_wide(cell, squares);
                let deviations =
                    freedom(sum, squares).map_or(Wide::from(0.0), |freedom| Wide::from(variance).mul(freedom));
                add_moments(wx, wxx, cell, sum, mean, deviations);
            }
            _ => {}
        }
    }
}

fn add_counts(counts: &mut [u64], cells: &[u32]) {
    for &cell in cells {
        if let Some(count) = counts.get_mut(cell as usize) {
            *count += 1;
        }
    }
}

fn merge_counts(mine: &mut [u64], theirs: &[u64], places: Option<&[u32]>) {
    exact::combine(mine, theirs, places, |mine, theirs| *mine = mine.saturating_add(theirs));
}

fn set_count(counts: &mut [u64], cell: usize, count: u64) {
    if let Some(place) = counts.get_mut(cell) {
        *place = count;
    }
}

/// Mean and sum of squared deviations, of the weight and the sums of `x` and `x²`.
fn moments(weight: Wide, x: Wide, xx: Wide) -> (f64, Wide) {
    if weight.value() == 0.0 {
        return (0.0, Wide::from(0.0));
    }
    let deviations = xx.sub(x.mul(x).div(weight));
    // A difference below what the sums resolve is none.
    let resolved = deviations.value().is_nan() || deviations.value() > xx.value().abs() * RESOLUTION;
    (x.div(weight).value(), if resolved { deviations } else { Wide::from(0.0) })
}

/// What the squared deviations are divided by; nothing if there are not the weights of more than one entry.
fn freedom(weights: Wide, squares: Wide) -> Option<Wide> {
    (weights.mul(weights).sub(squares).value() > 0.0).then(|| weights.sub(squares.div(weights)))
}

/// What rounding to twice the precision may leave of a difference of equal sums.
const RESOLUTION: f64 = 1e-30;

/// The other way round.
fn add_moments(x: &mut ExactSums, xx: &mut ExactSums, cell: usize, weight: Wide, mean: f64, deviations: Wide) {
    let sum = weight.mul(Wide::from(mean));
    x.add_wide(cell, sum);
    xx.add_wide(cell, sum.mul(Wide::from(mean)).add(deviations));
}

/// Buffers that are used again from chunk to chunk.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    high: Vec<f64>,
    low: Vec<f64>,
}

impl Scratch {
    fn rounded(&mut self, values: impl Iterator<Item = f64>) -> &[f64] {
        self.high.clear();
        self.high.extend(values);
        &self.high
    }

    fn add_products(&mut self, sums: &mut ExactSums, cells: &[u32], products: impl Iterator<Item = Wide>) {
        self.high.clear();
        self.low.clear();
        let mut any = false;
        for product in products {
            self.high.push(product.hi);
            self.low.push(product.lo);
            any |= product.lo != 0.0;
        }
        sums.add_all(cells, &self.high);
        if any {
            sums.add_all(cells, &self.low);
        }
    }

    /// The product of two `float`s is exact as a `double`: then there is nothing left over to add.
    fn add_if_any(&mut self, sums: &mut ExactSums, cells: &[u32], values: impl Iterator<Item = f64>) {
        let values = self.rounded(values);
        if values.iter().any(|&value| value != 0.0) {
            sums.add_all(cells, values);
        }
    }
}
