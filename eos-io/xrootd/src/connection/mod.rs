//! One connection: a login at one server, with as many requests under way as its window allows. Answers are told apart by
//! stream ids and may come in any order.
//!
//! Two tasks serve a connection: one sends, one receives, so that a full pipe in one direction never blocks the other.

mod dial;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod handshake;
mod incoming;
mod receive;
mod send;
mod signature;
mod slots;
mod stream;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

pub(crate) use handshake::{Target, connect};
use incoming::Progress;
use send::Outgoing;
use signature::Signer;
pub(crate) use slots::Answer;
use slots::{Sink, Slot, Slots};
pub(crate) use tls::TlsSettings;

use crate::error::Error;
use crate::metrics::{Counters, add};
use crate::wire::codes::{flags, request};
use crate::wire::{ProtocolAnswer, Request, Response, Segment};

/// Bytes of answers that may be under way on one connection. Enough for 100 MB/s over 150 ms.
const WINDOW: usize = 16 << 20;
/// The window is counted in these.
const WINDOW_UNIT: usize = 1 << 10;

/// A connection that is logged in.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    outgoing: Mutex<Sender>,
    window: Arc<Semaphore>,
    /// What the server is and can do.
    pub(crate) protocol: ProtocolAnswer,
    pub(crate) is_tls: bool,
    /// Something asked of it was not answered in time: nothing new is asked of it.
    is_suspect: AtomicBool,
}

struct Sender {
    queue: mpsc::UnboundedSender<Outgoing>,
    signer: Option<Signer>,
}

/// What the tasks of a connection share with it.
struct Shared {
    /// `host:port`, for messages.
    host: String,
    slots: Mutex<Slots>,
    progress: Progress,
    counters: Arc<Counters>,
    queue: mpsc::WeakUnboundedSender<Outgoing>,
}

impl Shared {
    fn close(&self, error: Error) {
        self.slots.lock().close(error);
    }

    /// Sends a request whose answer nobody waits for.
    fn send_unanswered(&self, request: &Request) {
        let (answer, _) = oneshot::channel();
        let slot = Slot {
            sink: Sink::Body { body: BytesMut::new(), limit: SMALL },
            answer,
            patience_ms: Arc::default(),
            is_open: false,
            _window: None,
        };
        // A connection that is gone needs no such request.
        if let Some(queue) = self.queue.upgrade()
            && let Ok(id) = self.slots.lock().insert(slot)
        {
            drop(queue.send(Outgoing::new(request, id)));
        }
    }
}

/// Largest answer to a request about a single thing.
const SMALL: usize = 1 << 20;

/// How long a request may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Without a byte from the server, on the whole connection.
    pub(crate) silence: Duration,
    /// Altogether, besides what the server asks for.
    pub(crate) total: Duration,
}

/// A part of the window, held while an answer is under way.
pub(crate) struct Room(OwnedSemaphorePermit);

impl Connection {
    /// `host:port`.
    pub(crate) fn host(&self) -> &str {
        &self.shared.host
    }

    /// Whether new requests can be made.
    pub(crate) fn is_usable(&self) -> bool {
        !self.is_suspect.load(Ordering::Relaxed) && self.shared.slots.lock().closed().is_none()
    }

    /// Takes it out of use: what is under way may still be answered.
    pub(crate) fn suspect(&self) {
        self.is_suspect.store(true, Ordering::Relaxed);
    }

    /// Requests under way.
    pub(crate) fn load(&self) -> usize {
        self.shared.slots.lock().len()
    }

    /// Bytes of the window that are free.
    pub(crate) fn free_window(&self) -> usize {
        self.window.available_permits() * WINDOW_UNIT
    }

    /// Whether the server can answer with a checksum for each page.
    pub(crate) fn has_pages(&self) -> bool {
        self.protocol.has(flags::HAS_PAGE_READ) && self.protocol.version >= 0x511
    }

    /// Waits until an answer of so many bytes fits into the window.
    pub(crate) async fn room(&self, bytes: usize) -> Result<Room, Error> {
        let units = bytes.clamp(1, WINDOW).div_ceil(WINDOW_UNIT) as u32;
        let permit = Arc::clone(&self.window).acquire_many_owned(units).await;
        permit.map(Room).map_err(|_| Error::ShutDown)
    }

