//! Layer 8: entry ranges and projected columns into record batches. Bytes of remote files are fetched a window ahead of
//! the decoding; with a row filter its columns come first, and baskets in which nothing survives are never touched.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream};

use crate::basket::{BasketReader, Part, Workspace};
use crate::decode::{NotUtf8, Output, decode};
use crate::error::{Error, Place, Result};
use crate::layout::Layout;
use crate::metrics::ScanMetrics;
use crate::tree::{BasketAt, Branch, BranchId, Tree};
use crate::window::{BasketId, Reading, add_all_needed, reach};

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
/// let options = ScanOptions { filter: Some(Arc::new(filter)), ..ScanOptions::default() };
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

/// Runs work in the background while the scan computes: `tokio::spawn` or the like.
pub type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// How to scan.
#[derive(Clone)]
pub struct ScanOptions {
    /// Most rows per record batch.
    pub batch_rows: usize,
    /// Stored bytes of a remote file that are held at once, about: what is being decoded and what is fetched ahead.
    pub byte_budget: u64,
    /// Drops rows before the other columns are decoded.
    pub filter: Option<Arc<dyn RowFilter>>,
    /// Adds a last column of this name with the entry number of each row.
    pub entry_column: Option<String>,
    /// Decompresses every byte and compares every checksum, also where the values do not need it.
    pub verify: bool,
    /// Lets remote files be fetched while the scan decodes; without it they are fetched when they are needed.
    pub spawn: Option<Spawn>,
    /// Where the scan counts what it does.
    pub metrics: Arc<ScanMetrics>,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            batch_rows: 8192,
            byte_budget: 32 << 20,
            filter: None,
            entry_column: None,
            verify: false,
            spawn: None,
            metrics: Arc::default(),
        }
    }
}

impl fmt::Debug for ScanOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanOptions")
            .field("batch_rows", &self.batch_rows)
            .field("byte_budget", &self.byte_budget)
            .field("filter", &self.filter.is_some())
            .field("entry_column", &self.entry_column)
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}

/// So many columns that share a counter make reading it cheaper than each one's own table.
const WORTH_A_COUNTER: usize = 4;

/// A running scan. Take batches from it with [`Scan::next_batch`], as a [`Stream`] with [`Scan::into_stream`], or, for
/// local files and bytes in memory, as an iterator with [`Scan::blocking`].
pub struct Scan {
    tree: Tree,
    columns: Vec<ColumnReader>,
    /// Columns of the filter, which are not all part of the output.
    filter_columns: Vec<ColumnReader>,
    /// For each output column the filter column that holds the same values.
    shared: Vec<Option<usize>>,
    filter_schema: SchemaRef,
    schema: SchemaRef,
    options: ScanOptions,
    work: Workspace,
    window: Window,
    end: u64,
    ahead: Option<Ahead>,
}

struct ColumnReader {
    baskets: BasketReader,
    layout: Layout,
    /// The branch through which the entries of a basket are found, if there is one.
    counter: Option<BranchId>,
}

/// Entries whose bytes are at hand, and the batches to be made of them.
struct Window {
    entries: Range<u64>,
    /// Next entry to give out.
    pos: u64,
    /// Filtered batches of the window, in reverse.
    planned: Vec<Planned>,
}

struct Planned {
    rows: Range<u64>,
    keep: Option<Selection>,
    filter_values: Vec<ArrayRef>,
}

/// Surviving rows, as runs counted from the start of the batch.
struct Selection {
    mask: BooleanArray,
    runs: Vec<Range<u64>>,
    rows: usize,
}

/// Bytes of the next window under way.
struct Ahead {
    entries: Range<u64>,
    wanted: Vec<BasketId>,
    answer: oneshot::Receiver<Result<Vec<Bytes>>>,
}

