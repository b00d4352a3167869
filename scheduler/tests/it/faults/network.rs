//! Networks that are cut: nobody says that a connection has ended, and nothing comes through it.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use root_cluster::Cluster;
use root_engine::RootSession;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{TIMES, count_pairs};
use crate::support::{Process, free_port, programs};

/// A machine of its own, as far as the network goes, on a cable to this one.
struct Machine {
    name: String,
    here: String,
    there: String,
}

impl Machine {
    /// Only root can make one, and not in every container.
    fn new() -> Result<Self, String> {
        let number = std::process::id() % 16_384;
        let subnet = format!("10.{}.{}", 192 + number / 256, number % 256);
        let machine = Self { name: format!("rq{number}"), here: format!("{subnet}.1"), there: format!("{subnet}.2") };
        let Self { name, here, there } = &machine;
        run(&format!("ip netns add {name}"))?;
        run(&format!("ip link add {name}a type veth peer name {name}b netns {name}"))?;
        run(&format!("ip addr add {here}/24 dev {name}a"))?;
        run(&format!("ip link set {name}a up"))?;
        run(&format!("ip -n {name} addr add {there}/24 dev {name}b"))?;
        run(&format!("ip -n {name} link set {name}b up"))?;
        run(&format!("ip -n {name} link set lo up"))?;
        Ok(machine)
    }

    /// A command that runs there.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(programs().join(program));
        command
    }

    fn cut(&self) {
        run(&format!("ip -n {0} link set {0}b down", self.name)).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The cable goes with it.
        let _ = run(&format!("ip netns del {}", self.name));
    }
}

fn run(line: &str) -> Result<(), String> {
    let mut words = line.split(' ');
    let output =
        Command::new(words.next().unwrap()).args(words).output().map_err(|error| format!("{line}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{line}: {}", text.trim())) }
}

/// A way to a server that can be cut: then connections stay, and nothing passes. It can also be broken: then connections end,
/// and there are no new ones.
struct Relay {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    is_broken: watch::Sender<bool>,
}

impl Relay {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (is_broken, mut broken) = watch::channel(false);
        let relay = Self { address: listener.local_addr().unwrap(), is_cut: Arc::default(), is_broken };
        let is_cut = relay.is_cut.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *broken.borrow_and_update() {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let (there, back) =
                    (pass(from_client, to_server, is_cut.clone()), pass(from_server, to_client, is_cut.clone()));
                let mut broken = broken.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = broken.changed() => {}
                        _ = async { tokio::join!(there, back) } => {}
                    }
                });
            }
        });
        relay
    }
}

async fn pass(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, is_cut: Arc<AtomicBool>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        while is_cut.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Waits until a cluster has so many executors.
async fn with_executors(url: &str, count: usize) -> Cluster {
    for _ in 0..600 {
        if let Ok(cluster) = Cluster::connect(url).await
            && cluster.status().await.is_ok_and(|status| status.executors == count)
        {
            return cluster;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("there are no {count} executors at {url}");
}

/// Runs a query on two executors, and cuts the network to one of them.
async fn query(url: &str, cut: impl FnOnce()) {
    let cluster = with_executors(url, 2).await;
    let session = RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build();
    let ledger = session.ledger().clone();
    let query = tokio::spawn(async move { count_pairs(&session, TIMES).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!query.is_finished(), "the query is too short for this test");
    cut();
    let rows = tokio::time::timeout(Duration::from_secs(180), query).await.expect("it hangs").unwrap().unwrap();
    assert_eq!(rows, TIMES * 1_000_000);
    assert!(ledger.warnings().iter().any(|warning| warning.contains("was lost")), "{:?}", ledger.warnings());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_that_the_network_is_cut_to_costs_no_rows() {
    let port = free_port();
    match Machine::new() {
        Ok(machine) => {
            let Machine { here, there, .. } = &machine;
            let url = format!("http://{here}:{port}");
            let _scheduler = Process::start("root-scheduler", &["--listen", &format!("{here}:{port}")]);
            let arguments = ["--scheduler", &url, "--cores", "1", "--listen"];
            let _near = Process::start("root-executor", &[&arguments[..], &[here.as_str()]].concat());
            let mut far = machine.command("root-executor");
            far.args(arguments).arg(there);
            let _far = Process::spawn(far);
            query(&url, || machine.cut()).await;
        }
        Err(reason) => {
            eprintln!("networks cannot be made here ({reason}); a relay that stops takes the place of one that is cut");
            let url = format!("http://127.0.0.1:{port}");
            let _scheduler = Process::scheduler(port);
            let _near = Process::executor(port);
            with_executors(&url, 1).await;
            let relay = Relay::to(port).await;
            let through = format!("http://{}", relay.address);
            let _far = Process::start("root-executor", &["--scheduler", &through, "--cores", "1"]);
            query(&url, || relay.is_cut.store(true, Ordering::Relaxed)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_comes_to_while_the_scheduler_cannot_be_reached_is_told_later() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let _scheduler = Process::scheduler_with(port, &["--executor-timeout", "60"]);
    let cluster = with_executors(&url, 0).await;
    let relay = Relay::to(port).await;
    let through = format!("http://{}", relay.address);
    let _executor = Process::start("root-executor", &["--scheduler", &through, "--cores", "2"]);
    with_executors(&url, 1).await;
    let session = RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build();
    let ledger = session.ledger().clone();
    let query = tokio::spawn(async move { count_pairs(&session, TIMES / 6).await });
    tokio::time::sleep(Duration::from_millis(500)).await;

    relay.is_broken.send(true).unwrap();
    // An executor whose scheduler has been away for ten seconds ends.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!query.is_finished(), "nothing could be told");
    relay.is_broken.send(false).unwrap();

    let rows = tokio::time::timeout(Duration::from_secs(120), query).await.expect("it hangs").unwrap().unwrap();
    assert_eq!(rows, TIMES / 6 * 1_000_000);
    assert_eq!(ledger.warnings(), Vec::<String>::new());
}
