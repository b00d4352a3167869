//! Servers that ask for patience.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use eos_testbed::{Fault, FaultProxy, Request, Rule, Xrootd};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use xrootd_client::{Error, ErrorKind, Event, Options};

use crate::support::{Reply, Scripted, behind, cause, frame, guarded, impatient, kind, read, request, steady};
use crate::{store_at, store_with};

fn setup() -> (Xrootd, FaultProxy, Vec<u8>) {
    let server = Xrootd::standalone().start();
    let content = server.volume().write_random("f.bin", 6, 3 << 20);
    let proxy = FaultProxy::to(server.port()).start();
    (server, proxy, content)
}

/// What a client is told, and the options that make it so.
fn listening(options: Options) -> (Arc<Mutex<Vec<Event>>>, Options) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&told);
    let listener: xrootd_client::Listener = Arc::new(move |event| ear.lock().unwrap().push(event));
    (told, Options { listener: Some(listener), ..options })
}

/// The sum of RFC 1950, computed byte by byte.
pub fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

#[tokio::test]
async fn the_client_asks_again_when_it_was_told_to() {
    for request in [Request::Open, Request::Read] {
        let (_server, proxy, content) = setup();
        proxy.set_rules([Rule::on(request).first().then(Fault::Wait(1))]);
        let store = behind(&proxy, steady());
        assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
        let metrics = store.client().metrics();
        assert_eq!((metrics.waits, metrics.retries), (1, 0), "{request:?}");
    }
}

#[tokio::test]
async fn an_answer_may_come_later_by_itself() {
    for request in [Request::Open, Request::Read] {
        let (_server, proxy, content) = setup();
        proxy.set_rules([Rule::on(request).first().then(Fault::WaitResp(Duration::from_secs(3)))]);
        // Longer than the silence that is allowed otherwise.
        let store = behind(&proxy, Options { silence_timeout: Duration::from_secs(2), ..steady() });
        assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
        let metrics = store.client().metrics();
        assert!(metrics.waits >= 1 && metrics.waited_ms >= 2_900, "{request:?} {metrics:?}");
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_is_allowed() {
    for request in [Request::Open, Request::Read] {
        let (_server, proxy, _) = setup();
        proxy.set_rules([Rule::on(request).then(Fault::Wait(3600))]);
        let store = behind(&proxy, Options { wait_limit: Duration::from_secs(5), ..steady() });
        let error = guarded(read(&store, "f.bin")).await.unwrap_err();
        assert!(matches!(cause(&error), Error::Wait { .. }), "{error}");
        assert_eq!(kind(&error), ErrorKind::Unreachable);
        assert!(error.to_string().contains("asks to wait 3600 s more, and 5 s altogether are allowed"), "{error}");
        assert_eq!(store.client().metrics().retries, 0);
    }
}

#[tokio::test]
async fn pauses_add_up_to_the_limit() {
    let (_server, proxy, _) = setup();
    proxy.set_rules([Rule::on(Request::Open).then(Fault::Wait(2))]);
    let store = behind(&proxy, Options { wait_limit: Duration::from_secs(5), ..steady() });
    let error = guarded(read(&store, "f.bin")).await.unwrap_err();
    assert!(matches!(cause(&error), Error::Wait { .. }), "{error}");
    let metrics = store.client().metrics();
    assert_eq!((metrics.waits, metrics.waited_ms), (3, 4000));
}

#[tokio::test]
async fn a_file_is_brought_from_tape() {
    for server in [Xrootd::stage().start(), Xrootd::stage_async().start()] {
        let content = server.volume().read("/staged.bin");
        let (told, options) = listening(Options::default());
        let store = store_with(&server, options);
        assert!(guarded(read(&store, "stage/a.bin")).await.unwrap() == content);
        assert!(store.client().metrics().waits >= 1);
        assert!(told.lock().unwrap().iter().any(|event| matches!(event, Event::Waiting { .. })));
    }
}

#[tokio::test]
async fn a_file_that_never_comes_from_tape_is_given_up() {
    for server in [Xrootd::stage().start(), Xrootd::stage_async().start()] {
        let store = store_with(&server, Options { wait_limit: Duration::from_secs(3), retries: 1, ..impatient() });
        let error = guarded(read(&store, "stage/never.bin")).await.unwrap_err();
        assert_eq!(kind(&error), ErrorKind::Unreachable, "{error}");
        assert!(error.to_string().contains("/stage/never.bin"), "{error}");
    }
}

#[tokio::test]
async fn a_checksum_comes_when_the_server_has_computed_it() {
    let (_server, proxy, content) = setup();
    let (told, options) = listening(steady());
    let store = behind(&proxy, options);
    let path = Path::from("f.bin");
    let (kind, value) = guarded(store.checksum(&path, "adler32")).await.unwrap();
    assert_eq!((kind.as_str(), u32::from_str_radix(&value, 16).unwrap()), ("adler32", adler32(&content)));
    // The server puts the answer off, and then is quick.
    assert_eq!((store.client().metrics().waits, told.lock().unwrap().len()), (1, 0));
}

#[tokio::test]
async fn an_answer_that_comes_later_may_be_to_ask_again() {
    let server = Scripted::start(|asked| match (asked.request, asked.before) {
        (request::OPEN, 0) => {
            let later =
                [&5008_u32.to_be_bytes()[..], &[0; 4], &frame(asked.stream, 4005, &0_u32.to_be_bytes())].concat();
            let wait = frame(asked.stream, 4006, &60_u32.to_be_bytes());
            Reply::Bytes([wait, frame([0, 0], 4001, &later)].concat())
        }
        (request::READ, _) => asked.answer(0, &[5; 8]),
        _ => Reply::Usual,
    });
    let store = store_at(&server.url(), steady());
    let bytes = guarded(store.get_range(&Path::from("f.bin"), 0..8)).await.unwrap();
    assert_eq!(bytes[..], [5; 8]);
    assert_eq!((server.count(request::OPEN), store.client().metrics().retries), (2, 0));
}

#[tokio::test]
async fn a_login_may_have_to_wait_as_well() {
    let server = Scripted::start(|asked| match (asked.request, asked.before) {
        (request::LOGIN, 0) => asked.answer(4005, &1_u32.to_be_bytes()),
        (request::READ, _) => asked.answer(0, &[5; 8]),
        _ => Reply::Usual,
    });
    let (told, options) = listening(steady());
    let store = store_at(&server.url(), options);
    guarded(store.get_range(&Path::from("f.bin"), 0..8)).await.unwrap();
    let metrics = store.client().metrics();
    assert_eq!((server.count(request::LOGIN), metrics.waits, metrics.waited_ms), (2, 1, 1000));
    let told = told.lock().unwrap();
    assert!(matches!(&told[..], [Event::Waiting { time, .. }] if time.as_secs() == 1), "{told:?}");
}
