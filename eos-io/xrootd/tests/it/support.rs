//! What the tests of faults share: clients without patience, a guard against hanging, and a server that does as it is told.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eos_testbed::FaultProxy;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStoreExt};
use xrootd_client::{Error, ErrorKind, Options, XrootdStore};

use crate::store_at;

/// Options for faults that are noticed by themselves, however busy the machine is.
pub fn steady() -> Options {
    let long = Duration::from_secs(60);
    Options {
        connect_timeout: long,
        silence_timeout: long,
        request_timeout: long,
        wait_limit: long,
        retries: 4,
        hedge_after: None,
        ..Options::default()
    }
}

/// Options with which silence is noticed within seconds.
pub fn impatient() -> Options {
    Options {
        connect_timeout: Duration::from_secs(2),
        silence_timeout: Duration::from_secs(2),
        request_timeout: Duration::from_secs(5),
        wait_limit: Duration::from_secs(5),
        retries: 4,
        hedge_after: None,
        ..Options::default()
    }
}

/// A store behind a proxy, through a client of its own.
pub fn behind(proxy: &FaultProxy, options: Options) -> XrootdStore {
    store_at(&proxy.url("/"), options)
}

/// Nothing may hang: after a time that no healthy run takes the test fails.
pub async fn guarded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(150), work).await.expect("it hangs")
}

/// Waits until something that happens by itself has happened.
pub async fn until(mut happened: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if happened() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not happen");
}

pub async fn read(store: &XrootdStore, path: &str) -> Result<Vec<u8>, StoreError> {
    Ok(store.get(&Path::from(path)).await?.bytes().await?.to_vec())
}

/// The client's error behind that of a store.
pub fn cause(error: &StoreError) -> &Error {
    let source = error.source().and_then(|source| source.downcast_ref::<Error>());
    source.unwrap_or_else(|| panic!("not an error of the client: {error:?}"))
}

pub fn kind(error: &StoreError) -> ErrorKind {
    cause(error).kind()
}

/// A request that reached the scripted server.
pub struct Asked {
    pub stream: [u8; 2],
    pub request: u16,
    /// How many of this kind came before, on all connections.
    pub before: usize,
    /// The path, in requests that hold one.
    pub payload: String,
}

/// What the scripted server does about a request.
pub enum Reply {
    /// What a plain server would say to a login, an open of a file of 1 MiB, or a close.
    Usual,
    Bytes(Vec<u8>),
    /// The same bytes over and over.
    Endless(Vec<u8>),
}

pub mod request {
    pub const AUTH: u16 = 3000;
    pub const DIRLIST: u16 = 3004;
    pub const PROTOCOL: u16 = 3006;
    pub const LOGIN: u16 = 3007;
    pub const OPEN: u16 = 3010;
    pub const READ: u16 = 3013;
    pub const STAT: u16 = 3017;
}

impl Asked {
    /// An answer to it.
    pub fn answer(&self, status: u16, body: &[u8]) -> Reply {
        Reply::Bytes(frame(self.stream, status, body))
    }
}

pub fn frame(stream: [u8; 2], status: u16, body: &[u8]) -> Vec<u8> {
    [&stream[..], &status.to_be_bytes(), &u32::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

/// A server of a few lines that breaks the rules where a test wants it to.
pub struct Scripted {
    pub port: u16,
    counts: Arc<Mutex<BTreeMap<u16, usize>>>,
}

impl Scripted {
    pub fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (script, counts) = (Arc::new(script), Arc::<Mutex<BTreeMap<u16, usize>>>::default());
        let theirs = Arc::clone(&counts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, counts) = (Arc::clone(&script), Arc::clone(&theirs));
                // Ends with an error as soon as the client leaves.
                std::thread::spawn(move || drop(serve(stream, &*script, &counts)));
            }
        });
        Self { port, counts }
    }

    pub fn url(&self) -> String {
        format!("root://127.0.0.1:{}//", self.port)
    }

    pub fn count(&self, request: u16) -> usize {
        self.counts.lock().unwrap().get(&request).copied().unwrap_or_default()
    }
}

fn serve(
    mut stream: TcpStream,
    script: &(dyn Fn(&Asked) -> Reply + Send + Sync),
    counts: &Mutex<BTreeMap<u16, usize>>,
) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 20])?;
    let server = [&0x520_u32.to_be_bytes()[..], &1_u32.to_be_bytes()].concat();
    stream.write_all(&frame([0, 0], 0, &server))?;
    loop {
        let mut header = [0; 24];
        stream.read_exact(&mut header)?;
        let length = u32::from_be_bytes(header[20..].try_into().unwrap()) as usize;
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        let request = u16::from_be_bytes([header[2], header[3]]);
        let before = {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(request).or_default();
            *count += 1;
            *count - 1
        };
        let payload = String::from_utf8_lossy(&payload).into_owned();
        let asked = Asked { stream: [header[0], header[1]], request, before, payload };
        match script(&asked) {
            Reply::Bytes(bytes) => stream.write_all(&bytes)?,
            Reply::Endless(bytes) => loop {
                stream.write_all(&bytes)?;
            },
            Reply::Usual => {
                let body = match request {
                    request::PROTOCOL => server.clone(),
                    request::LOGIN => vec![7; 16],
                    request::OPEN => [&[0; 12][..], b"1 1048576 16 1700000000\0"].concat(),
                    _ => Vec::new(),
                };
                stream.write_all(&frame(asked.stream, 0, &body))?;
            }
        }
    }
}
