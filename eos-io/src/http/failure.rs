//! What can go wrong with a request, in the terms of stores.

use std::error::Error as StdError;
use std::io;

use object_store::path::Path;
use reqwest::StatusCode;

/// The name of this store in errors.
pub(super) const STORE: &str = "HTTP";

/// A request that did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server answered that it will not.
    #[error("the server answered {status}{}", said(message))]
    Status { status: StatusCode, message: String },
    /// The server could not be reached, or the connection broke.
    #[error(transparent)]
    Transport(io::Error),
    /// The server answered something that makes no sense.
    #[error("{0}")]
    Protocol(String),
    /// There are credentials, but they cannot be used.
    #[error("{0}")]
    Credentials(String),
}

impl Failure {
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the server says that there is no such file.
    pub(super) fn is_missing(&self) -> bool {
        self.status().is_some_and(|status| matches!(status.as_u16(), 404 | 410))
    }

    /// Whether the same request may succeed a moment later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => is_transient(*status) && !self.is_through_file(),
            Self::Transport(error) => error.kind() != io::ErrorKind::InvalidData,
            Self::Protocol(_) | Self::Credentials(_) => false,
        }
    }

    /// Whether a path leads through a file: XRootD calls that an error of its own.
    pub(super) fn is_through_file(&self) -> bool {
        matches!(self, Self::Status { status, message } if status.as_u16() == 500 && message.ends_with("not a directory"))
    }

    pub(super) fn into_store(self, path: &Path) -> object_store::Error {
        let path = path.to_string();
        match self {
            Self::Transport(error) => object_store::Error::Generic { store: STORE, source: Box::new(error) },
            Self::Credentials(_) => object_store::Error::Unauthenticated { path, source: Box::new(self) },
            Self::Status { .. } if self.is_through_file() => {
                object_store::Error::NotFound { path, source: Box::new(self) }
            }
            Self::Status { status, .. } => match status.as_u16() {
                404 | 410 => object_store::Error::NotFound { path, source: Box::new(self) },
                401 | 407 => object_store::Error::Unauthenticated { path, source: Box::new(self) },
                403 => object_store::Error::PermissionDenied { path, source: Box::new(self) },
                412 => object_store::Error::Precondition { path, source: Box::new(self) },
                304 => object_store::Error::NotModified { path, source: Box::new(self) },
                _ => object_store::Error::Generic { store: STORE, source: Box::new(self) },
            },
            Self::Protocol(_) => object_store::Error::Generic { store: STORE, source: Box::new(self) },
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let cause = innermost(&error);
        let system = causes(&error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last();
        let kind = match system.map(io::Error::kind) {
            _ if causes(&error).any(is_tls) => io::ErrorKind::InvalidData,
            _ if error.is_timeout() => io::ErrorKind::TimedOut,
            Some(kind) if is_of_connections(kind) => kind,
            // Names that cannot be looked up have no kind of their own.
            _ if error.is_connect() => io::ErrorKind::HostUnreachable,
            _ => io::ErrorKind::ConnectionReset,
        };
        let message = match kind {
            io::ErrorKind::TimedOut if error.is_connect() => "connecting took too long".to_owned(),
            io::ErrorKind::TimedOut => "the server has sent nothing for too long".to_owned(),
            io::ErrorKind::InvalidData => format!("the encrypted connection failed: {cause}"),
            _ if error.is_connect() => format!("cannot connect: {cause}"),
            _ => format!("the connection broke: {cause}"),
        };
        Self::Transport(io::Error::new(kind, message))
    }
}

/// Whether an error is one of encryption, however often it was put into a box.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    let boxed = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || boxed.is_some_and(|inner| is_tls(inner))
}

fn is_of_connections(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::*;
    matches!(
        kind,
        ConnectionRefused | ConnectionReset | ConnectionAborted | HostUnreachable | NetworkUnreachable | TimedOut
    )
}

/// Whether a status says that another try may succeed.
pub(super) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The text of the innermost cause, which says most; the outer ones repeat the URL.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source())
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}
