//! Opens one piece of a file and streams its rows in the shape of the table, the projection applied and counters kept.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener, FileScanConfig};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExprs, Projector};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, Time};
use futures::FutureExt;
use futures::stream::{self, StreamExt};
use object_store::{ObjectMeta, ObjectStore};
use root_reader::{Scan, ScanMetrics, ScanOptions, Selectivity, Spawn, Tree};
use url::Url;

use crate::cache::TreeRequest;
use crate::error::{ErrorKind, kind_of, message_of};
use crate::filter::PredicateFilter;
use crate::friends::Companions;
use crate::ledger::{FileRecord, Outcome};
use crate::options::{Layout, OnBadFile, TableOptions};
use crate::shape::Shape;
use crate::source::{RootSource, Shared};

/// Name of the column with the file that a row comes from.
pub(crate) const FILE_COLUMN: &str = "_file";
/// Name of the column with the entry number of a row within its file's tree.
pub(crate) const ENTRY_COLUMN: &str = "_entry";

/// The columns that identify a row.
pub(crate) fn row_id_fields() -> [FieldRef; 2] {
    [
        Arc::new(Field::new(FILE_COLUMN, DataType::Utf8, true)),
        Arc::new(Field::new(ENTRY_COLUMN, DataType::UInt64, true)),
    ]
}

/// Number of columns of the table that come from branches; behind them stand the row's identity, then what is known of
/// its sample.
fn branch_columns(table: &TableSchema, options: &TableOptions) -> usize {
    table.file_schema().fields().len() - if options.row_id { row_id_fields().len() } else { 0 }
}

/// Whether an expression over the table needs the row's identity, which only exists once rows are made.
pub(crate) fn names_row_id(expression: &Arc<dyn PhysicalExpr>, table: &TableSchema, options: &TableOptions) -> bool {
    let row_id = branch_columns(table, options)..table.file_schema().fields().len();
    collect_columns(expression).iter().any(|column| row_id.contains(&column.index()))
}

/// Opens pieces of files for one partition of a scan.
pub(crate) struct RootOpener {
    job: Arc<Job>,
}

/// What an opening needs, for as long as its rows flow.
struct Job {
    store: Arc<dyn ObjectStore>,
    store_url: Url,
    table: TableSchema,
    options: TableOptions,
    companions: Companions,
    /// Indices of the table's columns that the projection needs, ascending.
    needed: Vec<usize>,
    /// The projection over the needed columns.
    projection: ProjectionExprs,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    batch_rows: usize,
    selectivity: Arc<Selectivity>,
    shared: Shared,
    counters: Counters,
}

/// Metrics of one partition, as `EXPLAIN ANALYZE` shows them.
#[derive(Clone)]
struct Counters {
    bytes_read: Count,
    baskets_read: Count,
    entries_read: Count,
    read_time: Time,
    decompress_time: Time,
    decode_time: Time,
}

impl Counters {
    fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let count = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        let time = |name: &'static str| MetricBuilder::new(metrics).subset_time(name, partition);
        Self {
            bytes_read: count("bytes_read"),
            baskets_read: count("baskets_read"),
            entries_read: count("entries_read"),
            read_time: time("read_time"),
            decompress_time: time("decompress_time"),
            decode_time: time("decode_time"),
        }
    }
}

impl RootOpener {
    pub(crate) fn new(
        source: &RootSource,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Self> {
        let table = source.table_schema.clone();
        let needed = source.projection.column_indices();
        let projection = source.projection.clone().try_map_exprs(|expression| {
            expression
                .transform(|node| {
                    let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
                    let index = needed.iter().position(|n| *n == column.index()).unwrap_or_default();
                    Ok(Transformed::yes(Arc::new(Column::new(column.name(), index)) as Arc<dyn PhysicalExpr>))
                })
                .data()
        })?;
        let job = Job {
            store,
            store_url: Url::clone(config.object_store_url.as_ref()),
            table,
            options: source.options.clone(),
            companions: source.companions.clone(),
            needed,
            projection,
            predicate: source.predicate.clone(),
            batch_rows: config.batch_size.or(source.batch_rows).unwrap_or(8192),
            selectivity: source.selectivity.clone(),
            shared: source.shared.clone(),
            counters: Counters::new(&source.metrics, partition),
        };
        Ok(Self { job: Arc::new(job) })
    }
}

impl FileOpener for RootOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let job = self.job.clone();
        Ok(Box::pin(async move {
            match job.open(&file).await {
                Ok(Some(rows)) => Ok(rows.stream()),
                Ok(None) => Ok(stream::empty().boxed()),
                Err(fault) => match job.skip(&file.object_meta, &fault) {
                    true => Ok(stream::empty().boxed()),
                    false => Err(fault),
                },
            }
        }))
    }
}

