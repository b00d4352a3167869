//! What can go wrong between a call and a server. Every error names the server and, where there is one, the path; none
//! holds a secret, as texts of servers are masked when an error is made.

use std::time::Duration;

use crate::wire::codes::error as code;
use crate::wire::{ServerError, WireError};

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no URL of this protocol.
    #[error(transparent)]
    InvalidUrl(#[from] crate::url::InvalidUrl),

    /// No connection came about.
    #[error("cannot connect to {host}: {reason}{}", advice(hint))]
    Connect {
        /// `host:port`.
        host: String,
        /// What failed.
        reason: String,
        /// What to do, if anything can be said.
        hint: Option<String>,
    },

    /// The connection could not be encrypted.
    #[error("no secure connection to {host}: {reason}{}", advice(hint))]
    Tls {
        /// `host:port`.
        host: String,
        /// What failed.
        reason: String,
        /// What to do, if anything can be said.
        hint: Option<String>,
    },

    /// The server did not believe who we are.
    #[error("{host} accepts none of our credentials; it asks for {offered}; tried: {tried}{}", advice(hint))]
    Authentication {
        /// `host:port`.
        host: String,
        /// The methods that the server listed.
        offered: String,
        /// Each method that was tried, and why it failed.
        tried: String,
        /// What to do, if anything can be said.
        hint: Option<String>,
    },

    /// The server said no.
    #[error("{host}{}: {}", about(path), ServerError { code: *code, message: message.clone() })]
    Server {
        /// `host:port`.
        host: String,
        /// The path asked for.
        path: String,
        /// The number of the error, 3000 and above.
        code: u32,
        /// The server's words.
        message: String,
    },

    /// Nothing came from the server for too long.
    #[error(
        "{host}{}: no answer to {request} within {:.1} s; the server may be overloaded: try again later",
        about(path), waited.as_secs_f32()
    )]
    Timeout {
        /// `host:port`.
        host: String,
        /// The path asked for.
        path: String,
        /// The kind of request.
        request: &'static str,
        /// How long nothing came.
        waited: Duration,
    },

    /// The server asks for more patience than it is given.
    #[error(
        "{host}{}: the server asks to wait {} s more, and {} s altogether are allowed; try again later, as the file may \
         have to come from tape", about(path), asked.as_secs(), limit.as_secs_f32()
    )]
    Wait {
        /// `host:port`.
        host: String,
        /// The path asked for.
        path: String,
        /// For how long the server asked to wait at last.
        asked: Duration,
        /// How long it may ask for altogether.
        limit: Duration,
    },

    /// The connection ended while answers were due.
    #[error("{host}{}: the connection was lost: {reason}", about(path))]
    Disconnected {
        /// `host:port`.
        host: String,
        /// The path asked for; empty where the connection was for no file in particular.
        path: String,
        /// What happened.
        reason: String,
    },

    /// The server said what the protocol does not allow.
    #[error("{host} does not keep to the protocol: {reason}")]
    Protocol {
        /// `host:port`.
        host: String,
        /// What it said.
        reason: String,
    },

    /// A file is shorter than the server said, or its data are not what they should be.
    #[error("{host}: {path}: {reason}")]
    Data {
        /// `host:port`.
        host: String,
        /// The path asked for.
        path: String,
        /// Which bytes, and what is wrong with them.
        reason: String,
    },

    /// Redirects led nowhere, or to where this client does not go.
    #[error("{host}{}: {reason}", about(path))]
    Redirect {
        /// The server that redirected.
        host: String,
        /// The path asked for.
        path: String,
        /// Why it is not followed.
        reason: String,
    },

    /// It was tried again as often as is allowed.
    #[error("{source} ({attempts} attempts{})", exhausted(*budget_is_spent))]
    Exhausted {
        /// The first error that says something.
        source: Box<Error>,
        /// How often it was tried.
        attempts: u32,
        /// Whether the client had no retries left, over all of its requests.
        budget_is_spent: bool,
    },

    /// The client itself failed.
    #[error("a defect of this client has ended the request: {reason}; please report it")]
    Defect {
        /// What it says of itself.
        reason: String,
    },

    /// The client was shut down.
    #[error("the client has been shut down")]
    ShutDown,
}

