//! A proxy on loopback that adds latency, limits the rate and injects faults into the XRootD protocol.

mod frame;
mod line;
mod relay;
mod rule;

use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;

use self::rule::Rules;
pub use self::rule::{Counts, Fault, Request, Rule, RuleBuilder};

/// The longest part of a request that is remembered.
const REMEMBERED: usize = 8 << 10;

/// A proxy in front of a server on loopback. It runs in a thread of its own until it is dropped.
///
/// Rules see plain connections only. What is encrypted passes with its latency and rate alone, as does everything with
/// [`any_protocol`](FaultProxyBuilder::any_protocol).
///
/// ```no_run
/// use eos_testbed::{Fault, FaultProxy, Request, Rule, Xrootd};
/// use std::time::Duration;
///
/// let server = Xrootd::standalone().start();
/// let proxy = FaultProxy::to(server.port()).rtt(Duration::from_millis(50)).start();
/// proxy.set_rules([Rule::on(Request::Read).first().then(Fault::Stall)]);
/// // … a client reads from proxy.url("/file") …
/// assert_eq!(proxy.counts().of(Request::Read), 2);
/// ```
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What a proxy is to be like.
#[derive(Debug)]
#[must_use]
pub struct FaultProxyBuilder {
    upstream: u16,
    protocol: Protocol,
    link: Link,
    rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Xrootd,
    Any,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    rtt: Duration,
    bytes_per_second: Option<f64>,
}

#[derive(Debug)]
struct Shared {
    upstream: u16,
    protocol: Protocol,
    link: Mutex<Link>,
    rules: Mutex<Rules>,
    counts: Mutex<Counts>,
    payloads: Mutex<Vec<(Request, Vec<u8>)>>,
    disconnect: Notify,
    stop: Notify,
}

impl Shared {
    fn half_a_trip(&self) -> Duration {
        self.link.lock().unwrap().rtt / 2
    }

    /// Remembers a request, and says what is to be done to it.
    fn note(&self, request: Request, payload: &[u8]) -> Option<Fault> {
        let fault = self.rules.lock().unwrap().decide(request);
        let remembered = payload[..payload.len().min(REMEMBERED)].to_vec();
        self.payloads.lock().unwrap().push((request, remembered));
        let mut counts = self.counts.lock().unwrap();
        *counts.requests.entry(request).or_default() += 1;
        counts.faults += u64::from(fault.is_some());
        fault
    }
}

impl FaultProxy {
    /// A proxy in front of a port.
    pub fn to(port: u16) -> FaultProxyBuilder {
        FaultProxyBuilder { upstream: port, protocol: Protocol::Xrootd, link: Link::default(), rules: Vec::new() }
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a file behind it: `root://127.0.0.1:1234//dir/file`.
    pub fn url(&self, path: &str) -> String {
        format!("root://127.0.0.1:{}//{}", self.port, path.trim_start_matches('/'))
    }

    /// Replaces the rules; the new ones count from here on.
    pub fn set_rules(&self, rules: impl IntoIterator<Item = Rule>) {
        self.shared.rules.lock().unwrap().0 = rules.into_iter().collect();
    }

    /// Changes the time that a round trip takes longer than without it.
    pub fn set_rtt(&self, rtt: Duration) {
        self.shared.link.lock().unwrap().rtt = rtt;
    }

    /// Closes all connections; new ones can be made.
    pub fn disconnect(&self) {
        self.shared.disconnect.notify_waiters();
    }

    /// What went through so far.
    pub fn counts(&self) -> Counts {
        self.shared.counts.lock().unwrap().clone()
    }

    /// What requests of a kind said behind their headers, up to 8 KiB of each: for `open` the path with what follows
    /// it.
    pub fn payloads(&self, request: Request) -> Vec<Vec<u8>> {
        let payloads = self.shared.payloads.lock().unwrap();
        payloads.iter().filter(|(kind, _)| *kind == request).map(|(_, payload)| payload.clone()).collect()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.stop.notify_one();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl FaultProxyBuilder {
    /// Makes a round trip take so much longer. Requests that are under way at once still overlap.
    pub fn rtt(mut self, rtt: Duration) -> Self {
        self.link.rtt = rtt;
        self
    }

    /// Lets each connection carry no more than so many bytes a second in each direction.
    pub fn bytes_per_second(mut self, rate: u64) -> Self {
        self.link.bytes_per_second = Some(rate as f64);
        self
    }

    /// Adds a rule; the first that holds for a request decides.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Looks into nothing: a longer way to a server of any protocol, such as HTTP.
    pub fn any_protocol(mut self) -> Self {
        self.protocol = Protocol::Any;
        self
    }

    /// Starts it.
    pub fn start(self) -> FaultProxy {
        let shared = Arc::new(Shared {
            upstream: self.upstream,
            protocol: self.protocol,
            link: Mutex::new(self.link),
            rules: Mutex::new(Rules(self.rules)),
            counts: Mutex::default(),
            payloads: Mutex::default(),
            disconnect: Notify::new(),
            stop: Notify::new(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a socket can be told to");
        let port = listener.local_addr().expect("it is bound").port();
        let (ready, started) = channel();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("testbed-proxy".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime can be built").block_on(async {
                    let listener = tokio::net::TcpListener::from_std(listener).expect("the listener is fine");
                    let _ = ready.send(());
                    tokio::select! {
                        () = accept(listener, &theirs) => {}
                        () = theirs.stop.notified() => {}
                    }
                });
            })
            .expect("a thread can be started");
        started.recv().expect("the proxy starts");
        FaultProxy { port, shared, thread: Some(thread) }
    }
}

async fn accept(listener: tokio::net::TcpListener, shared: &Arc<Shared>) {
    loop {
        if let Ok((client, _)) = listener.accept().await {
            shared.counts.lock().unwrap().connections += 1;
            tokio::spawn(relay::relay(client, Arc::clone(shared)));
        }
    }
}
