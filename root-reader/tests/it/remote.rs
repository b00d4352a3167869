//! What reading costs where every request takes a round trip: a store that answers requests in rounds, all those at once
//! that were made until nothing more could be done without an answer.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path as LocalPath;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::ArrowError;
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{BoxFuture, poll_fn};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use root_reader::{RootFile, RowFilter, ScanOptions, Tree};

use crate::support::manifest_dir;

/// A file far away.
#[derive(Debug)]
struct FarAway {
    file: File,
    size: u64,
    /// Rounds that were answered.
    round: AtomicU64,
    /// The round in which each request was made, and what it asked for.
    asked: Mutex<Vec<(u64, Range<u64>)>>,
}

impl FarAway {
    fn open(path: &LocalPath) -> Arc<Self> {
        let file = File::open(path).unwrap();
        let size = file.metadata().unwrap().len();
        Arc::new(Self { file, size, round: AtomicU64::new(0), asked: Mutex::default() })
    }

    /// Answers in the next round.
    async fn read(&self, ranges: &[Range<u64>]) -> Vec<Bytes> {
        let round = self.round.load(SeqCst);
        self.asked.lock().unwrap().extend(ranges.iter().map(|range| (round, range.clone())));
        poll_fn(|_| if self.round.load(SeqCst) > round { Poll::Ready(()) } else { Poll::Pending }).await;
        let read = |range: &Range<u64>| {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            self.file.read_exact_at(&mut bytes, range.start).unwrap();
            bytes.into()
        };
        ranges.iter().map(read).collect()
    }

    /// Runs `work`, and what it leaves to the background, to its end. Answers the rounds that took.
    fn rounds<T>(&self, background: &Background, work: impl Future<Output = T>) -> (T, u64) {
        let before = self.round.load(SeqCst);
        let mut work = pin!(work);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let asked = self.asked.lock().unwrap().len();
            for _ in 0..3 {
                background.poll(&mut context);
                if let Poll::Ready(done) = work.as_mut().poll(&mut context) {
                    return (done, self.round.load(SeqCst) - before);
                }
            }
            if self.asked.lock().unwrap().len() == asked {
                self.round.fetch_add(1, SeqCst);
            }
        }
    }

    fn bytes_asked(&self) -> u64 {
        self.asked.lock().unwrap().iter().map(|(_, range)| range.end - range.start).sum()
    }
}

/// What a scan does meanwhile.
#[derive(Clone, Default)]
struct Background(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl Background {
    fn poll(&self, context: &mut Context<'_>) {
        self.0.lock().unwrap().retain_mut(|task| task.poll_unpin(context).is_pending());
    }

    fn options(&self) -> ScanOptions {
        let tasks = self.0.clone();
        ScanOptions { spawn: Some(Arc::new(move |task| tasks.lock().unwrap().push(task))), ..ScanOptions::default() }
    }
}

impl fmt::Display for FarAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FarAway")
    }
}

#[async_trait]
impl ObjectStore for FarAway {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: std::time::SystemTime::UNIX_EPOCH.into(),
            size: self.size,
            e_tag: None,
            version: None,
        };
        let range = options.range.map_or(0..self.size, |range| range.as_range(self.size).unwrap());
        let bytes = self.read(std::slice::from_ref(&range)).await.remove(0);
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Default::default() })
    }

    async fn get_ranges(&self, _location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        Ok(self.read(ranges).await)
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        panic!("these tests only read")
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        panic!("these tests only read")
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        panic!("these tests only read")
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        panic!("these tests only read")
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        panic!("these tests only read")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        panic!("these tests only read")
    }
}

async fn open(store: &Arc<FarAway>, tree: &str) -> Tree {
    let store: Arc<dyn ObjectStore> = store.clone();
    RootFile::open(store, Path::from("x"), "x").await.unwrap().tree(tree).await.unwrap()
}

/// The rounds and bytes of opening a tree.
fn opening(path: &LocalPath, tree: &str) -> (u64, u64) {
    let store = FarAway::open(path);
    let (_, rounds) = store.rounds(&Background::default(), open(&store, tree));
    (rounds, store.bytes_asked())
}

#[test]
fn a_tree_is_opened_in_two_round_trips_wherever_its_writer_put_the_metadata() {
    let fixtures = manifest_dir().join("tests/fixtures");
    let (rounds, bytes) = opening(&manifest_dir().join("../examples/data/Run2012B_SingleMu_1000.root"), "Events");
    assert_eq!(rounds, 2);
    assert!(bytes < 100 << 10, "{bytes} bytes");
    for (name, tree) in [
        ("uproot_many_baskets.root", "t"),
        ("uproot_big_zlib.root", "big"),
        ("groot_types_lz4.root", "events"),
        ("built_leaves.root", "counted"),
        ("groot_layout.root", "dir/sub/tree"),
    ] {
        let path = fixtures.join(name);
        let (rounds, bytes) = opening(&path, tree);
        assert!(rounds <= 2, "{name}: {rounds} round trips");
        assert!(bytes <= path.metadata().unwrap().len(), "{name}: nothing is read twice");
    }
}

const MANY: (&str, &str, u64) = ("uproot_many_baskets.root", "t", 250);

