//! The loop that receives answers and hands each to the request that it is for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncRead;

use super::Shared;
use super::incoming::Incoming;
use super::slots::{Answer, BadPage, Sink, Slot, Terms};
use crate::error::Error;
use crate::metrics::{Event, add};
use crate::wire::codes::{attention, status};
use crate::wire::{Cursor, Header, PAGE, PageStatus, Response, Segment, WireError, first_page_length};

/// Why receiving ended.
enum Broken {
    Io(io::Error),
    Wire(WireError),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<WireError> for Broken {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

/// Receives until the connection ends, and then answers everything that waits with the reason.
pub(super) async fn receive<R: AsyncRead + Unpin>(stream: R, shared: &Shared) {
    let mut incoming = Incoming::new(stream);
    let broken = loop {
        if let Err(broken) = answer(&mut incoming, shared).await {
            break broken;
        }
    };
    shared.close(match broken {
        Broken::Io(error) => Error::disconnected(&shared.host, error.to_string()),
        Broken::Wire(error) => Error::protocol(&shared.host, error),
    });
}

async fn answer<R: AsyncRead + Unpin>(incoming: &mut Incoming<R>, shared: &Shared) -> Result<(), Broken> {
    let header = incoming.array::<{ Header::LENGTH }>(&shared.progress).await?;
    let header = Header::parse(&header)?;
    if header.status == status::ATTN {
        return attend(incoming, shared, header.length).await;
    }
    dispatch(incoming, shared, header).await
}

/// A message that answers no request by itself. One kind holds a complete answer, with a header of its own.
async fn attend<R: AsyncRead + Unpin>(
    incoming: &mut Incoming<R>,
    shared: &Shared,
    length: usize,
) -> Result<(), Broken> {
    const KIND: usize = 4;
    const BEFORE_ANSWER: usize = 8 + Header::LENGTH;
    if length < KIND {
        return Err(WireError::new("a message without a kind").into());
    }
    let kind = u32::from_be_bytes(incoming.array(&shared.progress).await?);
    match kind {
        attention::RESPONSE if length >= BEFORE_ANSWER => {
            let _reserved = incoming.array::<4>(&shared.progress).await?;
            let header = incoming.array::<{ Header::LENGTH }>(&shared.progress).await?;
            let header = Header::parse(&header)?;
            if header.length != length - BEFORE_ANSWER {
                return Err(WireError::new("an answer within a message has another length than the message").into());
            }
            dispatch(incoming, shared, header).await
        }
        attention::RESPONSE => Err(WireError::new("a message is too short for the answer in it").into()),
        // Texts for the user's log and kinds that are no longer in use.
        _ => Ok(incoming.skip(length - KIND, &shared.progress).await?),
    }
}

async fn dispatch<R: AsyncRead + Unpin>(
    incoming: &mut Incoming<R>,
    shared: &Shared,
    header: Header,
) -> Result<(), Broken> {
    let id = u16::from_be_bytes(header.stream);
    let slot = shared.slots.lock().take(id);
    let Some(mut slot) = slot else {
        return Err(WireError(format!("an answer for stream {id}, on which nothing was asked")).into());
    };
    // While data arrive the slot is out of the table, so a failure has to be told from here.
    match receive_into(incoming, shared, header, &mut slot).await {
        Ok(None) => shared.slots.lock().put_back(id, slot),
        Ok(Some(answer)) => {
            shared.slots.lock().release();
            complete(shared, slot, answer);
        }
        Err(broken) => {
            let host = &shared.host;
            let (error, broken) = match broken {
                Broken::Io(error) => (Error::disconnected(host, error.to_string()), Broken::Io(error)),
                Broken::Wire(error) => (Error::protocol(host, error.clone()), Broken::Wire(error)),
            };
            drop(slot.answer.send(Err(error)));
            return Err(broken);
        }
    }
    Ok(())
}

fn complete(shared: &Shared, slot: Slot, answer: Answer) {
    let Slot { opening, terms, answer: waiting, .. } = slot;
    if let Some(since) = terms.waiting_since.get() {
        shared.counters.waited(since.elapsed());
    }
    if let (Some(Ok(unwanted)), Some(opening)) = (waiting.send(Ok(answer)).err(), opening) {
        shared.undo(&unwanted, &opening, &terms);
    }
}

/// Takes one frame in. `None` says that more frames follow for the same request.
async fn receive_into<R: AsyncRead + Unpin>(
    incoming: &mut Incoming<R>,
    shared: &Shared,
    header: Header,
    slot: &mut Slot,
) -> Result<Option<Answer>, Broken> {
    let is_final = header.status == status::OK;
    match header.status {
        status::OK | status::OK_SO_FAR => {}
        status::STATUS => return pages(incoming, shared, header, slot).await,
        status::WAIT_RESP => {
            let body = control(incoming, shared, header).await?;
            if let Response::Later { seconds } = body {
                slot.terms.patience_ms.fetch_add(u64::from(seconds) * 1000, Ordering::Relaxed);
                add(&shared.counters.waits, 1);
                if slot.terms.waiting_since.set(Instant::now()).is_ok() {
                    tell_if_late(shared, &slot.terms, Duration::from_secs(u64::from(seconds)));
                }
            }
            return Ok(None);
        }
        _ => return Ok(Some(Answer::Response(control(incoming, shared, header).await?))),
    }
    match &mut slot.sink {
        Sink::Body { body, limit } => {
            if body.len() + header.length > *limit {
                return Err(WireError(format!("an answer of more than {limit} bytes")).into());
            }
            incoming.append(body, header.length, &shared.progress).await?;
            let whole = is_final.then(|| std::mem::take(body));
            Ok(whole.map(|body| Answer::Response(Response::Ok(body.to_vec()))))
        }
        Sink::Data { buffer, wanted } => {
            if buffer.len() + header.length > *wanted {
                return Err(WireError(format!("more than the {wanted} bytes that were asked for")).into());
            }
            // Memory is taken when data come, and not when they are asked for: what was just given back is still in the
            // processor's caches.
            buffer.reserve(*wanted - buffer.len());
            incoming.append(buffer, header.length, &shared.progress).await?;
            add(&shared.counters.bytes_read, header.length);
            Ok(is_final.then(|| Answer::Data(std::mem::take(buffer))))
        }
        Sink::Vector { buffer, segments, next } => {
            segments_into(incoming, shared, header.length, buffer, segments, next).await?;
            if is_final && *next < segments.len() {
                return Err(WireError(format!("only {next} of {} segments of a vector read", segments.len())).into());
            }
            Ok(is_final.then(|| Answer::Data(std::mem::take(buffer))))
        }
        Sink::Pages { .. } => Err(WireError::new("a page read was answered as a plain one").into()),
    }
}

/// Tells of an answer that was put off, once it has been missing for a while: the time that a server names is what it takes
/// at most, and the usual checksum of a small file is there at once.
fn tell_if_late(shared: &Shared, terms: &Arc<Terms>, time: Duration) {
    const GRACE: Duration = Duration::from_secs(1);
    if !shared.counters.has_listener() {
        return;
    }
    let (terms, counters, host) = (Arc::downgrade(terms), Arc::clone(&shared.counters), shared.host.clone());
    tokio::spawn(async move {
        tokio::time::sleep(GRACE.min(time)).await;
        if terms.strong_count() > 0 {
            let time = time.saturating_sub(GRACE);
            counters.tell(|| Event::Waiting { host, path: String::new(), time, message: String::new() });
        }
    });
}

/// An answer without data.
async fn control<R: AsyncRead + Unpin>(
    incoming: &mut Incoming<R>,
    shared: &Shared,
    header: Header,
) -> Result<Response, Broken> {
    // Capabilities of a redirect take some KiB.
    const LIMIT: usize = 1 << 20;
    if header.length > LIMIT {
        return Err(WireError(format!("an answer of {} bytes, of status {}", header.length, header.status)).into());
    }
    let mut body = BytesMut::new();
    incoming.append(&mut body, header.length, &shared.progress).await?;
    Ok(Response::parse(header.status, body.to_vec())?)
}

/// A frame of a vector read: whole segments, each behind its handle, length and offset.
async fn segments_into<R: AsyncRead + Unpin>(
    incoming: &mut Incoming<R>,
    shared: &Shared,
    mut length: usize,
    buffer: &mut BytesMut,
    segments: &[Segment],
    next: &mut usize,
) -> Result<(), Broken> {
    while length > 0 {
        let rest = length.checked_sub(Segment::HEADER);
        let Some(rest) = rest else {
            return Err(WireError::new("a frame of a vector read ends within a segment's header").into());
        };
        let header = incoming.array::<{ Segment::HEADER }>(&shared.progress).await?;
        let mut cursor = Cursor::new(&header);
        let _file: [u8; 4] = cursor.array()?;
        let got = Segment { length: cursor.u32()?, offset: cursor.u64()? };
        if segments.get(*next) != Some(&got) {
            return Err(WireError(format!(
                "segment {next} of a vector read has {} bytes at {}, which is not what was asked for",
                got.length, got.offset
            ))
            .into());
        }
        let count = usize::try_from(got.length).unwrap_or(usize::MAX);
        let Some(rest) = rest.checked_sub(count) else {
            return Err(WireError::new("a frame of a vector read ends within a segment").into());
        };
        incoming.append(buffer, count, &shared.progress).await?;
        add(&shared.counters.bytes_read, count);
        *next += 1;
        length = rest;
    }
    Ok(())
}

/// A frame of a page read.
async fn pages<R: AsyncRead + Unpin>(
    incoming: &mut Incoming<R>,
    shared: &Shared,
    header: Header,
    slot: &mut Slot,
) -> Result<Option<Answer>, Broken> {
    const CHECKSUM: usize = 4;
    let Sink::Pages { buffer, wanted, offset, bad } = &mut slot.sink else {
        return Err(WireError::new("pages as an answer to another request").into());
    };
    if header.length != PageStatus::LENGTH {
        return Err(WireError(format!("the head of a page read has {} bytes", header.length)).into());
    }
    let body = incoming.array::<{ PageStatus::LENGTH }>(&shared.progress).await?;
    let page_status = PageStatus::parse(header.stream, &body)?;
    let mut length = page_status.length;
    if length > 0 && page_status.offset != *offset + buffer.len() as u64 {
        return Err(WireError(format!("pages from {}, which were not next", page_status.offset)).into());
    }
    while length > 0 {
        let at = *offset + buffer.len() as u64;
        let Some(data) = length.checked_sub(CHECKSUM).filter(|&data| data > 0) else {
            return Err(WireError::new("a frame of a page read ends within a checksum").into());
        };
        let page = data.min(first_page_length(at)).min(PAGE);
        let start = buffer.len();
        if start + page > *wanted {
            return Err(WireError(format!("more than the {wanted} bytes that were asked for")).into());
        }
        let expected = u32::from_be_bytes(incoming.array(&shared.progress).await?);
        incoming.append(buffer, page, &shared.progress).await?;
        add(&shared.counters.bytes_read, page);
        if buffer.get(start..).is_none_or(|page| crc32c::crc32c(page) != expected) {
            note(bad, at, page);
        }
        length -= CHECKSUM + page;
    }
    Ok(page_status.is_final.then(|| Answer::Pages(std::mem::take(buffer), std::mem::take(bad))))
}

/// Notes bytes whose checksum is wrong. A server may cut a page into pieces, of which no list is kept: what can be asked
/// for again is the page.
fn note(bad: &mut Vec<BadPage>, offset: u64, length: usize) {
    match bad.last_mut() {
        Some(page) if page.offset + page.length as u64 == offset && !offset.is_multiple_of(PAGE as u64) => {
            page.length += length;
        }
        _ => bad.push(BadPage { offset, length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_bad_page_are_one_bad_page() {
        let mut bad = Vec::new();
        for (offset, length) in [(4000, 50), (4050, 46), (4096, 1), (4097, 4095), (8192, 4096), (12_289, 5)] {
            note(&mut bad, offset, length);
        }
        let noted: Vec<_> = bad.iter().map(|page| (page.offset, page.length)).collect();
        assert_eq!(noted, [(4000, 96), (4096, 4096), (8192, 4096), (12_289, 5)]);
    }
}
