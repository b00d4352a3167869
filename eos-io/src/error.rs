//! What can go wrong between a spec and a file. Every message names what the user wrote, with
//! its secrets masked: specs and causes are redacted when an error is made, so that neither its
//! text nor its debug form can leak them.

use std::error::Error as StdError;
use std::io;

use crate::redact::redact;
use crate::stores::Location;

/// Why a spec did not lead to files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL has a scheme this build cannot read.
    #[error("cannot read '{spec}': '{scheme}' is not supported (supported: {supported})")]
    UnsupportedScheme {
        /// What the user wrote.
        spec: String,
        /// The scheme, in lower case.
        scheme: String,
        /// What can be read instead.
        supported: String,
    },

    /// The spec can be no path, URL or pattern.
    #[error("'{spec}' cannot be read as a path or pattern: {reason}")]
    InvalidSpec {
        /// What the user wrote.
        spec: String,
        /// What is wrong with it.
        reason: String,
    },

    /// Another process cannot be told how to reach a place.
    #[error(
        "'{spec}' holds a secret, which is not sent to other processes; leave it out of the URL, and give these processes \
         a credential of their own"
    )]
    SecretInUrl {
        /// What the user wrote.
        spec: String,
    },

    /// There is neither a file nor a directory of that name.
    #[error("'{spec}' does not exist{}", did_you_mean(suggestions))]
    FileNotFound {
        /// What the user wrote.
        spec: String,
        /// Similar names in the same directory, at most three, best first.
        suggestions: Vec<String>,
    },

    /// No file matches the pattern.
    #[error("no file matches '{spec}'{}", only_directories(*directories))]
    NoMatch {
        /// What the user wrote.
        spec: String,
        /// How many directories match it.
        directories: usize,
    },

    /// There is no ROOT file in the directory, at any depth.
    #[error("the directory '{spec}' holds no '*.root' file")]
    EmptyDirectory {
        /// What the user wrote.
        spec: String,
    },

    /// The spec ends in `/` but is the name of a file.
    #[error("'{spec}' is a file, not a directory")]
    NotADirectory {
        /// What the user wrote.
        spec: String,
    },

    /// The file, or a directory on the way, may not be read.
    #[error("no permission to read '{path}'{}", named_by(spec, path))]
    PermissionDenied {
        /// What the user wrote.
        spec: String,
        /// What may not be read.
        path: String,
    },

    /// The process reads for others, and this is a file of its machine that they may not have.
    #[error(
        "'{spec}' is a local file that is not offered to others here; a URL such as root:// leads to files of servers"
    )]
    OutsideOfFolders {
        /// What the user wrote.
        spec: String,
    },

    /// The server wants to know who is asking.
    #[error("cannot read '{spec}' without valid credentials: {message}")]
    Unauthenticated {
        /// What the user wrote.
        spec: String,
        /// What the server said.
        message: String,
    },

    /// The file may not be written.
    #[error("no permission to write '{spec}': {message}")]
    WriteDenied {
        /// What the user wrote.
        spec: String,
        /// What the server said.
        message: String,
    },

    /// The server wants to know who is writing.
    #[error("cannot write '{spec}' without valid credentials: {message}")]
    WriteUnauthenticated {
        /// What the user wrote.
        spec: String,
        /// What the server said.
        message: String,
    },

    /// Files of this protocol can only be read.
    #[error("cannot write '{spec}': this build can only read '{scheme}'")]
    ReadOnly {
        /// What the user wrote.
        spec: String,
        /// The scheme.
        scheme: String,
    },

    /// Anything else that failed while writing. The cause is kept as (masked) text only.
    #[error("cannot write '{spec}': {message}")]
    Write {
        /// What the user wrote.
        spec: String,
        /// The innermost cause.
        message: String,
    },

    /// The server cannot be reached, or does not answer.
    #[error("cannot reach the server of '{spec}': {message}")]
    Unreachable {
        /// What the user wrote.
        spec: String,
        /// What failed.
        message: String,
    },

    /// A line of a file list cannot be used.
    #[error("{list}, line {line}: {reason}")]
    FileList {
        /// The list.
        list: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },

    /// Anything else that failed while reading. The cause is kept as (masked) text only.
    #[error("cannot read '{spec}': {message}")]
    Io {
        /// What the user wrote.
        spec: String,
        /// The innermost cause.
        message: String,
    },
}

