//! An open file. It may be open on several connections at once, which share the reading; when one of them fails the file
//! is opened anew, perhaps at another server, and what was under way is asked for again.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::future::{Either, select};
use futures::stream::{self, FuturesOrdered, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::client::{Shared, Waiting};
use crate::connection::{Answer, Connection};
use crate::diagnosis::Trace;
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind};
use crate::metrics::{Event, add};
use crate::plan::{Piece, Plan, plan};
use crate::recovery::{Attempts, Tried};
use crate::route::{Answered, Manner, Place};
use crate::wire::codes::error as code;
use crate::wire::codes::open;
use crate::wire::{FileHandle, Open, Request, Response, Segment, Stat, opened};

/// KiB that may be under way for each connection that the file is open on: 1 GB/s over 60 ms.
const GATE: usize = 64 << 10;
/// From so many KiB for each of them a further connection may help.
const BUSY: usize = 16 << 10;

/// A file that is open for reading.
pub(crate) struct File {
    shared: Arc<Shared>,
    place: Place,
    pub(crate) stat: Stat,
    pub(crate) opened: Instant,
    handles: Mutex<Vec<Arc<Handle>>>,
    /// Held by whoever opens the file again.
    reopening: tokio::sync::Mutex<()>,
    /// Replicas that failed while the file was read.
    tried: Mutex<Tried>,
    /// What may be under way on all connections together; only then does a read choose one.
    gate: Semaphore,
    /// For how many handles the gate has room.
    gates: AtomicUsize,
    is_growing: AtomicBool,
    /// Whether asking for another replica has been in vain.
    is_alone: AtomicBool,
    /// Whether the first server has the file itself. Replicas at others may have times of their own.
    is_direct: bool,
}

/// The file on one connection.
struct Handle {
    connection: Arc<Connection>,
    endpoint: Arc<Endpoint>,
    id: FileHandle,
    /// The host as the redirect named it; `None` where the first server has the file itself.
    redirected_to: Option<String>,
    /// Whether reads from it have failed, which the first of them has answered for.
    has_failed: AtomicBool,
}

impl Handle {
    /// Whether it can be used where another server is too slow.
    fn is_instead_of(&self, slow: &Self) -> bool {
        self.connection.is_usable() && self.connection.host() != slow.connection.host()
    }
}

impl Drop for Handle {
    /// Nobody waits for the answer.
    fn drop(&mut self) {
        if self.connection.is_usable() {
            self.connection.send_unanswered(&Request::close(self.id));
        }
    }
}

/// Why a part could not be read from one handle.
enum Trouble {
    /// Another attempt, there or elsewhere, may succeed.
    Passing(Error),
    Lasting(Error),
}

impl File {
    /// Opens a file for reading; the answer tells size and time.
    pub(crate) async fn open(shared: Arc<Shared>, place: Place, trace: Trace) -> Result<Self, Error> {
        let manner = Manner { trace, ..Manner::new(shared.patience()) };
        let (handle, stat) = open_for_reading(&shared, &place, manner).await?;
        let stat = match stat {
            Some(stat) => stat,
            // Some proxies leave it out.
            None => shared.stat(&place).await?,
        };
        Ok(Self {
            is_direct: handle.redirected_to.is_none(),
            shared,
            place,
            stat,
            opened: Instant::now(),
            handles: Mutex::new(vec![Arc::new(handle)]),
            reopening: tokio::sync::Mutex::default(),
            tried: Mutex::default(),
            gate: Semaphore::new(GATE),
            gates: AtomicUsize::new(1),
            is_growing: AtomicBool::new(false),
            is_alone: AtomicBool::new(false),
        })
    }

    /// The server that the file is read from, `host:port`.
    pub(crate) fn server(&self) -> String {
        let handles = self.handles.lock();
        handles.first().map_or_else(|| self.place.url.authority(), |handle| handle.connection.host().to_owned())
    }

