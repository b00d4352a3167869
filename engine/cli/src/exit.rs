//! How a run can end: the exit codes, and the failure that carries one together with what the user is told.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use datafusion::error::DataFusionError;
use root_engine::ErrorKind;

/// The exit codes. Scripts rely on them; they are listed in `root-query --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Ok = 0,
    /// The query, or writing its result, failed.
    Query = 1,
    /// The program was called in a way that it does not understand.
    Usage = 2,
    /// A file is missing, damaged, or not what it should be.
    Input = 3,
    /// Credentials are missing or do not suffice.
    Authentication = 4,
    /// The result is complete but for files that were skipped.
    Partial = 5,
    /// Ctrl-C.
    Interrupted = 130,
    /// The system asked the program to end.
    Terminated = 143,
}

impl Exit {
    /// `diff` found differences: the code of `diff` and `cmp`, which a failure to write the result has as well.
    pub const DIFFERENT: Self = Self::Query;

    /// The one of a number.
    pub fn of_code(code: i32) -> Option<Self> {
        let all = [
            Self::Ok,
            Self::Query,
            Self::Usage,
            Self::Input,
            Self::Authentication,
            Self::Partial,
            Self::Interrupted,
            Self::Terminated,
        ];
        all.into_iter().find(|exit| i32::from(exit.code()) == code)
    }

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Query => Self::Query,
            ErrorKind::Usage => Self::Usage,
            ErrorKind::Input => Self::Input,
            ErrorKind::Authentication => Self::Authentication,
        }
    }
}

/// Why a run ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Something went wrong, and the user is told so.
    Error {
        /// Exit code.
        exit: Exit,
        /// What stands behind `error:`.
        message: String,
    },
    /// The reader of standard output went away, as `head` does when it has seen enough. That is no error.
    BrokenPipe,
}

impl Failure {
    /// A failure with a code of its own.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::Error { exit, message: message.into() }
    }

    /// The same failure, with something more to say about it.
    pub fn and(self, more: &str) -> Self {
        match self {
            Self::Error { exit, message } => Self::Error { exit, message: format!("{message}; {more}") },
            Self::BrokenPipe => self,
        }
    }

    /// A failure in how the program was called.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A failure to write to `target`.
    pub fn output(target: &str, error: &io::Error) -> Self {
        if let Some(remote) = error.get_ref().and_then(|cause| cause.downcast_ref::<eos_io::Error>()) {
            return Self::location(remote);
        }
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::new(Exit::Query, format!("cannot write {target}: {error}")),
        }
    }

    /// A failure to find, read or write a place.
    pub fn location(error: &eos_io::Error) -> Self {
        Self::new(root_engine::location_kind(error.kind()).into(), error.to_string())
    }

    /// A failure to read a file that is not data: a script, a configuration.
    pub fn side_input(path: &Path, error: &io::Error) -> Self {
        Self::usage(format!("cannot read {}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error { message, .. } => f.write_str(message),
            Self::BrokenPipe => f.write_str("nobody reads the output"),
        }
    }
}

impl From<root_engine::Error> for Failure {
    fn from(error: root_engine::Error) -> Self {
        match error {
            root_engine::Error::Query(inner) => inner.into(),
            root_engine::Error::Read(inner) => inner.into(),
            root_engine::Error::Location(inner) => inner.into(),
            other => Self::new(other.kind().into(), other.to_string()),
        }
    }
}

impl From<eos_io::Error> for Failure {
    fn from(error: eos_io::Error) -> Self {
        Self::location(&error)
    }
}

impl From<root_reader::Error> for Failure {
    fn from(error: root_reader::Error) -> Self {
        let hint = tree_hint(&error);
        let error = root_engine::Error::Read(error);
        Self::new(error.kind().into(), format!("{error}{hint}"))
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        let hint = find_reader_error(&error).map(tree_hint).unwrap_or_default();
        let message = match error.find_root() {
            DataFusionError::SQL(syntax, _) => syntax.to_string(),
            _ => root_engine::message_of(&error),
        };
        Self::new(root_engine::kind_of(&error).into(), format!("{}{hint}", tidy(&message)))
    }
}

/// A message without the words with which DataFusion begins it and which tell the user nothing.
fn tidy(message: &str) -> &str {
    const PREFIXES: [&str; 6] = [
        "Error during planning: ",
        "Execution error: ",
        "External error: ",
        "Schema error: ",
        "sql parser error: ",
        "Arrow error: ",
    ];
    let mut message = message;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| message.strip_prefix(prefix)) {
        message = rest;
    }
    message
}

/// The reader's error within one of DataFusion's.
fn find_reader_error(error: &DataFusionError) -> Option<&root_reader::Error> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(found) = current.downcast_ref::<root_reader::Error>() {
            return Some(found);
        }
        if let Some(root_engine::Error::Read(found)) = current.downcast_ref::<root_engine::Error>() {
            return Some(found);
        }
        cause = match current.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::External(inner)) => Some(inner.as_ref()),
            _ => current.source(),
        };
    }
    None
}

/// What was probably meant by the name of a tree that does not exist.
fn tree_hint(error: &root_reader::Error) -> String {
    match error {
        root_reader::Error::NoSuchTree { wanted, available, .. } => {
            did_you_mean(wanted, available.iter().map(String::as_str))
        }
        _ => String::new(),
    }
}

/// `; did you mean …?`, or nothing if no name is near.
pub fn did_you_mean<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    match root_engine::nearest(wanted, names).as_slice() {
        [] => String::new(),
        near => format!("; did you mean '{}'?", near.join("' or '")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_tree() -> root_reader::Error {
        root_reader::Error::NoSuchTree {
            file: "f.root".into(),
            wanted: "events".into(),
            available: vec!["Events".into(), "Runs".into()],
        }
    }

    #[test]
    fn a_misspelt_tree_is_answered_with_the_nearest() {
        let direct = Failure::from(no_tree());
        let wrapped: DataFusionError = root_engine::Error::Read(no_tree()).into();
        for failure in [direct, Failure::from(wrapped)] {
            assert!(failure.to_string().ends_with("did you mean 'Events'?"), "{failure}");
            assert!(matches!(failure, Failure::Error { exit: Exit::Input, .. }));
        }
    }

    #[test]
    fn a_reader_that_leaves_is_no_error_and_a_full_disk_is_one() {
        let pipe = Failure::output("standard output", &io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(pipe, Failure::BrokenPipe);
        let full = Failure::output("x.csv", &io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(full, Failure::Error { exit: Exit::Query, .. }));
    }
}
