//! Layer 8: entry ranges and projected columns into record batches. Bytes of remote files are fetched a window ahead of
//! the decoding; with row filters their columns come first, and baskets in which nothing survives are never touched.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use arrow_array::{RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream};

use crate::basket::Workspace;
use crate::column::ColumnReader;
use crate::error::{Error, Result};
use crate::friend::Fetch;
use crate::metrics::ScanMetrics;
use crate::select::{Filters, RowFilter, StageColumn, Survivors};
use crate::tree::{BasketAt, Branch, BranchId, Tree};
use crate::window::{BasketId, Reading, add_all_needed, add_needed_for_runs, reach};

/// Runs work in the background while the scan computes: `tokio::spawn` or the like.
pub type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// How to scan.
#[derive(Clone)]
pub struct ScanOptions {
    /// Most rows per record batch.
    pub batch_rows: usize,
    /// Stored bytes of a remote file that are held at once, about: what is being decoded and what is fetched ahead.
    pub byte_budget: u64,
    /// Drop rows before the other columns are decoded. They are asked in turn, and columns of a later one are decoded
    /// only where the earlier ones keep at most half of the rows; above that it sees some of the others as well.
    pub filters: Vec<Arc<dyn RowFilter>>,
    /// Adds a last column of this name with the entry number of each row.
    pub entry_column: Option<String>,
    /// Decompresses every byte and compares every checksum, also where the values do not need it.
    pub verify: bool,
    /// Lets remote files be fetched while the scan decodes, from the moment that it is made; without it they are fetched when
    /// they are needed.
    pub spawn: Option<Spawn>,
    /// What was learnt of the filters; scans that have the same filters should share it.
    pub selectivity: Arc<Selectivity>,
    /// Where the scan counts what it does.
    pub metrics: Arc<ScanMetrics>,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            batch_rows: 8192,
            byte_budget: 32 << 20,
            filters: Vec::new(),
            entry_column: None,
            verify: false,
            spawn: None,
            selectivity: Arc::default(),
            metrics: Arc::default(),
        }
    }
}

impl fmt::Debug for ScanOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScanOptions")
            .field("batch_rows", &self.batch_rows)
            .field("byte_budget", &self.byte_budget)
            .field("filters", &self.filters.len())
            .field("entry_column", &self.entry_column)
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}

/// Whether filters let through so much that reading only what they need first gains nothing, as far as scans have seen.
#[derive(Debug, Default)]
pub struct Selectivity(AtomicU8);

impl Selectivity {
    const MOST: u8 = 1;
    const LESS: u8 = 2;

    fn takes_most(&self) -> Option<bool> {
        match self.0.load(Ordering::Relaxed) {
            Self::MOST => Some(true),
            Self::LESS => Some(false),
            _ => None,
        }
    }

    /// The last window is taken for the next one.
    fn note(&self, takes_most: bool) {
        self.0.store(if takes_most { Self::MOST } else { Self::LESS }, Ordering::Relaxed);
    }
}

/// So many columns that share a counter make reading it cheaper than each one's own table.
const WORTH_A_COUNTER: usize = 4;

/// Steps of as many entries as a batch has rows that the filters look at for one batch at most.
const STEPS_PER_BATCH: u64 = 8;

/// Shares of the byte budget. The first window is small, so that there is soon something to do; several of those that are
/// fetched with all columns are under way at once, so that a long way to the server is waited for only once.
const FIRST_SHARE: u64 = 8;
const WHOLE_SHARE: u64 = 4;
/// Where the filters' columns come first, each window takes two round trips, and should be worth them.
const FILTERED_SHARE: u64 = 2;

/// As long as nothing is known of the filters, a round trip counts for more than the bytes of so many small windows.
const UNKNOWN_WINDOWS: usize = 2;

/// A running scan. Take batches from it with [`Scan::next_batch`], as a [`Stream`] with [`Scan::into_stream`], or, for
/// local files and bytes in memory, as an iterator with [`Scan::blocking`].
pub struct Scan {
    tree: Tree,
    columns: Vec<ColumnReader>,
    /// For each output column the filter's column that holds the same values.
    shared: Vec<Option<StageColumn>>,
    filters: Filters,
    schema: SchemaRef,
    options: ScanOptions,
    work: Workspace,
    window: Window,
    end: u64,
    /// The next windows, in order.
    ahead: VecDeque<Ahead>,
}

/// Entries whose bytes are at hand, and the batches to be made of them.
struct Window {
    entries: Range<u64>,
    /// Next entry to give out.
    pos: u64,
    /// Filtered batches of the window, in reverse.
    planned: Vec<Survivors>,
    /// Bytes of all its baskets.
    stored: u64,
}

impl Window {
    fn new(entries: Range<u64>, stored: u64) -> Self {
        Self { pos: entries.start, entries, planned: Vec::new(), stored }
    }
}

/// A window whose bytes are under way.
struct Ahead {
    entries: Range<u64>,
    stored: u64,
    wanted: Vec<BasketId>,
    answer: oneshot::Receiver<Result<Vec<Bytes>>>,
}