/// The class of an [`Error`], for exit codes and for deciding what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is nothing under the name, or nothing that matches.
    NotFound,
    /// It exists but may not be read.
    PermissionDenied,
    /// Credentials are missing or no longer valid.
    Unauthenticated,
    /// The server cannot be reached, or does not answer.
    Unreachable,
    /// This build cannot read such a place.
    Unsupported,
    /// The user wrote something that cannot be a place.
    InvalidSpec,
    /// Disk or network failed.
    Io,
    /// It cannot be written.
    Write,
}

impl Error {
    /// The class of the error.
    ///
    /// ```
    /// use eos_io::{ErrorKind, Stores};
    ///
    /// let error = Stores::new().resolve("gopher://host/x.root").unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Unsupported);
    /// ```
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnsupportedScheme { .. } | Self::ReadOnly { .. } | Self::SecretInUrl { .. } => ErrorKind::Unsupported,
            Self::InvalidSpec { .. } | Self::NotADirectory { .. } | Self::FileList { .. } => ErrorKind::InvalidSpec,
            Self::FileNotFound { .. } | Self::NoMatch { .. } | Self::EmptyDirectory { .. } => ErrorKind::NotFound,
            Self::PermissionDenied { .. } | Self::WriteDenied { .. } | Self::OutsideOfFolders { .. } => {
                ErrorKind::PermissionDenied
            }
            Self::Unauthenticated { .. } | Self::WriteUnauthenticated { .. } => ErrorKind::Unauthenticated,
            Self::Write { .. } => ErrorKind::Write,
            Self::Unreachable { .. } => ErrorKind::Unreachable,
            Self::Io { .. } => ErrorKind::Io,
        }
    }

    pub(crate) fn invalid(spec: &str, reason: impl ToString) -> Self {
        Self::InvalidSpec { spec: redact(spec), reason: redact(&reason.to_string()) }
    }

    /// What a store answered about `path`, which the user named by `spec`.
    pub(crate) fn from_store(spec: &str, path: &str, error: &object_store::Error) -> Self {
        let spec = redact(spec);
        match error {
            object_store::Error::PermissionDenied { .. } => Self::PermissionDenied { spec, path: redact(path) },
            object_store::Error::Unauthenticated { source, .. } => {
                Self::Unauthenticated { spec, message: redact(&source.to_string()) }
            }
            _ if is_missing(error) => Self::FileNotFound { spec, suggestions: Vec::new() },
            _ if io_kind(error) == Some(io::ErrorKind::PermissionDenied) => {
                Self::PermissionDenied { spec, path: redact(path) }
            }
            _ if is_unreachable(error) => Self::Unreachable { spec, message: redact(&innermost(error)) },
            // Met in a listing; its own cause would not say which name it is.
            object_store::Error::InvalidPath { source } => Self::Io { spec, message: redact(&source.to_string()) },
            _ => Self::Io { spec, message: redact(&innermost(error)) },
        }
    }

    /// What a client of XRootD says.
    pub(crate) fn from_client(spec: &str, error: &xrootd_client::Error) -> Self {
        let (spec, message) = (redact(spec), redact(&error.to_string()));
        match error.kind() {
            xrootd_client::ErrorKind::NotFound => Self::FileNotFound { spec, suggestions: Vec::new() },
            xrootd_client::ErrorKind::PermissionDenied => Self::PermissionDenied { path: spec.clone(), spec },
            xrootd_client::ErrorKind::Unauthenticated => Self::Unauthenticated { spec, message },
            xrootd_client::ErrorKind::Unreachable => Self::Unreachable { spec, message },
            _ => Self::Io { spec, message },
        }
    }

    /// What a store answered to writing.
    pub(crate) fn from_write(location: &Location, error: &object_store::Error) -> Self {
        let spec = location.display.clone();
        match error {
            object_store::Error::PermissionDenied { source, .. } => {
                Self::WriteDenied { spec, message: redact(&source.to_string()) }
            }
            object_store::Error::Unauthenticated { source, .. } => {
                Self::WriteUnauthenticated { spec, message: redact(&source.to_string()) }
            }
            object_store::Error::NotImplemented { .. } => {
                Self::ReadOnly { spec, scheme: location.url.scheme().to_owned() }
            }
            _ => Self::Write { spec, message: redact(&innermost(error)) },
        }
    }

    /// Why writing failed, where no store said so.
    pub(crate) fn writing(location: &Location, message: &str) -> Self {
        Self::Write { spec: location.display.clone(), message: redact(message) }
    }

    /// What the operating system answered about the file `path`.
    pub(crate) fn from_io(path: &str, error: &io::Error) -> Self {
        let spec = redact(path);
        match error.kind() {
            kind if is_missing_kind(kind) => Self::FileNotFound { spec, suggestions: Vec::new() },
            io::ErrorKind::PermissionDenied => Self::PermissionDenied { path: spec.clone(), spec },
            _ => Self::Io { spec, message: redact(&error.to_string()) },
        }
    }
}

