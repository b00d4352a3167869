//! The table: trees of one name in one or many files, as a DataFusion [`TableProvider`].

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Fields, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use eos_io::{FileEntry, Stores};
use futures::stream::{self, StreamExt};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::cache::TreeRequest;
use crate::dataset::{InputFile, Inputs, WEIGHT};
use crate::defaults;
use crate::error::{Error, ErrorKind};
use crate::filter::holds;
use crate::friends::Companions;
use crate::ledger::{FileRecord, Outcome};
use crate::merge::is_narrower;
use crate::opener::row_id_fields;
use crate::options::{Layout, OnBadFile, TableOptions};
use crate::prune::Narrow;
use crate::source::{RootSource, Shared};
use crate::split::{Splittable, partitions, split};
use crate::union::{Absent, Union, Widened, union};

/// Files whose metadata are read at the same time.
const METADATA_CONCURRENCY: usize = 32;
/// Absent columns that a warning lists.
const LISTED_ABSENT: usize = 5;
/// Widened columns that a warning lists.
const LISTED_WIDENED: usize = 5;

/// Trees of one or many ROOT files as one table.
///
/// Its schema is the union of the files' columns; a column that a file lacks is NULL or has its default there, and one that it has in a smaller
/// type is widened. The exact number of rows is known from the files' metadata.
pub struct RootTable {
    schema: TableSchema,
    options: TableOptions,
    companions: Companions,
    store_url: ObjectStoreUrl,
    files: Arc<[TableFile]>,
    unreadable: Arc<[(String, String)]>,
    shared: Shared,
}

/// A file of the table and what planning needs to know of its tree.
#[derive(Debug, Clone)]
struct TableFile {
    meta: ObjectMeta,
    name: String,
    tree: String,
    entries: u64,
    split: Splittable,
    schema: SchemaRef,
    unreadable: Vec<(String, String)>,
    /// Its values of the columns that samples add.
    values: Vec<ScalarValue>,
}

impl fmt::Debug for RootTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootTable")
            .field("options", &self.options)
            .field("files", &self.files.len())
            .field("entries", &self.entries())
            .finish_non_exhaustive()
    }
}

impl RootTable {
    /// Opens files and reads their trees' metadata. Of the friends, only those that are read entry by entry are its business.
    pub(crate) async fn open(
        inputs: Inputs,
        mut options: TableOptions,
        stores: &Stores,
        shared: Shared,
    ) -> Result<Self, Error> {
        for tree in inputs.files().iter().filter_map(|file| file.tree.as_ref()) {
            match &options.tree {
                Some(other) if other != tree => {
                    return Err(Error::Option {
                        name: "tree".into(),
                        value: tree.into(),
                        expected: format!("the files of one table share one tree, and another one asks for '{other}'"),
                    });
                }
                _ => options.tree = Some(tree.clone()),
            }
        }
        let mut seen = HashSet::new();
        let files: Vec<&InputFile> =
            inputs.files().iter().filter(|f| seen.insert((&f.entry.location.url, &f.entry.location.path))).collect();
        let Some(first) = files.first() else {
            return Err(Error::NoReadableFile { count: 0, first: "no file was named".into() });
        };
        let root = first.entry.location.url.clone();
        if let Some(other) = files.iter().find(|f| f.entry.location.url != root) {
            let name = |file: &InputFile| file.entry.location.to_string();
            return Err(Error::TwoStores { first: name(first), second: name(other) });
        }
        let aligned = options.friends.iter().filter(|friend| friend.on.is_empty());
        let places: Vec<Path> = files.iter().map(|file| file.entry.meta.location.clone()).collect();
        let companions = Companions::find(aligned, &places, options.strings, stores, &shared).await?;
        let openings: Vec<_> =
            files.iter().map(|file| open_file(&file.entry, &options, &companions, &shared)).collect();
        let opened: Vec<Result<TableFile, root_reader::Error>> =
            stream::iter(openings).buffered(METADATA_CONCURRENCY).collect().await;
        let count = opened.len();
        let mut usable = Vec::with_capacity(count);
        let mut first_fault = None;
        for (result, input) in opened.into_iter().zip(&files) {
            match result {
                Ok(file) => usable.push(TableFile { values: inputs.values(input), ..file }),
                Err(fault) => {
                    let reason = fault.to_string();
                    let no_tree = matches!(fault, root_reader::Error::NoSuchTree { .. });
                    let fault = Error::from(fault);
                    let note = |outcome| {
                        let (file, bytes) = (input.entry.location.name(), input.entry.meta.size);
                        shared.ledger.record(FileRecord { file, entries: 0, bytes, outcome });
                    };
                    if fault.kind() == ErrorKind::Authentication {
                        note(Outcome::Denied { reason: reason.clone() });
                    }
                    if options.on_bad_file == OnBadFile::Fail || fault.kind() != ErrorKind::Input {
                        return Err(fault);
                    }
                    note(if no_tree { Outcome::NoTree } else { Outcome::Skipped { reason: reason.clone() } });
                    first_fault.get_or_insert(reason);
                }
            }
        }
        if usable.is_empty() {
            return Err(Error::NoReadableFile { count, first: first_fault.unwrap_or_default() });
        }
        let store_url = ObjectStoreUrl::parse(root.as_str())?;
        Self::assemble(usable, inputs.columns().clone(), options, companions, store_url, shared)
    }

