//! Which rows of a scan survive its filters. They are asked in turn; what they have read is kept for the output.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{ArrowError, FieldRef, Schema, SchemaRef};
use arrow_select::concat::concat;
use arrow_select::filter::FilterBuilder;

use crate::basket::Workspace;
use crate::column::ColumnReader;
use crate::decode::Runs;
use crate::error::{Error, Result};
use crate::tree::Tree;

/// Decides which rows of a scan are kept. It sees the columns that it asks for, and only them; the other columns are
/// decoded, and for remote files fetched, only where rows survive.
///
/// ```
/// # fn main() -> Result<(), root_reader::Error> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
/// use std::sync::Arc;
///
/// use arrow_array::cast::AsArray;
/// use arrow_array::types::UInt32Type;
/// use arrow_array::{BooleanArray, RecordBatch};
/// use arrow_schema::ArrowError;
/// use root_reader::{RootFile, RowFilter, ScanOptions};
///
/// /// Events with at least two muons.
/// struct Dimuon([usize; 1]);
///
/// impl RowFilter for Dimuon {
///     fn columns(&self) -> &[usize] {
///         &self.0
///     }
///
///     fn keep(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
///         Ok(batch.column(0).as_primitive::<UInt32Type>().iter().map(|n| n.map(|n| n >= 2)).collect())
///     }
/// }
///
/// let tree = RootFile::open_local(path)?.tree_blocking("Events")?;
/// let schema = tree.schema();
/// let filter = Dimuon([schema.index_of("nMuon").expect("a NanoAOD file")]);
/// let options = ScanOptions { filters: vec![Arc::new(filter)], ..ScanOptions::default() };
/// let muon_pt = schema.index_of("Muon_pt").expect("a NanoAOD file");
/// let mut kept = 0;
/// for batch in tree.scan(&[muon_pt], 0..tree.entries(), options)?.blocking() {
///     kept += batch?.num_rows();
/// }
/// assert!(kept > 0 && kept < 1000);
/// # Ok(())
/// # }
/// ```
pub trait RowFilter: Send + Sync {
    /// The columns that the filter needs, as indices into [`Tree::schema`].
    fn columns(&self) -> &[usize];

    /// One flag per row of `batch`, which holds [`RowFilter::columns`] in that order; null counts as `false`.
    fn keep(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError>;
}

/// The filters of a scan, in the order in which they are asked.
pub(crate) struct Filters {
    stages: Vec<Stage>,
}

struct Stage {
    filter: Arc<dyn RowFilter>,
    schema: SchemaRef,
    columns: Vec<Source>,
    /// Which of its columns are used again, by later filters or in the output.
    used_again: Vec<bool>,
}

/// A column of a filter: which filter, and its number there.
pub(crate) type StageColumn = (usize, usize);

/// Where a filter's column comes from.
enum Source {
    Read(Box<ColumnReader>),
    /// An earlier filter looked at it already.
    Known(StageColumn),
}

/// Rows that survive.
pub(crate) struct Survivors {
    /// Their entries, ascending.
    pub runs: Runs,
    pub rows: usize,
    /// What the filters have read of them, by filter and column, where it is used again.
    known: Vec<Vec<Option<ArrayRef>>>,
}

impl Filters {
    /// Makes readers of the filters' columns. The second part of the answer says for each column of the `output` which
    /// filter reads it as well.
    pub(crate) fn new(
        filters: &[Arc<dyn RowFilter>],
        output: &[usize],
        field: impl Fn(&usize) -> Option<FieldRef>,
        reader: impl Fn(&usize) -> Result<ColumnReader>,
    ) -> Result<(Self, Vec<Option<StageColumn>>)> {
        let mut stages: Vec<Stage> = Vec::with_capacity(filters.len());
        let mut first_seen: HashMap<usize, StageColumn> = HashMap::new();
        let mut again = Vec::new();
        for filter in filters {
            let indices = filter.columns();
            let mut columns = Vec::with_capacity(indices.len());
            for index in indices {
                let at = (stages.len(), columns.len());
                columns.push(match first_seen.get(index) {
                    Some(known) => {
                        again.push(*known);
                        Source::Known(*known)
                    }
                    None => {
                        first_seen.insert(*index, at);
                        Source::Read(Box::new(reader(index)?))
                    }
                });
            }
            let schema = Arc::new(Schema::new(indices.iter().filter_map(&field).collect::<Vec<_>>()));
            let used_again = vec![false; columns.len()];
            stages.push(Stage { filter: filter.clone(), schema, columns, used_again });
        }
        let shared: Vec<Option<StageColumn>> = output.iter().map(|p| first_seen.get(p).copied()).collect();
        for (stage, column) in again.into_iter().chain(shared.iter().flatten().copied()) {
            if let Some(used) = stages.get_mut(stage).and_then(|s| s.used_again.get_mut(column)) {
                *used = true;
            }
        }
        Ok((Self { stages }, shared))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    pub(crate) fn readers(&self) -> impl Iterator<Item = &ColumnReader> {
        self.stages.iter().flat_map(|s| &s.columns).filter_map(|source| match source {
            Source::Read(reader) => Some(reader.as_ref()),
            Source::Known(_) => None,
        })
    }

    pub(crate) fn readers_mut(&mut self) -> impl Iterator<Item = &mut ColumnReader> {
        self.stages.iter_mut().flat_map(|s| &mut s.columns).filter_map(|source| match source {
            Source::Read(reader) => Some(reader.as_mut()),
            Source::Known(_) => None,
        })
    }

    /// Asks the filters about some rows; `None` if none survives.
    pub(crate) fn select(&mut self, rows: Range<u64>, tree: &Tree, work: &mut Workspace) -> Result<Option<Survivors>> {
        let fault = |source| Error::Arrow { place: Box::new(tree.place()), source };
        let all = rows.end - rows.start;
        let mut survivors = Survivors { runs: Arc::new(vec![rows]), rows: all as usize, known: Vec::new() };
        // The rows that are kept, as long as the others are not taken out.
        let mut pending: Option<BooleanBuffer> = None;
        for stage in &mut self.stages {
            let mut arrays = Vec::with_capacity(stage.columns.len());
            for column in &mut stage.columns {
                arrays.push(match column {
                    Source::Read(reader) => reader.read(tree, &survivors.runs, work)?,
                    Source::Known(at) => survivors.known(*at).ok_or_else(|| fault(not_kept()))?,
                });
            }
            let options = RecordBatchOptions::new().with_row_count(Some(survivors.rows));
            let batch = RecordBatch::try_new_with_options(stage.schema.clone(), arrays, &options).map_err(fault)?;
            let mask = stage.filter.keep(&batch).map_err(fault)?;
            let mask = match mask.nulls() {
                Some(nulls) => mask.values() & nulls.inner(),
                None => mask.values().clone(),
            };
            let mask = match pending.take() {
                Some(earlier) => &earlier & &mask,
                None => mask,
            };
            let used_again = batch.columns().iter().zip(&stage.used_again);
            survivors.known.push(used_again.map(|(array, used)| used.then(|| array.clone())).collect());
            let kept = mask.count_set_bits();
            if kept == 0 {
                work.metrics.entries(all, 0);
                return Ok(None);
            }
            // Taking out few rows costs more than it saves the next filter.
            if 2 * kept <= survivors.rows {
                survivors.narrow(mask).map_err(fault)?;
            } else if kept < survivors.rows {
                pending = Some(mask);
            }
        }
        if let Some(mask) = pending {
            survivors.narrow(mask).map_err(fault)?;
        }
        work.metrics.entries(all, survivors.rows as u64);
        Ok(Some(survivors))
    }
}

impl Survivors {
    /// A filter's column of these rows, if it was kept.
    pub(crate) fn known(&self, (stage, column): StageColumn) -> Option<ArrayRef> {
        self.known.get(stage)?.get(column)?.clone()
    }

