//! Streams in both directions: a file that is written part by part, and one that is read piece by piece.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use tokio::sync::mpsc;

use super::{XrootdStore, to_store};
use crate::client::{AbortOnDrop, Client};
use crate::file::File;
use crate::writer::Writer;

/// A file that is being written. Parts may be under way together; each has its place from the moment it is put.
pub(super) struct Upload {
    store: XrootdStore,
    path: Path,
    writer: Arc<Writer>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upload({}, {})", self.store, self.path)
    }
}

impl Upload {
    pub(super) fn new(store: XrootdStore, path: Path, writer: Arc<Writer>) -> Self {
        Self { store, path, writer }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (writer, client, path) = (Arc::clone(&self.writer), self.store.client.clone(), self.path.clone());
        let offset = writer.reserve(data.content_length());
        let data: Vec<Bytes> = data.into_iter().collect();
        Box::pin(async move {
            let writing = client.run(|_| async move { writer.write(offset, data).await });
            writing.await.map_err(|error| to_store(error, &path))
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let writer = Arc::clone(&self.writer);
        let closing = self.store.client.run(|_| async move { writer.finish().await });
        closing.await.map_err(|error| to_store(error, &self.path))?;
        self.store.written(&self.path).await
    }

    async fn abort(&mut self) -> Result<()> {
        let writer = Arc::clone(&self.writer);
        let abandoning = self.store.client.run(|_| async move { writer.abandon().await });
        abandoning.await.map_err(|error| to_store(error, &self.path))
    }
}

/// Reads a range ahead of whoever takes the pieces.
pub(super) fn stream(
    client: &Client,
    path: Path,
    file: Arc<File>,
    range: Range<u64>,
) -> BoxStream<'static, Result<Bytes>> {
    // The pieces under way are bounded where they are read; here they only change hands.
    let (sender, receiver) = mpsc::channel(1);
    let task = client.shared().handle().spawn(async move {
        let mut pieces = std::pin::pin!(file.stream(range));
        while let Some(piece) = pieces.next().await {
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    });
    // The client lives as long as the stream does.
    let state = (receiver, client.clone(), AbortOnDrop(task.abort_handle()));
    futures::stream::unfold(state, move |(mut receiver, client, task)| {
        let path = path.clone();
        async move {
            let piece = receiver.recv().await?.map_err(|error| to_store(error, &path));
            Some((piece, (receiver, client, task)))
        }
    })
    .boxed()
}
