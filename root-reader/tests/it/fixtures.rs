//! The project's own small files, column by column equal to the values that their writers put in, whichever way they are
//! read.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{BooleanArray, RecordBatch, UInt64Array};
use arrow_schema::ArrowError;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use root_reader::{RootFile, RowFilter, ScanOptions, Spawn, Tree};

use crate::compare::{Leniency, compare};
use crate::support::{Random, all_columns, concat, fixture_files, in_parallel, reference_of, tree_names};

/// Compares every column with the reference, which has the columns in the same order.
pub fn check(batch: &RecordBatch, reference: &RecordBatch, tree: &Tree, what: &str) {
    assert_eq!(batch.num_rows(), reference.num_rows(), "{what}: rows");
    for (i, field) in reference.schema().fields().iter().enumerate() {
        let name = field.name();
        assert_eq!(batch.schema().field(i).name(), name, "{what}: order of the columns");
        let packed = tree.column(name).is_some_and(|c| c.cpp_type.contains("32_t[") || c.cpp_type.contains("16_t"));
        let tolerance = if packed || name.contains("range") { 1e-7 } else { 0.0 };
        // The references of these passed through JSON, which has no negative zero.
        let unsigned_zero = what.starts_with("groot_");
        let leniency = Leniency { tolerance, unsigned_zero, ..Leniency::default() };
        if let Err(how) = compare(batch.column(i), reference.column(i), leniency) {
            panic!("{what}, column {name}: {how}");
        }
    }
}

/// Reads all columns of some entries as one batch.
fn read(tree: &Tree, entries: Range<u64>, options: ScanOptions) -> RecordBatch {
    let scan = tree.scan(&all_columns(tree), entries, options).unwrap();
    let schema = scan.schema();
    let batches: Vec<RecordBatch> = scan.blocking().map(|b| b.unwrap()).collect();
    concat(&schema, &batches)
}

/// Calls `work` for each tree of each fixture.
fn for_each_tree(work: impl Fn(&Path, &RootFile, &Tree, &RecordBatch, &str) + Sync) {
    let files = fixture_files();
    assert!(files.len() > 15, "the fixtures are missing");
    in_parallel(&files, |path| {
        let file = RootFile::open_local(path).unwrap();
        for (name, reference) in tree_names(&file) {
            let tree = file.tree_blocking(&name).unwrap();
            let what = format!("{} {name}", path.file_name().unwrap().to_string_lossy());
            let unreadable: Vec<_> = tree.columns().iter().filter_map(|c| c.field().err()).collect();
            assert!(unreadable.is_empty(), "{what}: {unreadable:?}");
            work(path, &file, &tree, &reference_of(path, &reference), &what);
        }
    });
}

#[test]
fn every_column_has_the_values_of_its_writer() {
    for_each_tree(|_, file, tree, reference, what| {
        assert!(file.warnings().is_empty(), "{what}: {:?}", file.warnings());
        assert_eq!(tree.columns().len(), reference.num_columns(), "{what}: columns");
        assert_eq!(tree.entries(), reference.num_rows() as u64, "{what}: entries");
        check(&read(tree, 0..u64::MAX, ScanOptions::default()), reference, tree, what);
    });
}

#[test]
fn verified_reading_gives_the_same_values() {
    for_each_tree(|_, _, tree, reference, what| {
        let options = ScanOptions { verify: true, batch_rows: 1000, ..ScanOptions::default() };
        check(&read(tree, 0..tree.entries(), options), reference, tree, what);
    });
}

#[test]
fn one_column_alone_has_the_same_values_as_among_all() {
    for_each_tree(|_, _, tree, reference, what| {
        for index in all_columns(tree) {
            let scan = tree.scan(&[index], 0..tree.entries(), ScanOptions::default()).unwrap();
            let schema = scan.schema();
            let batches: Vec<RecordBatch> = scan.blocking().map(|b| b.unwrap()).collect();
            check(&concat(&schema, &batches), &reference.project(&[index]).unwrap(), tree, what);
        }
    });
}

