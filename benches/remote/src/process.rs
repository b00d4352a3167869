//! The processes that are measured: one that reads a file with the client, and the two ends of a raw connection.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use futures::StreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use xrootd_client::{Client, Options, XrootdStore, XrootdUrl};

/// What a process has done, and what it took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Cost {
    pub bytes: u64,
    pub seconds: f64,
    /// Of this process, in user and kernel.
    pub cpu: f64,
}

impl Cost {
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.seconds / 1e6
    }

    pub fn cpu_per_gigabyte(&self) -> f64 {
        self.cpu / (self.bytes as f64 / 1e9)
    }
}

#[derive(clap::Args)]
pub struct ReadArgs {
    url: String,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    #[arg(long)]
    verify: bool,
}

pub fn read(args: &ReadArgs) {
    let options = Options { connections: args.connections, verify: args.verify, ..Options::default() };
    let (url, path) = XrootdUrl::parse(&args.url).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let bytes = runtime.block_on(async {
        let store = XrootdStore::new(&Client::new(options).unwrap(), &url);
        let mut pieces = store.get(&Path::parse(path).unwrap()).await.unwrap().into_stream();
        let mut bytes = 0;
        while let Some(piece) = pieces.next().await {
            bytes += piece.unwrap().len() as u64;
        }
        bytes
    });
    report(bytes, started);
}

#[derive(clap::Args)]
pub struct ServeArgs {
    file: String,
}

/// Sends the file to the first who connects; the port is the first line of the output.
pub fn serve(args: &ServeArgs) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let (mut stream, _) = listener.accept().unwrap();
    let file = File::open(&args.file).unwrap();
    let mut buffer = vec![0; 2 << 20];
    let mut offset = 0;
    loop {
        let count = file.read_at(&mut buffer, offset).unwrap();
        if count == 0 {
            return;
        }
        stream.write_all(&buffer[..count]).unwrap();
        offset += count as u64;
    }
}

#[derive(clap::Args)]
pub struct ReceiveArgs {
    port: u16,
}

pub fn receive(args: &ReceiveArgs) {
    let started = Instant::now();
    let mut stream = TcpStream::connect(("127.0.0.1", args.port)).unwrap();
    let mut buffer = vec![0; 2 << 20];
    let mut bytes = 0;
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => bytes += count as u64,
        }
    }
    report(bytes, started);
}

fn report(bytes: u64, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let cost = Cost { bytes, seconds, cpu: own_cpu() };
    println!("{}", serde_json::to_string(&cost).unwrap());
}

/// Runs this program with other arguments and reads the cost that it tells.
pub fn measured(arguments: &[&str], environment: &[(String, String)]) -> Cost {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(arguments).envs(environment.iter().cloned()).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{arguments:?} failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs another program and takes its cost from outside.
pub fn observed(program: &str, arguments: &[&str], environment: &[(String, String)], bytes: u64) -> Cost {
    let (cpu, started) = (children_cpu(), Instant::now());
    let mut command = Command::new(program);
    let status = command.args(arguments).envs(environment.iter().cloned()).stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{program} {arguments:?} failed");
    Cost { bytes, seconds: started.elapsed().as_secs_f64(), cpu: children_cpu() - cpu }
}

/// Seconds of this process in user and kernel, of all its threads.
fn own_cpu() -> f64 {
    cpu(14)
}

/// Seconds of the children that have ended.
fn children_cpu() -> f64 {
    cpu(16)
}

/// Two neighbouring fields of `/proc/self/stat`, numbered as in proc(5).
fn cpu(field: usize) -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let status = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name, field 2, may hold anything but ends with the last bracket.
    let (_, fields) = status.rsplit_once(')').unwrap();
    let fields: Vec<_> = fields.split_ascii_whitespace().collect();
    let ticks = |number: usize| fields[number - 3].parse::<f64>().unwrap();
    (ticks(field) + ticks(field + 1)) / TICKS_PER_SECOND
}
