//! ROOT files as results: what can be chosen about them, and the format behind `COPY … TO 'x.root'`.
//!
//! A ROOT file is only complete when its header is, which is written last. So it is written to a temporary file without a
//! name, and sent to its place when the query has ended well: a query that fails leaves nothing there.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{DataFusionError, GetExt, Result, Statistics, not_impl_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::write::demux::DemuxedStreamReceiver;
use datafusion::datasource::file_format::write::{ObjectWriterBuilder, get_writer_schema};
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSink, FileSinkConfig, FileSource};
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use root_writer::{Codec, Compression, FileOptions, FileWriter, Nulls, TreeId, TreeOptions};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::Receiver;

use crate::error::Error;
use crate::friends::Companions;
use crate::options::TableOptions;
use crate::source::{RootSource, Shared};

/// The name that files of results end in.
const EXTENSION: &str = "root";
/// Bytes that are sent at once.
const CHUNK: usize = 8 << 20;
/// Batches that are written at once.
const BATCHES: usize = 16;
/// Bytes that are collected before they are written to the temporary file.
const BUFFER: usize = 1 << 20;

/// What can be chosen about a ROOT file that holds a result.
///
/// ```
/// let mut options = root_engine::RootOptions::default();
/// options.set("compression", "zstd:5")?;
/// assert_eq!(options.tree, "Events");
/// # Ok::<(), root_engine::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RootOptions {
    /// `tree`: name of the tree, with directories in front if there are any. `Events` by default.
    pub tree: String,
    /// `compression`: codec and level, `zlib:1` by default, which all versions of ROOT read; `none`, `lz4`, `zstd:5`.
    pub compression: Compression,
    /// `null_value`: what takes the place of NULLs, which branches cannot hold: `-999`, or `-1,nan` for integers and for
    /// floating-point numbers. Truth values become false for 0 and otherwise true, texts and lists empty. By default a
    /// NULL is an error.
    pub nulls: Nulls,
    /// Threads that compress.
    pub threads: usize,
}

impl Default for RootOptions {
    fn default() -> Self {
        Self { tree: "Events".into(), compression: Codec::Zlib.into(), nulls: Nulls::Refuse, threads: 1 }
    }
}

impl RootOptions {
    /// Sets one option by its name.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let bad = |expected: String| Error::Option { name: name.into(), value: value.into(), expected };
        match name {
            "tree" if value.is_empty() => return Err(bad("a tree has a name".into())),
            "tree" => self.tree = value.into(),
            "compression" => self.compression = value.parse().map_err(|e: root_writer::Error| bad(e.to_string()))?,
            "null_value" => self.nulls = value.parse().map_err(|e: root_writer::Error| bad(e.to_string()))?,
            _ => {
                let known = "there is no such option of ROOT files; there are tree, compression and null_value";
                return Err(bad(known.into()));
            }
        }
        Ok(())
    }
}

/// Writes batches into the one tree of a ROOT file.
pub struct RootFileWriter<W> {
    file: FileWriter<W>,
    tree: TreeId,
}

impl<W: Write + Seek> RootFileWriter<W> {
    /// Starts a file in an empty sink. `name` is what messages and the file itself call it.
    pub fn new(sink: W, name: &str, schema: &Schema, options: &RootOptions) -> Result<Self, root_writer::Error> {
        let of_file =
            FileOptions { compression: options.compression, threads: options.threads, ..FileOptions::default() };
        let mut file = FileWriter::new(sink, name, of_file)?;
        let of_tree = TreeOptions { nulls: options.nulls, ..TreeOptions::default() };
        let tree = file.tree(&options.tree, schema, of_tree)?;
        Ok(Self { file, tree })
    }

    /// Appends rows.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), root_writer::Error> {
        self.file.write(self.tree, batch)
    }

    /// Completes the file and gives the sink back.
    pub fn finish(self) -> Result<W, root_writer::Error> {
        self.file.finish()
    }
}

/// Makes the format for a `COPY`, by its options.
#[derive(Debug)]
pub(crate) struct RootFormatFactory {
    pub shared: Shared,
}

impl FileFormatFactory for RootFormatFactory {
    fn create(&self, state: &dyn Session, options: &HashMap<String, String>) -> Result<Arc<dyn FileFormat>> {
        let threads = state.config().target_partitions();
        let options_of = RootOptions { threads, ..RootOptions::default() };
        let mut format = RootFormat { options: options_of, shared: self.shared.clone() };
        for (name, value) in options {
            // Those with another namespace are DataFusion's own.
            match name.strip_prefix("format.") {
                Some(name) => format.options.set(name, value)?,
                None if name.contains('.') => {}
                None => format.options.set(name, value)?,
            }
        }
        Ok(Arc::new(format))
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        Arc::new(RootFormat { options: RootOptions::default(), shared: self.shared.clone() })
    }
}

impl GetExt for RootFormatFactory {
    fn get_ext(&self) -> String {
        EXTENSION.into()
    }
}

/// ROOT files as DataFusion writes them. They are read as [`RootTable`](crate::RootTable), which knows their trees.
#[derive(Debug)]
struct RootFormat {
    options: RootOptions,
    shared: Shared,
}

const READ_ELSEWHERE: &str = "ROOT files are read as tables of their own: CREATE EXTERNAL TABLE … STORED AS ROOT";

#[async_trait]
impl FileFormat for RootFormat {
    fn get_ext(&self) -> String {
        EXTENSION.into()
    }

    fn get_ext_with_compression(&self, _: &FileCompressionType) -> Result<String> {
        Ok(EXTENSION.into())
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        None
    }

