//! Changing what is on a server: writing, removing and renaming files, and making the directories that they are in.

use std::sync::atomic::{AtomicU64, Ordering};

use object_store::path::Path;
use object_store::{Error, PutResult, Result};
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};

use crate::site;
use crate::walk::JoinRaw;

use super::client::{Body, Call};
use super::store::{Server, generic, text, unsupported};

impl Server {
    /// Writes a file, with the directories it is in.
    pub(super) async fn put(&self, path: &Path, body: Body) -> Result<PutResult> {
        let call = Call::new(Method::PUT, path)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .body(body);
        let response = match self.client.send(&call).await {
            // What servers answer where a directory on the way is missing.
            Err(failure) if failure.status().is_some_and(|s| matches!(s.as_u16(), 404 | 409)) => {
                self.make_parents(path).await?;
                self.client.send(&call).await
            }
            answer => answer,
        };
        let response = response.map_err(|failure| failure.into_store(path))?;
        Ok(PutResult { e_tag: text(&response, ETAG).map(str::to_owned), version: None })
    }

    /// Writes a file that has its name only when it is complete, where the server can rename.
    pub(super) async fn put_whole(&self, path: &Path, body: Body) -> Result<PutResult> {
        // Some servers take the target of a rename as it is, without decoding it.
        let is_plain = site::encode(path) == path.as_ref();
        // A signed URL is good for one name only.
        if !is_plain || self.client.has_query() || !self.renames.load(Ordering::Relaxed) {
            return self.put(path, body).await;
        }
        let staging = staging_path(path);
        let moved = match self.put(&staging, body.clone()).await {
            Ok(put) => self.transfer("MOVE", &staging, path, true).await.map(|()| put.e_tag),
            Err(error) => Err(error),
        };
        let error = match moved {
            Ok(None) => return Ok(PutResult { e_tag: None, version: None }),
            // What the server says of a version may hold its name.
            Ok(Some(_)) => return Ok(PutResult { e_tag: self.head(path).await?.e_tag, version: None }),
            Err(error) => error,
        };
        // What went wrong first is what counts, and what is left now has a name that nobody looks for.
        drop(self.delete(&staging).await);
        match error {
            Error::NotSupported { .. } => {
                self.renames.store(false, Ordering::Relaxed);
                self.put(path, body).await
            }
            error => Err(error),
        }
    }

    /// Makes the directories above a file, from the lowest that has a parent downwards.
    async fn make_parents(&self, path: &Path) -> Result<()> {
        let mut missing = Vec::new();
        let mut directory = path.parent();
        while let Some(next) = directory.filter(|directory| !directory.is_root()) {
            let is_made = self.make_directory(&next).await?;
            directory = next.parent();
            if is_made {
                break;
            }
            missing.push(next);
        }
        for directory in missing.iter().rev() {
            self.make_directory(directory).await?;
        }
        Ok(())
    }

    /// Whether there is such a directory now; there is none if its own parent is missing.
    async fn make_directory(&self, path: &Path) -> Result<bool> {
        match self.client.send(&Call::new(method("MKCOL")?, path).directory()).await {
            Ok(_) => Ok(true),
            Err(failure) => match failure.status().map_or(0, |status| status.as_u16()) {
                405 => Ok(true),
                404 | 409 => Ok(false),
                _ => Err(failure.into_store(path)),
            },
        }
    }

    pub(super) async fn delete(&self, path: &Path) -> Result<()> {
        let mut may_be_done = false;
        match self.client.send_change(&Call::new(Method::DELETE, path), &mut may_be_done).await {
            // The answer to an earlier request was lost, and that has deleted it.
            Err(failure) if may_be_done && failure.is_missing() => Ok(()),
            other => other.map(drop).map_err(|failure| failure.into_store(path)),
        }
    }

    /// Whether a file that was to be moved is at its new place alone.
    async fn is_moved(&self, from: &Path, to: &Path) -> bool {
        matches!(self.head(from).await, Err(Error::NotFound { .. })) && self.head(to).await.is_ok()
    }

    pub(super) async fn transfer(&self, name: &'static str, from: &Path, to: &Path, overwrite: bool) -> Result<()> {
        let destination = self.client.url(to, false).map_err(|failure| failure.into_store(to))?;
        let destination = HeaderValue::try_from(destination.as_str()).map_err(|e| generic(e.to_string()))?;
        let call = Call::new(method(name)?, from)
            .header(HeaderName::from_static("destination"), destination)
            .header(HeaderName::from_static("overwrite"), HeaderValue::from_static(if overwrite { "T" } else { "F" }));
        let mut may_be_done = false;
        let answer = match self.client.send_change(&call, &mut may_be_done).await {
            Err(failure) if failure.status() == Some(StatusCode::CONFLICT) => {
                self.make_parents(to).await?;
                self.client.send_change(&call, &mut may_be_done).await
            }
            answer => answer,
        };
        match answer {
            Ok(_) => Ok(()),
            // The answer to an earlier request was lost, and that has moved it.
            Err(failure)
                if may_be_done
                    && name == "MOVE"
                    && (failure.is_missing() || failure.status() == Some(StatusCode::PRECONDITION_FAILED))
                    && self.is_moved(from, to).await =>
            {
                Ok(())
            }
            Err(failure) => Err(match failure.status().map_or(0, |status| status.as_u16()) {
                412 if !overwrite => Error::AlreadyExists { path: to.to_string(), source: Box::new(failure) },
                405 | 501 => unsupported(format!("the server cannot {}", name.to_lowercase())),
                _ => failure.into_store(from),
            }),
        }
    }
}

fn method(name: &'static str) -> Result<Method> {
    Method::from_bytes(name.as_bytes()).map_err(|e| generic(e.to_string()))
}

/// A name in the same directory that nobody else uses, as the client of XRootD makes them too: `.<name>.<16 digits>.part`.
fn staging_path(path: &Path) -> Path {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_nanos() as u64);
    let unique = nanos ^ (u64::from(std::process::id()) << 40);
    let unique = unique.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed));
    let name = format!(".{}.{unique:016x}.part", path.filename().unwrap_or_default());
    path.parent().unwrap_or_default().join_raw(&name)
}
