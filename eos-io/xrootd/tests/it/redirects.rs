//! Servers that send the client elsewhere.

use std::net::{Ipv4Addr, TcpListener};

use eos_testbed::{Fault, FaultProxy, Request, Rule, Xrootd};
use xrootd_client::{Error, ErrorKind, Options};

use crate::store_at;
use crate::support::{Reply, Scripted, behind, cause, guarded, kind, read, request, steady};

/// A server behind a proxy, and a proxy of the same server that stands for the manager.
struct Setup {
    manager: FaultProxy,
    data: FaultProxy,
    content: Vec<u8>,
    _server: Xrootd,
}

fn setup() -> Setup {
    let server = Xrootd::standalone().start();
    let content = server.volume().write_random("d/f.bin", 5, 3 << 20);
    let (manager, data) = (FaultProxy::to(server.port()).start(), FaultProxy::to(server.port()).start());
    Setup { manager, data, content, _server: server }
}

fn to(port: u16, opaque: &str) -> Fault {
    Fault::Redirect { host: "127.0.0.1".to_owned(), port, opaque: opaque.to_owned() }
}

fn closed_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn texts(proxy: &FaultProxy, request: Request) -> Vec<String> {
    let payloads = proxy.payloads(request).into_iter();
    payloads.map(|payload| String::from_utf8(payload).unwrap().trim_end_matches('\0').to_owned()).collect()
}

#[tokio::test]
async fn what_a_redirect_hands_over_arrives_as_it_was() {
    let setup = setup();
    let capability = "&cap.sym=a/b+c==&cap.msg=x%20y&mgm.id=0000001";
    setup.manager.set_rules([Rule::on(Request::Open).then(to(setup.data.port(), capability))]);
    let store = store_at(&format!("{}?eos.app=test", setup.manager.url("/")), steady());
    assert!(guarded(read(&store, "d/f.bin")).await.unwrap() == setup.content);
    let opened = texts(&setup.data, Request::Open);
    assert_eq!(opened, ["/d/f.bin?eos.app=test&cap.sym=a/b+c==&cap.msg=x%20y&mgm.id=0000001"]);
    assert_eq!(setup.manager.counts().of(Request::Read), 0);
}

#[tokio::test]
async fn a_redirect_may_be_a_url_with_a_path_of_its_own() {
    let setup = setup();
    let url = format!("{}?cap=1", setup.data.url("/d/f.bin"));
    setup.manager.set_rules([Rule::on(Request::Open).then(Fault::RedirectUrl(url))]);
    let store = behind(&setup.manager, steady());
    assert!(guarded(read(&store, "other/name.bin")).await.unwrap() == setup.content);
    assert_eq!(texts(&setup.data, Request::Open), ["/d/f.bin?cap=1"]);
}

