//! Errors of the engine, and what an error out of a running query means: DataFusion wraps ours several times, and a
//! program wants to know whether the input, the query or the credentials are at fault.

use datafusion::error::DataFusionError;

/// What can go wrong before DataFusion takes over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A path, URL or pattern does not lead to files.
    #[error(transparent)]
    Location(#[from] eos_io::Error),
    /// A file or tree cannot be read.
    #[error(transparent)]
    Read(#[from] root_reader::Error),
    /// A ROOT file cannot be written.
    #[error(transparent)]
    Write(#[from] root_writer::Error),
    /// A query does not keep the order of rows.
    #[error(
        "the order of the entries would be lost: only conditions on single entries and columns of the table keep it, without \
         joins, subqueries, groups and friends with ON; use sql for these"
    )]
    NotInOrder,
    /// Files of one table disagree on the type of a column.
    #[error(
        "column '{column}' is {first_type} in {first_file} but {second_type} in {second_file}; read the files as two \
         tables, or leave one of them out"
    )]
    TypeConflict {
        /// The column.
        column: String,
        /// The file that had the column first.
        first_file: String,
        /// Its Arrow type there.
        first_type: String,
        /// The file that disagrees.
        second_file: String,
        /// The Arrow type there.
        second_type: String,
    },
    /// A table was to be declared with a schema that is not a part of its own.
    #[error(
        "column '{column}' cannot be declared as {wanted}: the table has {own}, of which only members can be left out"
    )]
    NotNarrower {
        /// The column, or `*` where their number differs.
        column: String,
        /// What was asked for.
        wanted: String,
        /// What the table has.
        own: String,
    },
    /// Nothing is left to read.
    #[error("none of the {count} files can be read; the first: {first}")]
    NoReadableFile {
        /// How many files were tried.
        count: usize,
        /// Why the first one was left out.
        first: String,
    },
    /// An option has no such value, or there is no such option.
    #[error("option {name} = '{value}': {expected}")]
    Option {
        /// Name of the option.
        name: String,
        /// What was given.
        value: String,
        /// What can be given.
        expected: String,
    },
    /// Files of one table lie in different stores.
    #[error(
        "one table cannot span two stores, {first} and {second}; make a table of each and join them with UNION ALL"
    )]
    TwoStores {
        /// Root of the first store.
        first: String,
        /// Root of the other.
        second: String,
    },
    /// A dataset file cannot be understood.
    #[error("{file}{}: {reason}", line_of(*line))]
    Dataset {
        /// The dataset file.
        file: String,
        /// The line, from 1, if it is known.
        line: Option<usize>,
        /// What is wrong there.
        reason: String,
    },
    /// A file of luminosity, such as a mask, cannot be read.
    #[error("the luminosity file {file} cannot be read: {source}")]
    LumiFile {
        /// The file.
        file: String,
        /// Why not.
        source: Box<eos_io::Error>,
    },
    /// A file of luminosity cannot be understood.
    #[error("{file}: {source}")]
    Lumi {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: root_physics::lumi::LumiError,
    },
    /// A query could not be run where it was sent.
    #[error("{message}")]
    Elsewhere {
        /// What is at fault.
        kind: ErrorKind,
        /// What went wrong.
        message: String,
    },
    /// A replacement of columns cannot be understood, or not be applied.
    #[error("'{text}': {reason}")]
    Replacement {
        /// The replacement, or what it was to be applied to.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A list of cuts cannot be understood.
    #[error("{file}{}: {reason}", line_of(*line))]
    Cuts {
        /// Where the cuts stand.
        file: String,
        /// The line, from 1, if it is known.
        line: Option<usize>,
        /// What is wrong there.
        reason: String,
    },
    /// A path of a sample does not lead to files.
    #[error("sample {sample}: {source}")]
    Sample {
        /// The sample, and where it stands.
        sample: String,
        /// Why not.
        source: Box<eos_io::Error>,
    },
    /// A file belongs to two samples.
    #[error("{file} belongs to {first} and to {second}; its events would count twice")]
    TwoSamples {
        /// The file.
        file: String,
        /// The sample that named it first, or that it was named without one.
        first: String,
        /// The other.
        second: String,
    },
    /// A column of a dataset file is also one of the files' own.
    #[error("the column '{column}' of the dataset file is also a branch of {file}; give it another name")]
    SampleColumn {
        /// The column.
        column: String,
        /// A file with such a branch.
        file: String,
    },
    /// A friend that is read entry by entry has not one file for each of the table.
    #[error(
        "the friend {friend} has {friend_files} files and the table {files}; read entry by entry, each file has its own \
         friend, so name as many, or join them with ON"
    )]
    FriendFiles {
        /// The friend.
        friend: String,
        /// How many files it has.
        friend_files: usize,
        /// How many files the table has.
        files: usize,
    },
    /// A friend cannot be joined by that column.
    #[error("the friend {friend} cannot be joined by '{key}': {reason}")]
    FriendKey {
        /// The friend.
        friend: String,
        /// The column.
        key: String,
        /// Why not.
        reason: String,
    },
    /// Two entries of a friend have the same keys.
    #[error("the friend {friend} has two entries with {key}: {first} and {second}; join it by keys that are unique")]
    FriendTwice {
        /// The friend.
        friend: String,
        /// The columns and their values.
        key: String,
        /// Where the first one is.
        first: String,
        /// Where the second one is.
        second: String,
    },
    /// A friend has no entry for one of the table.
    #[error("the friend {friend} has no entry with {key}; friend_missing = 'null' reads such entries as NULL")]
    FriendMissing {
        /// The friend.
        friend: String,
        /// The columns and their values.
        key: String,
    },
    /// A column of a friend would have the name of another column.
    #[error("the table has a column '{column}' already; read the friend {friend} under another name")]
    FriendColumn {
        /// The friend.
        friend: String,
        /// The column.
        column: String,
    },
    /// A histogram cannot have such axes, or cannot be filled.
    #[error(transparent)]
    Histogram(#[from] root_hist::Error),
    /// An expression of an analysis does not fit its events.
    #[error("{what} '{text}': {reason}")]
    Expression {
        /// What it is for.
        what: &'static str,
        /// The expression.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A column is defined that exists already.
    #[error("there is a column '{column}' already; give the new one another name, or replace it by a variation")]
    DefinedTwice {
        /// The column.
        column: String,
    },
    /// A variation cannot be made so.
    #[error("variation '{name}': {reason}")]
    Variation {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Events were asked to run, and no result was booked.
    #[error("nothing is booked: book a result first, such as a histogram or a count")]
    NothingBooked,
    /// A result was asked for that this run does not have.
    #[error("this run has no such result: it was booked on other events, or after the run")]
    NotBooked,
    /// The run was cancelled.
    #[error("the run was cancelled")]
    Cancelled,
    /// DataFusion refused.
    #[error(transparent)]
    Query(#[from] DataFusionError),
}

/// What is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The query: syntax, unknown names, types, or its execution.
    Query,
    /// The way the program was called.
    Usage,
    /// A file that is missing, unreachable, damaged or of an unknown kind.
    Input,
    /// Credentials or permissions.
    Authentication,
}

impl Error {
    /// Sorts the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Location(error) => location_kind(error.kind()),
            Self::Sample { source, .. } | Self::LumiFile { source, .. } => location_kind(source.kind()),
            Self::Read(error) => read_kind(error),
            Self::Write(_) | Self::Histogram(_) | Self::Expression { .. } | Self::Cancelled => ErrorKind::Query,
            Self::TypeConflict { .. }
            | Self::NoReadableFile { .. }
            | Self::Dataset { .. }
            | Self::Lumi { .. }
            | Self::TwoSamples { .. }
            | Self::SampleColumn { .. }
            | Self::FriendTwice { .. }
            | Self::FriendMissing { .. } => ErrorKind::Input,
            Self::Option { .. }
            | Self::DefinedTwice { .. }
            | Self::Variation { .. }
            | Self::NothingBooked
            | Self::NotBooked
            | Self::Cuts { .. }
            | Self::Replacement { .. }
            | Self::NotInOrder
            | Self::TwoStores { .. }
            | Self::FriendFiles { .. }
            | Self::FriendKey { .. }
            | Self::FriendColumn { .. }
            | Self::NotNarrower { .. } => ErrorKind::Usage,
            Self::Elsewhere { kind, .. } => *kind,
            Self::Query(error) => kind_of(error),
        }
    }
}

