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
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

pub(crate) use handshake::{Target, connect};
use incoming::Progress;
use send::Outgoing;
use signature::Signer;
pub(crate) use slots::Answer;
use slots::{Opening, Sink, Slot, Slots, Terms};
pub(crate) use tls::TlsSettings;

use crate::error::Error;
use crate::metrics::{Counters, add};
use crate::wire::codes::{flags, request};
use crate::wire::{ProtocolAnswer, Request, Response, Segment, opened};

/// Bytes of answers that may be under way on one connection: 1 GB/s over 60 ms. No memory is taken for them before they come.
const WINDOW: usize = 64 << 20;
/// The window is counted in these.
const WINDOW_UNIT: usize = 1 << 10;

/// A connection that is logged in.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    queue: mpsc::UnboundedSender<Outgoing>,
    window: Arc<Semaphore>,
    /// What the server is and can do.
    pub(crate) protocol: ProtocolAnswer,
    pub(crate) is_tls: bool,
    /// Something asked of it was not answered in time: nothing new is asked of it.
    is_suspect: AtomicBool,
}

/// What the tasks of a connection share with it.
struct Shared {
    /// `host:port`, for messages.
    host: String,
    slots: Mutex<Slots>,
    progress: Progress,
    counters: Arc<Counters>,
    queue: mpsc::WeakUnboundedSender<Outgoing>,
    /// Locked while a request is signed and queued: the numbers of signatures have to grow on the wire.
    signer: Mutex<Option<Signer>>,
}

impl Shared {
    fn close(&self, error: Error) {
        self.slots.lock().close(error);
    }

    fn enqueue(&self, queue: &mpsc::UnboundedSender<Outgoing>, request: &Request, slot: Slot) -> Result<(), Error> {
        let mut signer = self.signer.lock();
        let id = {
            let mut slots = self.slots.lock();
            if slots.is_full() {
                let reason = "more requests are under way than a connection can tell apart".to_owned();
                return Err(Error::Protocol { host: self.host.clone(), reason });
            }
            slots.insert(slot)?
        };
        add(&self.counters.requests, 1);
        let outgoing = match &mut *signer {
            Some(signer) => signer.sign(request, id),
            None => Outgoing::new(request, id),
        };
        // The sending task ends with the connection only, and then the slot has been answered already.
        drop(queue.send(outgoing));
        Ok(())
    }

    /// Sends a request whose answer nobody waits for.
    fn send_unanswered(&self, request: &Request) {
        let (answer, _) = oneshot::channel();
        let slot = Slot {
            sink: Sink::Body { body: BytesMut::new(), limit: SMALL },
            answer,
            terms: Arc::default(),
            opening: None,
            _window: None,
        };
        // A connection that is gone needs no such request.
        if let Some(queue) = self.queue.upgrade() {
            drop(self.enqueue(&queue, request, slot));
        }
    }

    /// Closes the file that an open has opened which was given up before its answer came, and removes it if the open has
    /// made it: nobody else would.
    fn undo(&self, answer: &Answer, opening: &Opening, terms: &Terms) {
        let Answer::Response(Response::Ok(body)) = answer else {
            return;
        };
        let Ok((file, _)) = opened(body) else {
            return;
        };
        self.send_unanswered(&Request::close(file));
        // A file that was made a second time, since this answer was late, is in use.
        if let Some(path) = &opening.made
            && !terms.is_late.load(Ordering::Relaxed)
        {
            self.send_unanswered(&Request::remove(&String::from_utf8_lossy(path)));
        }
    }
}

/// The wait for an answer.
struct Pending<'a> {
    receiver: oneshot::Receiver<Result<Answer, Error>>,
    shared: &'a Shared,
    opening: Option<Opening>,
    terms: Arc<Terms>,
}

