//! Filling: Arrow columns to positions on the axes, positions to bins, bins to sums, a chunk at a time.
//!
//! The loops over a chunk have no branch that depends on the values, and each does one thing, so that they become vector
//! instructions where these exist. Entries of one weight are counted, in four sets of bins by turns: adding to the bin
//! that was just added to would wait for the store.

use std::borrow::Cow;

use arrow_array::Array;
use arrow_buffer::NullBuffer;

use crate::axis::{Axis, NOWHERE};
use crate::columns::{Column, Numbers, Table};
use crate::error::{Error, Result};
use crate::histogram::Histogram;
use crate::storage::{Scratch, Storage};

/// Entries that are worked on together: their positions, bins, weights and samples stay in the first-level cache.
const CHUNK: usize = 1024;

/// Sets of bins that entries are counted in by turns.
const LANES: usize = 4;

/// Entries to fill a histogram with: a column for each axis, and perhaps weights and a sample.
///
/// Columns may be lists. Then every element is an entry, and columns that are not lists hold for all elements of their
/// row; lists in one row must be of the same length.
#[derive(Clone)]
pub struct Entries<'a> {
    columns: Vec<&'a dyn Array>,
    weights: Option<&'a dyn Array>,
    weight: f64,
    sample: Option<&'a dyn Array>,
}

impl<'a> Entries<'a> {
    /// Entries of weight one, with a column for each axis.
    pub fn new(columns: &[&'a dyn Array]) -> Self {
        Self { columns: columns.to_vec(), weights: None, weight: 1.0, sample: None }
    }

    /// Gives all entries a weight; those of [`weights`](Self::weights) are multiplied by it.
    pub fn weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Gives each entry its weight.
    pub fn weights(mut self, weights: &'a dyn Array) -> Self {
        self.weights = Some(weights);
        self
    }

    /// Gives the numbers whose mean a profile takes.
    pub fn sample(mut self, sample: &'a dyn Array) -> Self {
        self.sample = Some(sample);
        self
    }
}

/// A number that is filled as the `f64` of the same value, or nearest to it.
pub trait Number: Copy {
    /// The number as `f64`.
    fn as_f64(self) -> f64;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Number for $number {
            #[inline(always)]
            fn as_f64(self) -> f64 {
                self as f64
            }
        }
    )*};
}
numbers!(f64, f32, i8, i16, i32, i64, u8, u16, u32, u64);

impl Histogram {
    /// Fills entries of weight one into a histogram with one numeric axis.
    pub fn fill_slice<T: Number>(&mut self, values: &[T]) -> Result<()> {
        match self.axes.as_slice() {
            [axis] if axis.is_numeric() && !self.storage().is_mean() => {}
            _ => return Err(Error::Columns("fill_slice is for one numeric axis and no sample; use fill".into())),
        }
        let mut filler = Filler::new(self, values.len(), Some(1.0));
        for chunk in values.chunks(CHUNK) {
            filler.start(chunk.len());
            filler.locate(0, |axis, positions| axis.locate(chunk, T::as_f64, positions));
            filler.finish(None);
        }
        filler.end();
        Ok(())
    }

