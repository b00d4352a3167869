//! Layer 8: entry ranges and projected columns into record batches. Bytes of remote files are fetched a window ahead of
//! the decoding; with a row filter its columns come first, and baskets in which nothing survives are never touched.

use std::collections::HashMap;
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
use crate::decode::{Output, decode};
use crate::error::{Error, Place, Result};
use crate::layout::Layout;
use crate::metrics::ScanMetrics;
use crate::tree::{BasketAt, BranchId, Tree};

/// Decides which rows of a scan are kept. It sees the columns that it asks for, and only them.
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
    wanted: Vec<(BranchId, usize)>,
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
                Ok(layout) => Ok(ColumnReader { baskets: BasketReader::new(column.branch), layout: layout.clone() }),
                Err(reason) => {
                    Err(Error::Unreadable { place: Box::new(self.branch_place(column.branch)), reason: reason.clone() })
                }
            }
        };
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
        Ok(Scan {
            columns: projection.iter().map(reader).collect::<Result<_>>()?,
            filter_columns: filter_indices.iter().map(reader).collect::<Result<_>>()?,
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
                let (entries, wanted) = self.next_window(start, &HashMap::new());
                let answers = self.tree.source.read_ranges(&self.places(&wanted)).await?;
                (entries, wanted, answers)
            }
        };
        self.work.metrics.read(started.elapsed());
        let mut pending: HashMap<BranchId, usize> = HashMap::new();
        for ((branch, index), bytes) in wanted.into_iter().zip(answers) {
            pending.entry(branch).and_modify(|last| *last = (*last).max(index)).or_insert(index);
            self.accept(branch, index, bytes);
        }
        self.window = Window { entries: entries.clone(), pos: entries.start, planned: Vec::new() };
        if let (Some(spawn), true) = (&self.options.spawn, entries.end < self.end) {
            let (entries, wanted) = self.next_window(entries.end, &pending);
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

    /// Branches that are fetched a window ahead: those of the filter if there is one, else all; and their counters.
    fn early_branches(&self) -> Vec<BranchId> {
        let readers = if self.options.filter.is_some() { &self.filter_columns } else { &self.columns };
        branches_of(readers.iter())
    }

    /// How far the next window reaches with half the byte budget, and the baskets to fetch for it. `pending` tells the
    /// last basket of each branch that is at hand or under way already.
    fn next_window(&self, start: u64, pending: &HashMap<BranchId, usize>) -> (Range<u64>, Vec<(BranchId, usize)>) {
        let early = self.early_branches();
        let all = branches_of(self.columns.iter().chain(&self.filter_columns));
        let mut next: Vec<(BranchId, usize)> = Vec::new();
        for branch in all {
            let Some(baskets) = self.tree.branches().get(branch).map(|b| &b.baskets) else {
                continue;
            };
            let first = baskets.partition_point(|b| b.entries.end <= start);
            let known = pending.get(&branch).copied().or_else(|| self.last_known(branch));
            next.push((branch, known.map_or(first, |k| first.max(k + 1))));
        }
        let budget = self.options.byte_budget / 2;
        let (mut bytes, mut end, mut wanted) = (0, self.end, Vec::new());
        loop {
            // The unread basket that starts first, over all branches.
            let candidate = next.iter_mut().filter_map(|(branch, index)| {
                let basket = self.tree.branches().get(*branch)?.baskets.get(*index)?;
                (basket.entries.start < self.end).then_some((basket, *branch, index))
            });
            let Some((basket, branch, index)) = candidate.min_by_key(|(basket, ..)| basket.entries.start) else {
                break;
            };
            let size = match &basket.at {
                BasketAt::File(range) => range.end - range.start,
                BasketAt::Embedded(_) | BasketAt::Missing(_) => 0,
            };
            if basket.entries.start > start && bytes + size > budget {
                end = basket.entries.start;
                break;
            }
            bytes += size;
            if size > 0 && early.contains(&branch) {
                wanted.push((branch, *index));
            }
            *index += 1;
        }
        (start..end, wanted)
    }

    /// Fetches, of the columns that the filter does not need, the baskets that hold surviving rows.
    async fn fetch_survivors(&mut self) -> Result<()> {
        let early = self.early_branches();
        let mut wanted: Vec<(BranchId, usize)> = Vec::new();
        for branch in branches_of(self.columns.iter()).into_iter().filter(|b| !early.contains(b)) {
            let Some(baskets) = self.tree.branches().get(branch).map(|b| &b.baskets) else {
                continue;
            };
            let known = self.last_known(branch);
            for planned in self.window.planned.iter().rev() {
                let whole = std::slice::from_ref(&planned.rows);
                for run in planned.keep.as_ref().map_or(whole, |k| k.runs.as_slice()) {
                    let first = baskets.partition_point(|b| b.entries.end <= run.start);
                    for (index, basket) in baskets.iter().enumerate().skip(first) {
                        if basket.entries.start >= run.end {
                            break;
                        }
                        let new = known.is_none_or(|k| index > k) && wanted.last() != Some(&(branch, index));
                        if new && matches!(basket.at, BasketAt::File(_)) {
                            wanted.push((branch, index));
                        }
                    }
                }
            }
        }
        let started = Instant::now();
        let answers = self.tree.source.read_ranges(&self.places(&wanted)).await?;
        self.work.metrics.read(started.elapsed());
        for ((branch, index), bytes) in wanted.into_iter().zip(answers) {
            self.accept(branch, index, bytes);
        }
        Ok(())
    }

    /// The last basket of a branch that is decompressed or fetched.
    fn last_known(&self, branch: BranchId) -> Option<usize> {
        let readers = self.columns.iter().chain(&self.filter_columns).map(|c| &c.baskets);
        let readers = readers.filter(|b| b.branch == branch).chain(self.work.counter_reader(branch));
        readers.filter_map(|b| b.fetched.keys().copied().max().max(b.loaded_index())).min()
    }

    /// Hands the bytes of a basket to every reader that will need it.
    fn accept(&mut self, branch: BranchId, index: usize, bytes: Bytes) {
        // A column that shares the filter's values is never read by itself.
        let own = self.columns.iter_mut().zip(&self.shared).filter(|(_, shared)| shared.is_none()).map(|(c, _)| c);
        for column in own.chain(&mut self.filter_columns) {
            if column.baskets.branch == branch {
                column.baskets.fetched.insert(index, bytes.clone());
            }
        }
        let counts = |c: &ColumnReader| c.layout.counter == Some(branch);
        if !self.options.verify && self.columns.iter().chain(&self.filter_columns).any(counts) {
            self.work.counter(branch).fetched.insert(index, bytes);
        }
    }

    fn places(&self, baskets: &[(BranchId, usize)]) -> Vec<Range<u64>> {
        let place =
            |(branch, index): &(BranchId, usize)| match &self.tree.branches().get(*branch)?.baskets.get(*index)?.at {
                BasketAt::File(range) => Some(range.clone()),
                BasketAt::Embedded(_) | BasketAt::Missing(_) => None,
            };
        baskets.iter().filter_map(place).collect()
    }
}

/// The branches of some columns and of their counters, each once.
fn branches_of<'a>(columns: impl Iterator<Item = &'a ColumnReader>) -> Vec<BranchId> {
    let mut all: Vec<BranchId> =
        columns.flat_map(|c| std::iter::once(c.baskets.branch).chain(c.layout.counter)).collect();
    all.sort_unstable();
    all.dedup();
    all
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
            let Self { baskets, layout, .. } = self;
            let branch = baskets.branch;
            let index = baskets.loaded_index();
            match baskets.at(run.start, run.end, tree, &layout.decode, layout.counter, work)? {
                Part::Absent(gap) => {
                    let stop = gap.end.min(run.end);
                    let count = (stop - run.start) as usize;
                    out.append_absent(count, &layout.decode);
                    absent.push((written, count));
                    written += count;
                    advance(&mut runs, stop);
                }
                Part::Basket(entries, basket) => {
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
                        let place = Place { basket: index, entries: Some(entries), ..tree.branch_place(branch) };
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
        if source.to_string().contains("UTF") || source.to_string().contains("utf") {
            let reason = "it holds strings that are not UTF-8; read strings as binary instead".to_string();
            return Error::Unreadable { place, reason };
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