impl Tree {
    /// Starts a scan of some columns over a range of entries.
    ///
    /// `projection` holds indices into [`Tree::schema`], or what [`NestedPlan::columns`](crate::NestedPlan::columns) says; entries beyond the tree's end are left out. Rows come in entry
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
            let column = self.columns.scanned(*index).ok_or_else(|| Error::NoSuchBranch {
                place: Box::new(self.place()),
                wanted: format!("number {index}"),
            })?;
            match &column.layout {
                Ok(layout) => Ok(ColumnReader::new(column.branch, layout)),
                Err(reason) => {
                    Err(Error::Unreadable { place: Box::new(self.branch_place(column.branch)), reason: reason.clone() })
                }
            }
        };
        let field = |index: &usize| match self.columns.schema.fields().get(*index) {
            Some(field) => Some(field.clone()),
            None => self.columns.scanned(*index).and_then(|c| c.field().ok()).map(Arc::new),
        };
        let mut fields: Vec<Arc<Field>> = projection.iter().filter_map(field).collect();
        if let Some(name) = &options.entry_column {
            fields.push(Arc::new(Field::new(name, DataType::UInt64, false)));
        }
        let mut columns = projection.iter().map(reader).collect::<Result<Vec<_>>>()?;
        let (mut filters, shared) = Filters::new(&options.filters, projection, field, reader)?;
        if !options.verify {
            self.forget_costly_counters(columns.iter_mut().chain(filters.readers_mut()));
        }
        let end = entries.end.min(self.entries());
        let start = entries.start.min(end);
        let mut scan = Scan {
            columns,
            shared,
            filters,
            schema: Arc::new(Schema::new(fields)),
            work: Workspace::new(options.verify, options.metrics.clone()),
            window: Window::new(start..start, 0),
            tree: self.clone(),
            options,
            end,
            ahead: VecDeque::new(),
        };
        scan.fetch_ahead(&[]);
        Ok(scan)
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
            let remote = !self.tree.is_immediate();
            self.plan(remote && !self.filters.is_empty())?;
            if remote && !self.filters.is_empty() {
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

    /// Has the filters look at rows of the window: all of it, or enough for the next batch. Where few rows survive, those
    /// of several steps make up one batch.
    fn plan(&mut self, whole_window: bool) -> Result<()> {
        let Self { window, filters, tree, work, options, .. } = self;
        let step = options.batch_rows.max(1);
        let steps = if filters.is_empty() { 1 } else { STEPS_PER_BATCH };
        let near = window.entries.end.min(window.pos.saturating_add(step as u64 * steps));
        let horizon = if whole_window { window.entries.end } else { near };
        while window.pos < horizon {
            let rows = window.pos..horizon.min(window.pos + step as u64);
            window.pos = rows.end;
            let Some(survivors) = filters.select(rows, tree, work)? else { continue };
            match window.planned.last_mut() {
                Some(last) if last.rows + survivors.rows <= step => {
                    last.append(survivors).map_err(|source| Error::Arrow { place: Box::new(tree.place()), source })?;
                }
                _ => window.planned.push(survivors),
            }
            if !whole_window && window.planned.last().is_some_and(|last| 2 * last.rows > step) {
                break;
            }
        }
        window.planned.reverse();
        Ok(())
    }

    fn decode_batch(&mut self, planned: Survivors) -> Result<RecordBatch> {
        let mut arrays = Vec::with_capacity(self.columns.len() + 1);
        for (column, shared) in self.columns.iter_mut().zip(&self.shared) {
            arrays.push(match shared.and_then(|at| planned.known(at)) {
                Some(values) => values,
                None => column.read(&self.tree, &planned.runs, &mut self.work)?,
            });
        }
        if self.options.entry_column.is_some() {
            arrays.push(Arc::new(UInt64Array::from_iter_values(planned.runs.iter().cloned().flatten())));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(planned.rows));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .map_err(|source| Error::Arrow { place: Box::new(self.tree.place()), source })
    }

    /// Moves on to the next window, whose bytes are then at hand.
    async fn advance(&mut self) -> Result<()> {
        let start = self.window.entries.end;
        if self.tree.is_immediate() {
            self.window = Window::new(start..self.end, 0);
            return Ok(());
        }
        let started = Instant::now();
        let (entries, stored, wanted, answers) = match self.ahead.pop_front() {
            Some(Ahead { entries, stored, wanted, answer }) => {
                let answers = match answer.await {
                    Ok(answers) => answers?,
                    // The background task was dropped, as at shutdown.
                    Err(_) => self.fetch(&wanted).read().await?,
                };
                (entries, stored, wanted, answers)
            }
            None => {
                let (entries, stored, wanted) = self.next_window(start, self.takes_most().unwrap_or(false), &[]);
                let answers = self.fetch(&wanted).read().await?;
                (entries, stored, wanted, answers)
            }
        };
        self.work.metrics.read(started.elapsed());
        let mut needed = HashSet::new();
        add_all_needed(&self.tree, &self.readings(true), entries.clone(), &mut needed);
        self.work.fetched.retain(&needed);
        for (basket, bytes) in wanted.into_iter().zip(answers) {
            self.work.fetched.insert(basket, bytes);
        }
        self.window = Window::new(entries, stored);
        self.fetch_ahead(&[]);
        Ok(())
    }

    /// Has the next windows fetched in the background, as many as the byte budget allows, but for the baskets that are
    /// `pending`.
    fn fetch_ahead(&mut self, pending: &[BasketId]) {
        let Some(spawn) = self.options.spawn.clone().filter(|_| !self.tree.is_immediate()) else { return };
        loop {
            let start = self.ahead.back().map_or(self.window.entries.end, |last| last.entries.end);
            let takes_most = self.takes_most();
            let is_whole = takes_most.unwrap_or(true);
            let held = self.window.stored + self.ahead.iter().map(|window| window.stored).sum::<u64>();
            let is_full = match self.ahead.len() {
                0 => false,
                windows if takes_most.is_none() => windows >= UNKNOWN_WINDOWS,
                _ => held + self.window_bytes(start, is_whole) > self.options.byte_budget,
            };
            if start >= self.end || is_full {
                return;
            }
            let (entries, stored, wanted) = self.next_window(start, is_whole, pending);
            let (send, answer) = oneshot::channel();
            let fetch = self.fetch(&wanted);
            spawn(
                async move {
                    // Nobody listens any more when the scan was dropped.
                    drop(send.send(fetch.read().await));
                }
                .boxed(),
            );
            self.ahead.push_back(Ahead { entries, stored, wanted, answer });
        }
    }

    /// What is read, each branch once: `all` of it, or what is needed before anything is known about the rows: the columns
    /// of the filters if there are any.
    fn readings(&self, all: bool) -> Vec<Reading> {
        let early = self.filters.readers();
        let late = self.columns.iter().filter(|_| all || self.filters.is_empty());
        let mut readings: Vec<Reading> =
            early.chain(late).map(|c| Reading { branch: c.baskets.branch, counter: c.counter }).collect();
        readings.sort_unstable();
        readings.dedup();
        readings
    }

    /// Whether the rows that survive take nearly all baskets, as far as that is known. Then those are fetched before the
    /// filters were asked, which saves a round trip.
    fn takes_most(&self) -> Option<bool> {
        if self.filters.is_empty() { Some(true) } else { self.options.selectivity.takes_most() }
    }

    /// Stored bytes of a window that begins at `start`, about.
    fn window_bytes(&self, start: u64, is_whole: bool) -> u64 {
        let is_first = self.window.entries.is_empty() && start == self.window.entries.end;
        let share = match is_whole {
            _ if is_first || self.takes_most().is_none() => FIRST_SHARE,
            true => WHOLE_SHARE,
            false => FILTERED_SHARE,
        };
        self.options.byte_budget / share
    }

    /// The window that begins at `start`, the stored bytes of all its baskets, and which of them to fetch for it: those of
    /// all columns, or those that the filters need, but for those that are at hand, under way or `pending`.
    fn next_window(&self, start: u64, is_whole: bool, pending: &[BasketId]) -> (Range<u64>, u64, Vec<BasketId>) {
        let end = reach(&self.tree, &self.readings(true), start, self.end, self.window_bytes(start, is_whole));
        let mut needed = HashSet::new();
        add_all_needed(&self.tree, &self.readings(true), start..end, &mut needed);
        let stored = self.stored_bytes(&needed);
        if !is_whole {
            needed.clear();
            add_all_needed(&self.tree, &self.readings(false), start..end, &mut needed);
        }
        for basket in self.ahead.iter().flat_map(|window| &window.wanted).chain(pending) {
            needed.remove(basket);
        }
        (start..end, stored, self.unfetched(needed))
    }

    /// Fetches, of the columns that the filters do not need, the baskets that hold surviving rows.
    async fn fetch_survivors(&mut self) -> Result<()> {
        let mut needed = HashSet::new();
        let readings = self.readings(true);
        // The batches are kept in reverse.
        let runs: Vec<Range<u64>> =
            self.window.planned.iter().rev().flat_map(|planned| planned.runs.iter().cloned()).collect();
        add_needed_for_runs(&self.tree, &readings, self.window.entries.clone(), &runs, &mut needed);
        let mut all = HashSet::new();
        add_all_needed(&self.tree, &readings, self.window.entries.clone(), &mut all);
        self.options.selectivity.note(self.stored_bytes(&needed) >= self.stored_bytes(&all) / 10 * 9);
        let wanted = self.unfetched(needed);
        // Now it is known how.
        self.fetch_ahead(&wanted);
        if wanted.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let answers = self.fetch(&wanted).read().await?;
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
            let source = self.tree.source_of(basket.0);
            let place = self.place(*basket).filter(|range| source.check(range).is_ok());
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

    fn stored_bytes(&self, baskets: &HashSet<BasketId>) -> u64 {
        baskets.iter().filter_map(|basket| self.place(*basket)).map(|range| range.end.saturating_sub(range.start)).sum()
    }

    fn fetch(&self, baskets: &[BasketId]) -> Fetch {
        Fetch::new(&self.tree, baskets.iter().filter_map(|basket| Some((basket.0, self.place(*basket)?))))
    }
}
