//! The result of a run: which format it has, where it goes, and one writer per format.

mod columnar;
mod destination;
mod histogram;
mod json;
mod part_file;
mod remote;
mod root;
mod table;
mod text;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use clap::ValueEnum;
use futures::{Stream, StreamExt};

pub use destination::{Destination, Target};
pub use part_file::{Opened, PartFile};

use crate::exit::{Failure, did_you_mean};

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table on a terminal, CSV elsewhere, or what the name of the output says.
    Auto,
    /// For people.
    Table,
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// One array of objects.
    Json,
    /// One object per line.
    Ndjson,
    /// A table in Markdown.
    Markdown,
    /// Arrow IPC: a stream, or a file where -o names one.
    Arrow,
    /// Parquet.
    Parquet,
    /// A tree in a ROOT file; for files only.
    Root,
    /// schema only: an indented listing.
    Tree,
    /// schema only: SQL that creates the table.
    Ddl,
}

impl Format {
    /// Whether bytes of this format would only confuse a terminal.
    fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet | Self::Root)
    }

    /// The format that the name of a file asks for.
    fn of_name(name: &str, extension: &str) -> Result<Self, Failure> {
        Ok(match extension {
            "csv" => Self::Csv,
            "tsv" => Self::Tsv,
            "json" => Self::Json,
            "ndjson" | "jsonl" => Self::Ndjson,
            "md" | "markdown" => Self::Markdown,
            "arrow" | "arrows" | "feather" | "ipc" => Self::Arrow,
            "parquet" | "pq" => Self::Parquet,
            "root" => Self::Root,
            "txt" => Self::Table,
            other => {
                let known = ["csv", "tsv", "json", "ndjson", "md", "arrow", "parquet", "root"];
                return Err(Failure::usage(format!(
                    "the format of '{name}' is not clear from its name{}; add --format, or end the name in .{}",
                    did_you_mean(other, known),
                    known.join(", .")
                )));
            }
        })
    }

    /// Settles [`Format::Auto`].
    pub fn settle(self, target: &Target) -> Result<Self, Failure> {
        if let (Self::Auto, Some(extension)) = (self, target.extension()) {
            return Self::of_name(&target.name(), &extension);
        }
        Ok(match (self, target) {
            (Self::Auto, Target::Stdout { terminal: Some(_) }) => Self::Table,
            (Self::Auto, _) => Self::Csv,
            (Self::Tree | Self::Ddl, _) => {
                return Err(Failure::usage("the formats tree and ddl are for the verb schema only"));
            }
            (Self::Root, Target::Stdout { .. }) => {
                return Err(Failure::usage(
                    "a ROOT file cannot go to standard output, as its beginning is written last; name a file with -o",
                ));
            }
            (binary, Target::Stdout { terminal: Some(_) }) if binary.is_binary() => {
                return Err(Failure::usage(
                    "this format is not for a terminal; name a file with -o, or redirect standard output",
                ));
            }
            (chosen, _) => chosen,
        })
    }
}

/// Writes batches in one format.
pub trait BatchWriter {
    /// Writes a batch. `false` means that no more is wanted.
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, Failure>;

    /// Writes what has to stand at the end. The answer is what the user should know about it.
    fn finish(&mut self) -> Result<Option<String>, Failure>;
}

/// How tables look.
#[derive(Debug, Clone, Copy)]
pub struct TableStyle {
    /// Rows that are shown; 0 shows all.
    pub max_rows: usize,
    /// Whether the header is emphasised.
    pub color: bool,
}

/// The writer of a format.
pub fn writer<'a>(
    format: Format,
    schema: SchemaRef,
    to: &'a mut Destination,
    style: TableStyle,
) -> Result<Box<dyn BatchWriter + 'a>, Failure> {
    if let Some(spelling) = histogram::Spelling::of(format) {
        let spelled = spelling.apply(&RecordBatch::new_empty(schema.clone()))?.schema();
        if spelled != schema {
            let inner = plain_writer(format, spelled, to, style)?;
            return Ok(Box::new(histogram::SpellingWriter::new(spelling, inner)));
        }
    }
    plain_writer(format, schema, to, style)
}

fn plain_writer<'a>(
    format: Format,
    schema: SchemaRef,
    to: &'a mut Destination,
    style: TableStyle,
) -> Result<Box<dyn BatchWriter + 'a>, Failure> {
    Ok(match format {
        Format::Table | Format::Auto | Format::Tree | Format::Ddl => {
            Box::new(table::TableWriter::new(schema, to, style))
        }
        Format::Csv => Box::new(text::TextWriter::new(schema, to, text::Flavour::Csv)?),
        Format::Tsv => Box::new(text::TextWriter::new(schema, to, text::Flavour::Tsv)?),
        Format::Markdown => Box::new(text::TextWriter::new(schema, to, text::Flavour::Markdown)?),
        Format::Json => Box::new(json::JsonWriter::new(schema, to, json::Shape::Array)?),
        Format::Ndjson => Box::new(json::JsonWriter::new(schema, to, json::Shape::Lines)?),
        Format::Arrow => columnar::arrow(&schema, to)?,
        Format::Parquet => Box::new(columnar::ParquetWriter::new(schema, to)?),
        Format::Root => Box::new(root::RootWriter::new(&schema, to)?),
    })
}

/// Writes a stream of batches as they come, and returns the rows written and what the user should know. `at_end` is
/// called when all rows are there, before the end is written.
pub async fn write_stream<E: Into<Failure>>(
    mut batches: impl Stream<Item = Result<RecordBatch, E>> + Unpin,
    writer: &mut dyn BatchWriter,
    at_end: &mut dyn FnMut(),
) -> Result<(u64, Option<String>), Failure> {
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(Into::into)?;
        rows += batch.num_rows() as u64;
        if batch.num_rows() > 0 && !writer.write(&batch)? {
            break;
        }
    }
    at_end();
    Ok((rows, writer.finish()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_output_says_its_format() {
        for (name, format) in [
            ("a.csv", Format::Csv),
            ("a.b.PARQUET", Format::Parquet),
            ("x.jsonl", Format::Ndjson),
            ("x.md", Format::Markdown),
            ("x.root", Format::Root),
            ("x.arrow", Format::Arrow),
        ] {
            assert_eq!(Format::Auto.settle(&Target::File(name.into())), Ok(format), "{name}");
        }
        let error = Format::Auto.settle(&Target::File("x.parqet".into())).unwrap_err().to_string();
        assert!(error.contains("did you mean 'parquet'?"), "{error}");
        assert!(Format::Auto.settle(&Target::File("plain".into())).is_err());
    }

    #[test]
    fn binary_formats_stay_off_the_terminal() {
        let terminal = Target::Stdout { terminal: Some(80) };
        assert!(Format::Parquet.settle(&terminal).is_err());
        assert!(Format::Arrow.settle(&Target::Stdout { terminal: None }).is_ok());
        assert!(Format::Root.settle(&Target::Stdout { terminal: None }).is_err());
        assert_eq!(Format::Auto.settle(&terminal), Ok(Format::Table));
    }
}
