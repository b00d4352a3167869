//! Reading while servers and lines fail: the right bytes in the end, or an error that says what happened.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use eos_testbed::{Fault, FaultProxy, Request, Rule, Volume, Xrootd};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use xrootd_client::{ErrorKind, Event, Options};

use crate::support::{behind, cause, guarded, impatient, kind, read, steady};
use crate::{store_at, store_with};

const SIZE: usize = 6 << 20;

struct Setup {
    server: Xrootd,
    proxy: FaultProxy,
    content: Vec<u8>,
}

fn setup(rules: impl IntoIterator<Item = Rule>) -> Setup {
    let server = Xrootd::standalone().start();
    let content = server.volume().write_random("f.bin", 3, SIZE);
    let proxy = FaultProxy::to(server.port()).start();
    proxy.set_rules(rules);
    Setup { server, proxy, content }
}

/// The file arrives whole in spite of the rules; answers with what the client counted.
async fn arrives(options: Options, rules: impl IntoIterator<Item = Rule>) -> xrootd_client::Metrics {
    let setup = setup(rules);
    let store = behind(&setup.proxy, options);
    let read = guarded(read(&store, "f.bin")).await.unwrap();
    assert!(read == setup.content, "other bytes than the file's");
    store.client().metrics()
}

#[tokio::test]
async fn a_server_that_is_killed_and_comes_back_is_read_on() {
    let Setup { server, proxy, content } = setup([]);
    // Slow enough for the kill to come in the middle.
    proxy.set_rules([Rule::on(Request::Read).nth(2..=3).then(Fault::Delay(Duration::from_millis(700)))]);
    let store = behind(&proxy, Options { retries: 10, ..steady() });
    let path = Path::from("f.bin");
    let file = store.get(&path).await.unwrap();
    let reading = tokio::spawn(async move { file.bytes().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let restarting = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    });
    let _server = restarting.await.unwrap();
    let read = guarded(reading).await.unwrap().unwrap();
    assert!(read == content);
    assert!(store.client().metrics().retries >= 1);
}

#[tokio::test]
async fn a_server_that_is_killed_and_stays_away_is_given_up_with_its_name() {
    let server = Xrootd::standalone().start();
    server.volume().write_random("f.bin", 3, SIZE);
    let store = store_with(&server, steady());
    store.head(&Path::from("f.bin")).await.unwrap();
    server.kill();
    let error = guarded(read(&store, "f.bin")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Unreachable);
    let text = error.to_string();
    assert!(text.contains(&format!("127.0.0.1:{}", server.port())) && text.contains("attempts"), "{text}");
    // As often as the options say, and once more if a read was the first to notice.
    assert!((4..=5).contains(&store.client().metrics().retries), "{:?}", store.client().metrics());
}

#[tokio::test]
async fn slow_replies_are_waited_for() {
    let delay = Fault::Delay(Duration::from_millis(1200));
    let metrics = arrives(steady(), [Rule::on(Request::Read).every(2).then(delay)]).await;
    assert_eq!(metrics.retries, 0);
}

#[tokio::test]
async fn a_line_that_is_slower_than_the_timeout_for_silence_is_no_failure() {
    let server = Xrootd::standalone().start();
    let content = server.volume().write_random("f.bin", 3, 5 << 20);
    let proxy = FaultProxy::to(server.port()).bytes_per_second(512 << 10).start();
    let options =
        Options { silence_timeout: Duration::from_secs(6), request_timeout: Duration::from_secs(60), ..steady() };
    let store = behind(&proxy, options);
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    guarded(store.put(&Path::from("g.bin"), content.clone().into())).await.unwrap();
    assert!(server.volume().read("g.bin") == content);
    assert_eq!(store.client().metrics().retries, 0);
}