impl Tree {
    /// Starts a scan of some columns over a range of entries.
    ///
    /// `projection` holds indices into [`Tree::schema`]; entries beyond the tree's end are left out. Rows come in entry
    /// order.
    ///
    /// ```
    /// # fn main() -> Result<(), root_reader::Error> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
    /// use root_reader::{RootFile, ScanOptions};
    ///
    /// let tree = RootFile::open_local(path)?.tree_blocking("Events")?;
    /// let muon_pt = tree.schema().index_of("Muon_pt").expect("a NanoAOD file");
    /// let scan = tree.scan(&[muon_pt], 0..100, ScanOptions::default())?;
    /// let mut events = 0;
    /// for batch in scan.blocking() {
    ///     events += batch?.num_rows();
    /// }
    /// assert_eq!(events, 100);
    /// # Ok(())
    /// # }
    /// ```
    pub fn scan(&self, projection: &[usize], entries: Range<u64>, options: ScanOptions) -> Result<Scan> {
        let reader = |index: &usize| -> Result<ColumnReader> {
            let column = self.columns.readable.get(*index).and_then(|i| self.columns.all.get(*i));
            let column = column.ok_or_else(|| Error::NoSuchBranch {
                place: Box::new(self.place()),
                wanted: format!("number {index}"),
            })?;
            match &column.layout {
                Ok(layout) => Ok(ColumnReader {
                    baskets: BasketReader::new(column.branch),
                    counter: layout.needed_counter(),
                    layout: layout.clone(),
                }),
                Err(reason) => {
                    Err(Error::Unreadable { place: Box::new(self.branch_place(column.branch)), reason: reason.clone() })
                }
            }
        };
        let read_all = |indices: &[usize]| indices.iter().map(reader).collect::<Result<Vec<_>>>();
        let filter_indices = options.filter.as_ref().map(|f| f.columns().to_vec()).unwrap_or_default();
        let shared = projection.iter().map(|p| filter_indices.iter().position(|f| f == p)).collect();
        let field = |index: &usize| self.columns.schema.fields().get(*index).cloned();
        let mut fields: Vec<Arc<Field>> = projection.iter().filter_map(field).collect();
        if let Some(name) = &options.entry_column {
            fields.push(Arc::new(Field::new(name, DataType::UInt64, false)));
        }
        let filter_fields: Vec<Arc<Field>> = filter_indices.iter().filter_map(field).collect();
        let end = entries.end.min(self.entries());
        let start = entries.start.min(end);
        let (mut columns, mut filter_columns) = (read_all(projection)?, read_all(&filter_indices)?);
        if !options.verify {
            self.forget_costly_counters(columns.iter_mut().chain(&mut filter_columns));
        }
        Ok(Scan {
            columns,
            filter_columns,
            shared,
            filter_schema: Arc::new(Schema::new(filter_fields)),
            schema: Arc::new(Schema::new(fields)),
            work: Workspace::new(options.verify, options.metrics.clone()),
            window: Window { entries: start..start, pos: start, planned: Vec::new() },
            tree: self.clone(),
            options,
            end,
            ahead: None,
        })
    }

    /// Has columns use their own offset tables where that is cheaper than to read the branch that counts their elements:
    /// where the tables are decompressed anyway, and few columns share the counter.
    fn forget_costly_counters<'a>(&self, columns: impl Iterator<Item = &'a mut ColumnReader>) {
        let columns: Vec<&mut ColumnReader> = columns.collect();
        let mut sharing: HashMap<BranchId, usize> = HashMap::new();
        for counter in columns.iter().filter_map(|c| c.counter) {
            *sharing.entry(counter).or_default() += 1;
        }
        for column in columns {
            let has_tables = |b: &Branch| b.has_offset_tables && !b.inflates_in_part;
            let few = column.counter.and_then(|c| sharing.get(&c)).is_some_and(|n| *n < WORTH_A_COUNTER);
            if few && self.branches().get(column.baskets.branch).is_some_and(has_tables) {
                column.counter = None;
            }
        }
    }
}

