//! The proxy between a real server and the programs that people use: every fault happens as told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use eos_testbed::{Fault, FaultProxy, Ran, Request, Rule, Tool, Variables, Xrootd};

/// A client that uses plain reads, and soon gives up or tries again.
fn impatient() -> Variables {
    [
        ("XRD_CPUSEPGWRTRD", "0"),
        ("XRD_REQUESTTIMEOUT", "4"),
        ("XRD_STREAMTIMEOUT", "4"),
        ("XRD_TIMEOUTRESOLUTION", "1"),
        ("XRD_CONNECTIONRETRY", "1"),
        ("XRD_STREAMERRORWINDOW", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// A server with a file of random bytes, and a proxy in front of it.
struct Setup {
    server: Xrootd,
    proxy: FaultProxy,
    content: Vec<u8>,
}

fn setup(rules: impl IntoIterator<Item = Rule>) -> Setup {
    let server = Xrootd::standalone().start();
    let content = server.volume().write_random("/some.bin", 5, 300_000);
    let proxy = FaultProxy::to(server.port()).start();
    proxy.set_rules(rules);
    Setup { server, proxy, content }
}

impl Setup {
    fn copy(&self) -> Ran {
        Tool::new("xrdcp").args("-f -s").arg(self.proxy.url("/some.bin")).arg("-").envs(&impatient()).run()
    }

    fn stat(&self) -> Ran {
        let server = format!("127.0.0.1:{}", self.proxy.port());
        Tool::new("xrdfs").arg(server).args("stat /some.bin").envs(&impatient()).run()
    }

    /// The file arrives although something happened.
    fn arrives(&self) {
        let got = self.copy();
        assert!(got.ok, "{}", got.errors);
        assert!(got.output == self.content, "{} bytes", got.output.len());
        assert!(self.proxy.counts().faults > 0);
    }
}

#[test]
fn without_rules_everything_passes_and_is_counted() {
    let setup = setup([]);

    assert!(setup.copy().output == setup.content);

    let counts = setup.proxy.counts();
    assert_eq!((counts.connections, counts.of(Request::Open), counts.faults), (1, 1, 0));
    assert!(counts.bytes_down > 300_000 && counts.bytes_down < 310_000, "{counts:?}");
    assert!(counts.bytes_up > 100 && counts.bytes_up < 10_000, "{counts:?}");
    assert!(setup.proxy.payloads(Request::Open)[0].starts_with(b"/some.bin"));
}

#[test]
fn a_round_trip_takes_longer() {
    let setup = setup([]);
    setup.proxy.set_rtt(Duration::from_millis(100));

    let began = Instant::now();
    assert!(setup.stat().ok);

    // The connection, the protocol, the login and the request itself; some of them together.
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(900), "{took:?}");
}

#[test]
fn what_is_under_way_at_once_is_late_at_once() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = upstream.local_addr().expect("bound").port();
    // Answers whatever it is sent.
    std::thread::spawn(move || {
        let (mut end, _) = upstream.accept().expect("the proxy connects");
        let mut back = end.try_clone().expect("a socket");
        std::io::copy(&mut end, &mut back)
    });
    let proxy = FaultProxy::to(port).any_protocol().start();
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).expect("the proxy listens");
    let mut exchange = |messages: usize| {
        let mut got = vec![0; messages];
        for _ in 0..messages {
            client.write_all(b"x").expect("the connection is open");
            std::thread::sleep(Duration::from_millis(5));
        }
        client.read_exact(&mut got).expect("all come back");
    };
    exchange(1);
    proxy.set_rtt(Duration::from_millis(200));

    let began = Instant::now();
    exchange(20);

    let took = began.elapsed();
    assert!(took >= Duration::from_millis(295) && took < Duration::from_millis(600), "{took:?}");
}

#[test]
fn a_connection_carries_no_more_than_its_rate() {
    let server = Xrootd::standalone().start();
    server.volume().write_random("/some.bin", 5, 3_000_000);
    let proxy = FaultProxy::to(server.port()).bytes_per_second(3_000_000).start();

    let began = Instant::now();
    assert!(Tool::new("xrdcp").args("-f -s").arg(proxy.url("/some.bin")).arg("-").run().ok);

    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_millis(2_000), "{took:?}");
}

#[test]
fn a_client_waits_when_it_is_told_to() {
    let setup = setup([Rule::on(Request::Open).first().then(Fault::Wait(1))]);

    let began = Instant::now();
    setup.arrives();

    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(setup.proxy.counts().of(Request::Open), 2);
}

#[test]
fn an_answer_comes_later_without_being_asked_for_again() {
    let setup = setup([Rule::on(Request::Open).first().then(Fault::WaitResp(Duration::from_secs(1)))]);

    let began = Instant::now();
    setup.arrives();

    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(setup.proxy.counts().of(Request::Open), 1);
}

#[test]
fn an_error_is_the_one_that_was_asked_for() {
    let setup = setup([Rule::on(Request::Stat).then(Fault::Error(3010))]);

    let stat = setup.stat();

    assert!(!stat.ok && stat.errors.contains("[3010]") && stat.errors.contains("injected"), "{}", stat.errors);
}

