//! Behind a real server, far away.

use std::fs::File;
use std::time::SystemTime;

use eos_testbed::{FaultProxy, Request, Xrootd, random_bytes};
use xrootd_client::{Client, Options, XrootdStore, XrootdUrl};

use super::*;

const SIZE: u64 = 5_000_000;

/// What a process would have: a client and a cache of its own.
fn process(proxy: &FaultProxy, directory: &FilePath) -> (CachedStore, Cache) {
    let cache = Cache::open(directory, 1 << 30);
    let (url, _) = XrootdUrl::parse(&proxy.url("/")).unwrap();
    let remote = Arc::new(XrootdStore::new(&Client::new(Options::default()).unwrap(), &url));
    (CachedStore::new(remote, "root://far/".into(), cache.clone()), cache)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_read_the_next_one_does_not_ask_the_server_for() {
    let server = Xrootd::standalone().start();
    let write = |seed, minutes: u64| {
        let content = server.volume().write_random("x.root", seed, SIZE as usize);
        let then = SystemTime::now() - Duration::from_secs(60 * minutes);
        File::options().append(true).open(server.volume().path("x.root")).unwrap().set_modified(then).unwrap();
        content
    };
    let content = write(1, 60);
    let proxy = FaultProxy::to(server.port()).rtt(Duration::from_millis(30)).start();
    let directory = tempfile::tempdir().unwrap();
    let ranges = [0..100, 70_000..3_000_000, SIZE - 9..SIZE];
    let path = Path::from("x.root");
    let reads = || proxy.counts().of(Request::Read) + proxy.counts().of(Request::Readv);
    let right = |answers: &[bytes::Bytes], content: &[u8]| {
        ranges.iter().zip(answers).all(|(range, bytes)| bytes == &content[range.start as usize..range.end as usize])
    };

    let (first, cache) = process(&proxy, directory.path());
    assert_eq!(read(&first, "x.root", 0..10).await, content[..10]);
    assert!(right(&first.get_ranges(&path, &ranges).await.unwrap(), &content));
    assert!(cache.stats().bytes_fetched < 3_000_000 + 6 * PAGE);
    let asked = reads();
    assert!(asked > 0);

    let (second, cache) = process(&proxy, directory.path());
    assert_eq!(read(&second, "x.root", 0..10).await, content[..10]);
    assert!(right(&second.get_ranges(&path, &ranges).await.unwrap(), &content));
    assert_eq!((reads(), cache.stats().hits, cache.stats().misses), (asked, 2, 0));

    // Of the same size.
    assert_eq!(write(2, 30), random_bytes(2, SIZE as usize));
    let (third, _) = process(&proxy, directory.path());
    assert!(right(&third.get_ranges(&path, &ranges).await.unwrap(), &random_bytes(2, SIZE as usize)));
    assert!(reads() > asked);
}