/// The class of an [`Error`], for deciding what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is nothing under the name.
    NotFound,
    /// Something is under the name already.
    AlreadyExists,
    /// A directory where a file was asked for.
    IsDirectory,
    /// It exists but we may not.
    PermissionDenied,
    /// Credentials are missing or not believed.
    Unauthenticated,
    /// The server cannot do it.
    Unsupported,
    /// No space or quota left.
    NoSpace,
    /// The server cannot be reached, or does not answer.
    Unreachable,
    /// The URL is none.
    InvalidUrl,
    /// Anything else.
    Other,
}

impl Error {
    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidUrl(_) => ErrorKind::InvalidUrl,
            Self::Connect { .. } | Self::Timeout { .. } | Self::Wait { .. } | Self::Disconnected { .. } => {
                ErrorKind::Unreachable
            }
            Self::Authentication { .. } => ErrorKind::Unauthenticated,
            Self::Exhausted { source, .. } => source.kind(),
            Self::Server { code, message, .. } => server_kind(*code, message),
            _ => ErrorKind::Other,
        }
    }

    /// Whether the same request may succeed at another time, or at another server if there is one.
    pub(crate) fn is_transient(&self, has_others: bool) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Disconnected { .. } | Self::Data { .. } => true,
            Self::Server { code, .. } => match *code {
                code::IO_ERROR
                | code::NO_MEMORY
                | code::SERVER_ERROR
                | code::NO_SERVER
                | code::OVERLOADED
                | code::NO_REPLICAS
                | code::REQUEST_TIMED_OUT
                | code::TIMER_EXPIRED
                | code::FILE_NOT_OPEN => true,
                // What one server does not have, or cannot read, another may.
                code::NOT_FOUND | code::FS_ERROR => has_others,
                _ => false,
            },
            _ => false,
        }
    }

    /// How EOS wants the reason for asking another replica to be given.
    pub(crate) fn tried_reason(&self) -> &'static str {
        match self {
            Self::Server { code: code::NOT_FOUND, .. } => "enoent",
            Self::Server { code: code::FS_ERROR, .. } => "fserr",
            Self::Server { code: code::SERVER_ERROR | code::OVERLOADED | code::NO_MEMORY, .. } => "srverr",
            Self::Connect { .. } | Self::Disconnected { .. } => "srverr",
            _ => "ioerr",
        }
    }

    /// Whether the request may have been carried out although no answer came.
    pub(crate) fn leaves_doubt(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Disconnected { .. })
    }

    /// The error of a connection, of which nobody knows yet what was asked for.
    pub(crate) fn disconnected(host: &str, reason: String) -> Self {
        Self::Disconnected { host: host.to_owned(), path: String::new(), reason }
    }

    /// The same error with the path that was asked for.
    pub(crate) fn about(mut self, asked: &str) -> Self {
        if let Some(path) = self.path_mut().filter(|path| path.is_empty()) {
            without_opaque(asked).clone_into(path);
        }
        self
    }

    /// The same error about another path, where it was about this one.
    pub(crate) fn instead(mut self, of: &str, asked: &str) -> Self {
        if let Some(path) = self.path_mut().filter(|path| *path == of) {
            asked.clone_into(path);
        }
        self
    }

    fn path_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Server { path, .. }
            | Self::Timeout { path, .. }
            | Self::Wait { path, .. }
            | Self::Disconnected { path, .. }
            | Self::Data { path, .. }
            | Self::Redirect { path, .. } => Some(path),
            Self::Exhausted { source, .. } => source.path_mut(),
            _ => None,
        }
    }

    pub(crate) fn server(host: &str, path: &str, error: ServerError) -> Self {
        let path = without_opaque(path).to_owned();
        Self::Server { host: host.to_owned(), path, code: error.code, message: mask(&error.message) }
    }

    pub(crate) fn protocol(host: &str, error: WireError) -> Self {
        Self::Protocol { host: host.to_owned(), reason: mask(&error.0) }
    }
}