#[tokio::test]
async fn a_request_that_is_swallowed_is_made_again_while_others_go_on() {
    let Setup { server, proxy, content } = setup([Rule::on(Request::Read).nth(2..=2).then(Fault::Stall)]);
    let other = server.volume().write_random("other.bin", 4, 1000);
    let store = behind(&proxy, Options { request_timeout: Duration::from_secs(3), ..steady() });
    let reading = {
        let store = store.clone();
        tokio::spawn(async move { read(&store, "f.bin").await })
    };
    for _ in 0..10 {
        assert_eq!(guarded(read(&store, "other.bin")).await.unwrap(), other);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(guarded(reading).await.unwrap().unwrap() == content);
    assert!(store.client().metrics().retries >= 1);
}

#[tokio::test]
async fn a_connection_may_end_anywhere() {
    for bytes in [0, 1, 7, 8, 9, 4096, 1 << 20] {
        let metrics = arrives(steady(), [Rule::on(Request::Read).nth(2..=2).then(Fault::Cut(bytes))]).await;
        assert_eq!((metrics.retries, metrics.connections), (1, 2), "cut after {bytes} bytes");
    }
    for (request, bytes) in [(Request::Protocol, 5), (Request::Login, 3), (Request::Login, 12), (Request::Open, 10)] {
        let metrics = arrives(steady(), [Rule::on(request).first().then(Fault::Cut(bytes))]).await;
        assert_eq!(metrics.retries, 1, "{request:?} cut after {bytes} bytes");
    }
    for request in [Request::Protocol, Request::Login, Request::Open, Request::Read] {
        let metrics = arrives(steady(), [Rule::on(request).first().then(Fault::Drop)]).await;
        assert_eq!(metrics.retries, 1, "{request:?} dropped");
    }
}

#[tokio::test]
async fn answers_may_overtake_each_other() {
    let delay = |ms| Fault::Delay(Duration::from_millis(ms));
    let rules = [
        Rule::on(Request::Read).nth(1..=1).then(delay(300)),
        Rule::on(Request::Read).nth(2..=2).then(delay(150)),
        Rule::on(Request::Read).every(3).then(delay(50)),
    ];
    let metrics = arrives(steady(), rules).await;
    assert_eq!((metrics.retries, metrics.bytes_read), (0, SIZE as u64));
}

#[tokio::test]
async fn reads_may_be_short_or_come_in_pieces() {
    for fault in [Fault::Short(1_000_003), Fault::Split(100_001), Fault::Split(2 << 20)] {
        let metrics = arrives(steady(), [Rule::on(Request::Read).then(fault)]).await;
        assert_eq!((metrics.retries, metrics.bytes_read), (0, SIZE as u64));
    }
}

#[tokio::test]
async fn a_connection_that_hangs_is_replaced_also_for_what_waits_for_its_turn() {
    let setup = setup([Rule::on(Request::Read).nth(3..=3).then(Fault::Hang)]);
    let mut files = vec![("f.bin".to_owned(), setup.content.clone())];
    for n in 0..4 {
        let name = format!("f{n}.bin");
        let content = setup.server.volume().write_random(&name, n, SIZE);
        files.push((name, content));
    }
    let store = behind(&setup.proxy, Options { connections: 1, ..impatient() });
    let reads = files.iter().map(|(name, content)| {
        let store = &store;
        async move { assert!(read(store, name).await.unwrap() == *content, "{name}") }
    });
    guarded(futures::future::join_all(reads)).await;
    assert!(store.client().metrics().retries >= 1);
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_holds_nobody_up() {
    let server = Xrootd::standalone().start();
    let content = server.volume().write_random("large.bin", 3, 40 << 20);
    let small = server.volume().write_random("small.bin", 4, 1000);
    let store = store_with(&server, Options { connections: 1, ..impatient() });
    let (large_path, small_path) = (Path::from("large.bin"), Path::from("small.bin"));
    store.head(&large_path).await.unwrap();
    store.head(&small_path).await.unwrap();
    server.pause();
    // Fills the window with what is never answered while the server stands still.
    let given_up = tokio::time::timeout(Duration::from_millis(300), store.get_range(&large_path, 0..40 << 20)).await;
    assert!(given_up.is_err());
    let reading = store.get_ranges(&small_path, std::slice::from_ref(&(0..1000)));
    let resume = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        server.resume();
    };
    let (read_small, ()) = guarded(futures::future::join(reading, resume)).await;
    assert_eq!(read_small.unwrap()[0], small);
    assert!(guarded(read(&store, "large.bin")).await.unwrap() == content);
}

fn verifying() -> Options {
    Options { verify: true, ..steady() }
}

#[tokio::test]
async fn a_page_with_a_wrong_checksum_is_read_again() {
    let metrics = arrives(verifying(), [Rule::on(Request::Pgread).nth(2..=2).then(Fault::Corrupt)]).await;
    assert_eq!(metrics.retries, 1);
}

#[tokio::test]
async fn pages_that_are_wrong_each_time_are_named() {
    let setup = setup([Rule::on(Request::Pgread).then(Fault::Corrupt)]);
    let store = behind(&setup.proxy, verifying());
    let error = guarded(read(&store, "f.bin")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("wrong checksum") && text.contains("f.bin") && text.contains("bytes "), "{text}");
}

#[tokio::test]
async fn a_refusal_to_send_a_page_again_is_told_as_it_is() {
    let setup = setup([
        Rule::on(Request::Pgread).first().then(Fault::Corrupt),
        Rule::on(Request::Pgread).nth(7..=100).then(Fault::Error(3010)),
    ]);
    let store = behind(&setup.proxy, verifying());
    // Six chunks, of which one is asked for again.
    let error = guarded(read(&store, "f.bin")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::PermissionDenied, "{error}");
    setup.proxy.set_rules([
        Rule::on(Request::Pgread).first().then(Fault::Corrupt),
        Rule::on(Request::Pgread).nth(7..=7).then(Fault::Wait(1)),
    ]);
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == setup.content);
    assert_eq!(store.client().metrics().waits, 1);
}