    /// Adds rows that come later.
    pub(crate) fn append(&mut self, later: Survivors) -> Result<(), ArrowError> {
        self.rows += later.rows;
        let (runs, mut later_runs) = (Arc::make_mut(&mut self.runs), later.runs.iter().cloned().peekable());
        if let (Some(last), Some(next)) = (runs.last_mut(), later_runs.peek())
            && last.end == next.start
        {
            last.end = next.end;
            later_runs.next();
        }
        runs.extend(later_runs);
        for (values, later) in self.known.iter_mut().flatten().zip(later.known.iter().flatten()) {
            if let (Some(values), Some(later)) = (values, later) {
                *values = concat(&[values.as_ref(), later.as_ref()])?;
            }
        }
        Ok(())
    }

    /// Takes out the rows that `mask` does not keep.
    fn narrow(&mut self, mask: BooleanBuffer) -> Result<(), ArrowError> {
        self.runs = Arc::new(narrowed(&self.runs, &mask));
        self.rows = mask.count_set_bits();
        if self.known.iter().flatten().any(Option::is_some) {
            let kept = FilterBuilder::new(&BooleanArray::new(mask, None)).optimize().build();
            for values in self.known.iter_mut().flatten().flatten() {
                *values = kept.filter(values)?;
            }
        }
        Ok(())
    }
}

fn not_kept() -> ArrowError {
    ArrowError::InvalidArgumentError("a column of an earlier filter was not kept".into())
}

/// Those entries of `runs` whose bit is set; the mask has one per entry.
fn narrowed(runs: &[Range<u64>], mask: &BooleanBuffer) -> Vec<Range<u64>> {
    let mut kept: Vec<Range<u64>> = Vec::new();
    let mut runs = runs.iter().cloned();
    let mut run = runs.next().unwrap_or_default();
    // The place in the mask of the first entry of `run`.
    let mut first = 0;
    for (from, to) in mask.set_slices() {
        let (mut from, to) = (from as u64, to as u64);
        while from < to {
            let length = run.end - run.start;
            if from >= first + length {
                first += length;
                match runs.next() {
                    Some(next) => run = next,
                    None => return kept,
                }
                continue;
            }
            let stop = to.min(first + length);
            let part = run.start + (from - first)..run.start + (stop - first);
            match kept.last_mut() {
                Some(last) if last.end == part.start => last.end = part.end,
                _ => kept.push(part),
            }
            from = stop;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_over_runs_keeps_parts_of_them_and_joins_neighbours() {
        let runs = [10..13, 13..15, 20..24];
        let mask: BooleanBuffer = [false, true, true, true, false, true, false, true, true].into_iter().collect();
        assert_eq!(narrowed(&runs, &mask), [11..14, 20..21, 22..24]);
        assert_eq!(narrowed(&runs, &BooleanBuffer::new_unset(9)), []);
        assert_eq!(narrowed(&runs, &BooleanBuffer::new_set(9)), [10..15, 20..24]);
    }
}
