//! One connection through the proxy.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::frame::{
    self, Answer, ERROR, FromClient, HANDSHAKE, OK, OKSOFAR, REDIRECT, StreamId, WAIT, WAITRESP, answer,
};
use super::line::{Entry, line};
use super::rule::{Fault, Request};
use super::{Protocol, Shared};

/// How long what is on the line may take to leave it when one side has closed.
const FAREWELL: Duration = Duration::from_secs(5);

/// What is read at once.
const PIECE: usize = 256 << 10;

/// Why a connection ends.
enum End {
    ClientLeft,
    ServerLeft,
    /// Told to.
    Dropped,
}

type Turn = tokio::sync::Mutex<()>;

/// What both directions know.
struct Connection {
    shared: Arc<Shared>,
    up: Entry,
    down: Entry,
    /// Whoever puts an answer on the line down has this until it is there as a whole.
    turn: Arc<Turn>,
    /// What is to be done to answers that have not come yet.
    pending: Mutex<HashMap<StreamId, (Fault, Request)>>,
    /// There are no frames any more: what passes is encrypted.
    opaque: AtomicBool,
    hung: AtomicBool,
}

/// Carries a connection until either side closes it.
pub(super) async fn relay(client: TcpStream, shared: Arc<Shared>) {
    // Making a connection takes a round trip as well.
    let rtt = shared.half_a_trip() * 2;
    sleep(rtt).await;
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.upstream)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((mut from_client, to_client), (mut from_server, to_server)) = (client.into_split(), server.into_split());
    let (up, up_task) = line(to_server, &shared);
    let (down, down_task) = line(to_client, &shared);
    let connection = Connection {
        opaque: AtomicBool::new(shared.protocol == Protocol::Any),
        shared,
        up,
        down,
        turn: Arc::default(),
        pending: Mutex::default(),
        hung: AtomicBool::new(false),
    };

    let end = tokio::select! {
        end = connection.requests(&mut from_client) => end,
        end = connection.answers(&mut from_server) => end,
        () = connection.shared.disconnect.notified() => End::Dropped,
    };
    let (aborts, mut last) = ([up_task.abort_handle(), down_task.abort_handle()], None);
    match end {
        End::ClientLeft => {
            connection.up.end();
            last = Some(up_task);
        }
        End::ServerLeft => {
            connection.down.end();
            last = Some(down_task);
        }
        End::Dropped => {}
    }
    if let Some(task) = last {
        let _ = timeout(FAREWELL + rtt, task).await;
    }
    aborts.iter().for_each(tokio::task::AbortHandle::abort);
}

impl Connection {
    async fn requests(&self, reader: &mut (impl AsyncRead + Unpin)) -> End {
        if !self.opaque.load(Ordering::Relaxed) {
            let mut handshake = vec![0; HANDSHAKE];
            if reader.read_exact(&mut handshake).await.is_err() {
                return End::ClientLeft;
            }
            self.shared.counts.lock().unwrap().bytes_up += HANDSHAKE as u64;
            self.up.put(handshake).await;
        }
        // The signature of a request goes with it.
        let mut signature = Vec::new();
        while !self.opaque.load(Ordering::Relaxed) {
            let (kind, id, frame) = match frame::read_request(reader).await {
                Ok(FromClient::Request { kind, id, frame }) => (kind, id, frame),
                Ok(FromClient::Other(bytes)) => {
                    self.opaque.store(true, Ordering::Relaxed);
                    self.count_up(bytes.len());
                    self.up.put(bytes).await;
                    break;
                }
                Err(_) => return End::ClientLeft,
            };
            self.count_up(frame.len());
            if kind == Request::Sigver {
                signature = frame;
                continue;
            }
            let fault = self.shared.note(kind, frame::payload(&frame));
            let signed = [std::mem::take(&mut signature), frame].concat();
            if let Some(end) = self.request(kind, id, signed, fault).await {
                return end;
            }
        }
        while let Some(bytes) = read_some(reader).await {
            self.count_up(bytes.len());
            self.up.put(bytes).await;
        }
        End::ClientLeft
    }