    /// Asks for something whose answer is kept whole. Redirects and the like are for the caller.
    pub(crate) async fn call(&self, request: &Request, patience: Patience) -> Result<Response, Error> {
        // A listing of a million files.
        const LISTING: usize = 256 << 20;
        let limit = if request.id == request::DIRLIST { LISTING } else { SMALL };
        let sink = Sink::Body { body: BytesMut::new(), limit };
        match self.exchange(request, sink, None, patience).await? {
            Answer::Response(response) => Ok(response),
            Answer::Data(_) | Answer::Pages(..) => Err(self.unexpected("data", request)),
        }
    }

    /// Reads into a buffer that has room for `wanted` bytes.
    pub(crate) async fn read(
        &self,
        request: &Request,
        buffer: BytesMut,
        wanted: usize,
        room: Room,
        patience: Patience,
    ) -> Result<Answer, Error> {
        self.exchange(request, Sink::Data { buffer, wanted }, Some(room), patience).await
    }

    /// Reads segments into a buffer, one after the other.
    pub(crate) async fn read_vector(
        &self,
        request: &Request,
        buffer: BytesMut,
        segments: Vec<Segment>,
        room: Room,
        patience: Patience,
    ) -> Result<Answer, Error> {
        self.exchange(request, Sink::Vector { buffer, segments, next: 0 }, Some(room), patience).await
    }

    /// Reads pages into a buffer that has room for `wanted` bytes.
    pub(crate) async fn read_pages(
        &self,
        request: &Request,
        buffer: BytesMut,
        (offset, wanted): (u64, usize),
        room: Room,
        patience: Patience,
    ) -> Result<Answer, Error> {
        let sink = Sink::Pages { buffer, wanted, offset, bad: Vec::new() };
        self.exchange(request, sink, Some(room), patience).await
    }

    /// Sends a request whose answer nobody waits for.
    pub(crate) fn send_unanswered(&self, request: &Request) {
        let (answer, _) = oneshot::channel();
        let slot = Slot {
            sink: Sink::Body { body: BytesMut::new(), limit: SMALL },
            answer,
            patience_ms: Arc::default(),
            is_open: false,
            _window: None,
        };
        drop(self.enqueue(request, slot));
    }

    async fn exchange(
        &self,
        request: &Request,
        sink: Sink,
        room: Option<Room>,
        patience: Patience,
    ) -> Result<Answer, Error> {
        let (answer, mut receiver) = oneshot::channel();
        let patience_ms = Arc::new(AtomicU64::new(0));
        let slot = Slot {
            sink,
            answer,
            patience_ms: Arc::clone(&patience_ms),
            is_open: request.id == request::OPEN,
            _window: room.map(|Room(permit)| permit),
        };
        let sent = Instant::now();
        self.enqueue(request, slot)?;
        loop {
            let granted = Duration::from_millis(patience_ms.load(Ordering::Relaxed));
            let by_silence = self.shared.progress.last().max(sent) + patience.silence + granted;
            let by_total = sent + patience.total + granted;
            let deadline = by_silence.min(by_total);
            match tokio::time::timeout_at(deadline.into(), &mut receiver).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(_)) => return Err(self.gone()),
                // Bytes may have come, or the server asked for patience, since the deadline was set.
                Err(_) if self.may_wait(sent, patience, &patience_ms) => {}
                Err(_) => {
                    self.suspect();
                    return Err(Error::Timeout {
                        host: self.host().to_owned(),
                        path: String::new(),
                        request: name(request.id),
                        waited: sent.elapsed(),
                    });
                }
            }
        }
    }

    fn may_wait(&self, sent: Instant, patience: Patience, patience_ms: &AtomicU64) -> bool {
        let granted = Duration::from_millis(patience_ms.load(Ordering::Relaxed));
        let now = Instant::now();
        now < self.shared.progress.last().max(sent) + patience.silence + granted
            && now < sent + patience.total + granted
    }

    fn enqueue(&self, request: &Request, slot: Slot) -> Result<(), Error> {
        let mut sender = self.outgoing.lock();
        let id = {
            let mut slots = self.shared.slots.lock();
            if slots.is_full() {
                return Err(self.protocol_error("more requests are under way than a connection can tell apart"));
            }
            slots.insert(slot)?
        };
        add(&self.shared.counters.requests, 1);
        let outgoing = match &mut sender.signer {
            Some(signer) => signer.sign(request, id),
            None => Outgoing::new(request, id),
        };
        // The sending task ends with the connection only, and then the slot has been answered already.
        drop(sender.queue.send(outgoing));
        Ok(())
    }

    fn gone(&self) -> Error {
        let error = self.shared.slots.lock().closed().cloned();
        error
            .unwrap_or_else(|| Error::Disconnected { host: self.host().to_owned(), reason: "it was closed".to_owned() })
    }

    fn unexpected(&self, what: &str, request: &Request) -> Error {
        self.protocol_error(&format!("{what} as the answer to {}", name(request.id)))
    }

    fn protocol_error(&self, reason: &str) -> Error {
        Error::Protocol { host: self.host().to_owned(), reason: reason.to_owned() }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({}, {} under way)", self.host(), self.load())
    }
}

