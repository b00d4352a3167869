//! The errors of this crate. Each names what a person needs to find the fault: the file, and where it is known the
//! tree, branch, basket and entry range; [`Error::kind`] sorts them for programs.

use std::fmt;
use std::ops::Range;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where in a ROOT file something went wrong. Parts that do not apply are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The file as the user named it.
    pub file: String,
    /// Tree name with its directory, `dir/Events`.
    pub tree: Option<String>,
    /// Branch path, `parent/child`.
    pub branch: Option<String>,
    /// Index of the basket within its branch.
    pub basket: Option<usize>,
    /// The tree entries that the basket holds.
    pub entries: Option<Range<u64>>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(tree) = &self.tree {
            write!(f, ", tree '{tree}'")?;
        }
        if let Some(branch) = &self.branch {
            write!(f, ", branch '{branch}'")?;
        }
        if let Some(basket) = self.basket {
            write!(f, ", basket {basket}")?;
        }
        if let Some(entries) = &self.entries {
            write!(f, ", entries {}..{}", entries.start, entries.end)?;
        }
        Ok(())
    }
}

/// A fault in the bytes themselves, before anyone knows which file they come from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The bytes end before the value does.
    #[error("{what} needs {need} bytes at offset {offset}, but only {have} are left")]
    Truncated {
        /// The value that was being read.
        what: &'static str,
        /// Offset into the record.
        offset: usize,
        /// Bytes that the value needs.
        need: usize,
        /// Bytes that are left.
        have: usize,
    },
    /// A length, offset, count or tag contradicts the bytes around it.
    #[error("{0}")]
    Invalid(String),
    /// A compressed frame could not be decompressed.
    #[error("{0}")]
    Compression(String),
    /// The format is known but this crate does not read it.
    #[error("{0}")]
    Unsupported(String),
    /// An entry of a basket.
    #[error("entry {entry} of the basket: {source}")]
    InEntry {
        /// Counted from the first entry of the basket.
        entry: usize,
        /// What is wrong with it.
        source: Box<FormatError>,
    },
    /// A member of an object.
    #[error("member {path}: {source}")]
    Within {
        /// Names of the members from the outermost object down.
        path: String,
        /// What is wrong with it.
        source: Box<FormatError>,
    },
}

impl FormatError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// The same fault, one member further out.
    pub(crate) fn within(self, member: &str) -> Self {
        match self {
            Self::Within { path, source } => Self::Within { path: format!("{member}.{path}"), source },
            other => Self::Within { path: member.to_string(), source: Box::new(other) },
        }
    }

    /// The same fault, in an entry.
    pub(crate) fn in_entry(self, entry: usize) -> Self {
        Self::InEntry { entry, source: Box::new(self) }
    }

    /// Whether the bytes may be right and this crate just does not read them.
    fn is_unsupported(&self) -> bool {
        match self {
            Self::Unsupported(_) => true,
            Self::Within { source, .. } | Self::InEntry { source, .. } => source.is_unsupported(),
            _ => false,
        }
    }
}

