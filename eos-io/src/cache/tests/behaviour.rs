//! Answers, and what they cost the server.

use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use futures::future::{join_all, select};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use super::origin::{Origin, content};
use super::*;
use crate::cache::block::BLOCK;

const SIZE: u64 = 3 * BLOCK + 5 * PAGE + 123;
const PLENTY: u64 = 1 << 30;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bytes_are_the_servers_whatever_is_asked_changed_evicted_or_damaged() {
    let files = [("one", 1), ("page", PAGE), ("odd", BLOCK - 1), ("block", BLOCK), ("more", BLOCK + 1), ("big", SIZE)];
    let origin = Origin::new(&files);
    let mut versions = [1u64; 6];
    let directory = tempfile::tempdir().unwrap();
    let cache = open(directory.path(), 3 << 20);
    let store = behind(&origin, &cache);
    let random = &mut Random(20_261_122);
    for round in 0..600 {
        let chosen = random.below(files.len() as u64) as usize;
        let (path, size) = files[chosen];
        match random.below(12) {
            0 => {
                versions[chosen] += 1;
                origin.set(path, versions[chosen], size, at(versions[chosen]));
            }
            1 => {
                let blocks = blocks(directory.path());
                if let Some(block) = blocks.get(random.below(blocks.len().max(1) as u64) as usize) {
                    let mut bytes = std::fs::read(block).unwrap();
                    let place = random.below(bytes.len().max(1) as u64) as usize;
                    match random.below(3) {
                        0 => bytes.truncate(place),
                        1 if place < bytes.len() => bytes[place] ^= 1 << random.below(8),
                        _ => bytes.clear(),
                    }
                    std::fs::write(block, bytes).unwrap();
                }
            }
            2..6 => {
                let range = range_of(random, size);
                let bytes = read(&store, path, range.clone()).await;
                assert_eq!(bytes, content(path, versions[chosen], range.clone()), "round {round}: {path} {range:?}");
            }
            _ => {
                let ranges: Vec<_> = (0..1 + random.below(6)).map(|_| range_of(random, size)).collect();
                let answers = store.get_ranges(&Path::from(path), &ranges).await.unwrap();
                for (range, bytes) in ranges.into_iter().zip(answers) {
                    assert_eq!(
                        bytes,
                        content(path, versions[chosen], range.clone()),
                        "round {round}: {path} {range:?}"
                    );
                }
            }
        }
    }
    let stats = cache.stats();
    assert_eq!(stats.warning, None);
    for (what, count) in
        [("hits", stats.hits), ("misses", stats.misses), ("evicted", stats.bytes_evicted), ("damaged", stats.damaged)]
    {
        assert!(count > 0, "the test must meet {what}: {stats:?}");
    }
}

#[tokio::test]
async fn who_waits_for_what_another_fetches_has_no_hit() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let cache = open_trusting(directory.path(), PLENTY);
    let store = behind(&origin, &cache);
    read(&store, "x", 0..10).await;
    origin.delay(Duration::from_millis(300));
    let far = 2 * BLOCK..2 * BLOCK + 10;
    join_all((0..3).map(|_| read(&store, "x", far.clone()))).await;
    assert_eq!((cache.stats().hits, cache.stats().misses), (0, 4));
    read(&store, "x", far).await;
    assert_eq!((cache.stats().hits, cache.stats().misses), (1, 4));
}

#[tokio::test]
async fn the_first_read_of_a_file_is_one_request() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let store = behind(&origin, &open_trusting(directory.path(), PLENTY));
    let options = GetOptions::new().with_range(Some(GetRange::Bounded(10..100)));
    let answer = store.get_opts(&Path::from("x"), options).await.unwrap();
    assert_eq!((answer.meta.size, answer.range.clone()), (SIZE, 10..100));
    assert_eq!(answer.bytes().await.unwrap(), content("x", 1, 10..100));
    assert_eq!(origin.take(), [format!("get bytes=0-{}", PAGE - 1)]);
}

#[tokio::test]
async fn what_one_process_read_the_next_one_only_asks_the_version_of() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let ranges = [5..10, BLOCK - 1..2 * BLOCK + 1, SIZE - 1..SIZE];
    let first = open_trusting(directory.path(), PLENTY);
    let answers = behind(&origin, &first).get_ranges(&Path::from("x"), &ranges).await.unwrap();
    origin.take();
    let second = open_trusting(directory.path(), PLENTY);
    let again = behind(&origin, &second).get_ranges(&Path::from("x"), &ranges).await.unwrap();
    assert_eq!(answers, again);
    assert_eq!(origin.take(), ["head"]);
    assert_eq!((second.stats().hits, second.stats().misses, second.stats().bytes_fetched), (1, 0, 0));
}

