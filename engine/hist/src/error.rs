//! What can go wrong, in words that say which axis or bin it is about and what to do.

use arrow_schema::DataType;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a histogram could not be made, filled, merged, read or drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An axis that has no bins, or edges that do not rise.
    #[error("axis {axis:?}: {problem}")]
    Axis {
        /// Name of the axis, or its kind where it has no name yet.
        axis: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No axis, or too many.
    #[error("a histogram has 1 to {max} axes, not {found}", max = crate::MAX_AXES)]
    Axes {
        /// How many were given.
        found: usize,
    },
    /// More bins than are allowed, by the axes or by categories that were found while filling.
    #[error("the histogram would have more than {max} bins, flow bins included; use coarser or fewer axes", max = crate::MAX_CELLS)]
    TooManyBins,
    /// The columns do not fit the axes or the storage.
    #[error("filling: {0}")]
    Columns(String),
    /// A column whose type the axis cannot take.
    #[error("{role} takes {expected}, not {found}; cast the column")]
    ColumnType {
        /// The axis, "the weight" or "the sample".
        role: String,
        /// What it takes.
        expected: &'static str,
        /// The type of the column.
        found: DataType,
    },
    /// Lists of different lengths in one entry.
    #[error("entry {entry}: the list for {role} has {found} elements, where the one before it has {expected}")]
    ListLength {
        /// Row of the batch.
        entry: usize,
        /// The axis, "the weight" or "the sample".
        role: String,
        /// Length of the lists before it.
        expected: usize,
        /// Length of this one.
        found: usize,
    },
    /// Two histograms that cannot be added.
    #[error("histograms can only be merged if they have the same axes and storage: {0}")]
    Merge(String),
    /// Bytes that are no state of a histogram.
    #[error("this is not the state of a histogram: {0}")]
    State(String),
    /// JSON that is not in the interchange format, or uses what this crate does not have.
    #[error("histogram {name:?} in UHI JSON: {problem}")]
    Uhi {
        /// Name of the histogram, or empty where the whole text is meant.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A sum that JSON cannot hold.
    #[error(
        "bin {bin} holds {value}, which JSON cannot write: some weight or sample was not a number or infinite; leave those entries out"
    )]
    NotFinite {
        /// Number of the bin in row-major order, flow bins included.
        bin: usize,
        /// The value.
        value: f64,
    },
    /// An edge that JSON cannot hold.
    #[error("{axis} has an infinite edge, which JSON cannot write; leave it out, as flow bins hold what lies beyond")]
    InfiniteEdge {
        /// The axis, by its name or number.
        axis: String,
    },
    /// Histograms with other axes than the first, which CSV has no columns for.
    #[error("histograms with different axes do not fit into one CSV: {name:?} has the columns {found}, not {expected}")]
    Csv {
        /// Name of the histogram.
        name: String,
        /// Its columns.
        found: String,
        /// Those of the first.
        expected: String,
    },
    /// Something that cannot be drawn.
    #[error("plot: {0}")]
    Plot(String),
}