    /// Passes a request on, or does to it what is to be done.
    async fn request(&self, kind: Request, id: StreamId, frame: Vec<u8>, fault: Option<Fault>) -> Option<End> {
        let (status, content) = match fault {
            None => {
                self.up.put(frame).await;
                return None;
            }
            Some(Fault::Drop) => return Some(End::Dropped),
            Some(Fault::Stall) => return None,
            Some(Fault::Hang) => {
                self.hung.store(true, Ordering::Relaxed);
                return std::future::pending().await;
            }
            Some(Fault::Wait(seconds)) => (WAIT, [&seconds.to_be_bytes()[..], b"injected\0"].concat()),
            Some(Fault::Error(code)) => (ERROR, [&code.to_be_bytes()[..], b"injected error\0"].concat()),
            Some(Fault::Redirect { host, port, opaque }) => {
                let target = if opaque.is_empty() { host } else { format!("{host}?{opaque}") };
                (REDIRECT, [&u32::from(port).to_be_bytes()[..], target.as_bytes()].concat())
            }
            Some(Fault::RedirectUrl(url)) => (REDIRECT, [&(-1_i32).to_be_bytes()[..], url.as_bytes()].concat()),
            Some(fault) => {
                if let Fault::WaitResp(delay) = &fault {
                    let seconds = u32::try_from(delay.as_secs() + 1).unwrap_or(u32::MAX);
                    self.injected(answer(id, WAITRESP, &seconds.to_be_bytes()));
                }
                self.pending.lock().unwrap().insert(id, (fault, kind));
                self.up.put(frame).await;
                return None;
            }
        };
        self.injected(answer(id, status, &content));
        None
    }

    async fn answers(&self, reader: &mut (impl AsyncRead + Unpin)) -> End {
        while !self.opaque.load(Ordering::Relaxed) {
            let Ok(header) = frame::read_answer_header(reader).await else { return End::ServerLeft };
            if self.opaque.load(Ordering::Relaxed) {
                self.count_down(header.len());
                self.down.put(header).await;
                break;
            }
            if self.pass_answer(reader, header).await.is_err() {
                return End::ServerLeft;
            }
        }
        while let Some(bytes) = read_some(reader).await {
            self.count_down(bytes.len());
            self.down.put(bytes).await;
        }
        End::ServerLeft
    }

    /// Passes an answer on as it comes, or does to it what is to be done. An error ends the connection.
    async fn pass_answer(&self, reader: &mut (impl AsyncRead + Unpin), header: Vec<u8>) -> io::Result<()> {
        let mut answer = frame::read_answer(reader, header).await?;
        self.count_down(answer.frame.len());
        if self.hung.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        let fault = {
            let mut pending = self.pending.lock().unwrap();
            if answer.last { pending.remove(&answer.id) } else { pending.get(&answer.id).cloned() }
        };
        if let Some((fault, kind)) = fault {
            self.count_down(answer.rest);
            answer.complete(reader).await?;
            return self.alter(answer, fault, kind).await;
        }
        let _turn = self.turn.lock().await;
        let mut rest = answer.rest;
        self.down.put(answer.frame).await;
        while rest > 0 {
            let bytes = read_some(&mut (&mut *reader).take(rest as u64)).await.ok_or(io::ErrorKind::UnexpectedEof)?;
            rest -= bytes.len();
            self.count_down(bytes.len());
            self.down.put(bytes).await;
        }
        Ok(())
    }

    async fn alter(&self, answer: Answer, fault: Fault, kind: Request) -> io::Result<()> {
        let is_read = kind == Request::Read && matches!(answer.status, OK | OKSOFAR);
        let frame = match fault {
            Fault::Cut(len) => {
                let mut frame = answer.frame;
                frame.truncate(len);
                let _turn = self.turn.lock().await;
                self.down.put(frame).await;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Fault::WaitResp(delay) => {
                self.later(delay, answer.announce());
                return Ok(());
            }
            Fault::Delay(delay) => {
                self.later(delay, answer.frame);
                return Ok(());
            }
            Fault::Corrupt => answer.corrupt(),
            Fault::Short(len) if is_read => answer.shorten(len),
            Fault::Split(len) if is_read && answer.last => answer.split(len),
            _ => answer.frame,
        };
        let _turn = self.turn.lock().await;
        self.down.put(frame).await;
        Ok(())
    }

    /// Puts an answer of our own on the line when that of the server would have come.
    fn injected(&self, frame: Vec<u8>) {
        self.later(self.shared.half_a_trip(), frame);
    }

    fn later(&self, delay: Duration, frame: Vec<u8>) {
        let (down, turn) = (self.down.clone(), Arc::clone(&self.turn));
        tokio::spawn(async move {
            sleep(delay).await;
            let _turn = turn.lock().await;
            down.put(frame).await;
        });
    }

    fn count_up(&self, bytes: usize) {
        self.shared.counts.lock().unwrap().bytes_up += bytes as u64;
    }

    fn count_down(&self, bytes: usize) {
        self.shared.counts.lock().unwrap().bytes_down += bytes as u64;
    }
}

async fn read_some(reader: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(PIECE);
    reader.read_buf(&mut bytes).await.ok().filter(|len| *len > 0)?;
    Some(bytes)
}