impl Scan {
    /// Schema of the batches: the projected columns, then the entry column if one was asked for.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The next batch, `None` at the end. With a filter, batches in which no row survives are passed over.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(planned) = self.window.planned.pop() {
                return self.decode_batch(planned).map(Some);
            }
            if self.window.pos >= self.window.entries.end {
                if self.window.entries.end >= self.end {
                    return Ok(None);
                }
                self.advance().await?;
            }
            let step = self.options.batch_rows.max(1) as u64;
            let remote = !self.tree.source.is_immediate();
            // Local bytes need no plan beyond the next batch; for remote ones the filter looks at the whole window.
            let horizon = match (remote, &self.options.filter) {
                (true, Some(_)) => self.window.entries.end,
                _ => self.window.entries.end.min(self.window.pos + step),
            };
            while self.window.pos < horizon {
                let rows = self.window.pos..horizon.min(self.window.pos + step);
                self.window.pos = rows.end;
                if let Some(planned) = self.plan(rows)? {
                    self.window.planned.push(planned);
                }
            }
            self.window.planned.reverse();
            if remote && self.options.filter.is_some() {
                self.fetch_survivors().await?;
            }
        }
    }

    /// The batches as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<RecordBatch>> + Send {
        futures::stream::try_unfold(
            self,
            |mut scan| async move { Ok(scan.next_batch().await?.map(|batch| (batch, scan))) },
        )
    }

    /// The batches as an iterator, for plain synchronous code over local files or bytes in memory.
    pub fn blocking(mut self) -> impl Iterator<Item = Result<RecordBatch>> {
        std::iter::from_fn(move || futures::executor::block_on(self.next_batch()).transpose())
    }

    /// Evaluates the filter on some rows; `None` if none survives.
    fn plan(&mut self, rows: Range<u64>) -> Result<Option<Planned>> {
        let Some(filter) = self.options.filter.clone() else {
            return Ok(Some(Planned { rows, keep: None, filter_values: Vec::new() }));
        };
        let count = (rows.end - rows.start) as usize;
        let mut values = Vec::with_capacity(self.filter_columns.len());
        for column in &mut self.filter_columns {
            values.push(column.read(&self.tree, std::slice::from_ref(&rows), &mut self.work)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(self.filter_schema.clone(), values, &options);
        let fault = |source| Error::Arrow { place: Box::new(self.tree.place()), source };
        let batch = batch.map_err(fault)?;
        let mask = filter.keep(&batch).map_err(fault)?;
        let mask = match mask.nulls() {
            Some(nulls) => BooleanArray::new(mask.values() & nulls.inner(), None),
            None => mask,
        };
        let kept = mask.true_count();
        self.work.metrics.entries(count as u64, kept as u64);
        if kept == 0 {
            return Ok(None);
        }
        let run = |(from, to)| rows.start + from as u64..rows.start + to as u64;
        let keep =
            (kept < count).then(|| Selection { runs: mask.values().set_slices().map(run).collect(), mask, rows: kept });
        Ok(Some(Planned { rows, keep, filter_values: batch.columns().to_vec() }))
    }

    fn decode_batch(&mut self, planned: Planned) -> Result<RecordBatch> {
        let whole = [planned.rows.clone()];
        let (runs, count) = match &planned.keep {
            Some(keep) => (keep.runs.as_slice(), keep.rows),
            None => (whole.as_slice(), (planned.rows.end - planned.rows.start) as usize),
        };
        let fault = |source, tree: &Tree| Error::Arrow { place: Box::new(tree.place()), source };
        if self.options.filter.is_none() {
            self.work.metrics.entries(count as u64, count as u64);
        }
        let mut arrays = Vec::with_capacity(self.columns.len() + 1);
        for (column, shared) in self.columns.iter_mut().zip(&self.shared) {
            let known = shared.and_then(|at| planned.filter_values.get(at));
            arrays.push(match (known, &planned.keep) {
                (Some(values), None) => values.clone(),
                (Some(values), Some(keep)) => {
                    arrow_select::filter::filter(values, &keep.mask).map_err(|e| fault(e, &self.tree))?
                }
                (None, _) => column.read(&self.tree, runs, &mut self.work)?,
            });
        }
        if self.options.entry_column.is_some() {
            arrays.push(Arc::new(UInt64Array::from_iter_values(runs.iter().cloned().flatten())));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options).map_err(|e| fault(e, &self.tree))
    }

    /// Moves on to the next window, whose bytes are then at hand.
    async fn advance(&mut self) -> Result<()> {
        let start = self.window.entries.end;
        if self.tree.source.is_immediate() {
            self.window = Window { entries: start..self.end, pos: start, planned: Vec::new() };
            return Ok(());
        }
        let started = Instant::now();
        let (entries, wanted, answers) = match self.ahead.take() {
            Some(ahead) => {
                let answers = match ahead.answer.await {
                    Ok(answers) => answers?,
                    // The background task was dropped, as at shutdown.
                    Err(_) => self.tree.source.read_ranges(&self.places(&ahead.wanted)).await?,
                };
                (ahead.entries, ahead.wanted, answers)
            }
            None => {
                let (entries, wanted) = self.next_window(start);
                let answers = self.tree.source.read_ranges(&self.places(&wanted)).await?;
                (entries, wanted, answers)
            }
        };
        self.work.metrics.read(started.elapsed());
        let mut needed = HashSet::new();
        add_all_needed(&self.tree, &self.readings(true), entries.clone(), &mut needed);
        self.work.fetched.retain(&needed);
        for (basket, bytes) in wanted.into_iter().zip(answers) {
            self.work.fetched.insert(basket, bytes);
        }
        self.window = Window { entries: entries.clone(), pos: entries.start, planned: Vec::new() };
        if let (Some(spawn), true) = (&self.options.spawn, entries.end < self.end) {
            let (entries, wanted) = self.next_window(entries.end);
            let (send, answer) = oneshot::channel();
            let source = self.tree.source.clone();
            let places = self.places(&wanted);
            spawn(
                async move {
                    // Nobody listens any more when the scan was dropped.
                    drop(send.send(source.read_ranges(&places).await));
                }
                .boxed(),
            );
            self.ahead = Some(Ahead { entries, wanted, answer });
        }
        Ok(())
    }

    /// What is read, each branch once: `all` of it, or what is needed before anything is known about the rows: the columns
    /// of the filter if there is one.
    fn readings(&self, all: bool) -> Vec<Reading> {
        let early = if self.options.filter.is_some() { &self.filter_columns } else { &self.columns };
        let late = self.columns.iter().filter(|_| all);
        let mut readings: Vec<Reading> =
            early.iter().chain(late).map(|c| Reading { branch: c.baskets.branch, counter: c.counter }).collect();
        readings.sort_unstable();
        readings.dedup();
        readings
    }

    /// How far the next window reaches with half the byte budget, and the baskets to fetch for it.
    fn next_window(&self, start: u64) -> (Range<u64>, Vec<BasketId>) {
        let end = reach(&self.tree, &self.readings(true), start, self.end, self.options.byte_budget / 2);
        let mut needed = HashSet::new();
        add_all_needed(&self.tree, &self.readings(false), start..end, &mut needed);
        (start..end, self.unfetched(needed))
    }

    /// Fetches, of the columns that the filter does not need, the baskets that hold surviving rows.
    async fn fetch_survivors(&mut self) -> Result<()> {
        let mut needed = HashSet::new();
        let readings = self.readings(true);
        for planned in &self.window.planned {
            let whole = std::slice::from_ref(&planned.rows);
            for run in planned.keep.as_ref().map_or(whole, |k| k.runs.as_slice()) {
                add_all_needed(&self.tree, &readings, run.clone(), &mut needed);
            }
        }
        let wanted = self.unfetched(needed);
        let started = Instant::now();
        let answers = self.tree.source.read_ranges(&self.places(&wanted)).await?;
        self.work.metrics.read(started.elapsed());
        for (basket, bytes) in wanted.into_iter().zip(answers) {
            self.work.fetched.insert(basket, bytes);
        }
        Ok(())
    }

    /// Those baskets that have to be fetched, in a fixed order. One that the file is too short for is left to its reader,
    /// who can say which it is.
    fn unfetched(&self, needed: HashSet<BasketId>) -> Vec<BasketId> {
        let missing = |basket: &BasketId| {
            let place = self.place(*basket).filter(|range| self.tree.source.check(range).is_ok());
            place.is_some() && !self.work.fetched.contains(*basket)
        };
        let mut wanted: Vec<BasketId> = needed.into_iter().filter(missing).collect();
        wanted.sort_unstable();
        wanted
    }

    fn place(&self, (branch, index): BasketId) -> Option<Range<u64>> {
        match &self.tree.branches().get(branch)?.baskets.get(index)?.at {
            BasketAt::File(range) => Some(range.clone()),
            BasketAt::Embedded(_) | BasketAt::Missing(_) => None,
        }
    }

    fn places(&self, baskets: &[BasketId]) -> Vec<Range<u64>> {
        baskets.iter().filter_map(|basket| self.place(*basket)).collect()
    }
}

impl ColumnReader {
    /// Decodes some runs of entries, in ascending order, into one array.
    fn read(&mut self, tree: &Tree, runs: &[Range<u64>], work: &mut Workspace) -> Result<ArrayRef> {
        let rows: u64 = runs.iter().map(|r| r.end - r.start).sum();
        let mut out = Output::new(&self.layout.decode, rows as usize);
        let mut absent: Vec<(usize, usize)> = Vec::new();
        let mut written = 0usize;
        let (mut runs, mut within) = (runs.iter().cloned().peekable(), Vec::new());
        while let Some(run) = runs.peek().cloned() {
            let Self { baskets, layout, counter } = self;
            let branch = baskets.branch;
            match baskets.at(run.start, run.end, tree, &layout.decode, *counter, work)? {
                Part::Absent(gap) => {
                    let stop = gap.end.min(run.end);
                    let count = (stop - run.start) as usize;
                    out.append_absent(count, &layout.decode).map_err(|source| {
                        let place = Place { entries: Some(run.start..stop), ..tree.branch_place(branch) };
                        Error::corrupt(place, source)
                    })?;
                    absent.push((written, count));
                    written += count;
                    advance(&mut runs, stop);
                }
                Part::Basket(index, entries, basket) => {
                    // All runs, or parts of runs, that lie in this basket.
                    within.clear();
                    while let Some(run) = runs.peek().filter(|r| r.start < entries.end).cloned() {
                        let stop = run.end.min(entries.end);
                        within.push((run.start - entries.start) as usize..(stop - entries.start) as usize);
                        written += (stop - run.start) as usize;
                        advance(&mut runs, stop);
                    }
                    let started = Instant::now();
                    decode(&layout.decode, &basket, &within, &mut out).map_err(|source| {
                        let place = Place { basket: Some(index), entries: Some(entries), ..tree.branch_place(branch) };
                        Error::corrupt(place, source)
                    })?;
                    work.metrics.decoded(started.elapsed());
                }
            }
        }
        let nulls = (!absent.is_empty()).then(|| {
            let mut valid = BooleanBufferBuilder::new(written);
            for (start, count) in absent {
                valid.append_n(start - valid.len(), true);
                valid.append_n(count, false);
            }
            valid.append_n(written - valid.len(), true);
            NullBuffer::new(valid.finish())
        });
        out.finish(&self.layout.data_type, nulls).map_err(|source| self.refused(tree, source))
    }

    fn refused(&self, tree: &Tree, source: ArrowError) -> Error {
        let place = Box::new(tree.branch_place(self.baskets.branch));
        if let ArrowError::ExternalError(cause) = &source
            && cause.is::<NotUtf8>()
        {
            return Error::Unreadable { place, reason: format!("{cause}; read strings as binary instead") };
        }
        Error::Arrow { place, source }
    }
}

/// Drops what lies before `stop` from the first run.
fn advance(runs: &mut std::iter::Peekable<impl Iterator<Item = Range<u64>>>, stop: u64) {
    if let Some(run) = runs.peek_mut() {
        if stop >= run.end {
            runs.next();
        } else {
            run.start = stop;
        }
    }
}