    /// Fills entries. Nothing is filled if there is an error.
    pub fn fill(&mut self, entries: &Entries) -> Result<()> {
        let storage = self.storage();
        self.check_entries(entries, storage)?;
        let table = Table::new(&self.axes, &entries.columns, entries.weights, entries.sample)?;
        let grown: Vec<Axis> = self.axes.iter().zip(&table.columns).map(|(axis, column)| column.grow(axis)).collect();
        let columns: Vec<Column> = grown
            .iter()
            .zip(&table.columns)
            .enumerate()
            .map(|(number, (axis, column))| column.bind(axis, number))
            .collect::<Result<_>>()?;
        let weights =
            table.weights.as_ref().map(|weights| Numbers::new(weights, || "the weight".into())).transpose()?;
        let sample = table.sample.as_ref().map(|sample| Numbers::new(sample, || "the sample".into())).transpose()?;

        self.grow_to(grown)?;
        self.tally.nulls += table.null_lists as u64;
        let nulls = table.nulls();
        // What is constant can be counted.
        let constant = (weights.is_none() && !storage.is_mean()).then_some(entries.weight);
        let mut filler = Filler::new(self, table.rows, constant);
        for start in (0..table.rows).step_by(CHUNK) {
            let range = start..table.rows.min(start + CHUNK);
            filler.start(range.len());
            for (number, column) in columns.iter().enumerate() {
                let valid = nulls.as_ref();
                filler.locate(number, |axis, positions| column.locate(axis, range.clone(), valid, positions));
            }
            match &weights {
                Some(weights) => weights.read(range.clone(), entries.weight, &mut filler.weights),
                None => filler.weights.resize(range.len(), entries.weight),
            }
            if let Some(sample) = &sample {
                sample.read(range.clone(), 1.0, &mut filler.samples);
            }
            filler.finish(nulls.as_ref().map(|nulls| nulls.slice(start, range.len())));
        }
        filler.end();
        Ok(())
    }

    fn check_entries(&self, entries: &Entries, storage: Storage) -> Result<()> {
        let weighted = entries.weights.is_some() || entries.weight != 1.0;
        let problem: Cow<str> = if entries.columns.len() != self.axes.len() {
            format!("there are {} columns for {} axes", entries.columns.len(), self.axes.len()).into()
        } else if weighted && !storage.is_weighted() {
            format!("a histogram of {storage:?} takes no weights; Weight and WeightedMean do").into()
        } else if storage.is_mean() && entries.sample.is_none() {
            "a profile takes the mean of a sample, and there is none".into()
        } else if !storage.is_mean() && entries.sample.is_some() {
            format!("a histogram of {storage:?} takes no sample; Mean and WeightedMean do").into()
        } else {
            return Ok(());
        };
        Err(Error::Columns(problem.into_owned()))
    }
}

/// A histogram while it is filled, with the buffers of a chunk.
struct Filler<'h> {
    histogram: &'h mut Histogram,
    positions: [u32; CHUNK],
    cells: [u32; CHUNK],
    weights: Vec<f64>,
    samples: Vec<f64>,
    /// Entries in the chunk.
    length: usize,
    /// Whether all entries of the chunk have a bin, as far as the axes tell.
    complete: bool,
    /// `LANES` sets of bins, if entries of one weight are counted.
    lanes: Vec<u32>,
    weight: Option<f64>,
    counted: usize,
    scratch: Scratch,
}

impl<'h> Filler<'h> {
    /// `weight` is that of all entries, if they have the same and there is nothing else to add.
    fn new(histogram: &'h mut Histogram, rows: usize, weight: Option<f64>) -> Self {
        let cells = histogram.cell_count();
        // Adding the lanes up at the end must not take longer than it spares.
        let lanes = if weight.is_some() && cells <= rows / LANES { vec![0; LANES * cells] } else { Vec::new() };
        Self {
            histogram,
            positions: [0; CHUNK],
            cells: [0; CHUNK],
            weights: Vec::with_capacity(CHUNK),
            samples: Vec::with_capacity(CHUNK),
            length: 0,
            complete: true,
            lanes,
            weight,
            counted: 0,
            scratch: Scratch::default(),
        }
    }

    fn start(&mut self, length: usize) {
        self.length = length;
        self.complete = true;
        self.weights.clear();
        self.samples.clear();
    }