    async fn infer_schema(&self, _: &dyn Session, _: &Arc<dyn ObjectStore>, _: &[ObjectMeta]) -> Result<SchemaRef> {
        not_impl_err!("{READ_ELSEWHERE}")
    }

    async fn infer_stats(
        &self,
        _: &dyn Session,
        _: &Arc<dyn ObjectStore>,
        schema: SchemaRef,
        _: &ObjectMeta,
    ) -> Result<Statistics> {
        Ok(Statistics::new_unknown(&schema))
    }

    async fn create_physical_plan(&self, _: &dyn Session, _: FileScanConfig) -> Result<Arc<dyn ExecutionPlan>> {
        not_impl_err!("{READ_ELSEWHERE}")
    }

    async fn create_writer_physical_plan(
        &self,
        input: Arc<dyn ExecutionPlan>,
        _: &dyn Session,
        config: FileSinkConfig,
        order: Option<LexRequirement>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if config.insert_op != InsertOp::Append {
            return not_impl_err!("a ROOT file is written as a whole: use COPY");
        }
        let sink = RootSink { config, options: self.options.clone() };
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), order)))
    }

    fn file_source(&self, schema: TableSchema) -> Arc<dyn FileSource> {
        Arc::new(RootSource::new(schema, TableOptions::default(), Companions::default(), self.shared.clone()))
    }
}

/// Writes the files of a `COPY`.
pub(crate) struct RootSink {
    config: FileSinkConfig,
    options: RootOptions,
}

impl RootSink {
    pub(crate) fn options(&self) -> &RootOptions {
        &self.options
    }
}

impl fmt::Debug for RootSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootSink").field("options", &self.options).finish_non_exhaustive()
    }
}

impl DisplayAs for RootSink {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootSink(file={}, tree={})", self.config.original_url, self.options.tree)
    }
}

#[async_trait]
impl DataSink for RootSink {
    fn schema(&self) -> &SchemaRef {
        self.config.output_schema()
    }

    async fn write_all(&self, rows: SendableRecordBatchStream, context: &Arc<TaskContext>) -> Result<u64> {
        FileSink::write_all(self, rows, context).await
    }
}

#[async_trait]
impl FileSink for RootSink {
    fn config(&self) -> &FileSinkConfig {
        &self.config
    }

    async fn spawn_writer_tasks_and_join(
        &self,
        _: &Arc<TaskContext>,
        demux: SpawnedTask<Result<()>>,
        mut files: DemuxedStreamReceiver,
        store: Arc<dyn ObjectStore>,
    ) -> Result<u64> {
        let schema = get_writer_schema(&self.config);
        let mut writing = Vec::new();
        while let Some((path, rows)) = files.recv().await {
            let (schema, options) = (schema.clone(), self.options.clone());
            // The last part of the name is what the file calls itself; the whole of it is for messages.
            let is_named = self.config.table_paths.iter().any(|named| *named.prefix() == path);
            let name = if is_named { self.config.original_url.clone() } else { path.to_string() };
            writing.push((path, SpawnedTask::spawn(staged(name, schema, options, rows))));
        }
        let mut complete = Vec::with_capacity(writing.len());
        for (path, task) in writing {
            complete.push((path, task.join_unwind().await.map_err(not_joined)??));
        }
        // Where the query failed, the rows only ended early.
        demux.join_unwind().await.map_err(not_joined)??;
        let mut rows = 0;
        for (path, (file, count)) in complete {
            send(file, &path, store.clone()).await?;
            rows += count;
        }
        Ok(rows)
    }
}

fn not_joined(error: tokio::task::JoinError) -> DataFusionError {
    DataFusionError::ExecutionJoin(Box::new(error))
}

/// Writes rows into a temporary file, and gives it back with their number.
///
/// Rows are not waited for on a thread that may block: there are only so many of them, a partitioned result may have more
/// files, and all of these are open until the last row.
async fn staged(
    name: String,
    schema: SchemaRef,
    options: RootOptions,
    mut rows: Receiver<RecordBatch>,
) -> Result<(File, u64)> {
    let no_file = {
        let name = name.clone();
        move |source: io::Error| Error::Write(root_writer::Error::Io { file: name.clone(), source })
    };
    let sink = BufWriter::with_capacity(BUFFER, tempfile::tempfile().map_err(&no_file)?);
    let mut file = RootFileWriter::new(sink, &name, &schema, &options).map_err(Error::Write)?;
    let (mut batches, mut count) = (Vec::new(), 0);
    while rows.recv_many(&mut batches, BATCHES).await > 0 {
        let arrived = std::mem::take(&mut batches);
        count += arrived.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
        file = blocking(move || {
            arrived.iter().try_for_each(|batch| file.write(batch)).map_err(Error::Write)?;
            Ok(file)
        })
        .await?;
    }
    let finish = move || {
        let sink = file.finish().map_err(Error::Write)?;
        Ok(sink.into_inner().map_err(|e| no_file(e.into_error()))?)
    };
    Ok((blocking(finish).await?, count))
}

/// What takes a while, on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    SpawnedTask::spawn_blocking(work).join_unwind().await.map_err(not_joined)?
}

/// Sends a file to its place, where it appears when it has all arrived.
pub(crate) async fn send(mut file: File, path: &Path, store: Arc<dyn ObjectStore>) -> Result<()> {
    file.rewind()?;
    let mut file = tokio::fs::File::from_std(file);
    let uncompressed = FileCompressionType::UNCOMPRESSED;
    let mut to = ObjectWriterBuilder::new(uncompressed, path, store).with_buffer_size(Some(CHUNK)).build()?;
    tokio::io::copy_buf(&mut tokio::io::BufReader::with_capacity(CHUNK, &mut file), &mut to).await?;
    to.shutdown().await?;
    Ok(())
}