    /// Reads ranges, which lie within the file; small ones that are close to each other go together.
    pub(crate) async fn read(self: &Arc<Self>, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Error> {
        let limits = match self.usable() {
            // A vector read has no checksums.
            Some(handle) if crate::plan::wants_vectors(ranges) && !self.is_verified(&handle.connection) => {
                handle.endpoint.vector_limits(&handle.connection, self.shared.patience())
            }
            _ => None,
        };
        let Plan { pieces, parts } = plan(ranges, limits, self.shared.options().verify);
        // Dropping the future of a read must also end its parts, so they are not tasks of their own.
        let reads: FuturesOrdered<_> = pieces.into_iter().map(|piece| self.piece(piece)).collect();
        let pieces: Vec<Vec<Bytes>> = reads.try_collect().await?;
        Ok(parts.into_iter().map(|part| part.assemble(&pieces)).collect())
    }

    /// Whether data come with a checksum for each page. What is encrypted cannot arrive changed without that.
    fn is_verified(&self, connection: &Connection) -> bool {
        self.shared.options().verify && connection.has_pages() && !connection.is_tls
    }

    async fn piece(self: &Arc<Self>, piece: Piece) -> Result<Vec<Bytes>, Error> {
        match piece {
            Piece::Whole { range, chunk } => {
                let length = length(&range)?;
                if length <= chunk {
                    let read = self.chunk(range.start, BytesMut::new(), length).await?;
                    return Ok(vec![read.freeze()]);
                }
                let mut rest = BytesMut::with_capacity(length);
                let mut chunks = Vec::with_capacity(length.div_ceil(chunk));
                let mut offset = range.start;
                while offset < range.end {
                    let count = chunk.min(length - chunks.len() * chunk);
                    // Neighbours in one allocation, to be joined without copying.
                    let after = rest.split_off(count.min(rest.capacity()));
                    chunks.push((offset, std::mem::replace(&mut rest, after), count));
                    offset += count as u64;
                }
                let reads: FuturesOrdered<_> =
                    chunks.into_iter().map(|(offset, buffer, count)| self.chunk(offset, buffer, count)).collect();
                let joined = reads.try_fold(BytesMut::new(), |mut joined, chunk| async move {
                    if joined.is_empty() {
                        return Ok(chunk);
                    }
                    joined.unsplit(chunk);
                    Ok(joined)
                });
                Ok(vec![joined.await?.freeze()])
            }
            Piece::Vector { segments } => match self.vector(&segments).await? {
                Some(data) => Ok(split(data, &segments)),
                None => {
                    let reads: FuturesOrdered<_> = segments
                        .iter()
                        .map(|segment| {
                            let count = segment.length as usize;
                            self.chunk(segment.offset, BytesMut::new(), count)
                        })
                        .collect();
                    reads.map_ok(BytesMut::freeze).try_collect().await
                }
            },
        }
    }

    /// Reads `count` bytes into a buffer, with all that can be done about failures.
    async fn chunk(self: &Arc<Self>, offset: u64, mut buffer: BytesMut, count: usize) -> Result<BytesMut, Error> {
        let mut attempts = Attempts::new(self.shared.options().retries);
        let mut done = BytesMut::new();
        loop {
            let start = offset + done.len() as u64;
            let missing = count - done.len();
            let _turn = self.turn(missing).await?;
            let handle = self.handle(&mut attempts).await?;
            let (handle, read) = self.hedged(handle, start, std::mem::take(&mut buffer), missing).await;
            match read {
                Ok(part) if part.is_empty() => {
                    let reason = format!(
                        "the server has nothing at byte {start}, though the file has {} bytes: the replica is truncated, \
                         tell who runs the server",
                        self.stat.size
                    );
                    let error = Error::Data {
                        host: handle.connection.host().to_owned(),
                        path: self.place.path.clone(),
                        reason,
                    };
                    self.failed(&handle, error, &mut attempts).await?;
                }
                Ok(part) => {
                    attempts.reset();
                    if done.is_empty() {
                        done = part;
                    } else {
                        done.unsplit(part);
                    }
                    if done.len() >= count {
                        self.shared.budget.give();
                        return Ok(done);
                    }
                }
                Err(Trouble::Lasting(error)) => return Err(error),
                Err(Trouble::Passing(error)) => self.failed(&handle, error, &mut attempts).await?,
            }
        }
    }

    /// Reads segments by one request; `None` says that they have to be read one by one.
    async fn vector(self: &Arc<Self>, segments: &[Segment]) -> Result<Option<BytesMut>, Error> {
        let total: usize = segments.iter().map(|segment| segment.length as usize).sum();
        let _turn = self.turn(total).await?;
        let handle = self.handle(&mut Attempts::new(self.shared.options().retries)).await?;
        let patience = self.shared.patience();
        let Ok(room) = handle.connection.room(total, patience).await else {
            return Ok(None);
        };
        let request = Request::read_vector(handle.id, segments);
        let buffer = BytesMut::with_capacity(total);
        match handle.connection.read_vector(&request, buffer, segments.to_vec(), room, patience).await {
            Ok(Answer::Data(data)) => {
                self.shared.budget.give();
                Ok(Some(data))
            }
            Ok(Answer::Response(Response::Error(error))) => {
                if matches!(error.code, code::UNSUPPORTED | code::INVALID_REQUEST | code::ARG_TOO_LONG) {
                    handle.endpoint.refuses_vectors();
                }
                Ok(None)
            }
            // Plain reads know what to do about each failure.
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// Reads from one handle and, if that takes long, from another replica too.
    async fn hedged(
        self: &Arc<Self>,
        handle: Arc<Handle>,
        offset: u64,
        buffer: BytesMut,
        count: usize,
    ) -> (Arc<Handle>, Result<BytesMut, Trouble>) {
        let first = Box::pin(self.read_once(Arc::clone(&handle), offset, buffer, count));
        let Some(after) = self.shared.options().hedge_after.filter(|_| self.may_hedge(&handle)) else {
            return (handle, first.await);
        };
        let first = match select(first, Box::pin(tokio::time::sleep(after))).await {
            Either::Left((read, _)) => return (handle, read),
            Either::Right(((), first)) => first,
        };
        let slow = Arc::clone(&handle);
        let second = Box::pin(async move {
            let other = self.replica(&slow).await?;
            let read = self.read_once(Arc::clone(&other), offset, BytesMut::new(), count).await;
            Some((other, read))
        });
        match select(first, second).await {
            Either::Left((read, _)) => (handle, read),
            Either::Right((Some((other, Ok(data))), _)) if !data.is_empty() => {
                self.prefer(&other, &handle);
                (other, Ok(data))
            }
            Either::Right((_, first)) => (handle, first.await),
        }
    }

    fn may_hedge(&self, handle: &Handle) -> bool {
        handle.redirected_to.is_some() && !self.is_alone.load(Ordering::Relaxed)
    }

    /// The file at another server than the handle's, by the manager's choice.
    async fn replica(&self, slow: &Arc<Handle>) -> Option<Arc<Handle>> {
        let host = slow.redirected_to.clone()?;
        let _one_at_a_time = self.reopening.lock().await;
        // Many reads are slow together, and what the first of them has found serves all.
        let known = self.handles.lock().iter().find(|other| other.is_instead_of(slow)).cloned();
        if known.is_some() {
            add(&self.shared.counters().hedges, 1);
            return known;
        }
        if !self.shared.budget.take() {
            return None;
        }
        let mut manner = Manner::new(self.shared.patience());
        let reason = Error::Timeout {
            host: host.clone(),
            path: self.place.path.clone(),
            request: "a read",
            waited: Duration::ZERO,
        };
        manner.tried = self.tried.lock().clone();
        manner.tried.add(&host, &reason);
        let other = open_for_reading(&self.shared, &self.place, manner).await;
        let other = other.ok().filter(|(other, stat)| stat.is_none_or(|stat| self.is_same(other, &stat)));
        let other = other.map(|(handle, _)| Arc::new(handle)).filter(|other| other.is_instead_of(slow));
        if other.is_none() {
            self.is_alone.store(true, Ordering::Relaxed);
            return None;
        }
        add(&self.shared.counters().hedges, 1);
        let path = self.place.path.clone();
        self.shared.counters().tell(|| Event::Hedge { host: slow.connection.host().to_owned(), path });
        self.handles.lock().extend(other.clone());
        other
    }

    /// From now on reads go to the replica that was faster.
    fn prefer(&self, fast: &Arc<Handle>, slow: &Arc<Handle>) {
        let mut handles = self.handles.lock();
        if handles.iter().any(|handle| Arc::ptr_eq(handle, fast)) {
            handles.retain(|handle| handle.connection.host() != slow.connection.host());
        }
    }

    async fn read_once(
        &self,
        handle: Arc<Handle>,
        offset: u64,
        buffer: BytesMut,
        count: usize,
    ) -> Result<BytesMut, Trouble> {
        let connection = &handle.connection;
        let passing = |error: Error| Trouble::Passing(error.about(&self.place.path));
        let length = u32::try_from(count).unwrap_or(u32::MAX);
        let patience = self.shared.patience();
        let mut waiting = Waiting::new(self.shared.options().wait_limit);
        let mut buffer = Some(buffer);
        let has_pages = self.is_verified(connection);
        loop {
            let room = connection.room(count, patience).await.map_err(passing)?;
            let buffer = buffer.take().unwrap_or_default();
            let answer = match has_pages {
                true => {
                    let request = Request::read_pages(handle.id, offset, length, false);
                    connection.read_pages(&request, buffer, (offset, count), room, patience).await
                }
                false => {
                    let request = Request::read(handle.id, offset, length);
                    connection.read(&request, buffer, count, room, patience).await
                }
            };
            match answer.map_err(passing)? {
                Answer::Data(data) => return Ok(data),
                Answer::Pages(mut data, bad) => {
                    for page in bad {
                        let good = self.page_again(&handle, page.offset, page.length).await?;
                        let at = usize::try_from(page.offset - offset).unwrap_or(usize::MAX);
                        if let Some(slot) = data.get_mut(at..at.saturating_add(page.length)) {
                            slot.copy_from_slice(&good);
                        }
                    }
                    return Ok(data);
                }
                Answer::Response(Response::Wait { seconds, message }) => {
                    let waited = self.shared.wait(connection.host(), &self.place.path, seconds, message, &mut waiting);
                    waited.await.map_err(Trouble::Lasting)?;
                }
                Answer::Response(response) => return Err(self.refused(&handle, response)),
            }
        }
    }

    /// What an answer without data means.
    fn refused(&self, handle: &Handle, response: Response) -> Trouble {
        let host = handle.connection.host();
        match response {
            Response::Error(error) => {
                let error = Error::server(host, &self.place.path, error);
                // Whatever it is, another replica may have it better.
                let is_passing = error.is_transient(false) || handle.redirected_to.is_some();
                if is_passing { Trouble::Passing(error) } else { Trouble::Lasting(error) }
            }
            // The server hands the file over: it is opened anew.
            _ => {
                let error = Error::disconnected(host, "it handed the file over while it was read".to_owned());
                Trouble::Passing(error.about(&self.place.path))
            }
        }
    }

    /// Reads a page again whose checksum was wrong.
    async fn page_again(&self, handle: &Arc<Handle>, offset: u64, length: usize) -> Result<BytesMut, Trouble> {
        const TIMES: usize = 3;
        let connection = &handle.connection;
        let count = u32::try_from(length).unwrap_or(u32::MAX);
        let patience = self.shared.patience();
        let passing = |error: Error| Trouble::Passing(error.about(&self.place.path));
        let mut waiting = Waiting::new(self.shared.options().wait_limit);
        let mut bad = 0;
        while bad < TIMES {
            add(&self.shared.counters().retries, 1);
            let room = connection.room(length, patience).await.map_err(passing)?;
            let request = Request::read_pages(handle.id, offset, count, true);
            let buffer = BytesMut::with_capacity(length);
            let answer = connection.read_pages(&request, buffer, (offset, length), room, patience);
            match answer.await.map_err(passing)? {
                Answer::Pages(data, wrong) if wrong.is_empty() && data.len() == length => return Ok(data),
                Answer::Pages(..) | Answer::Data(_) => bad += 1,
                Answer::Response(Response::Wait { seconds, message }) => {
                    let waited = self.shared.wait(connection.host(), &self.place.path, seconds, message, &mut waiting);
                    waited.await.map_err(Trouble::Lasting)?;
                }
                Answer::Response(response) => return Err(self.refused(handle, response)),
            }
        }
        let reason =
            format!("bytes {offset}..{} arrive with a wrong checksum, each of {TIMES} times", offset + length as u64);
        let (host, path) = (connection.host().to_owned(), self.place.path.clone());
        Err(Trouble::Passing(Error::Data { host, path, reason }))
    }

    /// Waits until so many bytes more may be under way, and sees to further connections where there are many.
    async fn turn(self: &Arc<Self>, bytes: usize) -> Result<SemaphorePermit<'_>, Error> {
        let units = bytes.div_ceil(1 << 10).clamp(1, GATE) as u32;
        let gates = self.gates.load(Ordering::Relaxed);
        let free = self.gate.available_permits().saturating_sub(units as usize);
        if free < (GATE - BUSY) * gates {
            self.grow();
        }
        self.gate.acquire_many(units).await.map_err(|_| Error::ShutDown)
    }

    /// A handle to read from: the one with the most room, or a new one.
    async fn handle(self: &Arc<Self>, attempts: &mut Attempts) -> Result<Arc<Handle>, Error> {
        if let Some(handle) = self.usable() {
            return Ok(handle);
        }
        let _one_at_a_time = self.reopening.lock().await;
        loop {
            if let Some(handle) = self.usable() {
                return Ok(handle);
            }
            let (handle, stat) = self.open_again().await?;
            let handle = Arc::new(handle);
            let Some(stat) = stat.filter(|stat| !self.is_same(&handle, stat)) else {
                self.handles.lock().push(Arc::clone(&handle));
                return Ok(handle);
            };
            let (now, before) = (stat.size, self.stat.size);
            let reason = match handle.redirected_to {
                Some(_) => format!("the replica has {now} bytes, and another one has {before}"),
                None if now == before => "the file was changed since it was opened first: read it anew".to_owned(),
                None => {
                    format!("the file now has {now} bytes, and had {before} when it was opened first: read it anew")
                }
            };
            let (host, path) = (handle.connection.host().to_owned(), self.place.path.clone());
            let error = Error::Data { host, path, reason };
            if handle.redirected_to.is_none() {
                return Err(error);
            }
            self.failed(&handle, error, attempts).await?;
        }
    }

    /// Whether what was opened is the file that was opened first.
    fn is_same(&self, handle: &Handle, stat: &Stat) -> bool {
        let has_one_time = self.is_direct && handle.redirected_to.is_none();
        stat.size == self.stat.size && (!has_one_time || stat.modified == self.stat.modified)
    }

    /// Opens the file once more, at another server than those that have failed.
    async fn open_again(&self) -> Result<(Handle, Option<Stat>), Error> {
        let mut manner = Manner::new(self.shared.patience());
        manner.tried = self.tried.lock().clone();
        match open_for_reading(&self.shared, &self.place, manner).await {
            // No other replica: the ones that failed get another chance.
            Err(error) if error.kind() == ErrorKind::NotFound && !self.tried.lock().is_empty() => {
                self.tried.lock().clear();
                open_for_reading(&self.shared, &self.place, Manner::new(self.shared.patience())).await
            }
            other => other,
        }
    }

    fn usable(&self) -> Option<Arc<Handle>> {
        let mut handles = self.handles.lock();
        handles.retain(|handle| handle.connection.is_usable());
        handles.iter().max_by_key(|handle| handle.connection.free_window()).cloned()
    }

    /// Opens the file on one connection more, without waiting for it.
    fn grow(self: &Arc<Self>) {
        let connections: Vec<_> = {
            let handles = self.handles.lock();
            let is_grown = handles.len() >= self.shared.options().connections;
            if is_grown || self.is_growing.swap(true, Ordering::Relaxed) {
                return;
            }
            handles.iter().map(|handle| Arc::clone(&handle.connection)).collect()
        };
        let file = Arc::clone(self);
        tokio::spawn(async move {
            let mut manner = Manner::new(file.shared.patience());
            manner.except = &connections;
            manner.is_persistent = false;
            manner.tried = file.tried.lock().clone();
            // Without it the others go on reading.
            if let Ok((handle, Some(stat))) = open_for_reading(&file.shared, &file.place, manner).await
                && file.is_same(&handle, &stat)
                && !connections.iter().any(|known| Arc::ptr_eq(known, &handle.connection))
            {
                let mut handles = file.handles.lock();
                handles.push(Arc::new(handle));
                // Handles that have come to replace others have their room already.
                if handles.len() > file.gates.load(Ordering::Relaxed) {
                    file.gates.fetch_add(1, Ordering::Relaxed);
                    file.gate.add_permits(GATE);
                }
            }
            file.is_growing.store(false, Ordering::Relaxed);
        });
    }

    /// Takes a handle out of use, and waits as long as is right before the next attempt.
    async fn failed(&self, handle: &Arc<Handle>, error: Error, attempts: &mut Attempts) -> Result<(), Error> {
        let reason = error.to_string();
        self.handles.lock().retain(|other| !Arc::ptr_eq(other, handle));
        if handle.has_failed.swap(true, Ordering::Relaxed) {
            // Many reads fail together when a connection does: that counts once.
            return attempts.failed_with_others(error);
        }
        let (host, path) = (handle.connection.host().to_owned(), self.place.path.clone());
        if let Some(host) = &handle.redirected_to {
            self.tried.lock().add(host, &error);
        }
        let pause = attempts.failed(error, true, &self.shared.budget)?;
        add(&self.shared.counters().retries, 1);
        if handle.redirected_to.is_some() {
            add(&self.shared.counters().failovers, 1);
            self.shared.counters().tell(|| Event::Failover { host, path, reason });
        } else {
            self.shared.counters().tell(|| Event::Retry { host, path, reason });
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Reads a range piece by piece, several pieces ahead of whoever takes them.
    pub(crate) fn stream(
        self: Arc<Self>,
        range: Range<u64>,
    ) -> impl futures::Stream<Item = Result<Bytes, Error>> + Send {
        /// Bytes in a piece.
        const PIECE: u64 = 2 << 20;
        /// Pieces under way.
        const AHEAD: usize = 8;
        let count = (range.end - range.start).div_ceil(PIECE);
        let pieces = (0..count).map(move |at| {
            let start = range.start + at * PIECE;
            start..(start + PIECE).min(range.end)
        });
        stream::iter(pieces)
            .map(move |piece| {
                let file = Arc::clone(&self);
                async move { file.read(&[piece]).await.map(|read| read.into_iter().next().unwrap_or_default()) }
            })
            .buffered(AHEAD)
    }
}

/// The data of segments that came one after the other.
fn split(data: BytesMut, segments: &[Segment]) -> Vec<Bytes> {
    let mut data = data.freeze();
    segments.iter().map(|segment| data.split_to((segment.length as usize).min(data.len()))).collect()
}

fn length(range: &Range<u64>) -> Result<usize, Error> {
    usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| Error::Data {
        host: String::new(),
        path: String::new(),
        reason: "a range is larger than the memory of this machine".to_owned(),
    })
}

async fn open_for_reading(
    shared: &Arc<Shared>,
    place: &Place,
    manner: Manner<'_>,
) -> Result<(Handle, Option<Stat>), Error> {
    let make = |path: &str, is_refreshed: bool| {
        let refresh = if is_refreshed { open::REFRESH } else { 0 };
        Request::open(path, Open { mode: 0, options: open::READ | open::RETURN_STAT | refresh })
    };
    let started = Instant::now();
    let trace = manner.trace.clone();
    let answered = shared.ask(place, &make, manner).await;
    let opened = answered.and_then(|answered| {
        let opened = opened(&answered.body).map_err(|error| Error::protocol(answered.connection.host(), error));
        opened.map(|opened| (answered, opened))
    });
    // A failure took all attempts together, and a success what came after the login.
    let (target, started) = match &opened {
        Ok((answered, _)) => (answered.endpoint.shown().to_owned(), answered.asked),
        Err(_) => (place.url.authority(), started),
    };
    trace.step("open", &target, started, &opened, |(_, (_, stat))| match stat {
        Some(stat) => format!("{} bytes", stat.size),
        None => String::new(),
    });
    let (Answered { connection, endpoint, redirected_to, .. }, (id, stat)) = opened?;
    add(&shared.counters().opens, 1);
    Ok((Handle { connection, endpoint, id, redirected_to, has_failed: AtomicBool::new(false) }, stat))
}
