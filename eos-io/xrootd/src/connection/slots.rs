//! Requests that wait for their answers, by stream id. An id stays taken until its final answer has come, also when
//! nobody waits for it any more, so that a late answer cannot be mistaken for another's.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::error::Error;
use crate::wire::{Response, Segment};

/// What the receiver makes of an answer's body.
#[derive(Debug)]
pub(super) enum Sink {
    /// Keeps it, up to a limit.
    Body { body: BytesMut, limit: usize },
    /// Appends data of a read.
    Data { buffer: BytesMut, wanted: usize },
    /// Appends the data of the segments of a vector read, which come in the order in which they were asked for.
    Vector { buffer: BytesMut, segments: Vec<Segment>, next: usize },
    /// Appends pages of a page read, and notes those whose checksum is wrong.
    Pages { buffer: BytesMut, wanted: usize, offset: u64, bad: Vec<BadPage> },
}

/// A page whose checksum does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadPage {
    pub(crate) offset: u64,
    pub(crate) length: usize,
}

/// A complete answer.
#[derive(Debug)]
pub(crate) enum Answer {
    Response(Response),
    Data(BytesMut),
    Pages(BytesMut, Vec<BadPage>),
}

/// What the receiver and whoever waits tell each other about a request.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// Milliseconds for which the server asked to be left in peace.
    pub(super) patience_ms: AtomicU64,
    /// Since when that is waited for.
    pub(super) waiting_since: OnceLock<Instant>,
    /// Whether the request was not answered in time, so that it may have been made again elsewhere.
    pub(super) is_late: AtomicBool,
}

/// What an open does.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    /// The path, if a file is made.
    pub(super) made: Option<Bytes>,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) sink: Sink,
    pub(super) answer: oneshot::Sender<Result<Answer, Error>>,
    pub(super) terms: Arc<Terms>,
    /// What a success that nobody waits for has done, which then is undone.
    pub(super) opening: Option<Opening>,
    /// The part of the connection's window that the answer may fill.
    pub(super) _window: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Default)]
pub(super) struct Slots {
    pending: HashMap<u16, Slot>,
    /// The one whose answer is being received, which is not among those that wait.
    receiving: Option<u16>,
    next: u16,
    closed: Option<Error>,
}

impl Slots {
    /// Takes a free id for a request.
    pub(super) fn insert(&mut self, slot: Slot) -> Result<u16, Error> {
        if let Some(error) = &self.closed {
            return Err(error.clone());
        }
        // The window of a connection holds far fewer than 65536 requests.
        while self.pending.contains_key(&self.next) || self.receiving == Some(self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.pending.insert(id, slot);
        Ok(id)
    }

    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= usize::from(u16::MAX) / 2
    }

    /// Takes a request out while an answer for it is received.
    pub(super) fn take(&mut self, id: u16) -> Option<Slot> {
        self.receiving = Some(id);
        self.pending.remove(&id)
    }

    /// The id of the request that was taken out is free again.
    pub(super) fn release(&mut self) {
        self.receiving = None;
    }

    /// Puts it back, when more is to come.
    pub(super) fn put_back(&mut self, id: u16, slot: Slot) {
        self.receiving = None;
        match &self.closed {
            Some(error) => drop(slot.answer.send(Err(error.clone()))),
            None => drop(self.pending.insert(id, slot)),
        }
    }

    /// Answers all that waits, and whatever will, with an error. The first reason stays.
    pub(super) fn close(&mut self, error: Error) {
        let error = self.closed.get_or_insert(error).clone();
        for (_, slot) in self.pending.drain() {
            drop(slot.answer.send(Err(error.clone())));
        }
    }

    pub(super) fn closed(&self) -> Option<&Error> {
        self.closed.as_ref()
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> Slot {
        let sink = Sink::Body { body: BytesMut::new(), limit: 0 };
        Slot { sink, answer: oneshot::channel().0, terms: Arc::default(), opening: None, _window: None }
    }

    #[test]
    fn an_id_is_not_given_away_while_its_answer_is_received() {
        let mut slots = Slots::default();
        let id = slots.insert(slot()).unwrap();
        let taken = slots.take(id).unwrap();
        slots.next = id;
        assert_ne!(slots.insert(slot()).unwrap(), id);
        slots.put_back(id, taken);
        slots.take(id).unwrap();
        slots.release();
        slots.next = id;
        assert_eq!(slots.insert(slot()).unwrap(), id);
    }
}