impl Job {
    /// Starts the scan of a piece; `None` if what is known of its file says that no row can pass the filters.
    async fn open(self: &Arc<Self>, file: &PartitionedFile) -> Result<Option<Rows>> {
        let meta = &file.object_meta;
        let name = self.shared.stores.name(&self.store_url, &meta.location);
        let friends = self.companions.of(&meta.location);
        let values = &file.partition_values;
        // Columns of friends and samples would be taken for others otherwise.
        if friends.len() != self.options.friends.iter().filter(|friend| friend.on.is_empty()).count() {
            return Err(DataFusionError::Internal(format!("{name}: the plan does not say where its friends are")));
        }
        if values.len() != self.table.table_partition_cols().len() {
            return Err(DataFusionError::Internal(format!("{name}: the plan does not say which sample it belongs to")));
        }
        let request = TreeRequest {
            store_url: self.store_url.as_str(),
            store: &self.store,
            meta,
            name: &name,
            tree: self.options.tree.as_deref(),
            strings: self.options.strings,
            friends,
        };
        let (tree, _) = self.shared.cache.tree(request).await.map_err(external)?;
        // Members that the table is not declared with are not decoded.
        let tree = match self.options.layout {
            Layout::Flat => tree.narrowed(self.table.file_schema().fields()),
            Layout::Nested => tree.narrowed_nested(self.table.file_schema().fields()),
        };
        let tree = tree.map_err(external)?;
        let entries = match &file.range {
            Some(range) => range.start.max(0) as u64..range.end.max(0) as u64,
            None => 0..tree.entries(),
        };
        let output = Output::of(&self.table, &self.needed, &tree, &self.options, &name, values)?;
        let filters = match &self.predicate {
            Some(predicate) => PredicateFilter::bind_all(predicate, &self.table, &tree, &self.options, values)?,
            None => Some(Vec::new()),
        };
        let Some(filters) = filters else { return Ok(None) };
        let metrics = Arc::new(ScanMetrics::default());
        let options = ScanOptions {
            batch_rows: self.batch_rows,
            filters,
            entry_column: output.wants_entry().then(|| ENTRY_COLUMN.to_string()),
            spawn: Some(in_background()),
            selectivity: self.selectivity.clone(),
            metrics: metrics.clone(),
            ..ScanOptions::default()
        };
        let projector = self.projection.make_projector(&output.schema)?;
        let scan = tree.scan(output.shape.columns(), entries, options).map_err(external)?;
        let (seen, meta, job) = (Seen::default(), meta.clone(), self.clone());
        Ok(Some(Rows { scan, output, projector, metrics, seen, meta, job }))
    }

    /// Whether a fault is to be passed over; then it is in the ledger, as a refusal is, which never is passed over.
    fn skip(&self, meta: &ObjectMeta, fault: &DataFusionError) -> bool {
        let (kind, reason) = (kind_of(fault), message_of(fault));
        let is_skipped = self.options.on_bad_file == OnBadFile::Skip && kind == ErrorKind::Input;
        let outcome = match kind {
            ErrorKind::Authentication => Outcome::Denied { reason },
            _ if is_skipped => Outcome::Skipped { reason },
            _ => return false,
        };
        let file = self.shared.stores.name(&self.store_url, &meta.location);
        self.shared.ledger.record(FileRecord { file, entries: 0, bytes: meta.size, outcome });
        is_skipped
    }
}

