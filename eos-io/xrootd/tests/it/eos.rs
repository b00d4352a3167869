//! Servers like those of EOS, and servers that want every request signed. Their shared secrets are named by variables, so
//! the client runs in a process of its own: this very program, told to run one test.

use std::process::Command;
use std::time::Duration;

use eos_testbed::{EosLike, Fault, FaultProxy, Request, Rule, Variables, Xrootd, random_bytes};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use xrootd_client::Options;

use crate::store_at;
use crate::support::{guarded, read, steady};

const URL: &str = "XROOTD_CLIENT_TEST_URL";
const FILES: usize = 24;
const SIZE: usize = 3 << 20;

/// Runs one of the tests below that are ignored otherwise.
fn run(test: &str, url: &str, variables: &Variables) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("eos::{test}"), "--ignored", "--nocapture"]);
    command.env(URL, url).envs(variables.iter().cloned());
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn url() -> String {
    std::env::var(URL).unwrap()
}

#[test]
fn reading_and_writing_are_signed_where_the_server_demands_it() {
    let server = Xrootd::signing().start();
    run("everything_is_done_once", &server.url("/"), server.env());
    assert!(server.volume().read("new/f.bin") == random_bytes(1, 5 << 20));
    assert!(!server.volume().exists("given-up.bin"));
}

#[tokio::test]
#[ignore = "another test runs it, as a process of its own"]
async fn everything_is_done_once() {
    let store = store_at(&url(), Options { idle_timeout: Duration::from_millis(200), ..steady() });
    let (path, content) = (Path::from("new/f.bin"), random_bytes(1, 5 << 20));
    guarded(store.put(&path, PutPayload::from(content.clone()))).await.unwrap();
    assert!(guarded(read(&store, "new/f.bin")).await.unwrap() == content);
    let ranges: Vec<_> = (0..100).map(|n| n * 50_000..n * 50_000 + 100).collect();
    for _ in 0..2 {
        let parts = guarded(store.get_ranges(&path, &ranges)).await.unwrap();
        assert!(
            ranges.iter().zip(parts).all(|(range, part)| part == content[range.start as usize..range.end as usize])
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(guarded(store.put_multipart(&Path::from("given-up.bin"))).await.unwrap());
    assert_eq!(guarded(store.list_with_delimiter(Some(&Path::from("new")))).await.unwrap().objects.len(), 1);
    guarded(store.rename(&path, &Path::from("new/g.bin"))).await.unwrap();
    guarded(store.rename(&Path::from("new/g.bin"), &path)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let metrics = store.client().metrics();
    assert_eq!((metrics.connections, metrics.retries), (1, 0), "{metrics:?}");
}

#[test]
fn files_are_read_through_the_server_of_names_over_several_logins_at_the_server_of_data() {
    let eos = EosLike::start();
    for n in 0..FILES {
        eos.volume().write_random(&format!("d/{n}.bin"), n as u64, SIZE);
    }
    let proxy = FaultProxy::to(eos.mgm().port()).start();
    run("all_files_are_read_at_once", &proxy.url("/"), eos.env());
    let counts = proxy.counts();
    assert_eq!((counts.of(Request::Open), counts.of(Request::Stat), counts.of(Request::Read)), (FILES as u64, 0, 0));
}

#[tokio::test]
#[ignore = "another test runs it, as a process of its own"]
async fn all_files_are_read_at_once() {
    let options = Options { connections: 3, ..Options::default() };
    let store = store_at(&url(), options);
    let reads = (0..FILES).map(|n| {
        let store = &store;
        async move { assert!(read(store, &format!("d/{n}.bin")).await.unwrap() == random_bytes(n as u64, SIZE)) }
    });
    guarded(futures::future::join_all(reads)).await;
    let metrics = store.client().metrics();
    assert_eq!((metrics.retries, metrics.bytes_read), (0, (FILES * SIZE) as u64));
    // At two servers.
    assert!((3..=6).contains(&metrics.connections), "{metrics:?}");
    // Once more, over the same connections.
    assert!(guarded(read(&store, "d/0.bin")).await.unwrap() == random_bytes(0, SIZE));
    assert_eq!(store.client().metrics().connections, metrics.connections);
}

#[test]
fn a_server_of_data_that_fails_leads_back_to_the_server_of_names() {
    let eos = EosLike::start();
    eos.volume().write_random("d/0.bin", 0, SIZE);
    let proxy = FaultProxy::to(eos.mgm().port()).start();
    proxy.set_rules([Rule::on(Request::Open).first().then(Fault::Redirect {
        host: "localhost".into(),
        port: 9,
        opaque: "cap.sym=s3cret".into(),
    })]);
    run("one_file_is_read", &proxy.url("/"), eos.env());
    let opened = String::from_utf8(proxy.payloads(Request::Open).pop().unwrap()).unwrap();
    assert_eq!(opened.trim_end_matches('\0'), "/d/0.bin?tried=localhost&triedrc=srverr");
}

#[tokio::test]
#[ignore = "another test runs it, as a process of its own"]
async fn one_file_is_read() {
    let store = store_at(&url(), steady());
    assert!(guarded(read(&store, "d/0.bin")).await.unwrap() == random_bytes(0, SIZE));
    assert_eq!(store.client().metrics().failovers, 1);
}
