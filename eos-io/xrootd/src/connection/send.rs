//! The task that sends. Small requests that wait together go out together.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::wire::Request;

/// Payloads up to this length are copied to go out with their neighbours.
const SMALL: usize = 16 << 10;
/// Requests taken from the queue at a time.
const BATCH: usize = 64;

/// A request as it goes onto the wire.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// A signature, if one is wanted, and the request's header.
    pub(super) head: Vec<u8>,
    pub(super) payload: Bytes,
}

impl Outgoing {
    pub(super) fn new(request: &Request, id: u16) -> Self {
        Self { head: request.header(id.to_be_bytes()).to_vec(), payload: request.payload.clone() }
    }
}

/// Sends what is queued until nobody can queue any more.
pub(super) async fn send<W: AsyncWrite + Unpin>(
    mut stream: W,
    mut queued: UnboundedReceiver<Outgoing>,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut buffer = Vec::with_capacity(SMALL);
    while queued.recv_many(&mut batch, BATCH).await > 0 {
        for Outgoing { head, payload } in batch.drain(..) {
            buffer.extend_from_slice(&head);
            if payload.len() <= SMALL {
                buffer.extend_from_slice(&payload);
            } else {
                stream.write_all(&buffer).await?;
                buffer.clear();
                stream.write_all(&payload).await?;
            }
        }
        stream.write_all(&buffer).await?;
        buffer.clear();
        stream.flush().await?;
    }
    stream.shutdown().await
}
