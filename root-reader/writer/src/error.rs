//! The errors of this crate. Each names the file, and where it is known the tree, column and entry, and says what to do.

use std::fmt;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where in the output something went wrong. Parts that do not apply are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The file as the user named it.
    pub file: String,
    /// Tree with its directory, `dir/Events`.
    pub tree: Option<String>,
    /// Column of the batches; members of structs behind dots.
    pub column: Option<String>,
    /// Entry of the tree.
    pub entry: Option<u64>,
}

impl Place {
    pub(crate) fn of_file(file: &str) -> Box<Self> {
        Box::new(Self { file: file.into(), ..Self::default() })
    }

    /// The same place, at a column.
    pub(crate) fn at_column(&self, column: &str) -> Box<Self> {
        Box::new(Self { column: Some(column.into()), ..self.clone() })
    }

    /// The same place, at an entry.
    pub(crate) fn at_entry(&self, entry: u64) -> Box<Self> {
        Box::new(Self { entry: Some(entry), ..self.clone() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(tree) = &self.tree {
            write!(f, ", tree '{tree}'")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column '{column}'")?;
        }
        if let Some(entry) = self.entry {
            write!(f, ", entry {entry}")?;
        }
        Ok(())
    }
}

/// Why something could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The output failed.
    #[error("{file}: cannot be written: {source}")]
    Io {
        /// The file as the user named it.
        file: String,
        /// What the operating system, or the sink, said.
        source: std::io::Error,
    },
    /// A column of a type that no branch holds.
    #[error("{place}: a branch cannot hold the type {data_type}: {advice}")]
    UnsupportedType {
        /// The column.
        place: Box<Place>,
        /// Its Arrow type.
        data_type: String,
        /// What to do instead.
        advice: &'static str,
    },
    /// A name that ROOT files cannot have at this place.
    #[error("{place}: '{name}' cannot be a name: {why}")]
    BadName {
        /// Where it was to be used.
        place: Box<Place>,
        /// The name.
        name: String,
        /// What is wrong with it, and what to do.
        why: &'static str,
    },
    /// A name that is already taken.
    #[error("{place}: there is already a {what} '{name}': give one of them another name")]
    Duplicate {
        /// Where it was to be used.
        place: Box<Place>,
        /// What has the name: a branch, an object.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A value that is NULL, which branches cannot hold.
    #[error(
        "{place}: the value is NULL, which a branch cannot hold: replace it in the query (COALESCE), or choose what takes its \
         place (`--null-value -999`, the option null_value of COPY, TreeOptions::nulls)"
    )]
    Null {
        /// The column and entry.
        place: Box<Place>,
    },
    /// A value that the type of the branch does not hold.
    #[error("{place}: {value} does not fit into {branch_type}: {advice}")]
    OutOfRange {
        /// The column, and the entry if there is one.
        place: Box<Place>,
        /// The value.
        value: String,
        /// Type of the branch.
        branch_type: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A list whose length is not what its counter says.
    #[error(
        "{place}: the list has {length} elements where '{counter}' counts {counted}: give '{counter}' another name, or have \
         each list counted by itself (Counters::Own)"
    )]
    Lengths {
        /// The list and the entry.
        place: Box<Place>,
        /// The column that counts it.
        counter: String,
        /// What that says.
        counted: i64,
        /// What the list has.
        length: i64,
    },
    /// A batch with other columns than the tree.
    #[error("{place}: a batch differs from the schema of the tree: {difference}")]
    Schema {
        /// The tree.
        place: Box<Place>,
        /// The first difference.
        difference: String,
    },
    /// More bytes than a record can have.
    #[error("{place}: {what} would take {bytes} bytes, but a record of a ROOT file holds at most 1 GiB: {advice}")]
    TooLarge {
        /// The tree and column, or the object.
        place: Box<Place>,
        /// What is too large.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// What to do.
        advice: &'static str,
    },
    /// A compression setting that does not exist.
    #[error(
        "'{setting}' is no compression: write none, zlib, lz4, zstd or lzma, with a level from 1 to 9 behind a colon if you \
         want to (zstd:5)"
    )]
    BadCompression {
        /// What was asked for.
        setting: String,
    },
    /// A text that says no values for NULLs.
    #[error(
        "'{text}' is no value for NULLs: a whole number stands for those of all types (-999), two values for those of \
         integers and of floating-point numbers (-1,nan)"
    )]
    BadNulls {
        /// The text.
        text: String,
    },
    /// A compression library failed.
    #[error("{codec} failed to compress: {why}")]
    Compression {
        /// Name of the codec.
        codec: &'static str,
        /// What the library said.
        why: String,
    },
    /// A histogram that contradicts itself.
    #[error("{file}: histogram '{name}': {why}")]
    Histogram {
        /// The file as the user named it.
        file: String,
        /// Name of the histogram.
        name: String,
        /// What does not go together.
        why: String,
    },
    /// A file that cannot be finished, as writing a batch failed half-way.
    #[error("{file}: the file is incomplete, as writing a batch failed: delete it, and write it again")]
    Broken {
        /// The file as the user named it.
        file: String,
    },
    /// A tree of another file.
    #[error("{file}: the tree belongs to another file")]
    ForeignTree {
        /// The file as the user named it.
        file: String,
    },
}
