//! Writing a file: parts at growing offsets, several under way, and a close that says whether all is well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures::stream::{FuturesUnordered, TryStreamExt};

use crate::client::{Shared, Waiting};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind};
use crate::metrics::add;
use crate::route::{Answered, Manner, Place};
use crate::wire::codes::open;
use crate::wire::{FileHandle, Open, Request, Response, opened};

/// Permissions of new files.
const MODE: u16 = 0o644;
/// Bytes sent by one request. Over a slow line the answers to small ones show that it is alive.
const PART: usize = 1 << 20;

/// What is done when there is a file already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Replace,
    Refuse,
}

/// A file that is being written. Unless it is finished, what has arrived is thrown away.
///
/// A file that may replace another is written under a name of its own, and gets the name that was asked for at the end, so
/// that readers find the old file or the new one, and never a part.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// Where it is written.
    place: Place,
    /// The name that it gets at the end, if it is another one.
    target: Option<String>,
    connection: Arc<Connection>,
    id: FileHandle,
    next: AtomicU64,
    /// Bytes that the server has taken.
    written: AtomicU64,
    /// Whether it has been closed: its handle may by now be that of another file.
    is_closed: AtomicBool,
    /// Whether it has come to an end, good or bad.
    is_over: AtomicBool,
}

impl Writer {
    /// Makes a file, and the directories above it.
    pub(crate) async fn create(shared: Arc<Shared>, place: Place, existing: Existing) -> Result<Self, Error> {
        let (how, place, target) = match existing {
            Existing::Replace => {
                let path = staging_path(&place.path);
                (open::DELETE, Place { path, url: Arc::clone(&place.url) }, Some(place.path))
            }
            Existing::Refuse => (open::NEW, place, None),
        };
        let options = open::UPDATE | open::MAKE_PATH | open::PERSIST_ON_CLOSE | how;
        let make = |path: &str, _: bool| Request::open(path, Open { mode: MODE, options });
        let answered = shared.ask(&place, &make, Manner::new(shared.patience())).await;
        let answered = answered.map_err(|error| match &target {
            Some(target) => error.instead(&place.path, target),
            None => error,
        });
        let Answered { connection, body, .. } = answered?;
        let (id, _) = opened(&body).map_err(|error| Error::protocol(connection.host(), error))?;
        let (next, written, is_closed, is_over) = Default::default();
        Ok(Self { shared, place, target, connection, id, next, written, is_closed, is_over })
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
        let room = self.connection.room(length, self.shared.patience()).await;
        let _room = room.map_err(|error| error.about(&self.place.path))?;
        self.request(&Request::write(self.id, offset, data)).await?;
        self.written.fetch_add(length as u64, Ordering::Relaxed);
        add(&self.shared.counters().bytes_written, length);
        Ok(())
    }

    /// Closes the file and gives it its name. After this it is there.
    pub(crate) async fn finish(&self) -> Result<(), Error> {
        let (written, reserved) = (self.written.load(Ordering::Relaxed), self.next.load(Ordering::Relaxed));
        if written < reserved {
            let reason = format!("only {written} of {reserved} bytes were written, as parts failed or were left out");
            let (host, path) = (self.connection.host().to_owned(), self.target().to_owned());
            return Err(Error::Data { host, path, reason });
        }
        self.is_closed.store(true, Ordering::Relaxed);
        self.request(&Request::close(self.id)).await?;
        if let Some(target) = &self.target {
            let replaced = self.shared.replace(&self.place, target).await;
            replaced.map_err(|error| error.instead(&self.place.path, target))?;
        }
        self.is_over.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The name that was asked for.
    fn target(&self) -> &str {
        self.target.as_deref().unwrap_or(&self.place.path)
    }

    /// Closes the file and removes it.
    pub(crate) async fn abandon(&self) -> Result<(), Error> {
        self.is_over.store(true, Ordering::Relaxed);
        if !self.is_closed.swap(true, Ordering::Relaxed) && self.connection.is_usable() {
            drop(self.request(&Request::close(self.id)).await);
        }
        throw_away(&self.shared, &self.place).await
    }

    async fn request(&self, request: &Request) -> Result<(), Error> {
        let mut waiting = Waiting::new(self.shared.options().wait_limit);
        let path = self.target();
        let response =
            self.shared.patiently(&self.connection, request, self.shared.patience(), &mut waiting, path).await;
        match response? {
            Response::Ok(_) => Ok(()),
            Response::Error(error) => Err(Error::server(self.connection.host(), self.target(), error)),
            _ => Err(Error::Redirect {
                host: self.connection.host().to_owned(),
                path: path.to_owned(),
                reason: "it handed the file over while it was written".to_owned(),
            }),
        }
    }
}

impl Drop for Writer {
    /// Whoever wrote has gone away without a word.
    fn drop(&mut self) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        if !self.is_closed.load(Ordering::Relaxed) && self.connection.is_usable() {
            self.connection.send_unanswered(&Request::close(self.id));
        }
        let (shared, place) = (Arc::clone(&self.shared), self.place.clone());
        // Nobody is left to hear of a failure; what remains has a name that listings leave out.
        self.shared.handle().spawn(async move { throw_away(&shared, &place).await });
    }
}

/// Removes an unfinished file, which some servers do by themselves.
async fn throw_away(shared: &Arc<Shared>, place: &Place) -> Result<(), Error> {
    match shared.remove(place).await {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What unfinished files are called: `.<name>.<16 digits>.part`.
const SUFFIX: &str = ".part";

/// A name in the same directory that nobody else uses.
fn staging_path(path: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (directory, name) = path.rsplit_once('/').unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let nanos = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_nanos() as u64);
    let unique = (nanos ^ (u64::from(std::process::id()) << 40)).wrapping_add(count);
    format!("{directory}/.{name}.{unique:016x}{SUFFIX}")
}

/// Whether a name is that of an unfinished file.
pub(crate) fn is_staging_name(name: &str) -> bool {
    let stem = name.strip_prefix('.').and_then(|name| name.strip_suffix(SUFFIX));
    let unique = stem.and_then(|stem| stem.rsplit_once('.')).map(|(_, unique)| unique);
    unique.is_some_and(|unique| unique.len() == 16 && unique.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_files_are_known_by_their_names() {
        let path = staging_path("/a/b/result.parquet");
        let (directory, name) = path.rsplit_once('/').unwrap();
        assert_eq!(directory, "/a/b");
        assert!(is_staging_name(name), "{name}");
        assert_ne!(path, staging_path("/a/b/result.parquet"));
        for name in ["result.part", ".x.part", ".x.123.part", "x.0123456789abcdef.part"] {
            assert!(!is_staging_name(name), "{name}");
        }
    }
}