#[tokio::test]
async fn all_that_is_missing_is_one_request_of_whole_pages_and_no_more() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let cache = open_trusting(directory.path(), PLENTY);
    let store = behind(&origin, &cache);
    read(&store, "x", 2 * PAGE..3 * PAGE).await;
    origin.take();
    let ranges = [SIZE - 3..SIZE, 5 * PAGE - 1..5 * PAGE + 1, PAGE + 1..PAGE + 2, 2 * PAGE..3 * PAGE + 7];
    store.get_ranges(&Path::from("x"), &ranges).await.unwrap();
    let last = (SIZE - 1) / PAGE * PAGE;
    let expected = format!("ranges {}..{} {}..{} {last}..{SIZE}", PAGE, 2 * PAGE, 3 * PAGE, 6 * PAGE);
    assert_eq!(origin.take(), [expected]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_for_the_same_bytes_at_the_same_time_fetch_them_once() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let store = behind(&origin, &open_trusting(directory.path(), PLENTY));
    origin.delay(Duration::from_millis(20));
    let ranges = [0..PAGE, BLOCK - 5..BLOCK + 5];
    let reads = (0..40).map(|n| {
        let (store, range) = (store.clone(), ranges[n % 2].clone());
        tokio::spawn(async move { (read(&store, "x", range.clone()).await, range) })
    });
    for done in join_all(reads).await {
        let (bytes, range) = done.unwrap();
        assert_eq!(bytes, content("x", 1, range));
    }
    assert_eq!(origin.take().len(), 2, "one request for each range, the first of which tells the version too");
}

#[tokio::test]
async fn nobody_waits_for_a_request_that_was_given_up_or_is_not_polled() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let store = behind(&origin, &open_trusting(directory.path(), PLENTY));
    store.head(&Path::from("x")).await.unwrap();
    origin.delay(Duration::from_millis(30));
    let path = Path::from("x");
    let soon = Box::pin(tokio::time::sleep(Duration::from_millis(10)));
    // It has begun, and nobody polls it again before it is dropped.
    let begun = match select(Box::pin(store.get_range(&path, 0..10)), soon).await {
        futures::future::Either::Right((_, begun)) => begun,
        futures::future::Either::Left(_) => panic!("the server was to be slow"),
    };
    assert_eq!(read(&store, "x", 5..20).await, content("x", 1, 5..20));
    drop(begun);
    let soon = Box::pin(tokio::time::sleep(Duration::from_millis(10)));
    drop(select(Box::pin(store.get_range(&path, BLOCK..BLOCK + 10)), soon).await);
    let read = tokio::time::timeout(Duration::from_secs(5), read(&store, "x", BLOCK..BLOCK + 20));
    assert_eq!(read.await.unwrap(), content("x", 1, BLOCK..BLOCK + 20));
}

#[tokio::test]
async fn a_changed_file_is_another_and_its_old_bytes_go() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let store = behind(&origin, &open(directory.path(), PLENTY));
    read(&store, "x", 0..SIZE).await;
    let before = blocks(directory.path());
    origin.set("x", 2, SIZE, at(1));
    assert_eq!(read(&store, "x", 0..SIZE).await, content("x", 2, 0..SIZE));
    assert!(blocks(directory.path()).iter().all(|block| !before.contains(block)));
    // The same size and time, but another entity tag.
    origin.set("x", 3, SIZE, at(1));
    origin.tag("x", "\"three\"");
    assert_eq!(read(&store, "x", 5..9).await, content("x", 3, 5..9));
}

#[tokio::test]
async fn a_listing_that_tells_of_a_change_is_believed_at_once() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let store = behind(&origin, &open_trusting(directory.path(), PLENTY));
    read(&store, "x", 0..10).await;
    origin.set("x", 2, SIZE + 1, at(1));
    store.list(None).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(read(&store, "x", 0..10).await, content("x", 2, 0..10));
}

#[tokio::test]
async fn a_file_that_was_changed_just_now_is_not_kept() {
    let origin = Origin::new(&[]);
    origin.set("x", 1, SIZE, SystemTime::now());
    let directory = tempfile::tempdir().unwrap();
    let store = behind(&origin, &open(directory.path(), PLENTY));
    assert_eq!(read(&store, "x", 7..20).await, content("x", 1, 7..20));
    assert_eq!(store.get_ranges(&Path::from("x"), &[1..3]).await.unwrap(), [content("x", 1, 1..3)]);
    assert!(blocks(directory.path()).is_empty());
}

