//! Files that several servers have, some of which fail.

use std::time::Duration;

use eos_testbed::{Cluster, Fault, FaultProxy, Request, Rule, Xrootd};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use xrootd_client::{ErrorKind, Options, XrootdStore};

use crate::store_with;
use crate::support::{behind, guarded, impatient, kind, read, steady};

const FILES: u64 = 8;
const SIZE: usize = 3 << 20;

/// A cluster with files that both servers have.
fn cluster() -> (Cluster, Vec<Vec<u8>>) {
    let cluster = Cluster::start();
    let contents = (0..FILES).map(|n| {
        let content = cluster.server(0).volume().write_random(&format!("both/{n}.bin"), n, SIZE);
        cluster.server(1).volume().write(&format!("both/{n}.bin"), &content);
        content
    });
    let contents = contents.collect();
    (cluster, contents)
}

fn persistent() -> Options {
    Options { retries: 10, wait_limit: Duration::from_secs(60), ..impatient() }
}

async fn open_all(store: &XrootdStore) {
    for n in 0..FILES {
        assert_eq!(store.head(&Path::from(format!("both/{n}.bin"))).await.unwrap().size, SIZE as u64);
    }
}

async fn all_arrive(store: &XrootdStore, contents: &[Vec<u8>]) {
    let reads = contents.iter().enumerate().map(|(n, content)| async move {
        assert!(read(store, &format!("both/{n}.bin")).await.unwrap() == *content, "{n}");
    });
    guarded(futures::future::join_all(reads)).await;
}

#[tokio::test]
async fn a_replica_that_is_dead_before_the_open_is_passed_over() {
    let (cluster, contents) = cluster();
    cluster.server(0).kill();
    let store = store_with(cluster.manager(), persistent());
    all_arrive(&store, &contents).await;
}

#[tokio::test]
async fn a_replica_that_is_killed_while_it_is_read_is_replaced() {
    let (cluster, contents) = cluster();
    let store = store_with(cluster.manager(), persistent());
    guarded(open_all(&store)).await;
    cluster.server(0).kill();
    all_arrive(&store, &contents).await;
    assert!(store.client().metrics().opens > FILES, "{:?}", store.client().metrics());
}

/// A server that is reached in two ways, and a manager that names one after the other. To the client they are two hosts;
/// the servers of a cluster on loopback are one host, of which a manager names none once it was tried in vain.
struct Ways {
    manager: FaultProxy,
    ways: [FaultProxy; 2],
    content: Vec<u8>,
    server: Xrootd,
}

fn ways() -> Ways {
    let server = Xrootd::standalone().start();
    let content = server.volume().write_random("f.bin", 5, 5 << 20);
    let proxy = || FaultProxy::to(server.port()).start();
    let (manager, ways) = (proxy(), [proxy(), proxy()]);
    let to =
        |host: &str, way: &FaultProxy| Fault::Redirect { host: host.into(), port: way.port(), opaque: String::new() };
    manager.set_rules([
        Rule::on(Request::Open).nth(1..=1).then(to("127.0.0.1", &ways[0])),
        Rule::on(Request::Open).then(to("localhost", &ways[1])),
    ]);
    Ways { manager, ways, content, server }
}

#[tokio::test]
async fn a_slow_replica_is_overtaken_by_another_one() {
    let Ways { manager, ways, content, server: _server } = ways();
    ways[0].set_rules([Rule::on(Request::Read).then(Fault::Delay(Duration::from_secs(30)))]);
    let options =
        Options { hedge_after: Some(Duration::from_millis(300)), idle_timeout: Duration::from_secs(150), ..steady() };
    let store = behind(&manager, options);
    for _ in 0..2 {
        assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    }
    let metrics = store.client().metrics();
    assert!(metrics.hedges >= 1 && metrics.retries == 0, "{metrics:?}");
    assert_eq!((ways[0].counts().of(Request::Open), ways[1].counts().of(Request::Open)), (1, 1));
    let asked = String::from_utf8(manager.payloads(Request::Open).pop().unwrap()).unwrap();
    assert!(asked.contains("?tried=127.0.0.1&triedrc="), "{asked}");
}