    fn assemble(
        files: Vec<TableFile>,
        samples: Fields,
        mut options: TableOptions,
        companions: Companions,
        store_url: ObjectStoreUrl,
        shared: Shared,
    ) -> Result<Self, Error> {
        let union = union(files.iter().map(|f| (f.name.as_str(), &f.schema)))?;
        let Union { schema, mut absent, widened } = union;
        options.defaults = defaults::settle(&options.defaults, &schema, &mut absent, files.len(), &shared.ledger)?;
        for warning in absent_warning(&absent, files.len()).into_iter().chain(widened_warning(&widened)) {
            shared.ledger.warn(warning);
        }
        if options.tree.is_none() {
            // Pieces of a file are opened by name, which makes them independent of what else the file holds.
            options.tree = files.first().map(|f| f.tree.clone());
        }
        let schema = if options.row_id {
            let fields = schema.fields().iter().cloned().chain(row_id_fields());
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        } else {
            schema
        };
        for sample in &samples {
            let has = |file: &&TableFile| file.schema.field_with_name(sample.name()).is_ok();
            if schema.field_with_name(sample.name()).is_ok() {
                let file = files.iter().find(has).map_or("the table itself", |f| &f.name).to_string();
                return Err(Error::SampleColumn { column: sample.name().clone(), file });
            }
        }
        let mut unreadable: Vec<(String, String)> = files.iter().flat_map(|f| f.unreadable.iter().cloned()).collect();
        unreadable.sort();
        unreadable.dedup_by(|a, b| a.0 == b.0);
        unreadable.retain(|(column, _)| schema.field_with_name(column).is_err());
        let schema = TableSchema::builder(schema).with_table_partition_cols(samples.to_vec()).build();
        let (files, unreadable) = (files.into(), unreadable.into());
        Ok(Self { schema, options, companions, store_url, files, unreadable, shared })
    }

    /// The same table, declared with a part of its schema: the same columns in the same order, of which each may have fewer
    /// members in its structs, at any depth. Only the branches of what is left are read; a list of structs without any
    /// members is read as far as its lengths go.
    pub fn narrowed(&self, schema: SchemaRef) -> Result<Self, Error> {
        let own = self.schema.table_schema();
        let refused =
            |column: &str, wanted: String, own: String| Error::NotNarrower { column: column.to_string(), wanted, own };
        if schema.fields().len() != own.fields().len() {
            let columns = |schema: &SchemaRef| format!("{} columns", schema.fields().len());
            return Err(refused("*", columns(&schema), columns(own)));
        }
        for (field, own) in schema.fields().iter().zip(own.fields()) {
            let same = field.name() == own.name() && field.is_nullable() == own.is_nullable();
            if !same || !is_narrower(field.data_type(), own.data_type()) {
                return Err(refused(own.name(), field.to_string(), own.to_string()));
            }
        }
        let own = self.schema.file_schema().fields().len();
        let (of_files, of_samples) = schema.fields().split_at_checked(own).unwrap_or((schema.fields(), &[]));
        let of_files = Arc::new(Schema::new(of_files.to_vec()));
        Ok(Self {
            schema: TableSchema::builder(of_files).with_table_partition_cols(of_samples.to_vec()).build(),
            options: self.options.clone(),
            companions: self.companions.clone(),
            store_url: self.store_url.clone(),
            files: self.files.clone(),
            unreadable: self.unreadable.clone(),
            shared: self.shared.clone(),
        })
    }