#[test]
fn a_range_of_entries_gives_the_rows_of_the_whole() {
    for_each_tree(|_, _, tree, reference, what| {
        let mut random = Random(7);
        let total = tree.entries();
        // The big file has one basket: a few ranges tell as much.
        let ranges = if total > 100_000 { 2 } else { 12 };
        for _ in 0..ranges {
            let start = random.below(total + 1);
            let end = start + random.below(total - start + 5);
            let batch_rows = [1, 3, 17, 1000, 1 << 20][random.below(5) as usize].max(total as usize / 200);
            let options = ScanOptions { batch_rows, entry_column: Some("_entry".into()), ..ScanOptions::default() };
            let batch = read(tree, start..end, options);
            let rows = (end.min(total) - start) as usize;
            let what = format!("{what} {start}..{end} by {batch_rows}");
            let numbers = batch.column(batch.num_columns() - 1).as_any().downcast_ref::<UInt64Array>().unwrap();
            assert!(numbers.values().iter().copied().eq(start..end.min(total)), "{what}: entry numbers");
            check(&batch, &reference.slice(start as usize, rows), tree, &what);
        }
    });
}

/// Keeps rows by their number: every row of a stretch or none, or single ones.
pub struct ByNumber {
    pub columns: Vec<usize>,
    pub next: AtomicU64,
    pub keep: fn(u64) -> bool,
}

impl RowFilter for ByNumber {
    fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn keep(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        assert_eq!(batch.num_columns(), self.columns.len());
        let start = self.next.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        Ok((start..).take(batch.num_rows()).map(|i| Some((self.keep)(i))).collect())
    }
}

const KEEPERS: [fn(u64) -> bool; 5] =
    [|_| true, |_| false, |i| i % 7 == 3, |i| (i / 40) % 3 == 1, |i| i % 2 == 0 || i > 60];

pub fn filtered(reference: &RecordBatch, keep: fn(u64) -> bool) -> RecordBatch {
    let mask: BooleanArray = (0..reference.num_rows() as u64).map(|i| Some(keep(i))).collect();
    arrow_select::filter::filter_record_batch(reference, &mask).unwrap()
}

#[test]
fn a_row_filter_keeps_the_rows_that_it_says() {
    for_each_tree(|_, _, tree, reference, what| {
        for (i, keep) in KEEPERS.into_iter().enumerate() {
            for columns in [Vec::new(), vec![0], all_columns(tree).into_iter().rev().take(2).collect()] {
                let filter = Arc::new(ByNumber { columns, next: AtomicU64::new(0), keep });
                let batch_rows = (tree.entries() as usize / 100).max(11);
                let options = ScanOptions { filters: vec![filter], batch_rows, ..ScanOptions::default() };
                let batch = read(tree, 0..tree.entries(), options);
                check(&batch, &filtered(reference, keep), tree, &format!("{what}, filter {i}"));
            }
        }
    });
}

