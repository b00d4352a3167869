//! Writing a file in parts. HTTP has no such thing for a file whose size is not known beforehand,
//! and a server may redirect an upload after it has begun: the parts are gathered in a temporary
//! file without a name, which is sent as a whole at the end, under a name of its own, and renamed.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, stream};
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload, PutResult, UploadPart};
use reqwest::RequestBuilder;
use reqwest::header::CONTENT_LENGTH;

use super::failure::STORE;
use super::store::Server;

const CHUNK: u64 = 1 << 20;

/// Sends a file as the body of a request.
pub(super) fn attach(request: RequestBuilder, file: &Arc<File>, length: u64) -> RequestBuilder {
    let chunks = stream::try_unfold((Arc::clone(file), 0), move |(file, at)| async move {
        if at >= length {
            return Ok(None);
        }
        let (chunk, file) = tokio::task::spawn_blocking(move || {
            let size = usize::try_from(CHUNK.min(length - at)).unwrap_or_default();
            let mut chunk = vec![0; size];
            file.read_exact_at(&mut chunk, at).map(|()| (Bytes::from(chunk), file))
        })
        .await??;
        let next = at + chunk.len() as u64;
        Ok::<_, std::io::Error>(Some((chunk, (file, next))))
    });
    request.header(CONTENT_LENGTH, length).body(reqwest::Body::wrap_stream(chunks))
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Upload {
    server: Arc<Server>,
    path: Path,
    parts: Option<Arc<File>>,
    length: u64,
}

impl Upload {
    pub(super) fn start(server: Arc<Server>, path: &Path) -> object_store::Result<Self> {
        let parts = tempfile::tempfile().map_err(fault)?;
        Ok(Self { server, path: path.clone(), parts: Some(Arc::new(parts)), length: 0 })
    }
}

fn fault(error: std::io::Error) -> object_store::Error {
    object_store::Error::Generic { store: STORE, source: Box::new(error) }
}

fn ended() -> object_store::Error {
    fault(std::io::Error::other("the upload has ended already"))
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let Some(parts) = self.parts.clone() else { return async { Err(ended()) }.boxed() };
        let at = self.length;
        self.length += payload.content_length() as u64;
        async move {
            let written = tokio::task::spawn_blocking(move || {
                let mut at = at;
                for bytes in &payload {
                    parts.write_all_at(bytes, at)?;
                    at += bytes.len() as u64;
                }
                (&*parts).flush()
            });
            written.await.map_err(|e| fault(e.into()))?.map_err(fault)
        }
        .boxed()
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let parts = self.parts.take().ok_or_else(ended)?;
        self.server.put_whole(&self.path, super::client::Body::File(parts, self.length)).await
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        self.parts.take().map(drop).ok_or_else(ended)
    }
}