/// Why a file, tree or branch could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store that holds the file failed.
    #[error("{file}: {source}")]
    Store {
        /// The file as the user named it.
        file: String,
        /// What the store said.
        source: object_store::Error,
    },
    /// The operating system failed to read a local file.
    #[error("{file}: {source}")]
    Io {
        /// The file as the user named it.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not a ROOT file.
    #[error("{file}: not a ROOT file: {why}")]
    NotRoot {
        /// The file as the user named it.
        file: String,
        /// What was found instead.
        why: String,
    },
    /// A record is corrupt or cut off.
    #[error("{place}: {source}")]
    Corrupt {
        /// Where.
        place: Box<Place>,
        /// What is wrong.
        source: FormatError,
    },
    /// The file has no tree of that name.
    #[error("{file}: no tree '{wanted}'; {}", list_or("the file has", available, "the file has no trees"))]
    NoSuchTree {
        /// The file as the user named it.
        file: String,
        /// The name asked for.
        wanted: String,
        /// The trees that the file has.
        available: Vec<String>,
    },
    /// No tree was named and the file has none, or more than one.
    #[error(
        "{file}: {}; name one as FILE:TREE",
        list_or("which tree? The file has", available, "the file has no trees")
    )]
    WhichTree {
        /// The file as the user named it.
        file: String,
        /// The trees that the file has.
        available: Vec<String>,
    },
    /// The tree has no column of that name.
    #[error("{place}: no branch '{wanted}'")]
    NoSuchBranch {
        /// File and tree.
        place: Box<Place>,
        /// The name asked for.
        wanted: String,
    },
    /// A tree that is read beside another has more or fewer entries.
    #[error(
        "{place} has {entries} entries, but its friend in {friend} has {friend_entries}; friends are read entry by entry, \
         so join them by columns that both have instead"
    )]
    UnequalFriend {
        /// File and tree.
        place: Box<Place>,
        /// Its entries.
        entries: u64,
        /// File and tree of the friend.
        friend: Box<Place>,
        /// The friend's entries.
        friend_entries: u64,
    },
    /// A column of a friend would have the name of another column.
    #[error("{place}: there is a column '{column}' already; read the friend under another name")]
    FriendColumn {
        /// File and tree.
        place: Box<Place>,
        /// The column.
        column: String,
    },
    /// A branch was selected that this crate cannot decode.
    #[error("{place}: cannot be read: {reason}")]
    Unreadable {
        /// File, tree and branch.
        place: Box<Place>,
        /// Why not.
        reason: String,
    },
    /// Columns that are members of one collection by their names have lists of different lengths.
    #[error(
        "{place}: '{first}' and '{second}' have different numbers of elements in one entry, so they are no members of one \
         collection; read them in the flat layout, or one of them alone"
    )]
    Uneven {
        /// File and tree.
        place: Box<Place>,
        /// One of the columns.
        first: String,
        /// Another, with other lengths.
        second: String,
    },
    /// Arrow refused the decoded values, or a row filter failed.
    #[error("{place}: {source}")]
    Arrow {
        /// File and tree.
        place: Box<Place>,
        /// What Arrow said.
        source: arrow_schema::ArrowError,
    },
}

/// The sort of an [`Error`], for exit codes and retry decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file, tree or branch does not exist.
    NotFound,
    /// The store refused: wrong or missing credentials, or no permission.
    Denied,
    /// The bytes are not what they should be.
    Corrupt,
    /// The bytes may be right, but this crate cannot read them.
    Unsupported,
    /// The transport failed.
    Io,
    /// The request contradicts itself or the file.
    Usage,
}

impl Error {
    /// Sorts the error for exit codes and retry decisions.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Store { source, .. } => match source {
                object_store::Error::NotFound { .. } => ErrorKind::NotFound,
                object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                    ErrorKind::Denied
                }
                // Stores hide what the system said behind a generic error.
                other => system_error(other).map_or(ErrorKind::Io, system_kind),
            },
            Self::Io { source, .. } => system_kind(source),
            Self::NotRoot { .. } => ErrorKind::Corrupt,
            Self::Unreadable { .. } | Self::Uneven { .. } => ErrorKind::Unsupported,
            Self::Corrupt { source, .. } if source.is_unsupported() => ErrorKind::Unsupported,
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::NoSuchTree { .. } | Self::NoSuchBranch { .. } => ErrorKind::NotFound,
            Self::WhichTree { .. } | Self::UnequalFriend { .. } | Self::FriendColumn { .. } => ErrorKind::Usage,
            Self::Arrow { .. } => ErrorKind::Io,
        }
    }

    pub(crate) fn corrupt(place: Place, source: FormatError) -> Self {
        Self::Corrupt { place: Box::new(place), source }
    }
}

/// The system's error among the causes of another.
fn system_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a std::io::Error> {
    std::iter::successors(Some(error), |cause| cause.source()).find_map(|cause| cause.downcast_ref())
}

fn system_kind(error: &std::io::Error) -> ErrorKind {
    match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Io,
    }
}

fn list_or(intro: &str, names: &[String], none: &str) -> String {
    if names.is_empty() { none.to_string() } else { format!("{intro} {}", names.join(", ")) }
}