#[tokio::test]
async fn what_is_written_copied_renamed_or_deleted_through_the_store_is_forgotten() {
    let origin = Origin::new(&[("x", SIZE), ("y", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let store = behind(&origin, &open_trusting(directory.path(), PLENTY));
    let (x, y) = (Path::from("x"), Path::from("y"));
    let both = async || (read(&store, "x", 0..4).await, read(&store, "y", 0..4).await);
    both().await;
    store.put(&x, "new x".into()).await.unwrap();
    assert_eq!(both().await.0, "new ");
    let mut upload = store.put_multipart(&x).await.unwrap();
    upload.put_part("parts".into()).await.unwrap();
    upload.complete().await.unwrap();
    assert_eq!(both().await.0, "part");
    store.copy(&x, &y).await.unwrap();
    assert_eq!(both().await.1, "part");
    store.put(&x, "third".into()).await.unwrap();
    store.rename(&x, &y).await.unwrap();
    assert!(store.get_range(&x, 0..4).await.is_err());
    assert_eq!(read(&store, "y", 0..4).await, "thir");
    store.delete(&y).await.unwrap();
    assert!(store.get_range(&y, 0..4).await.is_err());
    assert!(blocks(directory.path()).is_empty());
}

#[tokio::test]
async fn ranges_of_every_kind_are_answered_as_the_store_does() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let store = behind(&origin, &open(directory.path(), PLENTY));
    let path = Path::from("x");
    for _ in 0..2 {
        for range in [GetRange::Offset(SIZE - 5), GetRange::Suffix(7), GetRange::Bounded(SIZE - 3..SIZE + 100)] {
            let options = GetOptions::new().with_range(Some(range.clone()));
            let answer = store.get_opts(&path, options).await.unwrap();
            let expected = range.as_range(SIZE).unwrap();
            assert_eq!(answer.range, expected);
            assert_eq!(answer.bytes().await.unwrap(), content("x", 1, expected));
        }
        for range in [SIZE..SIZE + 1, SIZE + 1..SIZE + 2] {
            assert!(store.get_range(&path, range).await.is_err());
        }
        assert_eq!(
            store.get_ranges(&path, &[4..4, 0..2]).await.unwrap(),
            [content("x", 1, 4..4), content("x", 1, 0..2)]
        );
        assert!(store.get_range(&Path::from("none"), 0..1).await.is_err());
    }
}

#[tokio::test]
async fn a_refusal_is_passed_on_though_the_bytes_are_kept() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let store = behind(&origin, &open(directory.path(), PLENTY));
    read(&store, "x", 0..10).await;
    origin.refuse(true);
    let error = store.get_range(&Path::from("x"), 0..10).await.unwrap_err();
    assert!(matches!(error, object_store::Error::PermissionDenied { .. }), "{error}");
}

#[tokio::test]
async fn the_size_is_kept_and_what_is_used_stays() {
    let origin = Origin::new(&[("x", 40 << 20), ("loved", 1 << 20)]);
    let directory = tempfile::tempdir().unwrap();
    let limit = 8 << 20;
    let cache = open_trusting(directory.path(), limit);
    let store = behind(&origin, &cache);
    read(&store, "loved", 0..1 << 20).await;
    let loved = blocks(directory.path());
    for block in 0..40 {
        // As if it had been read some time ago: the mark of use is renewed only when it is old.
        let old = SystemTime::now() - Duration::from_secs(120);
        std::fs::File::open(&loved[0]).unwrap().set_modified(old).unwrap();
        read(&store, "loved", 0..100).await;
        read(&store, "x", block << 20..(block + 1) << 20).await;
        assert!(bytes_on_disk(directory.path()) <= limit, "block {block}");
    }
    assert!(loved[0].exists());
    assert!(cache.stats().bytes_evicted >= 30 << 20);
    assert!(bytes_on_disk(directory.path()) > limit / 2, "no more goes than has to");
}

#[test]
fn without_a_runtime_it_works_as_well() {
    let origin = Origin::new(&[("x", SIZE)]);
    let directory = tempfile::tempdir().unwrap();
    let store = behind(&origin, &open(directory.path(), PLENTY));
    for _ in 0..2 {
        assert_eq!(futures::executor::block_on(read(&store, "x", 3..BLOCK)), content("x", 1, 3..BLOCK));
    }
}
