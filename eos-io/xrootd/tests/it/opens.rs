//! What stays open, for how long, and what becomes of what nobody waits for any more.

use std::time::Duration;

use eos_testbed::{Fault, FaultProxy, Request, Rule, Xrootd};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use xrootd_client::{Client, Options, XrootdStore, XrootdUrl};

use crate::support::{behind, guarded, read, steady, until};

fn setup() -> (Xrootd, FaultProxy, Vec<u8>) {
    let server = Xrootd::standalone().start();
    let content = server.volume().write_random("f.bin", 9, 3 << 20);
    let proxy = FaultProxy::to(server.port()).start();
    (server, proxy, content)
}

#[tokio::test]
async fn a_file_is_opened_once_for_all_that_is_done_with_it() {
    let (_server, proxy, content) = setup();
    let (store, path) = (behind(&proxy, steady()), Path::from("f.bin"));
    assert_eq!(store.head(&path).await.unwrap().size, content.len() as u64);
    let parts = guarded(store.get_ranges(&path, &[0..10, 1_000_000..1_000_010])).await.unwrap();
    assert!(parts[1] == content[1_000_000..1_000_010]);
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    let counts = proxy.counts();
    assert_eq!((counts.of(Request::Open), counts.of(Request::Stat)), (1, 0));
}

#[tokio::test]
async fn twenty_readers_of_a_file_share_one_open() {
    let (_server, proxy, content) = setup();
    proxy.set_rtt(Duration::from_millis(20));
    let store = behind(&proxy, steady());
    let reads = (0..20).map(|n| {
        let (store, content) = (&store, &content);
        async move {
            let range = n * 1000..n * 1000 + 500;
            let part = store.get_range(&Path::from("f.bin"), range.clone()).await.unwrap();
            assert!(part == content[range.start as usize..range.end as usize]);
        }
    });
    guarded(futures::future::join_all(reads)).await;
    assert_eq!(proxy.counts().of(Request::Open), 1);
}

#[tokio::test]
async fn readers_of_a_file_that_is_missing_share_the_answer() {
    let (_server, proxy, _) = setup();
    proxy.set_rtt(Duration::from_millis(50));
    let store = behind(&proxy, steady());
    store.ping().await.unwrap();
    let reads = (0..20).map(|_| read(&store, "missing.bin"));
    assert!(guarded(futures::future::join_all(reads)).await.iter().all(Result::is_err));
    assert!(proxy.counts().of(Request::Open) < 5, "{}", proxy.counts().of(Request::Open));
}

#[tokio::test]
async fn a_file_that_nobody_reads_is_closed() {
    let (_server, proxy, content) = setup();
    let store = behind(&proxy, Options { idle_timeout: Duration::from_millis(300), ..steady() });
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    until(|| proxy.counts().of(Request::Close) == proxy.counts().of(Request::Open)).await;
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
}

#[tokio::test]
async fn files_are_closed_with_the_store_that_read_them() {
    let (_server, proxy, content) = setup();
    let client = Client::new(steady()).unwrap();
    let store = XrootdStore::new(&client, &XrootdUrl::server("127.0.0.1", proxy.port(), false));
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    drop(store);
    until(|| proxy.counts().of(Request::Close) == proxy.counts().of(Request::Open)).await;
}

#[tokio::test]
async fn connections_end_with_the_client_also_on_a_runtime_of_others() {
    let (server, _, content) = setup();
    let options = Options { runtime: Some(tokio::runtime::Handle::current()), ..steady() };
    let store = crate::store_with(&server, options);
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    let connections = || {
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap_or_default();
        let port = format!(":{:04X} 01 ", server.port());
        table.lines().filter(|line| line.contains(&port)).count()
    };
    assert!(connections() >= 1);
    drop(store);
    until(|| connections() == 0).await;
}

