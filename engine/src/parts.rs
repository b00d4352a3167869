//! Results that are written where they are computed: each partition of a plan becomes a file of its own, under a hidden name
//! that nobody takes for a result. Who asked gives the files their names when all of them are complete.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom};
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use datafusion::common::config::TableParquetOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::datasource::file_format::parquet::ParquetSink;
use datafusion::datasource::physical_plan::FileSink;
use datafusion::datasource::sink::DataSinkExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterPropertiesBuilder;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use eos_io::Stores;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use crate::error::Error;
use crate::output::{RootFileWriter, RootOptions, RootSink, blocking, send};
use crate::wire;

/// Bytes that are collected before they are written to the temporary file.
const BUFFER: usize = 1 << 20;

/// What the files are.
#[derive(Debug, Clone)]
pub(crate) enum PartFormat {
    /// A tree in a ROOT file.
    Root(RootOptions),
    /// Parquet.
    Parquet(Box<TableParquetOptions>),
}

/// Where the files go.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The stores of this process.
    pub stores: Stores,
    /// The one of the files.
    pub store: Url,
    /// The directory.
    pub directory: Path,
    /// What tells the files of this run from all others.
    pub run: String,
}

impl Place {
    /// What the names of files begin with that are not complete, or not all there.
    fn hidden(&self) -> String {
        format!(".{}-", self.run)
    }

    fn open(&self) -> Result<Arc<dyn ObjectStore>> {
        if let Some(store) = self.stores.opened(&self.store) {
            return Ok(store);
        }
        Ok(self.stores.resolve(self.store.as_str()).map_err(Error::from)?.store)
    }
}

/// Writes each partition into a file, and says what these are called.
pub struct WriteParts {
    input: Arc<dyn ExecutionPlan>,
    place: Place,
    format: PartFormat,
    /// Whether the directory was named by a path, which leads elsewhere on another machine.
    is_path: bool,
    properties: Arc<PlanProperties>,
}

/// A file that was written, and waits for its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    name: String,
    rows: u64,
}

impl WriteParts {
    /// What does the work of a plan that writes a directory of ROOT or Parquet files, where its partitions are computed;
    /// `None` for other plans.
    pub fn of(plan: &dyn ExecutionPlan) -> Option<Self> {
        let write = plan.downcast_ref::<DataSinkExec>()?;
        let (config, format) = if let Some(sink) = write.sink().downcast_ref::<RootSink>() {
            (sink.config(), PartFormat::Root(RootOptions { threads: 1, ..sink.options().clone() }))
        } else {
            let sink = write.sink().downcast_ref::<ParquetSink>()?;
            (sink.config(), PartFormat::Parquet(Box::new(sink.parquet_options().clone())))
        };
        let [directory] = config.table_paths.as_slice() else { return None };
        if !directory.is_collection() || !config.table_partition_cols.is_empty() || write.sort_order().is_some() {
            return None;
        }
        // All rows came together only because one sink was to take them.
        let input = match write.input().downcast_ref::<CoalescePartitionsExec>() {
            Some(together) if together.fetch().is_none() => together.input().clone(),
            _ => write.input().clone(),
        };
        let place = Place {
            stores: wire::stores_of(&input)?,
            store: AsRef::<Url>::as_ref(&config.object_store_url).clone(),
            directory: directory.prefix().clone(),
            run: uuid::Uuid::new_v4().simple().to_string(),
        };
        let is_path = !eos_io::is_url(&config.original_url);
        Some(Self { is_path, ..Self::new(input, place, format) })
    }

    /// Whether only this machine knows the directory: it was named by a path. A URL is the same everywhere, `file://` as well,
    /// by which a file system is named that all machines share.
    pub fn is_of_this_machine(&self) -> bool {
        self.is_path
    }

    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, place: Place, format: PartFormat) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, place, format, is_path: false, properties: Arc::new(properties) }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn format(&self) -> &PartFormat {
        &self.format
    }

    /// The files that rows of this operator speak of, in their order.
    ///
    /// # Errors
    /// Where these rows are of another operator.
    pub fn parts(rows: &RecordBatch) -> Result<Vec<Part>> {
        let [names, counts] = rows.columns() else { return internal_err!("a part has a name and a number of rows") };
        let (Some(names), Some(counts)) = (names.as_string_opt::<i32>(), counts.as_primitive_opt::<UInt64Type>())
        else {
            return internal_err!("the name of a part is a text, and its rows are a number");
        };
        let parts = names.iter().zip(counts.iter());
        Ok(parts.filter_map(|(name, rows)| Some(Part { name: name?.to_string(), rows: rows? })).collect())
    }

    /// Gives the files their names: they are the result now. Returns the number of rows.
    ///
    /// # Errors
    /// Where one of them cannot be given its name; then none has one.
    pub async fn commit(&self, parts: &[Part]) -> Result<u64> {
        let store = self.place.open()?;
        let ending = match &self.format {
            PartFormat::Root(_) => "root",
            PartFormat::Parquet(_) => "parquet",
        };
        let mut named = Vec::with_capacity(parts.len());
        for (number, part) in parts.iter().enumerate() {
            let from = self.place.directory.clone().join(part.name.as_str());
            let name = format!("part-{number:05}-{}.{ending}", self.place.run);
            let to = self.place.directory.clone().join(name.as_str());
            if let Err(error) = store.rename(&from, &to).await {
                for path in &named {
                    // It has its name only if it can be reached; what stays is told by the error.
                    let _ = store.delete(path).await;
                }
                return Err(self.failed(&to, error));
            }
            named.push(to);
        }
        Ok(parts.iter().map(|part| part.rows).sum())
    }

    /// Removes the files that have no name yet, of tasks that ran twice as well.
    ///
    /// # Errors
    /// Where the directory cannot be listed or a file cannot be removed.
    pub async fn clear(&self) -> Result<()> {
        let store = self.place.open()?;
        let hidden = self.place.hidden();
        let mut files = store.list(Some(&self.place.directory));
        while let Some(file) = files.next().await {
            let path = match file {
                Ok(file) => file.location,
                Err(object_store::Error::NotFound { .. }) => return Ok(()),
                Err(error) => return Err(self.failed(&self.place.directory, error)),
            };
            if path.filename().is_some_and(|name| name.starts_with(&hidden)) {
                store.delete(&path).await.map_err(|error| self.failed(&path, error))?;
            }
        }
        Ok(())
    }

    fn failed(&self, path: &Path, error: object_store::Error) -> DataFusionError {
        let name = self.place.stores.name(&self.place.store, path);
        DataFusionError::Context(
            format!("{name} cannot be written"),
            Box::new(DataFusionError::ObjectStore(Box::new(error))),
        )
    }
}

