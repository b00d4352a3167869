//! Writing a file: parts at growing offsets, several under way, and a close that says whether all is well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::stream::{FuturesUnordered, TryStreamExt};

use crate::client::{Shared, Waiting};
use crate::connection::Connection;
use crate::error::Error;
use crate::metrics::add;
use crate::route::{Answered, Manner, Place, named};
use crate::wire::codes::open;
use crate::wire::{FileHandle, Open, Request, Response, opened};

/// Permissions of new files.
const MODE: u16 = 0o644;
/// Bytes sent by one request.
const PART: usize = 2 << 20;

/// What is done when there is a file already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Replace,
    Refuse,
}

/// A file that is being written. Unless it is closed, the server throws away what has arrived.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    place: Place,
    connection: Arc<Connection>,
    id: FileHandle,
    next: AtomicU64,
}

impl Writer {
    /// Makes a file, and the directories above it.
    pub(crate) async fn create(shared: Arc<Shared>, place: Place, existing: Existing) -> Result<Self, Error> {
        let how = match existing {
            Existing::Replace => open::DELETE,
            Existing::Refuse => open::NEW,
        };
        let options = open::UPDATE | open::MAKE_PATH | open::PERSIST_ON_CLOSE | how;
        let make = |path: &str, _: bool| Request::open(path, Open { mode: MODE, options });
        let answered = shared.ask(&place, &make, Manner::new(shared.patience())).await?;
        let Answered { connection, body, .. } = answered;
        let (id, _) = opened(&body).map_err(|error| Error::protocol(connection.host(), error))?;
        Ok(Self { shared, place, connection, id, next: AtomicU64::new(0) })
    }

    /// Takes the place for the next `length` bytes.
    pub(crate) fn reserve(&self, length: usize) -> u64 {
        self.next.fetch_add(length as u64, Ordering::Relaxed)
    }

    /// Writes data at an offset.
    pub(crate) async fn write(&self, offset: u64, data: Vec<Bytes>) -> Result<(), Error> {
        let writes = FuturesUnordered::new();
        let mut at = offset;
        for mut data in data {
            while !data.is_empty() {
                let part = data.split_to(data.len().min(PART));
                let length = part.len() as u64;
                writes.push(self.part(at, part));
                at += length;
            }
        }
        writes.try_collect().await
    }

    async fn part(&self, offset: u64, data: Bytes) -> Result<(), Error> {
        let length = data.len();
        let _room = self.connection.room(length).await?;
        self.request(&Request::write(self.id, offset, data)).await?;
        add(&self.shared.counters().bytes_written, length);
        Ok(())
    }

    /// Closes the file. After this it is there.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        self.request(&Request::close(self.id)).await
    }

    async fn request(&self, request: &Request) -> Result<(), Error> {
        let mut waiting = Waiting::new(self.shared.options().wait_limit);
        let path = &self.place.path;
        let response =
            self.shared.patiently(&self.connection, request, self.shared.patience(), &mut waiting, path).await;
        match response.map_err(|error| named(error, path))? {
            Response::Ok(_) => Ok(()),
            Response::Error(error) => Err(Error::server(self.connection.host(), path, error)),
            _ => Err(Error::Redirect {
                host: self.connection.host().to_owned(),
                path: path.clone(),
                reason: "it handed the file over while it was written".to_owned(),
            }),
        }
    }
}