#[tokio::test]
async fn without_another_replica_the_slow_one_is_waited_for() {
    let Ways { manager, ways, content, server: _server } = ways();
    let to = Fault::Redirect { host: "127.0.0.1".into(), port: ways[0].port(), opaque: String::new() };
    manager.set_rules([Rule::on(Request::Open).then(to)]);
    ways[0].set_rules([Rule::on(Request::Read).first().then(Fault::Delay(Duration::from_secs(1)))]);
    let options = Options { hedge_after: Some(Duration::from_millis(200)), ..steady() };
    let store = behind(&manager, options);
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    assert_eq!(store.client().metrics().hedges, 0);
}

#[tokio::test]
async fn a_replica_that_swallows_reads_is_left_for_another_one() {
    let Ways { manager, ways, content, server: _server } = ways();
    ways[0].set_rules([Rule::on(Request::Read).then(Fault::Stall)]);
    let store = behind(&manager, impatient());
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    let metrics = store.client().metrics();
    assert!(metrics.failovers >= 1, "{metrics:?}");
}

#[tokio::test]
async fn a_replica_that_answers_with_errors_is_left_for_another_one() {
    for code in [3005, 3007, 3012, 3019] {
        let Ways { manager, ways, content, server: _server } = ways();
        ways[0].set_rules([Rule::on(Request::Read).nth(2..=1000).then(Fault::Error(code))]);
        let store = behind(&manager, steady());
        assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
        assert_eq!(store.client().metrics().failovers, 1, "{code}");
    }
}

#[tokio::test]
async fn a_replica_of_another_size_is_passed_over() {
    let Ways { manager, ways, content, server: _server } = ways();
    let short = Xrootd::standalone().start();
    short.volume().write("f.bin", &content[..1000]);
    let to = |host: &str, port| Fault::Redirect { host: host.into(), port, opaque: String::new() };
    manager.set_rules([
        Rule::on(Request::Open).nth(2..=2).then(to("localhost", short.port())),
        Rule::on(Request::Open).then(to("127.0.0.1", ways[0].port())),
    ]);
    ways[0].set_rules([Rule::on(Request::Read).first().then(Fault::Drop)]);
    let store = behind(&manager, steady());
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    assert_eq!(store.client().metrics().failovers, 2);
}

#[tokio::test]
async fn a_shorter_replica_is_never_taken_for_the_file() {
    let cluster = Cluster::start();
    let content = cluster.server(0).volume().write_random("f.bin", 1, SIZE);
    let store = store_with(cluster.manager(), Options { retries: 2, wait_limit: Duration::from_secs(5), ..steady() });
    let path = Path::from("f.bin");
    assert_eq!(store.head(&path).await.unwrap().size, SIZE as u64);
    cluster.server(1).volume().write("f.bin", &content[..SIZE / 2]);
    cluster.server(0).kill();
    let error = guarded(store.get_range(&path, 0..SIZE as u64)).await.unwrap_err().to_string();
    assert!(error.contains("f.bin"), "{error}");
    cluster.server(0).restart();
    cluster.wait();
    let store = store_with(cluster.manager(), persistent());
    cluster.server(1).kill();
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
}

#[tokio::test]
async fn a_file_that_one_server_has_is_found_there_and_one_that_none_has_is_missing() {
    let cluster = Cluster::start();
    let content = cluster.server(1).volume().write_random("one.bin", 1, 1000);
    let store = store_with(cluster.manager(), steady());
    assert_eq!(guarded(read(&store, "one.bin")).await.unwrap(), content);
    let error = guarded(read(&store, "none.bin")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NotFound, "{error}");
    let locations = guarded(store.locate(&Path::from("one.bin"))).await.unwrap();
    let port = format!(":{}", cluster.server(1).port());
    assert!(locations.len() == 1 && locations[0].server.ends_with(&port), "{locations:?}");
}
