//! What a long way costs: small reads all over a file, and the first byte of a file on servers as at CERN, where a manager
//! redirects to a data server and each of them wants to know who asks.

use std::process::Command;
use std::time::{Duration, Instant};

use eos_testbed::{EosLike, Fault, FaultProxy, Request, Rule, Xrootd, random_bytes};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use xrootd_client::{Client, Options, XrootdStore, XrootdUrl};

#[derive(clap::Args)]
pub struct Args {
    /// Milliseconds of a round trip
    #[arg(long, default_value_t = 50)]
    rtt: u64,
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

const READS: usize = 200;
const LENGTH: u64 = 16 << 10;

pub fn run(args: &Args) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(random_reads(args));
    first_byte(args);
}

fn store(url: &str) -> XrootdStore {
    let (url, _) = XrootdUrl::parse(url).unwrap();
    XrootdStore::new(&Client::new(Options::default()).unwrap(), &url)
}

async fn random_reads(args: &Args) {
    let server = Xrootd::standalone().start();
    server.volume().write_random("big.bin", 1, 64 << 20);
    let proxy = FaultProxy::to(server.port()).rtt(Duration::from_millis(args.rtt)).start();
    let places = random_bytes(5, READS * 2);
    let ranges: Vec<_> = places
        .chunks_exact(2)
        .map(|bytes| u64::from(u16::from_be_bytes([bytes[0], bytes[1]])) * 1000)
        .map(|start| start..start + LENGTH)
        .collect();
    let (store, path) = (store(&proxy.url("/")), Path::from("big.bin"));
    store.head(&path).await.unwrap();
    for round in 0..args.rounds {
        let started = Instant::now();
        store.get_ranges(&path, &ranges).await.unwrap();
        println!(
            "{READS} reads of {LENGTH} bytes, all at once, round {round}: {:.3} s",
            started.elapsed().as_secs_f64()
        );
    }
    let started = Instant::now();
    for range in ranges.iter().take(20) {
        store.get_range(&path, range.clone()).await.unwrap();
    }
    println!("one after the other: {:.2} s", started.elapsed().as_secs_f64() * READS as f64 / 20.0);
}

fn first_byte(args: &Args) {
    let rtt = Duration::from_millis(args.rtt);
    let servers = EosLike::start();
    servers.volume().write_random("a.bin", 1, 1 << 20);
    servers.volume().write_random("b.bin", 2, 1 << 20);
    let data = FaultProxy::to(servers.fst().port()).rtt(rtt).start();
    let redirect = Fault::Redirect { host: "127.0.0.1".into(), port: data.port(), opaque: "cap.sym=x&mgm.id=1".into() };
    let manager = FaultProxy::to(servers.mgm().port()).rtt(rtt).rule(Rule::on(Request::Open).then(redirect)).start();
    // The credentials are found by variables, which only a process of its own can have.
    let mut command = Command::new(std::env::current_exe().unwrap());
    let rtt = args.rtt.to_string();
    command.args(["first-byte", &manager.url("/"), &rtt]).envs(servers.env().iter().cloned());
    assert!(command.status().unwrap().success(), "the first byte did not come");
}

#[derive(clap::Args)]
pub struct FirstByteArgs {
    url: String,
    rtt: u64,
}

/// Reads the first byte of one file and then of another, and tells how many round trips that took.
pub fn first_bytes(args: &FirstByteArgs) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let store = store(&args.url);
    for (what, path) in [("cold", "a.bin"), ("warm", "b.bin")] {
        let started = Instant::now();
        runtime.block_on(store.get_range(&Path::from(path), 0..1)).unwrap();
        let elapsed = started.elapsed().as_secs_f64() * 1e3;
        let trips = elapsed / args.rtt as f64;
        println!("first byte through manager and data server, {what}: {elapsed:.0} ms, {trips:.2} round trips");
    }
}