    /// Takes the positions on an axis, which `locate` writes, into the bins of the chunk.
    fn locate(&mut self, number: usize, locate: impl FnOnce(&Axis, &mut [u32]) -> usize) {
        let Some(axis) = self.histogram.axes.get(number) else { return };
        let extent = axis.extent() as u32;
        let certain = axis.is_numeric() && axis.underflow() && axis.overflow();
        let (Some(cells), Some(positions)) = (self.cells.get_mut(..self.length), self.positions.get_mut(..self.length))
        else {
            return;
        };
        if number == 0 {
            self.histogram.tally.nans += locate(axis, cells) as u64;
        } else {
            self.histogram.tally.nans += locate(axis, positions) as u64;
            if certain && self.complete {
                cells.iter_mut().zip(positions).for_each(|(cell, position)| *cell = *cell * extent + *position);
            } else {
                for (cell, position) in cells.iter_mut().zip(positions) {
                    let nowhere = *cell == NOWHERE || *position == NOWHERE;
                    let inside = cell.wrapping_mul(extent).wrapping_add(*position);
                    *cell = if nowhere { NOWHERE } else { inside };
                }
            }
        }
        self.complete &= certain;
    }

    /// Adds the entries of the chunk.
    fn finish(&mut self, nulls: Option<NullBuffer>) {
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        let null_count = nulls.as_ref().map_or(0, NullBuffer::null_count);
        let kept = if nulls.is_some() || !self.complete { self.compact(nulls.as_ref()) } else { self.length };
        self.histogram.tally.entries += kept as u64;
        self.histogram.tally.nulls += null_count as u64;
        self.histogram.tally.outside += (self.length - null_count - kept) as u64;

        let cells = self.cells.get_mut(..kept).unwrap_or_default();
        if let Some(weight) = self.weight
            && !self.lanes.is_empty()
        {
            count(&mut self.lanes, cells);
            self.counted += kept;
            if self.counted > u32::MAX as usize / 2 {
                self.flush(weight);
            }
            return;
        }
        // `fill_slice` has no weights to read.
        self.weights.resize(self.length.max(kept), self.weight.unwrap_or(1.0));
        let weights = self.weights.get(..kept).unwrap_or_default();
        let samples = self.samples.get(..kept.min(self.samples.len())).unwrap_or_default();
        self.histogram.bins.add(cells, weights, samples, &mut self.scratch);
    }

    /// Moves the entries that have a bin to the front, and tells how many they are.
    fn compact(&mut self, nulls: Option<&NullBuffer>) -> usize {
        let mut kept = 0;
        for row in 0..self.length {
            let cell = self.cells.get(row).copied().unwrap_or(NOWHERE);
            keep(&mut self.cells, row, kept);
            keep(&mut self.weights, row, kept);
            keep(&mut self.samples, row, kept);
            let valid = nulls.is_none_or(|nulls| nulls.is_valid(row));
            kept += usize::from(valid && cell != NOWHERE);
        }
        kept
    }

    fn flush(&mut self, weight: f64) {
        let cells = self.lanes.len() / LANES;
        let lane = |number: usize| self.lanes.iter().skip(number * cells).take(cells);
        let sums = lane(0).zip(lane(1)).zip(lane(2).zip(lane(3))).map(|((a, b), (c, d))| a + b + c + d);
        self.histogram.bins.add_counted(sums, weight);
        self.lanes.fill(0);
        self.counted = 0;
    }

    fn end(mut self) {
        if let Some(weight) = self.weight
            && !self.lanes.is_empty()
        {
            self.flush(weight);
        }
    }
}

fn keep<T: Copy>(values: &mut [T], from: usize, to: usize) {
    if from < values.len() && to <= from {
        values.copy_within(from..=from, to);
    }
}

/// Counts entries by bin, in `LANES` sets of bins by turns.
fn count(lanes: &mut [u32], cells: &[u32]) {
    let size = lanes.len() / LANES;
    let (first, second) = lanes.split_at_mut(2 * size);
    let (a, b) = first.split_at_mut(size);
    let (c, d) = second.split_at_mut(size);
    let add = |lane: &mut [u32], cell: u32| {
        if let Some(count) = lane.get_mut(cell as usize) {
            *count += 1;
        }
    };
    let (quads, rest) = cells.as_chunks::<LANES>();
    for &[w, x, y, z] in quads {
        add(a, w);
        add(b, x);
        add(c, y);
        add(d, z);
    }
    rest.iter().for_each(|&cell| add(a, cell));
}