#[test]
fn a_client_follows_a_redirection_with_what_it_was_given() {
    let setup = setup([]);
    let second = FaultProxy::to(setup.server.port()).start();
    let redirect = Fault::Redirect { host: "127.0.0.1".into(), port: second.port(), opaque: "cap.sym=a/b+c=".into() };
    setup.proxy.set_rules([Rule::on(Request::Open).then(redirect)]);

    setup.arrives();

    let opened = String::from_utf8_lossy(&second.payloads(Request::Open)[0]).into_owned();
    assert!(opened.contains("cap.sym=a/b+c="), "{opened}");
    assert_eq!(setup.proxy.counts().of(Request::Read), 0);
}

#[test]
fn a_client_follows_a_redirection_to_a_url() {
    let setup = setup([]);
    let url = setup.server.url("/some.bin");
    setup.proxy.set_rules([Rule::on(Request::Open).then(Fault::RedirectUrl(url))]);

    setup.arrives();
}

#[test]
fn answers_may_be_late_or_in_pieces() {
    for fault in [Fault::Delay(Duration::from_millis(200)), Fault::Split(1_000)] {
        setup([Rule::on(Request::Read).first().then(fault)]).arrives();
    }
}

#[test]
fn a_short_read_is_the_end_of_the_file() {
    let setup = setup([Rule::on(Request::Read).first().then(Fault::Short(1_000))]);

    let got = setup.copy();

    // This client takes it for that, and then misses the rest.
    assert!(!got.ok && got.output == setup.content[..1_000], "{} {}", got.output.len(), got.errors);
}

#[test]
fn connections_are_closed_before_or_within_an_answer_and_clients_recover() {
    for fault in [Fault::Drop, Fault::Cut(4), Fault::Cut(8), Fault::Cut(1_000)] {
        let setup = setup([Rule::on(Request::Read).first().then(fault)]);
        setup.arrives();
        assert_eq!(setup.proxy.counts().connections, 2);
    }
}

#[test]
fn a_bit_that_was_flipped_is_noticed_where_there_are_checksums() {
    let setup = setup([Rule::on(Request::Read).first().then(Fault::Corrupt)]);

    let got = setup.copy().output;

    let differing: Vec<u8> = got.iter().zip(&setup.content).map(|(a, b)| a ^ b).filter(|bits| *bits != 0).collect();
    assert_eq!((got.len(), differing), (setup.content.len(), vec![1]));

    let proxy = FaultProxy::to(setup.server.port()).start();
    proxy.set_rules([Rule::on(Request::Pgread).first().then(Fault::Corrupt)]);
    let checked = Tool::new("xrdcp").args("-f -s").arg(proxy.url("/some.bin")).arg("-").check();
    assert!(checked.output == setup.content);
    assert!(proxy.counts().of(Request::Pgread) >= 2, "{:?}", proxy.counts());
}

#[test]
fn a_request_that_is_swallowed_is_not_answered() {
    let setup = setup([Rule::on(Request::Stat).then(Fault::Stall)]);

    let began = Instant::now();
    assert!(!setup.stat().ok);

    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[test]
fn a_connection_that_hangs_passes_nothing_on() {
    let setup = setup([Rule::on(Request::Stat).first().then(Fault::Hang)]);

    let began = Instant::now();
    let _ = setup.stat();

    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[test]
fn tls_passes_through() {
    let server = Xrootd::tls().start();
    let content = server.volume().write_random("/some.bin", 5, 300_000);
    let proxy = FaultProxy::to(server.port()).start();

    let url = proxy.url("/some.bin").replace("root://127.0.0.1", "roots://localhost");
    let got = Tool::new("xrdcp").args("-f -s").arg(url).arg("-").envs(server.env()).check();

    assert!(got.output == content);
    assert_eq!(proxy.counts().of(Request::Open), 0);
}

#[test]
fn other_protocols_only_take_longer() {
    let server = Xrootd::standalone().start();
    server.volume().write("/hello.txt", "hello");
    let proxy = FaultProxy::to(server.port()).any_protocol().rtt(Duration::from_millis(100)).start();

    let began = Instant::now();
    let got = Tool::new("curl").args("-sf").arg(format!("http://127.0.0.1:{}/hello.txt", proxy.port())).check();

    assert_eq!(got.text(), "hello");
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[test]
fn connections_can_be_closed_at_any_time() {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a port");
    let proxy = FaultProxy::to(upstream.local_addr().expect("bound").port()).any_protocol().start();
    let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).expect("the proxy listens");
    let (mut server, _) = upstream.accept().expect("the proxy connects");
    client.write_all(b"ping").expect("the connection is open");
    let mut got = [0; 4];
    server.read_exact(&mut got).expect("it passes");

    proxy.disconnect();

    assert!(matches!(client.read(&mut got), Ok(0) | Err(_)));
    assert!(matches!(server.read(&mut got), Ok(0) | Err(_)));
}