fn line_of(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        match error {
            Error::Query(inner) => inner,
            other => Self::External(Box::new(other)),
        }
    }
}

/// Finds out what is at fault where a place cannot be found, read or written.
pub fn location_kind(kind: eos_io::ErrorKind) -> ErrorKind {
    match kind {
        eos_io::ErrorKind::Write => ErrorKind::Query,
        eos_io::ErrorKind::PermissionDenied | eos_io::ErrorKind::Unauthenticated => ErrorKind::Authentication,
        eos_io::ErrorKind::Unsupported | eos_io::ErrorKind::InvalidSpec => ErrorKind::Usage,
        _ => ErrorKind::Input,
    }
}

fn read_kind(error: &root_reader::Error) -> ErrorKind {
    match error.kind() {
        root_reader::ErrorKind::Denied => ErrorKind::Authentication,
        root_reader::ErrorKind::Usage => ErrorKind::Usage,
        _ => ErrorKind::Input,
    }
}

/// Finds out what is at fault in an error of DataFusion.
pub fn kind_of(error: &DataFusionError) -> ErrorKind {
    causes(error)
        .find_map(|cause| {
            if let Some(own) = cause.downcast_ref::<Error>()
                && !matches!(own, Error::Query(_))
            {
                return Some(own.kind());
            }
            cause.downcast_ref::<root_reader::Error>().map(read_kind)
        })
        .unwrap_or(ErrorKind::Query)
}

/// Whether the same could go well another time or on another machine: the transport failed, not the file or the query.
pub fn may_pass(error: &DataFusionError) -> bool {
    let read = causes(error).find_map(|cause| match cause.downcast_ref::<Error>() {
        Some(Error::Read(read)) => Some(read),
        _ => cause.downcast_ref::<root_reader::Error>(),
    });
    read.is_some_and(|error| error.kind() == root_reader::ErrorKind::Io)
}

/// The message of an error without the layers that DataFusion wraps around it.
pub fn message_of(error: &DataFusionError) -> String {
    let own = causes(error).find_map(|cause| {
        let own = cause.downcast_ref::<Error>().map(ToString::to_string);
        own.or_else(|| cause.downcast_ref::<root_reader::Error>().map(ToString::to_string))
    });
    own.unwrap_or_else(|| error.strip_backtrace())
}

fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |cause| {
        // A shared error hides behind a reference count, which is not its cause.
        if let Some(DataFusionError::Shared(inner)) = cause.downcast_ref::<DataFusionError>() {
            return Some(inner.as_ref());
        }
        if let Some(DataFusionError::External(inner)) = cause.downcast_ref::<DataFusionError>() {
            return Some(inner.as_ref());
        }
        cause.source()
    })
}