#[tokio::test]
async fn a_file_that_was_replaced_by_one_of_its_size_is_not_mixed_with_it() {
    let Setup { server, proxy, content } = setup([]);
    let store = behind(&proxy, steady());
    let path = Path::from("f.bin");
    assert!(guarded(store.get_range(&path, 0..1000)).await.unwrap() == content[..1000]);
    server.volume().write_random("f.bin", 4, SIZE);
    let later = std::time::SystemTime::now() + Duration::from_secs(10);
    std::fs::File::open(server.volume().path("f.bin")).unwrap().set_modified(later).unwrap();
    proxy.set_rules([Rule::on(Request::Read).first().then(Fault::Drop)]);
    let error = guarded(store.get_range(&path, 0..1000)).await.unwrap_err();
    assert!(error.to_string().contains("the file was changed since it was opened first"), "{error}");
}

#[tokio::test]
async fn without_verification_nobody_asks_for_pages() {
    let setup = setup([]);
    let store = behind(&setup.proxy, steady());
    guarded(read(&store, "f.bin")).await.unwrap();
    assert_eq!(setup.proxy.counts().of(Request::Pgread), 0);
}

/// Many files behind a proxy, all read at once.
async fn read_all(files: usize, options: Options, rule: Rule) -> (xrootd_client::XrootdStore, FaultProxy, Vec<String>) {
    let server = Xrootd::standalone().start();
    let volume: &Arc<Volume> = server.volume();
    let contents: Vec<_> = (0..files).map(|n| volume.write_random(&format!("d/{n}.bin"), n as u64, 5000 + n)).collect();
    let proxy = FaultProxy::to(server.port()).rule(rule).start();
    let store = behind(&proxy, options);
    let reads = contents.iter().enumerate().map(|(n, content)| {
        let store = &store;
        async move {
            match read(store, &format!("d/{n}.bin")).await {
                Ok(read) => {
                    assert!(read == *content, "{n}");
                    None
                }
                Err(error) => Some(error.to_string()),
            }
        }
    });
    let errors = guarded(futures::future::join_all(reads)).await.into_iter().flatten().collect();
    (store, proxy, errors)
}