#[tokio::test]
async fn a_redirect_to_another_protocol_is_not_followed() {
    let setup = setup();
    for url in ["http://127.0.0.1/x?authz=s3cret", "file://localhost/etc/passwd", "s3cret"] {
        setup.manager.set_rules([Rule::on(Request::Open).then(Fault::RedirectUrl(url.to_owned()))]);
        let store = behind(&setup.manager, steady());
        let error = guarded(read(&store, "d/f.bin")).await.unwrap_err();
        assert!(matches!(cause(&error), Error::Redirect { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("/d/f.bin") && text.contains("not followed") && !text.contains("s3cret"), "{text}");
        assert_eq!(store.client().metrics().retries, 0);
    }
}

#[tokio::test]
async fn a_redirect_to_a_dead_server_leads_back_to_the_manager_with_its_name() {
    let setup = setup();
    setup.manager.set_rules([
        Rule::on(Request::Open).nth(1..=1).then(to(closed_port(), "cap.sym=old")),
        Rule::on(Request::Open).nth(2..=2).then(to(setup.data.port(), "cap.sym=new")),
    ]);
    let store = behind(&setup.manager, steady());
    assert!(guarded(read(&store, "d/f.bin")).await.unwrap() == setup.content);
    assert_eq!(texts(&setup.manager, Request::Open), ["/d/f.bin", "/d/f.bin?tried=127.0.0.1&triedrc=srverr"]);
    assert_eq!(texts(&setup.data, Request::Open), ["/d/f.bin?cap.sym=new&tried=127.0.0.1&triedrc=srverr"]);
    assert_eq!(store.client().metrics().failovers, 1);
}

#[tokio::test]
async fn a_file_is_missing_when_the_manager_leads_to_the_same_server_again() {
    let setup = setup();
    setup.manager.set_rules([Rule::on(Request::Open).then(to(setup.data.port(), ""))]);
    let store = behind(&setup.manager, steady());
    let error = guarded(read(&store, "d/none.bin")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::NotFound, "{error}");
    assert_eq!(setup.data.counts().of(Request::Open), 2);
}

#[tokio::test]
async fn when_all_servers_are_dead_the_first_failure_is_told() {
    let setup = setup();
    let port = closed_port();
    setup.manager.set_rules([Rule::on(Request::Open).then(to(port, ""))]);
    let store = behind(&setup.manager, steady());
    let error = guarded(read(&store, "d/f.bin")).await.unwrap_err();
    assert_eq!(kind(&error), ErrorKind::Unreachable);
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[tokio::test]
async fn a_file_that_is_handed_over_while_it_is_read_is_opened_anew() {
    let setup = setup();
    setup.manager.set_rules([Rule::on(Request::Read).first().then(to(setup.data.port(), ""))]);
    let store = behind(&setup.manager, steady());
    assert!(guarded(read(&store, "d/f.bin")).await.unwrap() == setup.content);
    assert_eq!(store.client().metrics().retries, 1);
}

#[tokio::test]
async fn a_file_that_is_handed_over_at_every_read_is_given_up() {
    let setup = setup();
    setup.manager.set_rules([Rule::on(Request::Read).then(to(setup.data.port(), ""))]);
    let store = behind(&setup.manager, steady());
    let error = guarded(read(&store, "d/f.bin")).await.unwrap_err();
    assert!(error.to_string().contains("handed the file over"), "{error}");
}

#[tokio::test]
async fn a_server_that_hands_over_for_good_is_not_asked_again_until_its_successor_fails() {
    /// The flag of a lasting redirect, in the complement of the port.
    const COLLAPSE: u32 = 0x2000;
    let setup = setup();
    let url = format!("root://127.0.0.1:{}//", setup.data.port());
    let server = Scripted::start(move |asked| match asked.request {
        request::STAT | request::OPEN => asked.answer(4004, &[&(!COLLAPSE).to_be_bytes()[..], url.as_bytes()].concat()),
        _ => Reply::Usual,
    });
    let store = store_at(&server.url(), Options { idle_timeout: std::time::Duration::ZERO, ..steady() });
    for _ in 0..3 {
        assert!(guarded(read(&store, "d/f.bin")).await.unwrap() == setup.content);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!((server.count(request::OPEN), setup.data.counts().of(Request::Open)), (1, 3));
    setup.data.set_rules([Rule::on(Request::Open).first().then(Fault::Drop)]);
    assert!(guarded(read(&store, "d/f.bin")).await.unwrap() == setup.content);
    assert_eq!(server.count(request::OPEN), 2);
}

/// A client that trusts the authority of the servers.
fn trusting() -> Options {
    let authorities_dir = Some(eos_testbed::Ca::of_this_process().directory());
    Options { credentials: xrootd_client::Credentials { authorities_dir, ..Default::default() }, ..steady() }
}

#[tokio::test]
async fn what_has_begun_encrypted_is_redirected_encrypted() {
    let data = Xrootd::tls().start();
    let content = data.volume().write_random("f.bin", 5, 3 << 20);
    let manager = Xrootd::tls().line(format!("xrootd.redirect localhost:{} /", data.port())).start();
    let store = store_at(&manager.url("/"), trusting());
    assert!(guarded(read(&store, "f.bin")).await.unwrap() == content);
    assert_eq!((store.client().metrics().connections, store.client().metrics().retries), (2, 0));
}

#[tokio::test]
async fn a_redirect_to_a_server_that_cannot_encrypt_is_an_error() {
    let data = Xrootd::standalone().start();
    data.volume().write("f.bin", "content");
    let manager = Xrootd::tls().line(format!("xrootd.redirect localhost:{} /", data.port())).start();
    let store = store_at(&manager.url("/"), trusting());
    let error = guarded(read(&store, "f.bin")).await.unwrap_err();
    assert!(matches!(cause(&error), Error::Tls { .. }), "{error}");
    assert!(error.to_string().contains(&format!("localhost:{}", data.port())), "{error}");
}
