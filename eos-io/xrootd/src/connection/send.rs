//! The task that sends. Small requests that wait together go out together.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::incoming::Progress;
use crate::wire::Request;

/// Payloads up to this length are copied to go out with their neighbours.
const SMALL: usize = 16 << 10;
/// What of a payload is sent before that counts as progress.
const PART: usize = 256 << 10;
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

/// Sends what is queued until nobody can queue any more, or the server takes nothing for so long.
pub(super) async fn send<W: AsyncWrite + Unpin>(
    mut stream: W,
    mut queued: UnboundedReceiver<Outgoing>,
    progress: &Progress,
    silence: Duration,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut buffer = Vec::with_capacity(SMALL);
    while queued.recv_many(&mut batch, BATCH).await > 0 {
        for Outgoing { head, payload } in batch.drain(..) {
            buffer.extend_from_slice(&head);
            if payload.len() <= SMALL {
                buffer.extend_from_slice(&payload);
            } else {
                write(&mut stream, &buffer, silence).await?;
                buffer.clear();
                for part in payload.chunks(PART) {
                    write(&mut stream, part, silence).await?;
                    // Over a slow line the answer is due only when all of it has gone out.
                    progress.mark();
                }
            }
        }
        write(&mut stream, &buffer, silence).await?;
        buffer.clear();
    }
    within(silence, stream.shutdown()).await
}

async fn write<W: AsyncWrite + Unpin>(stream: &mut W, mut bytes: &[u8], silence: Duration) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = within(silence, stream.write(bytes)).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(count..).unwrap_or_default();
    }
    within(silence, stream.flush()).await
}

async fn within<T>(silence: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(silence, work).await.unwrap_or_else(|_| {
        let reason = format!("the server took nothing for {} s", silence.as_secs_f32());
        Err(io::Error::new(io::ErrorKind::TimedOut, reason))
    })
}