#[test]
fn a_second_row_filter_sees_what_the_first_one_keeps() {
    for_each_tree(|_, _, tree, reference, what| {
        // Few enough that they are taken out before the second filter is asked.
        let few = |i: u64| i % 7 == 3;
        let half = |seen: u64| seen.is_multiple_of(2);
        let filters = |columns: &[Vec<usize>; 2]| -> Vec<Arc<dyn RowFilter>> {
            let [first, second] = columns.clone();
            vec![
                Arc::new(ByNumber { columns: first, next: AtomicU64::new(0), keep: few }),
                Arc::new(ByNumber { columns: second, next: AtomicU64::new(0), keep: half }),
            ]
        };
        let batch_rows = (tree.entries() as usize / 100).max(11);
        for columns in [[vec![0], all_columns(tree)], [all_columns(tree), vec![0]], [vec![], vec![]]] {
            let options = ScanOptions { filters: filters(&columns), batch_rows, ..ScanOptions::default() };
            let batch = read(tree, 0..tree.entries(), options);
            check(&batch, &filtered(&filtered(reference, few), half), tree, &format!("{what}, filters of {columns:?}"));
        }
    });
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

pub async fn read_async(tree: &Tree, options: ScanOptions) -> RecordBatch {
    let mut scan = tree.scan(&all_columns(tree), 0..tree.entries(), options).unwrap();
    let schema = scan.schema();
    let mut batches = Vec::new();
    while let Some(batch) = scan.next_batch().await.unwrap() {
        batches.push(batch);
    }
    concat(&schema, &batches)
}

#[test]
fn a_store_that_answers_ranges_gives_the_same_values() {
    let runtime = runtime();
    for_each_tree(|path, _, local, reference, what| {
        runtime.block_on(async {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let place = object_store::path::Path::from("dir/file.root");
            store.put(&place, std::fs::read(path).unwrap().into()).await.unwrap();
            let file = RootFile::open(store, place, "mem:file.root").await.unwrap();
            let tree = file.tree(&format!("{};{}", local.path(), local.cycle())).await.unwrap();
            let spawn: Spawn = Arc::new(|work| drop(tokio::spawn(work)));
            let big = tree.entries() > 100_000;
            for byte_budget in [0, 700, 5_000, 32 << 20] {
                for spawn in [None, Some(spawn.clone())] {
                    let half: fn(u64) -> bool = |i| i.is_multiple_of(2);
                    for keepers in [&[][..], &[KEEPERS[2]], &[KEEPERS[3]], &[KEEPERS[1]], &[KEEPERS[2], half]] {
                        if big && keepers.is_empty() == (byte_budget == 700) {
                            continue;
                        }
                        let filter = |keep: &fn(u64) -> bool| -> Arc<dyn RowFilter> {
                            Arc::new(ByNumber { columns: vec![0], next: AtomicU64::new(0), keep: *keep })
                        };
                        let filters = keepers.iter().map(filter).collect();
                        let batch_rows = (tree.entries() as usize / 60).max(5);
                        let spawn = spawn.clone();
                        let options = ScanOptions { byte_budget, spawn, filters, batch_rows, ..ScanOptions::default() };
                        let expected = keepers.iter().fold(reference.clone(), |rows, keep| filtered(&rows, *keep));
                        let what = format!("{what}, budget {byte_budget}, {} filters", keepers.len());
                        check(&read_async(&tree, options).await, &expected, &tree, &what);
                    }
                }
            }
        });
    });
}

/// Puts the gap between the first record of `built_beyond_2gb.folded` and the others in again, as a hole.
#[cfg(unix)]
fn unfolded(folded: &[u8], path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    const GAP: u64 = 2_500_000_000;
    let name_size = u32::from_be_bytes(*folded[36..].first_chunk().unwrap()) as usize;
    let (first, rest) = folded.split_at(100 + name_size + 60);
    let file = std::fs::File::create(path)?;
    file.set_len(GAP + folded.len() as u64)?;
    file.write_all_at(first, 0)?;
    file.write_all_at(rest, GAP + first.len() as u64)
}

#[cfg(unix)]
#[test]
fn everything_may_lie_beyond_two_gigabytes() {
    let fixtures = crate::support::fixtures();
    let folded = std::fs::read(fixtures.join("built_beyond_2gb.folded")).unwrap();
    let path = std::env::temp_dir().join(format!("root-reader-beyond-2gb-{}.root", std::process::id()));
    unfolded(&folded, &path).unwrap();
    let file = RootFile::open_local(&path).unwrap();
    assert!(file.size() > 2_500_000_000 && file.warnings().is_empty(), "{:?}", file.warnings());
    let mut read_trees = 0;
    for (name, reference) in tree_names(&file) {
        let tree = file.tree_blocking(&name).unwrap();
        let reference = crate::support::read_parquet(&fixtures.join(format!("built_beyond_2gb__{reference}.parquet")));
        check(&read(&tree, 0..tree.entries(), ScanOptions::default()), &reference, &tree, &name);
        read_trees += 1;
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(read_trees, 2);
}
