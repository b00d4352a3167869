//! A file on its way into a store: sent in parts of one size, several at a time, and complete or absent in the end.

use bytes::{Bytes, BytesMut};
use object_store::{MultipartUpload, ObjectStoreExt};
use tokio::task::JoinSet;

use crate::error::Error;
use crate::stores::Location;

/// The size of a part. Stores want at least 5 MiB, all but the last of the same size, and some take 10,000 of them: a file
/// of unknown size can have 160 GB.
const PART: usize = 16 << 20;
/// Parts on their way at the same time, which is what bounds the memory.
const IN_FLIGHT: usize = 4;
/// The most parts of a file whose size is known.
const MAX_PARTS: u64 = 9_000;

/// A file that is being written. It appears under its name with [`Upload::finish`]; [`Upload::abort`] leaves nothing. Where an
/// HTTP server cannot rename files, what breaks off while it is sent may leave a part of the file under its name.
///
/// It belongs to the runtime that it was started on, and one that is dropped is aborted as far as the protocol does so by
/// itself.
#[derive(Debug)]
pub struct Upload {
    upload: Box<dyn MultipartUpload>,
    parts: JoinSet<object_store::Result<()>>,
    pending: BytesMut,
    part: usize,
    location: Location,
}

impl Upload {
    /// Begins to write the file, which replaces one of that name. A server that refuses says so here. Where the size is
    /// known it is given, so that large files are sent in larger parts.
    pub async fn start(location: &Location, size: Option<u64>) -> Result<Self, Error> {
        let started = location.store.put_multipart(&location.path).await;
        let upload = started.map_err(|error| Error::from_write(location, &error))?;
        let part = size.and_then(|size| usize::try_from(size / MAX_PARTS).ok()).unwrap_or(0).max(PART);
        Ok(Self { upload, parts: JoinSet::new(), pending: BytesMut::new(), part, location: location.clone() })
    }

    /// Takes the bytes that follow. It waits while enough parts are on their way.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        while !bytes.is_empty() {
            if self.pending.is_empty() && bytes.len() >= self.part {
                let part = bytes.split_to(self.part);
                self.send(part).await?;
                continue;
            }
            let missing = self.part.saturating_sub(self.pending.len());
            self.pending.extend_from_slice(&bytes.split_to(missing.min(bytes.len())));
            if self.pending.len() >= self.part {
                let part = self.pending.split().freeze();
                self.send(part).await?;
            }
        }
        Ok(())
    }

    /// Sends what is left and gives the file its name. If it fails, [`Upload::abort`] sees to it that nothing is left.
    pub async fn finish(&mut self) -> Result<(), Error> {
        let rest = self.pending.split().freeze();
        if !rest.is_empty() {
            self.send(rest).await?;
        }
        while !self.parts.is_empty() {
            self.one_part().await?;
        }
        let done = self.upload.complete().await;
        done.map(drop).map_err(|error| Error::from_write(&self.location, &error))
    }

    /// Takes back what was sent.
    pub async fn abort(mut self) {
        self.parts.shutdown().await;
        // There is nothing further to try; the store may remove the rest by itself, later.
        let _ = self.upload.abort().await;
    }

    async fn send(&mut self, part: Bytes) -> Result<(), Error> {
        while self.parts.len() >= IN_FLIGHT {
            self.one_part().await?;
        }
        self.parts.spawn(self.upload.put_part(part.into()));
        Ok(())
    }

    async fn one_part(&mut self) -> Result<(), Error> {
        match self.parts.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(Error::from_write(&self.location, &error)),
            Some(Err(error)) => Err(Error::writing(&self.location, &error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::ObjectStore;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use url::Url;

    use super::*;
    use crate::ErrorKind;

    fn place(store: Arc<dyn ObjectStore>) -> Location {
        Location::new(Url::parse("mem:///").unwrap(), store, Path::from("d/x.bin"))
    }

    async fn stored(location: &Location) -> Option<Bytes> {
        location.store.get(&location.path).await.ok()?.bytes().await.ok()
    }

    #[tokio::test]
    async fn a_file_holds_its_bytes_in_order_however_they_came() {
        let bytes: Vec<u8> = (0..(2 * PART + 7)).map(|n| (n % 251) as u8).collect();
        for cuts in [vec![], vec![1], vec![PART], vec![5, PART + 5], vec![PART - 1, PART + 1, 2 * PART]] {
            let location = place(Arc::new(InMemory::new()));
            let mut upload = Upload::start(&location, None).await.unwrap();
            let mut from = 0;
            for to in cuts.into_iter().chain([bytes.len()]) {
                upload.write(Bytes::copy_from_slice(&bytes[from..to])).await.unwrap();
                from = to;
            }
            assert_eq!(stored(&location).await, None, "it is not complete yet");
            upload.finish().await.unwrap();
            assert!(stored(&location).await.unwrap() == bytes);
        }
    }

    #[tokio::test]
    async fn an_empty_file_can_be_written() {
        let location = place(Arc::new(InMemory::new()));
        Upload::start(&location, Some(0)).await.unwrap().finish().await.unwrap();
        assert_eq!(stored(&location).await.unwrap(), Bytes::new());
    }

    #[tokio::test]
    async fn an_upload_that_is_aborted_leaves_the_old_file() {
        let location = place(Arc::new(InMemory::new()));
        location.store.put(&location.path, "old".into()).await.unwrap();
        let mut upload = Upload::start(&location, None).await.unwrap();
        upload.write(Bytes::from(vec![1; PART + 1])).await.unwrap();
        upload.abort().await;
        assert_eq!(stored(&location).await.unwrap(), "old");
    }

    #[tokio::test]
    async fn a_large_file_is_sent_in_parts_that_every_store_takes() {
        let location = place(Arc::new(InMemory::new()));
        let part = |upload: Upload| upload.part as u64;
        let size = 1_u64 << 40;
        let large = Upload::start(&location, Some(size)).await.unwrap();
        assert!(size.div_ceil(part(large)) <= 10_000);
        assert_eq!(part(Upload::start(&location, Some(1)).await.unwrap()), PART as u64);
    }

    #[tokio::test]
    async fn a_refusal_says_that_it_is_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("d"), "a file where a directory is needed").unwrap();
        let store = object_store::local::LocalFileSystem::new_with_prefix(dir.path()).unwrap();
        let error = Upload::start(&place(Arc::new(store)), None).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot write 'mem:///d/x.bin'"), "{error}");
        let denied = object_store::Error::PermissionDenied { path: "p".into(), source: "no".into() };
        let error = Error::from_write(&place(Arc::new(InMemory::new())), &denied);
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("no permission to write"), "{error}");
    }
}
