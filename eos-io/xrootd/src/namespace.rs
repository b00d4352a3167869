//! Requests about names: what is there, what is in a directory, and changing it.

use std::sync::Arc;
use std::time::Duration;

use crate::client::Shared;
use crate::connection::Patience;
use crate::error::{Error, ErrorKind};
use crate::route::{Manner, Place};
use crate::wire::{Listed, Request, Stat, listing};

/// Permissions of new directories: all for the owner, reading for the others, as the server's mask allows.
const DIRECTORY_MODE: u16 = 0o755;

/// Where a file, or a part of it, can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// `host:port`.
    pub server: String,
    /// Whether it is a manager, to be asked further.
    pub is_manager: bool,
    /// Whether it can be had there only after staging.
    pub is_pending: bool,
    /// Whether it may be written there.
    pub is_writable: bool,
}

impl Shared {
    async fn simple(
        self: &Arc<Self>,
        place: &Place,
        make: impl Fn(&str) -> Request + Send + Sync,
    ) -> Result<Vec<u8>, Error> {
        let make = |path: &str, _: bool| make(path);
        Ok(self.ask(place, &make, Manner::new(self.patience())).await?.body)
    }

    /// Size and time of a file.
    pub(crate) async fn stat(self: &Arc<Self>, place: &Place) -> Result<Stat, Error> {
        let body = self.simple(place, Request::stat).await?;
        Stat::parse(&text(&body)).map_err(|error| self.garbled(place, error))
    }

    /// The entries of a directory.
    pub(crate) async fn list(self: &Arc<Self>, place: &Place) -> Result<Vec<Listed>, Error> {
        let body = self.simple(place, Request::list).await?;
        listing(&body).map_err(|error| self.garbled(place, error))
    }

    /// A change. That it has been made already, which an error of the kind says, is no error after an answer was lost.
    async fn change(
        self: &Arc<Self>,
        place: &Place,
        make: impl Fn(&str) -> Request + Send + Sync,
        when_done: ErrorKind,
    ) -> Result<(), Error> {
        let make = |path: &str, _: bool| make(path);
        let mut may_be_done = false;
        match self.ask_for_change(place, &make, Manner::new(self.patience()), &mut may_be_done).await {
            Err(error) if may_be_done && error.kind() == when_done => Ok(()),
            other => other.map(drop),
        }
    }

    /// Makes a directory and those above it; that it is there already is no error.
    pub(crate) async fn make_directory(self: &Arc<Self>, place: &Place) -> Result<(), Error> {
        match self.simple(place, |path| Request::make_directory(path, DIRECTORY_MODE)).await {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) async fn remove(self: &Arc<Self>, place: &Place) -> Result<(), Error> {
        self.change(place, Request::remove, ErrorKind::NotFound).await
    }

    pub(crate) async fn remove_directory(self: &Arc<Self>, place: &Place) -> Result<(), Error> {
        self.change(place, Request::remove_directory, ErrorKind::NotFound).await
    }

    /// `to` is a path as it goes onto the wire.
    pub(crate) async fn rename(self: &Arc<Self>, place: &Place, to: &str) -> Result<(), Error> {
        if place.path.len().saturating_add(place.url.opaque.len()) >= usize::from(u16::MAX) {
            let reason = "the path is too long to be renamed, with what follows its '?'".to_owned();
            return Err(crate::url::InvalidUrl { reason }.into());
        }
        // The server asks for each of the two paths whether we may, and by the opaque part of each.
        let make = |path: &str| match path.split_once('?') {
            Some((_, opaque)) => Request::rename(path, &format!("{to}?{opaque}")),
            None => Request::rename(path, to),
        };
        self.change(place, make, ErrorKind::NotFound).await
    }

    /// Renames a file to a name that another one may have. `to` is a path as it goes onto the wire.
    pub(crate) async fn replace(self: &Arc<Self>, place: &Place, to: &str) -> Result<(), Error> {
        match self.rename(place, to).await {
            // Some servers do not replace: the old file has to go first.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.remove(&Place { path: to.to_owned(), url: Arc::clone(&place.url) }).await?;
                self.rename(place, to).await
            }
            other => other,
        }
    }

    pub(crate) async fn truncate(self: &Arc<Self>, place: &Place, size: u64) -> Result<(), Error> {
        self.simple(place, |path| Request::truncate(path, size)).await.map(drop)
    }

    pub(crate) async fn ping(self: &Arc<Self>, place: &Place) -> Result<(), Error> {
        self.simple(place, |_| Request::ping()).await.map(drop)
    }

    /// The values of settings, in their order; a server answers with the name of one that it does not know.
    pub(crate) async fn configuration(self: &Arc<Self>, place: &Place, names: &[String]) -> Result<Vec<String>, Error> {
        let names = names.join(" ");
        let body = self.simple(place, |_| Request::configuration(&names)).await?;
        Ok(text(&body).lines().map(str::to_owned).collect())
    }

    /// The checksum that the server has or computes: its kind and its value in hexadecimal digits.
    pub(crate) async fn checksum(self: &Arc<Self>, place: &Place, kind: &str) -> Result<(String, String), Error> {
        // Computing one means reading the whole file.
        const PATIENCE: Duration = Duration::from_secs(3600);
        let make = |path: &str, _: bool| {
            let mark = if path.contains('?') { '&' } else { '?' };
            Request::checksum(&format!("{path}{mark}cks.type={kind}"))
        };
        let patience = Patience { silence: PATIENCE, total: PATIENCE, ..self.patience() };
        let answered = self.ask(place, &make, Manner::new(patience)).await?;
        let text = text(&answered.body);
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some(kind), Some(value)) => Ok((kind.to_owned(), value.to_owned())),
            _ => Err(Error::Protocol {
                host: answered.endpoint.shown().to_owned(),
                reason: format!("'{}' is no checksum", crate::error::mask(&text)),
            }),
        }
    }

    /// The servers that have the file.
    pub(crate) async fn locate(self: &Arc<Self>, place: &Place) -> Result<Vec<Location>, Error> {
        let body = self.simple(place, Request::locate).await?;
        Ok(text(&body).split_ascii_whitespace().filter_map(location).collect())
    }

    fn garbled(&self, place: &Place, error: crate::wire::WireError) -> Error {
        Error::protocol(&place.url.authority(), error)
    }
}

/// `Sw[::1.2.3.4]:1094`: kind, access, address. Lower-case kinds are pending.
pub(crate) fn location(word: &str) -> Option<Location> {
    let mut letters = word.chars();
    let (kind, access) = (letters.next()?, letters.next()?);
    let server = letters.as_str();
    (!server.is_empty() && "MmSs".contains(kind)).then(|| Location {
        server: server.to_owned(),
        is_manager: kind.eq_ignore_ascii_case(&'m'),
        is_pending: kind.is_ascii_lowercase(),
        is_writable: access == 'w',
    })
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim_end_matches('\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_tell_kind_access_and_address() {
        let server = location("Sw[::1.2.3.4]:1094").unwrap();
        assert_eq!((server.server.as_str(), server.is_manager, server.is_writable), ("[::1.2.3.4]:1094", false, true));
        let manager = location("mr[::1]:1213").unwrap();
        assert!(manager.is_manager && manager.is_pending && !manager.is_writable);
        assert_eq!(location("?"), None);
    }
}