#[tokio::test]
async fn an_open_that_was_given_up_is_closed_when_it_succeeds_late() {
    let (_server, proxy, content) = setup();
    let store = behind(&proxy, steady());
    store.ping().await.unwrap();
    proxy.set_rules([Rule::on(Request::Open).first().then(Fault::Delay(Duration::from_millis(600)))]);
    let path = Path::from("f.bin");
    let given_up = tokio::time::timeout(Duration::from_millis(100), store.head(&path)).await;
    assert!(given_up.is_err());
    until(|| proxy.counts().of(Request::Close) == 1).await;
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    let metrics = store.client().metrics();
    assert_eq!((metrics.connections, metrics.retries, proxy.counts().of(Request::Close)), (1, 0, 1));
}

#[tokio::test]
async fn an_open_that_is_given_up_at_any_moment_leaves_nothing_open() {
    let (_server, proxy, content) = setup();
    let store = behind(&proxy, Options { connections: 1, idle_timeout: Duration::from_millis(50), ..steady() });
    store.ping().await.unwrap();
    for microseconds in (0..3000).step_by(60) {
        let path = Path::from("f.bin");
        drop(tokio::time::timeout(Duration::from_micros(microseconds), store.head(&path)).await);
    }
    until(|| proxy.counts().of(Request::Close) == proxy.counts().of(Request::Open)).await;
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    assert_eq!(store.client().metrics().connections, 1);
}

#[tokio::test]
async fn reads_that_were_given_up_leave_the_connection_as_it_was() {
    let (_server, proxy, content) = setup();
    let store = behind(&proxy, Options { connections: 1, ..steady() });
    let path = Path::from("f.bin");
    store.head(&path).await.unwrap();
    proxy.set_rules([Rule::on(Request::Read).nth(1..=10).then(Fault::Delay(Duration::from_millis(400)))]);
    for _ in 0..5 {
        let range = 0..content.len() as u64;
        let given_up = tokio::time::timeout(Duration::from_millis(50), store.get_range(&path, range)).await;
        assert!(given_up.is_err());
    }
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    let metrics = store.client().metrics();
    assert_eq!((metrics.connections, metrics.retries, metrics.opens), (1, 0, 1));
}

#[tokio::test]
async fn many_files_use_several_connections_and_never_more_than_allowed() {
    let server = Xrootd::standalone().like_eos().start();
    let contents: Vec<_> = (0..40).map(|n| server.volume().write_random(&format!("{n}.bin"), n, 2_000_000)).collect();
    let proxy = FaultProxy::to(server.port()).rtt(Duration::from_millis(10)).start();
    let store = behind(&proxy, Options { connections: 3, ..Options::default() });
    for _ in 0..2 {
        let reads = contents.iter().enumerate().map(|(n, content)| {
            let store = &store;
            async move { assert!(read(store, &format!("{n}.bin")).await.unwrap() == *content) }
        });
        guarded(futures::future::join_all(reads)).await;
    }
    let connections = proxy.counts().connections;
    assert!((2..=3).contains(&connections), "{connections}");
    assert_eq!(store.client().metrics().connections, connections);
}

#[tokio::test]
async fn a_server_that_refuses_further_connections_serves_all_over_the_first() {
    let server = Xrootd::standalone().start();
    let contents: Vec<_> = (0..40).map(|n| server.volume().write_random(&format!("{n}.bin"), n, 300_000)).collect();
    let proxy = FaultProxy::to(server.port()).rtt(Duration::from_millis(5)).start();
    proxy.set_rules([Rule::on(Request::Login).nth(2..=1000).then(Fault::Drop)]);
    let store = behind(&proxy, steady());
    for _ in 0..3 {
        let reads = contents.iter().enumerate().map(|(n, content)| {
            let store = &store;
            async move { assert!(read(store, &format!("{n}.bin")).await.unwrap() == *content) }
        });
        guarded(futures::future::join_all(reads)).await;
    }
    let (connections, metrics) = (proxy.counts().connections, store.client().metrics());
    assert!(connections <= 3, "{connections} attempts");
    assert_eq!((metrics.connections, metrics.retries), (1, 0));
}
