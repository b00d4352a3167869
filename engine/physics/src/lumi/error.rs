//! The errors of luminosity masks and tables. The caller knows the file's name.

/// What is wrong with a luminosity mask or table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LumiError {
    /// The text is no JSON, or not of the form of a mask.
    #[error("not a luminosity mask: {0}; a mask is JSON of the form {{\"273158\": [[1, 1279]], ...}}")]
    Json(#[from] serde_json::Error),
    /// A line of a table does not have what brilcalc writes.
    #[error(
        "line {line}: column {column} is '{found}', but {expected} is needed; the table must be the output of \
         `brilcalc lumi --byls --output-style csv`"
    )]
    Field {
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: usize,
        /// What stands there, shortened.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// A table of rates, which are no luminosity.
    #[error("line {line}: the table has rates (hz), not luminosity; have brilcalc write another unit, such as -u /pb")]
    Rate {
        /// The line of the heading, from 1.
        line: u64,
    },
    /// A run and luminosity section stand twice in a table, with different luminosities.
    #[error("line {line}: run {run}, section {section} has another luminosity here than before; use one table")]
    Contradiction {
        /// The line of the second, from 1.
        line: u64,
        /// The run.
        run: u32,
        /// The luminosity section.
        section: u32,
    },
    /// Bytes that were to be luminosity sections are not.
    #[error("{bytes} bytes are no luminosity sections, of which each has eight")]
    State {
        /// How many they are.
        bytes: usize,
    },
    /// Columns of runs and sections are not of equal lengths.
    #[error("there are {runs} runs, but {sections} luminosity sections")]
    Lengths {
        /// Runs.
        runs: usize,
        /// Sections.
        sections: usize,
    },
    /// A column is not of integers.
    #[error("the column of {column} is {found}, but integers are needed; cast it")]
    Type {
        /// Which column.
        column: &'static str,
        /// Its type.
        found: arrow_schema::DataType,
    },
}
