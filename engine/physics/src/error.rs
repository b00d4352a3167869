//! The errors of the kernels. Arguments are counted from 1; whoever calls knows what they are called.

use arrow_schema::{ArrowError, DataType};

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kernels refuse.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument has a type that the function does not take.
    #[error("argument {argument} is {found}, but {expected} is needed; cast it")]
    Type {
        /// Which argument.
        argument: usize,
        /// Its type.
        found: DataType,
        /// What would do.
        expected: &'static str,
    },
    /// A function was called with too few or too many arguments.
    #[error("{function} takes {expected} arguments, but got {found}")]
    Arguments {
        /// The function.
        function: &'static str,
        /// What it takes, in words.
        expected: String,
        /// How many there were.
        found: usize,
    },
    /// Arguments have different numbers of rows.
    #[error("argument {argument} has {found} rows, but those before it have {expected}")]
    Rows {
        /// Which argument.
        argument: usize,
        /// Its rows.
        found: usize,
        /// The rows of the others.
        expected: usize,
    },
    /// Lists that belong together differ in length.
    #[error(
        "row {row} has {first} elements in argument 1, but {found} in argument {argument}; lists that are combined element \
         by element must be columns of one collection, with the same filter"
    )]
    ListLengths {
        /// The row, from 0, within the batch.
        row: usize,
        /// Elements of the first list.
        first: usize,
        /// Which argument disagrees.
        argument: usize,
        /// Its elements.
        found: usize,
    },
    /// A result would have more elements than a list array can hold.
    #[error(
        "the result has {count} elements, more than the {limit} of one array; take fewer rows to a batch, filter the \
         lists first, or go through the tuples in chunks"
    )]
    TooMany {
        /// How many there would be; the largest number that can be said if they are more.
        count: u64,
        /// How many can be.
        limit: u64,
    },
    /// A sum or product of integers does not fit into 64 bits.
    #[error("row {row}: the result does not fit into 64 bits; cast the elements to DOUBLE first")]
    Overflow {
        /// The row, from 0, within the batch.
        row: usize,
    },
    /// An integer that double precision cannot hold was to be computed with.
    #[error("argument {argument} has the value {value}, which double precision cannot hold")]
    Inexact {
        /// Which argument.
        argument: usize,
        /// The value.
        value: i128,
    },
    /// Tuples of a size that makes no sense.
    #[error("tuples of {size} cannot be formed; sizes from 1 to {limit} can")]
    TupleSize {
        /// The size that was asked for.
        size: usize,
        /// The largest.
        limit: usize,
    },
    /// Names of the members of tuples that are not as many as the members, or not different.
    #[error("tuples of {size} need as many different names, but got {names:?}")]
    TupleNames {
        /// Members of a tuple.
        size: usize,
        /// The names.
        names: Vec<String>,
    },
    /// Arrow refused to build an array.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}
