//! The receiving loop for its fuzz target: a server that sends whatever it likes, with requests of every kind under way.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{mpsc, oneshot};

pub use super::handshake::fuzzing::login;
use super::incoming::Progress;
use super::receive::receive as receive_all;
use super::slots::{Answer, Opening, Sink, Slot};
use super::{SMALL, Shared};
use crate::wire::codes::status;
use crate::wire::{Header, PAGE, PageStatus, Response, Segment};

const LISTING: usize = 256 << 20;
const SEGMENTS: [Segment; 3] =
    [Segment { offset: 0, length: 5 }, Segment { offset: 100, length: 3000 }, Segment { offset: 1 << 40, length: 1 }];

/// The requests under way, in the order of their stream ids: what is asked for, and the most that may come.
const REQUESTS: [(Kind, usize); 9] = [
    (Kind::Body, SMALL),
    (Kind::Body, LISTING),
    (Kind::Open, SMALL),
    (Kind::Data, 20_000),
    (Kind::Data, 10),
    (Kind::Vector, 3006),
    (Kind::Pages { offset: 100 }, 9000),
    (Kind::Pages { offset: u64::MAX - 4096 }, 4096),
    (Kind::Open, SMALL),
];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Body,
    Open,
    Data,
    Vector,
    Pages { offset: u64 },
}

impl Kind {
    fn sink(self, wanted: usize) -> Sink {
        let buffer = BytesMut::new();
        match self {
            Self::Body | Self::Open => Sink::Body { body: buffer, limit: wanted },
            Self::Data => Sink::Data { buffer, wanted },
            Self::Vector => Sink::Vector { buffer, segments: SEGMENTS.to_vec(), next: 0 },
            Self::Pages { offset } => Sink::Pages { buffer, wanted, offset, bad: Vec::new() },
        }
    }

    fn check(self, wanted: usize, answer: &Answer) {
        match (self, answer) {
            (Self::Body | Self::Open, Answer::Response(Response::Ok(body))) => assert!(body.len() <= wanted),
            (Self::Data, Answer::Data(data)) => assert!(data.len() <= wanted),
            (Self::Vector, Answer::Data(data)) => assert_eq!(data.len(), wanted),
            (Self::Pages { offset }, Answer::Pages(data, bad)) => {
                assert!(data.len() <= wanted && bad.len() <= wanted / PAGE + 2);
                let end = offset + data.len() as u64;
                assert!(bad.iter().all(|page| page.offset >= offset && page.offset + page.length as u64 <= end));
            }
            (_, Answer::Response(response)) => assert!(!matches!(response, Response::Ok(_)), "data are no body"),
            _ => panic!("an answer of another kind: {answer:?}"),
        }
    }
}

/// Receives what is behind three bytes that say how it is cut into pieces and which requests nobody waits for any more.
pub fn receive(data: &[u8]) {
    let Some((&[first, largest, given_up], stream)) = data.split_first_chunk::<3>() else { return };
    let mut stream = stream.to_vec();
    mend(&mut stream);
    let (queue, mut queued) = mpsc::unbounded_channel();
    let shared = Shared {
        host: "h:1094".to_owned(),
        slots: Mutex::default(),
        progress: Progress::new(),
        counters: Arc::default(),
        queue: queue.downgrade(),
        signer: Mutex::default(),
    };
    let mut waiting = Vec::new();
    for (at, (kind, wanted)) in REQUESTS.into_iter().enumerate() {
        let (answer, receiver) = oneshot::channel();
        let slot = Slot {
            sink: kind.sink(wanted),
            answer,
            terms: Arc::default(),
            opening: (kind == Kind::Open).then(|| Opening { made: Some(Bytes::from_static(b"/made")) }),
            _window: None,
        };
        assert_eq!(shared.slots.lock().insert(slot).ok(), u16::try_from(at).ok());
        if given_up >> (at % 8) & 1 == 0 {
            waiting.push((kind, wanted, receiver));
        }
    }
    futures::executor::block_on(receive_all(Pieces { rest: &stream, largest, turn: first }, &shared));
    for (kind, wanted, mut receiver) in waiting {
        match receiver.try_recv() {
            Ok(Ok(answer)) => kind.check(wanted, &answer),
            Ok(Err(error)) => drop(error.to_string()),
            Err(_) => panic!("a request without an answer"),
        }
    }
    let slots = shared.slots.lock();
    assert!(slots.len() == 0 && slots.closed().is_some());
    // Only files that somebody has asked to open are closed and removed.
    let sent = std::iter::from_fn(|| queued.try_recv().ok()).count();
    assert!(sent <= 2 * REQUESTS.iter().filter(|(kind, _)| *kind == Kind::Open).count());
}

/// Gives the heads of page reads their checksums, which no mutation finds.
fn mend(stream: &mut [u8]) {
    let mut at = 0_usize;
    while let Some(Ok(header)) = stream.get(at..at.saturating_add(Header::LENGTH)).map(Header::parse) {
        at += Header::LENGTH;
        if header.status == status::STATUS
            && header.length == PageStatus::LENGTH
            && let Some((sum, head)) =
                stream.get_mut(at..at + PageStatus::LENGTH).and_then(<[u8]>::split_first_chunk_mut::<4>)
        {
            *sum = crc32c::crc32c(head).to_be_bytes();
            if let Some(&[a, b, c, d]) = head.get(8..12) {
                at += u32::from_be_bytes([a, b, c, d]) as usize;
            }
        }
        at += header.length;
    }
}

/// Bytes that come in pieces, and not always at once.
struct Pieces<'a> {
    rest: &'a [u8],
    largest: u8,
    turn: u8,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.turn = self.turn.wrapping_mul(5).wrapping_add(1);
        if self.turn >> 6 == 3 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = self.turn.checked_rem(self.largest).map_or(usize::MAX, |piece| usize::from(piece) + 1);
        let (now, later) = self.rest.split_at(piece.min(self.rest.len()).min(into.remaining()));
        into.put_slice(now);
        self.rest = later;
        Poll::Ready(Ok(()))
    }
}