impl Drop for Pending<'_> {
    /// An answer may have come that nobody has looked at.
    fn drop(&mut self) {
        self.receiver.close();
        if let (Ok(Ok(answer)), Some(opening)) = (self.receiver.try_recv(), &self.opening) {
            self.shared.undo(&answer, opening, &self.terms);
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
    /// The most that a server can ask for.
    pub(crate) wait: Duration,
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

    /// Takes it out of use: what is under way may still be answered, what waits for its turn goes elsewhere.
    fn suspect(&self) {
        self.is_suspect.store(true, Ordering::Relaxed);
        self.window.close();
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

    /// Waits until an answer of so many bytes fits into the window. What fills it may never be answered, and those who
    /// asked may be gone, so this wait has an end of its own.
    pub(crate) async fn room(&self, bytes: usize, patience: Patience) -> Result<Room, Error> {
        let units = bytes.clamp(1, WINDOW).div_ceil(WINDOW_UNIT) as u32;
        let mut permit = std::pin::pin!(Arc::clone(&self.window).acquire_many_owned(units));
        let since = Instant::now();
        loop {
            match tokio::time::timeout_at(self.deadline(since, patience, Duration::ZERO).into(), &mut permit).await {
                Ok(Ok(permit)) => return Ok(Room(permit)),
                Ok(Err(_)) => {
                    let reason = "it was given up, as it did not answer in time".to_owned();
                    return Err(Error::disconnected(self.host(), reason));
                }
                Err(_) if Instant::now() < self.deadline(since, patience, Duration::ZERO) => {}
                Err(_) => return Err(self.timed_out("what was asked before", since)),
            }
        }
    }

    /// Until when something that has begun may take, as far as can be said by now.
    fn deadline(&self, since: Instant, patience: Patience, granted: Duration) -> Instant {
        let by_silence = self.shared.progress.last().max(since) + patience.silence;
        by_silence.min(since + patience.total) + granted.min(patience.wait)
    }

    fn timed_out(&self, request: &'static str, since: Instant) -> Error {
        self.suspect();
        Error::Timeout { host: self.host().to_owned(), path: String::new(), request, waited: since.elapsed() }
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
        self.shared.send_unanswered(request);
    }

    async fn exchange(
        &self,
        request: &Request,
        sink: Sink,
        room: Option<Room>,
        patience: Patience,
    ) -> Result<Answer, Error> {
        let (answer, receiver) = oneshot::channel();
        let opening = (request.id == request::OPEN)
            .then(|| Opening { made: request.makes_a_file().then(|| request.payload.clone()) });
        let terms = Arc::<Terms>::default();
        let slot = Slot {
            sink,
            answer,
            terms: Arc::clone(&terms),
            opening: opening.clone(),
            _window: room.map(|Room(permit)| permit),
        };
        let sent = Instant::now();
        self.shared.enqueue(&self.queue, request, slot)?;
        let mut pending = Pending { receiver, shared: &self.shared, opening, terms: Arc::clone(&terms) };
        let granted = || Duration::from_millis(terms.patience_ms.load(Ordering::Relaxed));
        loop {
            let deadline = self.deadline(sent, patience, granted());
            match tokio::time::timeout_at(deadline.into(), &mut pending.receiver).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(_)) => return Err(self.gone()),
                // Bytes may have come, or the server asked for patience, since the deadline was set.
                Err(_) if Instant::now() < self.deadline(sent, patience, granted()) => {}
                Err(_) => {
                    terms.is_late.store(true, Ordering::Relaxed);
                    return Err(self.timed_out(name(request.id), sent));
                }
            }
        }
    }

    fn gone(&self) -> Error {
        let error = self.shared.slots.lock().closed().cloned();
        error.unwrap_or_else(|| Error::disconnected(self.host(), "it was closed".to_owned()))
    }

    fn unexpected(&self, what: &str, request: &Request) -> Error {
        let reason = format!("{what} as the answer to {}", name(request.id));
        Error::Protocol { host: self.host().to_owned(), reason }
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
    target: &Target,
    counters: Arc<Counters>,
    established: handshake::Established,
) -> Arc<Connection> {
    let (queue, queued) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared {
        host: target.shown.clone(),
        slots: Mutex::default(),
        progress: Progress::new(),
        counters,
        queue: queue.downgrade(),
        signer: Mutex::new(Signer::new(&established.protocol.security, established.key)),
    });
    let is_tls = stream.is_tls();
    match stream {
        stream::Stream::Plain(stream) => {
            let (read, write) = stream.into_split();
            serve(read, write, &shared, queued, target.silence);
        }
        stream::Stream::Tls(stream) => {
            let (read, write) = tokio::io::split(*stream);
            serve(read, write, &shared, queued, target.silence);
        }
        #[cfg(fuzzing)]
        stream::Stream::Scripted(stream) => {
            let (read, write) = tokio::io::split(stream);
            serve(read, write, &shared, queued, target.silence);
        }
    }
    Arc::new(Connection {
        shared,
        queue,
        window: Arc::new(Semaphore::new(WINDOW / WINDOW_UNIT)),
        protocol: established.protocol,
        is_tls,
        is_suspect: AtomicBool::new(false),
    })
}

fn serve<R, W>(read: R, write: W, shared: &Arc<Shared>, queued: mpsc::UnboundedReceiver<Outgoing>, silence: Duration)
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
        let outcome = send::send(write, queued, &shared.progress, silence).await;
        let reason = match outcome {
            Ok(()) => "it was closed".to_owned(),
            Err(error) => error.to_string(),
        };
        // After an error the receiving side may still hold the server's reason.
        if reason != "it was closed" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        shared.close(Error::disconnected(&shared.host, reason));
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
