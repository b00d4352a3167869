//! A histogram: axes, what its bins hold, and how much went by without a bin.

use crate::axis::{Axis, AxisKind, Interval};
use crate::bins::Bins;
use crate::error::{Error, Result};
use crate::storage::{Content, Storage};

/// The most axes a histogram can have.
pub const MAX_AXES: usize = 6;

/// The most bins a histogram can have, flow bins included. Counts of so many take 128 MiB, sums several times as much.
pub const MAX_CELLS: usize = 1 << 24;

/// A histogram that can be filled, merged and read. The crate's documentation has an example.
#[derive(Debug, Clone)]
pub struct Histogram {
    pub(crate) axes: Vec<Axis>,
    pub(crate) bins: Bins,
    pub(crate) tally: Tally,
}

/// How many entries there were, and what became of those that are in no bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Entries that fell into a bin, underflow and overflow included.
    pub entries: u64,
    /// Entries that were not filled because a value, a weight, a sample or a whole list was NULL.
    pub nulls: u64,
    /// Values on numeric axes that were NaN. They are in the overflow bin if there is one.
    pub nans: u64,
    /// Entries that were not filled as they lie outside of an axis without underflow or overflow.
    pub outside: u64,
}

/// One bin, and what it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Bin {
    /// Its number on each axis: −1 is underflow, the number of bins overflow.
    pub index: Vec<i64>,
    /// What falls into it along each axis.
    pub intervals: Vec<Interval>,
    /// What it holds.
    pub content: Content,
}

impl Bin {
    /// Whether it is underflow or overflow of some axis.
    pub fn is_flow(&self, axes: &[Axis]) -> bool {
        self.index.iter().zip(axes).any(|(&index, axis)| index < 0 || index >= axis.bins() as i64)
    }
}

impl Histogram {
    /// An empty histogram.
    pub fn new(axes: Vec<Axis>, storage: Storage) -> Result<Self> {
        if axes.is_empty() || axes.len() > MAX_AXES {
            return Err(Error::Axes { found: axes.len() });
        }
        let bins = Bins::new(storage, cell_count(&axes)?);
        Ok(Self { axes, bins, tally: Tally::default() })
    }

    /// Its axes.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// Gives the axes labels, from the first on. What is merged must have the same, so it is for a histogram that is done.
    pub fn with_labels<S: Into<String>>(mut self, labels: impl IntoIterator<Item = S>) -> Self {
        for (axis, label) in self.axes.iter_mut().zip(labels) {
            *axis = axis.clone().with_label(label);
        }
        self
    }

    /// What its bins hold.
    pub fn storage(&self) -> Storage {
        self.bins.storage()
    }

    /// How many entries there were.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Bytes that it takes at the moment.
    pub fn memory(&self) -> usize {
        let categories = |axis: &Axis| match axis.kind() {
            AxisKind::StrCategory { categories, .. } => categories.iter().map(|name| name.len() + 24).sum(),
            _ => axis.bins() * 8,
        };
        size_of::<Self>() + self.axes.iter().map(categories).sum::<usize>() + self.bins.memory()
    }