fn schema() -> SchemaRef {
    let fields = vec![Field::new("name", DataType::Utf8, false), Field::new("rows", DataType::UInt64, false)];
    Arc::new(Schema::new(fields))
}

impl fmt::Debug for WriteParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteParts").field("input", &self.input).field("format", &self.format).finish_non_exhaustive()
    }
}

impl DisplayAs for WriteParts {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.place.stores.name(&self.place.store, &self.place.directory);
        write!(f, "WriteParts: {directory}/")
    }
}

impl ExecutionPlan for WriteParts {
    fn name(&self) -> &str {
        "WriteParts"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(Self::new(input, self.place.clone(), self.format.clone()))),
            Err(_) => internal_err!("WriteParts has one child"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context.clone())?;
        let (place, format) = (self.place.clone(), self.format.clone());
        let written = async move {
            // Another attempt of the same task writes another file.
            let name = format!("{}{}.part", place.hidden(), uuid::Uuid::new_v4().simple());
            // Where this process has room for what does not fit into memory.
            let scratch = context.runtime_env().disk_manager.create_tmp_file("a part of a result")?;
            let file = match scratch.path() {
                Some(path) => File::options().read(true).write(true).open(path)?,
                None => tempfile::tempfile()?,
            };
            let count = write(rows, file, &place, &name, format).await?;
            drop(scratch);
            let columns: [ArrayRef; 2] =
                [Arc::new(StringArray::from(vec![name])), Arc::new(UInt64Array::from(vec![count]))];
            Ok(RecordBatch::try_new(schema(), columns.into())?)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema(), stream::once(written))))
    }
}

/// A file that is being written.
enum Writer {
    Root(Box<RootFileWriter<BufWriter<File>>>),
    Parquet(Box<ArrowWriter<BufWriter<File>>>),
}

impl Writer {
    fn new(file: File, name: &str, schema: SchemaRef, format: PartFormat) -> Result<Self> {
        let sink = BufWriter::with_capacity(BUFFER, file);
        Ok(match format {
            PartFormat::Root(options) => {
                Self::Root(Box::new(RootFileWriter::new(sink, name, &schema, &options).map_err(Error::Write)?))
            }
            PartFormat::Parquet(mut options) => {
                if !options.global.skip_arrow_metadata {
                    options.arrow_schema(&schema);
                }
                let properties = WriterPropertiesBuilder::try_from(options.as_ref())?.build();
                Self::Parquet(Box::new(ArrowWriter::try_new(sink, schema, Some(properties))?))
            }
        })
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        match self {
            Self::Root(file) => Ok(file.write(rows).map_err(Error::Write)?),
            Self::Parquet(file) => Ok(file.write(rows)?),
        }
    }

    fn finish(self) -> Result<File> {
        let sink = match self {
            Self::Root(file) => file.finish().map_err(Error::Write)?,
            Self::Parquet(file) => file.into_inner()?,
        };
        let mut file = sink.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

/// Writes rows into a file of a directory, by way of a temporary one, and counts them.
async fn write(
    mut rows: SendableRecordBatchStream,
    file: File,
    place: &Place,
    name: &str,
    format: PartFormat,
) -> Result<u64> {
    let path = place.directory.clone().join(name);
    let shown = place.stores.name(&place.store, &place.directory);
    let mut writer = Writer::new(file, &shown, rows.schema(), format)?;
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        count += batch.num_rows() as u64;
        writer = blocking(move || writer.write(&batch).map(|()| writer)).await?;
    }
    let file = blocking(move || writer.finish()).await?;
    send(file, &path, place.open()?).await?;
    Ok(count)
}