#[tokio::test]
async fn a_server_that_fails_three_percent_of_the_opens_serves_all_files() {
    const SERVER_ERROR: u32 = 3012;
    const OVERLOADED: u32 = 3024;
    const TIMER_EXPIRED: u32 = 3035;
    for code in [SERVER_ERROR, OVERLOADED, TIMER_EXPIRED] {
        let rule = Rule::on(Request::Open).share(0.03, 42).then(Fault::Error(code));
        let (store, proxy, errors) = read_all(500, steady(), rule).await;
        assert!(errors.is_empty(), "{errors:?}");
        let metrics = store.client().metrics();
        assert_eq!(metrics.opens, 500);
        assert_eq!(metrics.retries, proxy.counts().faults);
        assert!((5..40).contains(&metrics.retries), "{metrics:?}");
    }
}

#[tokio::test]
async fn a_server_that_fails_every_open_spends_the_budget_of_retries_and_no_more() {
    let rule = Rule::on(Request::Open).then(Fault::Error(3012));
    let options = Options { retry_budget: 30, ..steady() };
    let (store, proxy, errors) = read_all(500, options, rule).await;
    assert_eq!(errors.len(), 500);
    assert!(errors.iter().any(|error| error.contains("no retries are left for this client")), "{}", errors[0]);
    assert_eq!(store.client().metrics().retries, 30);
    assert_eq!(proxy.counts().of(Request::Open), 530);
}

#[tokio::test]
async fn a_definite_answer_after_a_lost_connection_is_told_as_it_is() {
    let setup = setup([Rule::on(Request::Open).first().then(Fault::Drop)]);
    let store = behind(&setup.proxy, steady());
    let error = guarded(read(&store, "missing.bin")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn events_tell_of_retries_without_secrets() {
    let setup =
        setup([Rule::on(Request::Open).first().then(Fault::Drop), Rule::on(Request::Read).first().then(Fault::Drop)]);
    let events = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&events);
    let listener = Arc::new(move |event: Event| theirs.lock().unwrap().push(event));
    let options = Options { listener: Some(listener), ..steady() };
    let store = store_at(&format!("{}?authz=s3cret", setup.proxy.url("/")), options);
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == setup.content);
    let events = events.lock().unwrap();
    assert!(events.iter().all(|event| matches!(event, Event::Retry { .. })) && events.len() == 2, "{events:?}");
    assert!(!format!("{events:?}{store:?}{store}{:?}", store.client()).contains("s3cret"));
    assert!(setup.proxy.payloads(Request::Open).iter().all(|path| path.ends_with(b"f.bin?authz=s3cret")));
}

#[tokio::test]
async fn errors_show_no_secrets() {
    let setup = setup([]);
    let store = store_at(&format!("{}?authz=s3cret", setup.proxy.url("/")), steady());
    let missing = guarded(read(&store, "missing.bin")).await.unwrap_err();
    let store = store_at(&format!("{}?authz=s3cret", setup.proxy.url("/")), Options { retries: 1, ..impatient() });
    setup.proxy.set_rules([Rule::on(Request::Open).then(Fault::Stall)]);
    let stalled = guarded(read(&store, "f.bin")).await.unwrap_err();
    setup.proxy.set_rules([Rule::on(Request::Open).then(Fault::Drop)]);
    let dropped = guarded(read(&store, "f.bin")).await.unwrap_err();
    for error in [missing, stalled, dropped] {
        let text = format!("{error} {error:?} {:?}", cause(&error));
        assert!(!text.contains("s3cret"), "{text}");
        assert!(text.contains("127.0.0.1:") && text.contains(".bin"), "{text}");
    }
}