    /// Adds the entries of another histogram with the same axes; growing categories may differ. Whatever the order of
    /// merging, the result is the same to the last bit.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.storage() != other.storage() {
            return Err(Error::Merge(format!("one holds {:?}, the other {:?}", self.storage(), other.storage())));
        }
        let axes = self.common_axes(other)?;
        self.grow_to(axes)?;
        if self.axes == other.axes {
            self.bins.merge(&other.bins)?;
        } else {
            let mut other = other.clone();
            other.grow_to(self.axes.clone())?;
            self.bins.merge(&other.bins)?;
        }
        self.tally.entries = self.tally.entries.saturating_add(other.tally.entries);
        self.tally.nulls = self.tally.nulls.saturating_add(other.tally.nulls);
        self.tally.nans = self.tally.nans.saturating_add(other.tally.nans);
        self.tally.outside = self.tally.outside.saturating_add(other.tally.outside);
        Ok(())
    }

    /// What the bin with these numbers holds: −1 is underflow, the number of bins overflow. Nothing where there is none.
    pub fn get(&self, index: &[i64]) -> Option<Content> {
        if index.len() != self.axes.len() {
            return None;
        }
        let mut cell = 0;
        for (axis, &index) in self.axes.iter().zip(index) {
            let place = usize::try_from(index.checked_add(i64::from(axis.underflow()))?).ok()?;
            if place >= axis.extent() {
                return None;
            }
            cell = cell * axis.extent() + place;
        }
        Some(self.bins.content(cell))
    }

    /// What all bins hold, underflow and overflow included, in row-major order: the last axis runs fastest.
    pub fn contents(&self) -> impl Iterator<Item = Content> {
        (0..self.cell_count()).map(|cell| self.bins.content(cell))
    }

    /// All bins, underflow and overflow included, in row-major order.
    pub fn bins(&self) -> impl Iterator<Item = Bin> {
        (0..self.cell_count()).map(|cell| {
            let mut rest = cell;
            let mut index: Vec<i64> = Vec::with_capacity(self.axes.len());
            for axis in self.axes.iter().rev() {
                index.push((rest % axis.extent()) as i64 - i64::from(axis.underflow()));
                rest /= axis.extent();
            }
            index.reverse();
            let intervals = self.axes.iter().zip(&index).map(|(axis, &index)| axis.interval(index)).collect();
            Bin { index, intervals, content: self.bins.content(cell) }
        })
    }

    /// The heights of all bins, as [`contents`](Self::contents) orders them.
    pub fn values(&self) -> Vec<f64> {
        self.contents().map(|content| content.value()).collect()
    }

    /// The squares of the statistical errors of all bins.
    pub fn variances(&self) -> Vec<f64> {
        self.contents().map(|content| content.variance()).collect()
    }

    pub(crate) fn cell_count(&self) -> usize {
        self.axes.iter().map(Axis::extent).product()
    }

    /// Gives growing axes more categories. The contents move to where their categories are now.
    pub(crate) fn grow_to(&mut self, axes: Vec<Axis>) -> Result<()> {
        if axes == self.axes {
            return Ok(());
        }
        let cells = cell_count(&axes)?;
        let mut place = vec![0_u32];
        for (old, new) in self.axes.iter().zip(&axes) {
            let places = match (old.kind(), new.kind()) {
                (_, AxisKind::StrCategory { categories, .. }) => old.grown(categories, &[]).1,
                (_, AxisKind::IntCategory { categories, .. }) => old.grown(&[], categories).1,
                _ => (0..old.extent() as u32).collect(),
            };
            let extent = new.extent() as u32;
            place = place.iter().flat_map(|&outer| places.iter().map(move |&inner| outer * extent + inner)).collect();
        }
        self.bins = self.bins.moved(cells, &place);
        self.axes = axes;
        Ok(())
    }

    fn common_axes(&self, other: &Self) -> Result<Vec<Axis>> {
        if self.axes.len() != other.axes.len() {
            return Err(Error::Merge(format!("one has {} axes, the other {}", self.axes.len(), other.axes.len())));
        }
        let pairs = self.axes.iter().zip(&other.axes).enumerate();
        let common = pairs.map(|(number, (mine, theirs))| {
            let both = |axis: &Axis| match theirs.kind() {
                AxisKind::StrCategory { categories, growing: true } => axis.grown(categories, &[]).0,
                AxisKind::IntCategory { categories, growing: true } => axis.grown(&[], categories).0,
                _ => axis.clone(),
            };
            let grown = both(mine);
            let same = match mine.kind() {
                AxisKind::StrCategory { categories, growing: true } => theirs.grown(categories, &[]).0 == grown,
                AxisKind::IntCategory { categories, growing: true } => theirs.grown(&[], categories).0 == grown,
                _ => mine == theirs,
            };
            if !same {
                return Err(Error::Merge(format!(
                    "{} is {mine:?} here and {theirs:?} there",
                    mine.display_name(number)
                )));
            }
            Ok(grown)
        });
        common.collect()
    }
}

pub(crate) fn cell_count(axes: &[Axis]) -> Result<usize> {
    let cells = axes.iter().try_fold(1_usize, |cells, axis| cells.checked_mul(axis.extent()));
    cells.filter(|&cells| cells <= MAX_CELLS).ok_or(Error::TooManyBins)
}