fn server_kind(code: u32, message: &str) -> ErrorKind {
    match code {
        code::NOT_FOUND => ErrorKind::NotFound,
        code::ITEM_EXISTS => ErrorKind::AlreadyExists,
        code::IS_DIRECTORY | code::NOT_FILE => ErrorKind::IsDirectory,
        code::NOT_AUTHORIZED | code::READ_ONLY => ErrorKind::PermissionDenied,
        code::AUTH_FAILED => ErrorKind::Unauthenticated,
        code::UNSUPPORTED | code::INVALID_REQUEST => ErrorKind::Unsupported,
        code::NO_SPACE | code::OVER_QUOTA => ErrorKind::NoSpace,
        code::OVERLOADED | code::NO_SERVER | code::NO_REPLICAS | code::REQUEST_TIMED_OUT | code::TIMER_EXPIRED => {
            ErrorKind::Unreachable
        }
        // The code only says that the file system failed; the text says how.
        code::FS_ERROR | code::IO_ERROR if message.contains("file exists") => ErrorKind::AlreadyExists,
        code::FS_ERROR | code::IO_ERROR if message.contains("no space left") => ErrorKind::NoSpace,
        code::FS_ERROR if message.contains("read/only") || message.contains("read-only") => ErrorKind::PermissionDenied,
        _ => ErrorKind::Other,
    }
}

fn advice(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default()
}

fn about(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(": {path}") }
}

fn exhausted(budget_is_spent: bool) -> &'static str {
    if budget_is_spent { "; no retries are left for this client" } else { "" }
}

/// The path without what follows the `?`, which may hold secrets.
pub(crate) fn without_opaque(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// A server's text without the opaque part of paths that it repeats, without characters that could take a terminal over,
/// and not longer than anybody would read.
pub(crate) fn mask(text: &str) -> String {
    const LONGEST: usize = 2000;
    let mut masked = String::with_capacity(text.len().min(LONGEST));
    let mut is_after_bearer = false;
    let printable: String = text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    for (at, word) in printable.split(' ').enumerate() {
        if at > 0 {
            masked.push(' ');
        }
        if std::mem::replace(&mut is_after_bearer, word.to_ascii_lowercase().ends_with("bearer")) {
            masked.push_str("...");
            continue;
        }
        match word.split_once('?') {
            Some((before, after)) if after.contains('=') => {
                masked.push_str(before);
                masked.push_str("?...");
            }
            _ if ["authz=", "cap.sym=", "cap.msg=", "Bearer", "eyJ"].iter().any(|secret| word.contains(secret)) => {
                masked.push_str("...");
            }
            _ => masked.push_str(word),
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_servers_lose_what_may_be_secret() {
        let text = mask("Unable to open /eos/x.root?authz=abc&cap.sym=xyz; authz=abc failed eyJhbGciOi.x.y");
        assert_eq!(text, "Unable to open /eos/x.root?... ... failed ...");
        assert_eq!(mask("sent Authorization: Bearer s3cret, and failed"), "sent Authorization: ... ... and failed");
    }

    #[test]
    fn texts_of_servers_are_short_and_plain() {
        assert_eq!(mask("a\x1b[31mred\n/x?authz=y\nb"), "a [31mred /x?... b");
        assert!(mask(&"long ".repeat(10_000)).len() <= 2000);
    }

    #[test]
    fn an_error_names_server_path_and_code() {
        let error = ServerError { code: 3011, message: "Unable to open /a; no such file".into() };
        let error = Error::server("h:1094", "/a?authz=x", error);
        assert_eq!(error.to_string(), "h:1094: /a: Unable to open /a; no such file (not found, error 3011)");
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
