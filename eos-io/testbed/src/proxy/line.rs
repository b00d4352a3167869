//! One direction of a connection: bytes leave it half a round trip after they entered, and no faster than it carries.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::Shared;

/// What may be on the line at once: 100 ms at 10 Gbit/s.
const CAPACITY: u32 = 128 << 20;
/// With a limited rate, what is written at once.
const PIECE: usize = 64 << 10;
/// Sleeping takes longer than asked for by up to a millisecond or two, which may be caught up with.
const SLACK: Duration = Duration::from_millis(5);

enum Item {
    Bytes { due: Instant, bytes: Vec<u8>, _room: OwnedSemaphorePermit },
    End,
}

/// The end of a line where bytes enter.
#[derive(Clone)]
pub(super) struct Entry {
    items: UnboundedSender<Item>,
    room: Arc<Semaphore>,
    shared: Arc<Shared>,
}

impl Entry {
    pub async fn put(&self, bytes: Vec<u8>) {
        let due = Instant::now() + self.shared.half_a_trip();
        let size = u32::try_from(bytes.len()).unwrap_or(CAPACITY).min(CAPACITY);
        if let Ok(room) = Arc::clone(&self.room).acquire_many_owned(size).await {
            // Nobody takes them once the connection is closed.
            let _ = self.items.send(Item::Bytes { due, bytes, _room: room });
        }
    }

    /// Closes the line behind what is on it.
    pub fn end(&self) {
        let _ = self.items.send(Item::End);
    }
}

pub(super) fn line(writer: OwnedWriteHalf, shared: &Arc<Shared>) -> (Entry, JoinHandle<io::Result<()>>) {
    let (items, exit) = unbounded_channel();
    let room = Arc::new(Semaphore::new(CAPACITY as usize));
    let task = tokio::spawn(carry(exit, writer, Arc::clone(shared)));
    (Entry { items, room, shared: Arc::clone(shared) }, task)
}

async fn carry(mut exit: UnboundedReceiver<Item>, mut writer: OwnedWriteHalf, shared: Arc<Shared>) -> io::Result<()> {
    let mut free = Instant::now();
    while let Some(Item::Bytes { due, bytes, _room }) = exit.recv().await {
        if due > Instant::now() {
            sleep_until(due).await;
        }
        let Some(rate) = shared.link.lock().unwrap().bytes_per_second else {
            writer.write_all(&bytes).await?;
            continue;
        };
        for piece in bytes.chunks(PIECE) {
            let earliest = Instant::now().checked_sub(SLACK).unwrap_or(free);
            free = free.max(earliest) + Duration::from_secs_f64(piece.len() as f64 / rate);
            if free > Instant::now() {
                sleep_until(free).await;
            }
            writer.write_all(piece).await?;
        }
    }
    writer.shutdown().await
}