    /// Entries of all files together.
    pub fn entries(&self) -> u64 {
        self.files.iter().map(|f| f.entries).sum()
    }

    /// Directory and name of the tree that is read of each file.
    pub fn tree(&self) -> &str {
        self.options.tree.as_deref().unwrap_or_default()
    }

    /// Directory and name of the tree that is read of the first file, as the file has them.
    pub fn tree_in_file(&self) -> Option<&str> {
        self.files.first().map(|file| file.tree.as_str())
    }

    /// The files, in the order in which their rows are counted.
    pub fn files(&self) -> Vec<String> {
        self.files.iter().map(|f| f.name.clone()).collect()
    }

    /// Whether samples have weights, in the column [`SAMPLE_WEIGHT`](crate::SAMPLE_WEIGHT).
    pub fn has_sample_weights(&self) -> bool {
        self.schema.table_partition_cols().iter().any(|column| column.name() == WEIGHT)
    }

    /// Branches that exist but cannot be read, and such members of objects as `column.member`, each with the reason.
    pub fn unreadable(&self) -> &[(String, String)] {
        &self.unreadable
    }

    /// The files for which all `filters` hold, which name no columns but those of the samples.
    fn files_that_pass(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<&TableFile>> {
        let mut wanted: Vec<&TableFile> = self.files.iter().collect();
        let Some(condition) = conjunction(filters.iter().cloned()) else { return Ok(wanted) };
        let schema = Arc::new(Schema::new(self.schema.table_partition_cols().clone()));
        let condition = state.create_physical_expr(condition, &DFSchema::try_from(schema.clone())?)?;
        let mut verdicts = Vec::with_capacity(wanted.len());
        for file in &wanted {
            let row = file.values.iter().map(|value| value.to_array()).collect::<Result<Vec<_>>>()?;
            let row = RecordBatch::try_new(schema.clone(), row)?;
            verdicts.push(holds(&condition, &row)?);
        }
        let mut verdicts = verdicts.into_iter();
        wanted.retain(|_| verdicts.next().unwrap_or(true));
        Ok(wanted)
    }

    /// Some of the files cut and packed into groups, of which `limit` rows are needed if it is given.
    fn groups(&self, wanted: &[&TableFile], partitions: usize, limit: Option<usize>) -> Vec<FileGroup> {
        let mut needed = limit.map_or(u64::MAX, |l| l as u64);
        let mut splits = Vec::new();
        for file in wanted {
            let mut split = file.split.clone();
            // Rows beyond the limit are not even planned.
            split.clusters.retain_mut(|cluster| {
                cluster.end = cluster.end.min(cluster.start.saturating_add(needed));
                needed -= cluster.end - cluster.start;
                cluster.end > cluster.start
            });
            splits.push(split);
        }
        let entry = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let are_remote = !self.store_url.as_str().starts_with("file:");
        let groups = split(&splits, partitions, are_remote).into_iter().map(|pieces| {
            let files = pieces.into_iter().filter_map(|piece| {
                let file = wanted.get(piece.file)?;
                let whole = PartitionedFile::new_from_meta(file.meta.clone());
                let whole = whole.with_partition_values(file.values.clone());
                // The range counts entries: the source's own business, as byte ranges mean nothing to a tree.
                Some(whole.with_range(entry(piece.entries.start), entry(piece.entries.end)))
            });
            FileGroup::new(files.collect())
        });
        groups.collect()
    }
}

/// Whether a condition can be decided by the values of those columns alone.
fn is_about(filter: &Expr, columns: &Fields) -> bool {
    let named = filter.column_refs();
    let is_query = |e: &Expr| {
        Ok(matches!(e, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)))
    };
    !named.is_empty()
        && named.iter().all(|column| columns.iter().any(|field| field.name() == column.name()))
        && !filter.is_volatile()
        && !filter.exists(is_query).unwrap_or(true)
}