/// Starts the tasks of a connection whose login has succeeded.
fn start(
    stream: stream::Stream,
    host: String,
    counters: Arc<Counters>,
    established: handshake::Established,
) -> Arc<Connection> {
    let (queue, queued) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        host,
        slots: Mutex::default(),
        progress: Progress::new(),
        counters,
        queue: queue.downgrade(),
    });
    let is_tls = stream.is_tls();
    match stream {
        stream::Stream::Plain(stream) => {
            let (read, write) = stream.into_split();
            serve(read, write, &shared, queued);
        }
        stream::Stream::Tls(stream) => {
            let (read, write) = tokio::io::split(*stream);
            serve(read, write, &shared, queued);
        }
        #[cfg(fuzzing)]
        stream::Stream::Scripted(stream) => {
            let (read, write) = tokio::io::split(stream);
            serve(read, write, &shared, queued);
        }
    }
    Arc::new(Connection {
        shared,
        outgoing: Mutex::new(Sender { queue, signer: Signer::new(&established.protocol.security, established.key) }),
        window: Arc::new(Semaphore::new(WINDOW / WINDOW_UNIT)),
        protocol: established.protocol,
        is_tls,
        is_suspect: AtomicBool::new(false),
    })
}

fn serve<R, W>(read: R, write: W, shared: &Arc<Shared>, queued: mpsc::UnboundedReceiver<Outgoing>)
where
    R: tokio::io::AsyncRead + Unpin + Send + 'static,
    W: tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let receiving = {
        let shared = Arc::clone(shared);
        tokio::spawn(async move { receive::receive(read, &shared).await })
    };
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let outcome = send::send(write, queued).await;
        let host = shared.host.clone();
        let reason = match outcome {
            Ok(()) => "it was closed".to_owned(),
            Err(error) => error.to_string(),
        };
        // After an error the receiving side may still hold the server's reason.
        if reason != "it was closed" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        shared.close(Error::Disconnected { host, reason });
        receiving.abort();
    });
}

/// What a request is called in messages.
pub(crate) fn name(id: u16) -> &'static str {
    match id {
        request::AUTH => "authentication",
        request::QUERY => "a query",
        request::CLOSE => "a close",
        request::DIRLIST => "a listing",
        request::PROTOCOL => "the handshake",
        request::LOGIN => "the login",
        request::MKDIR => "the making of a directory",
        request::MV => "a rename",
        request::OPEN => "an open",
        request::PING => "a ping",
        request::READ | request::READV | request::PGREAD => "a read",
        request::RM | request::RMDIR => "a removal",
        request::STAT => "a stat",
        request::SYNC => "a sync",
        request::TRUNCATE => "a truncation",
        request::WRITE => "a write",
        request::LOCATE => "a locate",
        _ => "a request",
    }
}
