//! What several test modules need: reading columns, reading references, running over many files.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{ArrayRef, RecordBatch, new_empty_array};
use arrow_schema::SchemaRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use root_reader::{Column, Result, RootFile, ScanOptions, Tree};

/// Folder of the crate.
pub fn manifest_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Index in the tree's schema of a column.
pub fn index_of(tree: &Tree, column: &Column) -> Option<usize> {
    let readable = tree.columns().iter().filter(|c| c.field().is_ok());
    readable.enumerate().find(|(_, c)| c.branch == column.branch).map(|(i, _)| i)
}

/// All values of one column of the schema.
pub fn read_column(tree: &Tree, index: usize, entries: Range<u64>, options: ScanOptions) -> Result<ArrayRef> {
    let mut parts = Vec::new();
    for batch in tree.scan(&[index], entries, options)?.blocking() {
        parts.push(batch?.column(0).clone());
    }
    Ok(joined(parts, tree, index))
}

fn joined(parts: Vec<ArrayRef>, tree: &Tree, index: usize) -> ArrayRef {
    let parts: Vec<&dyn arrow_array::Array> = parts.iter().map(|p| p.as_ref()).collect();
    if parts.is_empty() {
        return new_empty_array(tree.schema().field(index).data_type());
    }
    arrow_select::concat::concat(&parts).unwrap()
}

/// One table of a Parquet file.
pub fn read_parquet(path: &Path) -> RecordBatch {
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<RecordBatch> = builder.with_batch_size(1 << 20).build().unwrap().map(|b| b.unwrap()).collect();
    arrow_select::concat::concat_batches(&schema, &batches).unwrap()
}

/// Runs `work` on every item, on all processors, and gives the answers in the order of the items.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                while let Some((at, item)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    items.get(at).map(|item| (at, item))
                } {
                    let answer = work(item);
                    answers.lock().unwrap().push((at, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap();
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Folder of the project's own small files.
pub fn fixtures() -> PathBuf {
    manifest_dir().join("tests/fixtures")
}

/// All fixture files, by name.
pub fn fixture_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(fixtures()).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "root"));
    files.sort();
    files
}

/// Every tree of a file, old cycles included, with the name of its reference.
pub fn tree_names(file: &RootFile) -> Vec<(String, String)> {
    let trees = || file.keys().iter().filter(|k| k.is_tree());
    let named = trees().map(|key| {
        let flat = key.path.replace('/', "_");
        let several = trees().filter(|k| k.path == key.path).count() > 1;
        let reference = if several { format!("{flat}_{}", key.cycle) } else { flat };
        (format!("{};{}", key.path, key.cycle), reference)
    });
    named.collect()
}

/// The reference of a tree of a fixture.
pub fn reference_of(file: &Path, tree: &str) -> RecordBatch {
    let stem = file.file_stem().unwrap().to_string_lossy();
    read_parquet(&fixtures().join(format!("{stem}__{tree}.parquet")))
}

/// All columns of a tree.
pub fn all_columns(tree: &Tree) -> Vec<usize> {
    (0..tree.schema().fields().len()).collect()
}

/// Batches as one.
pub fn concat(schema: &SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    arrow_select::concat::concat_batches(schema, batches).unwrap()
}

/// A generator of numbers that look random and are the same in every run.
pub struct Random(pub u64);

impl Random {
    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit.max(1)
    }
}