async fn open_file(
    entry: &FileEntry,
    options: &TableOptions,
    companions: &Companions,
    shared: &Shared,
) -> Result<TableFile, root_reader::Error> {
    let store_url = entry.location.url.as_str();
    let name = entry.location.name();
    let request = TreeRequest {
        store_url,
        store: &entry.location.store,
        meta: &entry.meta,
        name: &name,
        tree: options.tree.as_deref(),
        strings: options.strings,
        friends: companions.of(&entry.meta.location),
    };
    let (tree, warnings) = shared.cache.tree(request).await?;
    for warning in warnings {
        shared.ledger.warn(warning);
    }
    shared.ledger.record(FileRecord {
        file: name.clone(),
        entries: tree.entries(),
        bytes: entry.meta.size,
        outcome: Outcome::Ok,
    });
    let friends = companions.of(&entry.meta.location);
    for friend in friends {
        let (file, bytes) = (friend.name(), friend.entry.meta.size);
        shared.ledger.record(FileRecord { file, entries: tree.entries(), bytes, outcome: Outcome::Ok });
    }
    let reasons = |column: &root_reader::Column| {
        let whole = column.field().err().map(|reason| (column.name.clone(), reason.to_string()));
        let members =
            column.omitted().iter().map(|(member, reason)| (format!("{}.{member}", column.name), reason.clone()));
        whole.into_iter().chain(members).collect::<Vec<_>>()
    };
    Ok(TableFile {
        meta: entry.meta.clone(),
        tree: tree.path().to_string(),
        entries: tree.entries(),
        split: Splittable {
            bytes: entry.meta.size + friends.iter().map(|friend| friend.entry.meta.size).sum::<u64>(),
            clusters: tree.clusters(),
        },
        schema: match options.layout {
            Layout::Flat => tree.schema(),
            Layout::Nested => tree.nested().schema(),
        },
        unreadable: tree.columns().iter().flat_map(reasons).collect(),
        values: Vec::new(),
        name,
    })
}

/// One warning for all columns that some files lack.
fn absent_warning(absent: &[Absent], files: usize) -> Option<String> {
    let first = absent.first()?;
    let names: Vec<&str> = absent.iter().take(LISTED_ABSENT).map(|a| a.column.as_str()).collect();
    let more = if absent.len() > LISTED_ABSENT {
        format!(" and {} more", absent.len() - LISTED_ABSENT)
    } else {
        String::new()
    };
    Some(format!(
        "columns absent from some files are NULL there: {}{more} ({} of {files} files without {}, one is {})",
        names.join(", "),
        first.files,
        first.column,
        first.example
    ))
}

/// One warning for all columns that some files have in smaller types.
fn widened_warning(widened: &[Widened]) -> Option<String> {
    let listed = widened.iter().take(LISTED_WIDENED);
    let listed: Vec<String> =
        listed.map(|w| format!("{} to {} ({} in {})", w.column, w.to, w.from, w.example)).collect();
    let more = match widened.len().saturating_sub(LISTED_WIDENED) {
        0 => String::new(),
        left => format!(" and {left} more"),
    };
    let names = listed.join(", ");
    (!listed.is_empty()).then(|| format!("columns that files have in different types are widened: {names}{more}"))
}

impl Narrow for RootTable {
    fn narrowed(&self, schema: SchemaRef) -> Result<Arc<dyn TableProvider>> {
        Ok(Arc::new(Self::narrowed(self, schema)?))
    }
}

#[async_trait]
impl TableProvider for RootTable {
    fn schema(&self) -> SchemaRef {
        self.schema.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // The filters are about samples only, so that they take or leave whole files, and the limit counts the rest.
        let files = self.files_that_pass(state, filters)?;
        let bytes = files.iter().map(|file| file.split.bytes).sum();
        let groups = self.groups(&files, partitions(state.config(), bytes), limit);
        if groups.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.table_schema().project(columns)?),
                None => self.schema.table_schema().clone(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let pieces = groups.iter().flat_map(FileGroup::iter);
        let planned = pieces.filter_map(|f| f.range.as_ref()).map(|r| (r.end - r.start) as u64).sum();
        self.shared.progress.plan(files.len() as u64, planned);
        let source =
            RootSource::new(self.schema.clone(), self.options.clone(), self.companions.clone(), self.shared.clone());
        let mut statistics = Statistics::new_unknown(self.schema.table_schema());
        statistics.num_rows =
            Precision::Exact(usize::try_from(planned).map_err(|e| DataFusionError::External(e.into()))?);
        let config = FileScanConfigBuilder::new(self.store_url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_limit(limit)
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // What is known of whole files decides which of them are read at all. For others the physical plan decides which
        // filters the scan takes over; until then they stay where they are.
        let samples = self.schema.table_partition_cols();
        let verdict = |filter: &&Expr| match is_about(filter, samples) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(verdict).collect())
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(self.schema.table_schema());
        statistics.num_rows = usize::try_from(self.entries()).map_or(Precision::Absent, Precision::Exact);
        Some(statistics)
    }
}
