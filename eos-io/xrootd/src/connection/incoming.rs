//! The receiving end of a connection. Headers pass through a small buffer; data go straight to where they are wanted.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Headers of this many small answers fit in; what is in here of a large one is copied once more, which is little.
const BUFFER: usize = 16 << 10;
/// Memory for so much is taken at a time, whatever length an answer says it has.
const STEP: usize = 1 << 20;

/// When bytes last came, readable while a receive is under way.
#[derive(Debug)]
pub(crate) struct Progress {
    epoch: Instant,
    last_ms: AtomicU64,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { epoch: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    pub(super) fn mark(&self) {
        let now = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(now, Ordering::Relaxed);
    }

    pub(crate) fn last(&self) -> Instant {
        self.epoch + std::time::Duration::from_millis(self.last_ms.load(Ordering::Relaxed))
    }
}

pub(super) struct Incoming<R> {
    stream: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<R: AsyncRead + Unpin> Incoming<R> {
    pub(super) fn new(stream: R) -> Self {
        Self { stream, buffer: vec![0; BUFFER].into_boxed_slice(), start: 0, end: 0 }
    }

    fn buffered(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    async fn fill(&mut self, progress: &Progress) -> io::Result<()> {
        self.start = 0;
        self.end = 0;
        let count = self.stream.read(&mut self.buffer).await?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed it"));
        }
        self.end = count;
        progress.mark();
        Ok(())
    }

    /// The next `N` bytes.
    pub(super) async fn array<const N: usize>(&mut self, progress: &Progress) -> io::Result<[u8; N]> {
        let mut array = [0; N];
        let mut filled = 0;
        while filled < N {
            if self.buffered().is_empty() {
                self.fill(progress).await?;
            }
            for (slot, byte) in array.iter_mut().skip(filled).zip(self.buffered()) {
                *slot = *byte;
            }
            let count = self.buffered().len().min(N - filled);
            self.start += count;
            filled += count;
        }
        Ok(array)
    }

    /// Appends the next `count` bytes to a buffer.
    pub(super) async fn append(&mut self, into: &mut BytesMut, count: usize, progress: &Progress) -> io::Result<()> {
        let staged = self.buffered().len().min(count);
        into.extend_from_slice(self.buffered().get(..staged).unwrap_or_default());
        self.start += staged;
        let mut missing = count - staged;
        while missing > 0 {
            // A short rest comes with the next header in one call.
            if missing < BUFFER / 4 {
                self.fill(progress).await?;
                let count = self.buffered().len().min(missing);
                into.extend_from_slice(self.buffered().get(..count).unwrap_or_default());
                self.start += count;
                missing -= count;
                continue;
            }
            into.reserve(missing.min(STEP));
            let count = self.stream.read_buf(&mut (&mut *into).limit(missing)).await?;
            if count == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the server closed it in the middle of an answer",
                ));
            }
            progress.mark();
            missing -= count;
        }
        Ok(())
    }

    /// Throws the next `count` bytes away.
    pub(super) async fn skip(&mut self, mut count: usize, progress: &Progress) -> io::Result<()> {
        while count > 0 {
            if self.buffered().is_empty() {
                self.fill(progress).await?;
            }
            let skipped = self.buffered().len().min(count);
            self.start += skipped;
            count -= skipped;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_is_taken_for_what_comes_and_not_for_what_is_announced() {
        let mut incoming = Incoming::new(&[7; 100_000][..]);
        let mut body = BytesMut::new();
        let error = incoming.append(&mut body, 256 << 20, &Progress::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(body.len(), 100_000);
        assert!(body.capacity() <= 4 << 20, "{}", body.capacity());
    }

    #[tokio::test]
    async fn a_long_answer_comes_whole() {
        let sent: Vec<u8> = (0..5_000_000_u32).map(|at| at.to_le_bytes()[1]).collect();
        let mut incoming = Incoming::new(sent.as_slice());
        let mut body = BytesMut::new();
        incoming.append(&mut body, sent.len(), &Progress::new()).await.unwrap();
        assert!(body == sent);
    }
}
