//! Several processes on one directory, and some that are killed. A child is this test program again, with the directory in
//! a variable; it reads forever and compares all it gets.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::origin::{Origin, content};
use super::*;

const DIRECTORY: &str = "ROOT_QUERY_TEST_CACHE";
const SEED: &str = "ROOT_QUERY_TEST_SEED";
const FILES: [(&str, u64); 3] = [("a", 6 << 20), ("b", (3 << 20) + 17), ("c", 100)];
const LIMIT: u64 = 4 << 20;

async fn hammer(store: &CachedStore, random: &mut Random, rounds: usize) {
    for _ in 0..rounds {
        let (path, size) = FILES[random.below(3) as usize];
        let ranges: Vec<_> = (0..1 + random.below(4)).map(|_| range_of(random, size)).collect();
        let answers = store.get_ranges(&Path::from(path), &ranges).await.unwrap();
        for (range, bytes) in ranges.into_iter().zip(answers) {
            assert!(bytes == content(path, 1, range.clone()), "wrong bytes of {path} {range:?}");
        }
    }
}

/// Not a test of its own: the child of the others.
#[test]
fn child() {
    let (Ok(directory), Ok(seed)) = (std::env::var(DIRECTORY), std::env::var(SEED)) else { return };
    let cache = open(FilePath::new(&directory), LIMIT);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store = behind(&Origin::new(&FILES), &cache);
    let random = &mut Random(seed.parse().unwrap());
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(60) {
        runtime.block_on(hammer(&store, random, 1));
        let stats = cache.stats();
        assert_eq!((stats.damaged, stats.warning), (0, None));
    }
}

fn start(directory: &FilePath, seed: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cache::tests::processes::child", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill(child: &mut Child) {
    assert_eq!(child.try_wait().unwrap(), None, "the child found something wrong");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn processes_that_share_a_directory_get_right_bytes_and_keep_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let mut children = [start(directory.path(), 1), start(directory.path(), 2)];
    let cache = open(directory.path(), LIMIT);
    let store = behind(&Origin::new(&FILES), &cache);
    let random = &mut Random(3);
    let started = Instant::now();
    let mut largest = 0;
    while started.elapsed() < Duration::from_secs(3) {
        hammer(&store, random, 5).await;
        largest = largest.max(bytes_on_disk(directory.path()));
    }
    children.iter_mut().for_each(kill);
    let stats = cache.stats();
    assert_eq!((stats.damaged, stats.warning), (0, None));
    assert!(stats.hits > 0 && stats.bytes_evicted > 0, "it must have come to that");
    // Each of three processes may have a few blocks under way when another one looks.
    assert!(largest <= LIMIT + 3 * (4 << 20), "{largest} bytes");
}

#[tokio::test]
async fn processes_that_are_killed_leave_nothing_that_gives_wrong_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let random = &mut Random(4);
    for seed in 0..15 {
        let mut child = start(directory.path(), 100 + seed);
        std::thread::sleep(Duration::from_millis(40 + random.below(120)));
        kill(&mut child);
        let cache = open(directory.path(), LIMIT);
        hammer(&behind(&Origin::new(&FILES), &cache), random, 10).await;
        assert_eq!((cache.stats().damaged, cache.stats().warning), (0, None));
    }
}