/// Whether a store's error says no more than that there is nothing under the name.
pub(crate) fn is_missing(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) || io_kind(error).is_some_and(is_missing_kind)
}

/// A name too long to exist, and a path through a file, are missing like any other: a pattern
/// is often both when it is first tried as a plain name.
fn is_missing_kind(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename)
}

/// Whether there was no talking to the server.
fn is_unreachable(error: &object_store::Error) -> bool {
    let of_xrootd = causes(error).find_map(|cause| cause.downcast_ref::<xrootd_client::Error>());
    of_xrootd.is_some_and(|error| error.kind() == xrootd_client::ErrorKind::Unreachable)
        || io_kind(error).is_some_and(is_unreachable_kind)
}

fn is_unreachable_kind(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::*;
    matches!(
        kind,
        ConnectionRefused
            | ConnectionReset
            | ConnectionAborted
            | NotConnected
            | TimedOut
            | HostUnreachable
            | NetworkUnreachable
            | BrokenPipe
    )
}

/// The kind of the innermost `io::Error` among the causes.
fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last().map(io::Error::kind)
}

/// The text of the cause that says most.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    // The client of XRootD tells with an error how often it has tried, which what lies below no longer does.
    let of_client = causes(error).find(|cause| cause.is::<xrootd_client::Error>());
    of_client.or_else(|| causes(error).last()).map_or_else(|| error.to_string(), ToString::to_string)
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source())
}

fn did_you_mean(suggestions: &[String]) -> String {
    match suggestions {
        [] => String::new(),
        names => format!("; did you mean '{}'?", names.join("' or '")),
    }
}

fn only_directories(count: usize) -> &'static str {
    match count {
        0 => "",
        1 => " (a directory does; end the pattern in '/' for the files in it)",
        _ => " (directories do; end the pattern in '/' for the files in them)",
    }
}

fn named_by(spec: &str, path: &str) -> String {
    if spec == path { String::new() } else { format!(" (needed for '{spec}')") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(kind: io::ErrorKind) -> object_store::Error {
        object_store::Error::Generic { store: "test", source: Box::new(io::Error::from(kind)) }
    }

    #[test]
    fn a_store_error_is_classed_by_the_cause_it_wraps() {
        for (cause, kind) in [
            (io::ErrorKind::NotFound, ErrorKind::NotFound),
            (io::ErrorKind::NotADirectory, ErrorKind::NotFound),
            (io::ErrorKind::InvalidFilename, ErrorKind::NotFound),
            (io::ErrorKind::PermissionDenied, ErrorKind::PermissionDenied),
            (io::ErrorKind::TimedOut, ErrorKind::Unreachable),
            (io::ErrorKind::ConnectionRefused, ErrorKind::Unreachable),
            (io::ErrorKind::InvalidData, ErrorKind::Io),
        ] {
            let error = Error::from_store("x.root", "/d/x.root", &generic(cause));
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains("x.root"), "{error}");
        }
    }

    #[test]
    fn remote_refusals_keep_their_meaning() {
        let denied = object_store::Error::PermissionDenied { path: "p".into(), source: "no".into() };
        let unknown = object_store::Error::Unauthenticated { path: "p".into(), source: "expired".into() };
        assert_eq!(Error::from_store("s", "p", &denied).kind(), ErrorKind::PermissionDenied);
        let error = Error::from_store("s", "p", &unknown);
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(error.to_string().ends_with("expired"));
    }

    #[test]
    fn neither_the_text_nor_the_debug_form_shows_a_secret() {
        let spec = "root://u:hunter2@h//x.root?authz=hunter2";
        let failed = object_store::Error::Generic { store: "test", source: format!("cannot open {spec}").into() };
        for error in [
            Error::invalid(spec, spec),
            Error::from_store(spec, spec, &failed),
            Error::from_store(spec, spec, &generic(io::ErrorKind::PermissionDenied)),
            Error::from_io(spec, &io::Error::other(spec)),
        ] {
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn messages_say_what_to_do_next() {
        let missing = Error::FileNotFound {
            spec: "run1.root".into(),
            suggestions: vec!["run01.root".into(), "run2.root".into()],
        };
        assert_eq!(missing.to_string(), "'run1.root' does not exist; did you mean 'run01.root' or 'run2.root'?");
        let directories = Error::NoMatch { spec: "run*".into(), directories: 2 };
        assert!(directories.to_string().contains("end the pattern in '/'"));
    }
}