fn external(error: root_reader::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The first step of the work, in which requests are sent, is taken at once: a new task would wait until a thread has
/// nothing to compute.
fn in_background() -> Spawn {
    Arc::new(|mut work| {
        if (&mut work).now_or_never().is_none() {
            tokio::spawn(work);
        }
    })
}

/// How the columns of a file become the columns that the projection needs.
struct Output {
    /// Those that come from branches.
    shape: Shape,
    /// Those that stand behind them: what identifies rows, and what is known of the file's sample.
    beside: Vec<Beside>,
    /// The needed columns of the table.
    schema: SchemaRef,
}

/// A column that comes from no branch.
enum Beside {
    File(String),
    Entry,
    Sample(ScalarValue),
}

impl Output {
    fn of(
        table: &TableSchema,
        needed: &[usize],
        tree: &Tree,
        options: &TableOptions,
        file: &str,
        values: &[ScalarValue],
    ) -> Result<Self> {
        let (branches, own) = (branch_columns(table, options), table.file_schema().fields().len());
        let needed: Vec<(usize, &FieldRef)> =
            needed.iter().filter_map(|at| Some((*at, table.table_schema().fields().get(*at)?))).collect();
        let fields =
            |wanted: &[(usize, &FieldRef)]| wanted.iter().map(|(_, field)| Arc::clone(field)).collect::<Fields>();
        let (from_branches, others) = needed.split_at(needed.partition_point(|(at, _)| *at < branches));
        let beside = others.iter().filter_map(|(at, field)| match at.checked_sub(own) {
            Some(sample) => values.get(sample).cloned().map(Beside::Sample),
            None if field.name() == FILE_COLUMN => Some(Beside::File(file.to_string())),
            None => Some(Beside::Entry),
        });
        let shape = Shape::of(tree, options, &fields(from_branches))?;
        Ok(Self { shape, beside: beside.collect(), schema: Arc::new(Schema::new(fields(&needed))) })
    }

    fn wants_entry(&self) -> bool {
        self.beside.iter().any(|column| matches!(column, Beside::Entry))
    }

    fn apply(&self, scanned: &RecordBatch) -> Result<RecordBatch> {
        let rows = scanned.num_rows();
        let missing = || DataFusionError::Internal("the scan returned too few columns".into());
        let mut arrays = self.shape.arrays(scanned)?;
        for column in &self.beside {
            arrays.push(match column {
                Beside::File(name) => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(name, rows))),
                Beside::Entry => scanned.columns().last().cloned().ok_or_else(missing)?,
                Beside::Sample(value) => value.to_array_of_size(rows)?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?)
    }
}

/// The rows of one piece of a file.
struct Rows {
    scan: Scan,
    output: Output,
    projector: Projector,
    metrics: Arc<ScanMetrics>,
    seen: Seen,
    meta: ObjectMeta,
    job: Arc<Job>,
}

/// Counters of the scan as they were when they were last passed on.
#[derive(Default)]
struct Seen {
    bytes: u64,
    baskets: u64,
    entries: u64,
    read: u64,
    decompress: u64,
    decode: u64,
}

impl Rows {
    fn stream(self) -> stream::BoxStream<'static, Result<RecordBatch>> {
        stream::try_unfold(self, |mut rows| async move {
            let next = rows.scan.next_batch().await;
            rows.count();
            match next {
                Ok(Some(batch)) => {
                    let batch = rows.projector.project_batch(&rows.output.apply(&batch)?)?;
                    Ok(Some((batch, rows)))
                }
                Ok(None) => Ok(None),
                Err(fault) => {
                    let fault = external(fault);
                    if rows.job.skip(&rows.meta, &fault) { Ok(None) } else { Err(fault) }
                }
            }
        })
        .boxed()
    }

    /// Passes on what the scan counted since the last time.
    fn count(&mut self) {
        let (counters, now, seen) = (&self.job.counters, &self.metrics, &mut self.seen);
        let since = |old: &mut u64, new: u64| new - std::mem::replace(old, new);
        let (bytes, entries) = (since(&mut seen.bytes, now.bytes_read()), since(&mut seen.entries, now.entries_read()));
        counters.bytes_read.add(bytes as usize);
        counters.entries_read.add(entries as usize);
        counters.baskets_read.add(since(&mut seen.baskets, now.baskets_read()) as usize);
        let nanos = std::time::Duration::from_nanos;
        counters.read_time.add_duration(nanos(since(&mut seen.read, now.read_nanos())));
        counters.decompress_time.add_duration(nanos(since(&mut seen.decompress, now.decompress_nanos())));
        counters.decode_time.add_duration(nanos(since(&mut seen.decode, now.decode_nanos())));
        self.job.shared.progress.advance(entries, bytes);
    }
}