/// Reads all columns of a tree of many baskets in windows of about `budget` bytes; answers the rows, the rounds up to the
/// first batch and in all.
fn scanning(budget: u64, filters: Vec<Arc<dyn RowFilter>>) -> (usize, u64, u64) {
    let store = FarAway::open(&manifest_dir().join("tests/fixtures").join(MANY.0));
    let background = Background::default();
    let (tree, _) = store.rounds(&background, open(&store, MANY.1));
    let columns: Vec<usize> = (0..tree.schema().fields().len()).collect();
    let options = ScanOptions { byte_budget: budget, batch_rows: 10, filters, ..background.options() };
    let mut scan = tree.scan(&columns, 0..MANY.2, options).unwrap();
    let (first, to_first) = store.rounds(&background, scan.next_batch());
    let mut rows = first.unwrap().map_or(0, |batch| batch.num_rows());
    let rest = async {
        while let Some(batch) = scan.next_batch().await.unwrap() {
            rows += batch.num_rows();
        }
    };
    let (_, rest) = store.rounds(&background, rest);
    (rows, to_first, to_first + rest)
}

struct Keep(fn(u64) -> bool, AtomicU64);

impl RowFilter for Keep {
    fn columns(&self) -> &[usize] {
        &[0]
    }

    fn keep(&self, batch: &RecordBatch) -> std::result::Result<BooleanArray, ArrowError> {
        let start = self.1.fetch_add(batch.num_rows() as u64, SeqCst);
        Ok((start..).take(batch.num_rows()).map(|entry| Some((self.0)(entry))).collect())
    }
}

#[test]
fn the_first_batch_takes_one_round_trip_and_the_second_window_comes_along() {
    let (rows, first, all) = scanning(1 << 30, Vec::new());
    assert_eq!(rows as u64, MANY.2);
    assert!(first <= 1 && all <= 1, "{first} and {all} round trips");
    // The columns have 20 KiB: ten windows of 2 KiB and a shorter one in front.
    let (rows, first, all) = scanning(4 << 10, Vec::new());
    assert_eq!(rows as u64, MANY.2);
    assert!(first <= 1 && all < 10, "{first} and {all} round trips");
}

#[test]
fn a_filter_that_keeps_most_rows_costs_no_round_trip_of_each_window() {
    let filter = |keep| -> Vec<Arc<dyn RowFilter>> { vec![Arc::new(Keep(keep, AtomicU64::new(0)))] };
    let (_, _, plain) = scanning(4 << 10, Vec::new());
    let (rows, _, rounds) = scanning(4 << 10, filter(|entry| entry % 10 > 0));
    assert_eq!(rows as u64, MANY.2 / 10 * 9);
    assert!(rounds <= plain + 3, "{rounds} round trips instead of {plain}");
    assert_eq!(scanning(4 << 10, filter(|entry| entry < 10)).0, 10);
}

/// Two million events, where they are at hand.
#[test]
fn a_query_over_a_large_file_waits_for_few_round_trips() {
    let Some(path) = std::env::var_os("ROOT_QUERY_LARGE_FILE") else {
        eprintln!(
            "\n*** ROOT_QUERY_LARGE_FILE is not set: no round trips of a large NanoAOD-like file were counted ***\n"
        );
        return;
    };
    let store = FarAway::open(LocalPath::new(&path));
    let background = Background::default();
    let (tree, rounds) = store.rounds(&background, open(&store, "Events"));
    assert!(rounds <= 3, "{rounds}");
    let columns = ["MET_pt", "nMuon", "Muon_pt", "Jet_pt"].map(|name| tree.schema().index_of(name).unwrap());
    let scan = |filters| {
        let (round, bytes) = (store.round.load(SeqCst), store.bytes_asked());
        let options = ScanOptions { filters, ..background.options() };
        let mut scan = tree.scan(&columns, 0..tree.entries(), options).unwrap();
        let (_, first) = store.rounds(&background, scan.next_batch());
        store.rounds(&background, async { while scan.next_batch().await.unwrap().is_some() {} });
        (first, store.round.load(SeqCst) - round, store.bytes_asked() - bytes)
    };
    let (first, all, bytes) = scan(Vec::new());
    assert_eq!(first, 1);
    let (filtered_first, filtered_all, filtered_bytes) =
        scan(vec![Arc::new(Keep(|entry| entry % 10 > 0, AtomicU64::new(0)))]);
    assert!(filtered_first <= 2 && filtered_all <= all + 3, "{filtered_first} and {filtered_all} instead of {all}");
    assert!(filtered_bytes <= bytes + bytes / 10, "{filtered_bytes} instead of {bytes}");
    // One that keeps little still spares what it does not need.
    let (_, _, spared_bytes) = scan(vec![Arc::new(Keep(|entry| entry < 10, AtomicU64::new(0)))]);
    assert!(spared_bytes < bytes / 2, "{spared_bytes} instead of {bytes}");
    println!(
        "opening {rounds}, first batch {first}, all {all}, filtered {filtered_all}; {bytes} bytes, filtered {filtered_bytes}, few rows {spared_bytes}"
    );
}
