//! Values as text: CSV, TSV and Markdown, written batch by batch. Lists and structs become readable text in one cell.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{BatchWriter, Destination};
use crate::exit::Failure;

/// Rows that are made into text before they are written.
const CHUNK: usize = 64 << 10;

const SCALAR: FormatOptions<'static> = FormatOptions::new().with_display_error(false);
/// Inside lists and structs, strings are quoted and nulls are named.
const NESTED: FormatOptions<'static> = SCALAR.with_quoted_strings(true).with_null("null");

/// How the cells of one column become text.
pub(super) struct Cells<'a> {
    pub formatter: ArrayFormatter<'a>,
    /// The text cannot hold anything that has to be quoted.
    plain: bool,
}

/// The text of the values of an array.
pub(super) fn cells(array: &ArrayRef) -> Result<Cells<'_>, ArrowError> {
    let data_type = array.data_type();
    let options = if data_type.is_nested() { &NESTED } else { &SCALAR };
    let plain = data_type.is_numeric() || matches!(data_type, DataType::Boolean);
    Ok(Cells { formatter: ArrayFormatter::try_new(array.as_ref(), options)?, plain })
}

/// Which of the text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// RFC 4180: what holds a comma, a quote or a line break is quoted. NULL is empty, an empty string `""`.
    Csv,
    /// Tabs, line breaks and backslashes are written as `\t`, `\n`, `\r`, `\\`.
    Tsv,
    /// Pipes are escaped, and line breaks are `<br>`.
    Markdown,
}

impl Flavour {
    /// What stands before, between and behind the cells of a row.
    fn frame(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Csv => ("", ",", "\n"),
            Self::Tsv => ("", "\t", "\n"),
            Self::Markdown => ("| ", " | ", " |\n"),
        }
    }

    fn cell(self, line: &mut String, text: &str) {
        match self {
            Self::Csv if text.is_empty() => line.push_str("\"\""),
            Self::Csv if text.contains([',', '"', '\n', '\r']) => {
                line.push('"');
                for (index, part) in text.split('"').enumerate() {
                    if index > 0 {
                        line.push_str("\"\"");
                    }
                    line.push_str(part);
                }
                line.push('"');
            }
            Self::Csv => line.push_str(text),
            Self::Tsv => escape(line, text, &[('\t', "\\t"), ('\n', "\\n"), ('\r', "\\r"), ('\\', "\\\\")]),
            Self::Markdown => escape(line, text, &[('|', "\\|"), ('\n', "<br>"), ('\r', "")]),
        }
    }
}

fn escape(line: &mut String, text: &str, with: &[(char, &str)]) {
    for c in text.chars() {
        match with.iter().find(|(special, _)| *special == c) {
            Some((_, replacement)) => line.push_str(replacement),
            None => line.push(c),
        }
    }
}

/// Writes rows of text.
pub(super) struct TextWriter<'a> {
    to: &'a mut Destination,
    flavour: Flavour,
    text: String,
    cell: String,
}

impl<'a> TextWriter<'a> {
    /// Writes the header.
    pub(super) fn new(schema: SchemaRef, to: &'a mut Destination, flavour: Flavour) -> Result<Self, Failure> {
        let mut own = Self { to, flavour, text: String::new(), cell: String::new() };
        let (before, between, behind) = flavour.frame();
        own.text.push_str(before);
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                own.text.push_str(between);
            }
            flavour.cell(&mut own.text, field.name());
        }
        own.text.push_str(behind);
        if flavour == Flavour::Markdown {
            own.text.push('|');
            for field in schema.fields() {
                own.text.push_str(if field.data_type().is_numeric() { "---:|" } else { "---|" });
            }
            own.text.push('\n');
        }
        own.drain()?;
        Ok(own)
    }

    fn drain(&mut self) -> Result<(), Failure> {
        self.to.put(self.text.as_bytes())?;
        self.text.clear();
        Ok(())
    }
}

impl BatchWriter for TextWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, Failure> {
        let (before, between, behind) = self.flavour.frame();
        let columns: Result<Vec<_>, ArrowError> = batch.columns().iter().map(|c| Ok((c, cells(c)?))).collect();
        let columns = columns.map_err(|e| self.to.failure(&e))?;
        let alone = columns.len() == 1 && self.flavour == Flavour::Csv;
        for row in 0..batch.num_rows() {
            self.text.push_str(before);
            for (index, (array, cells)) in columns.iter().enumerate() {
                if index > 0 {
                    self.text.push_str(between);
                }
                if array.is_null(row) {
                    // An empty line would be skipped by many readers, and with it the row.
                    self.text.push_str(if alone { "\"\"" } else { "" });
                    continue;
                }
                let value = cells.formatter.value(row);
                if cells.plain {
                    write!(self.text, "{value}").map_err(|e| self.to.failure(&e))?;
                } else {
                    self.cell.clear();
                    write!(self.cell, "{value}").map_err(|e| self.to.failure(&e))?;
                    self.flavour.cell(&mut self.text, &self.cell);
                }
            }
            self.text.push_str(behind);
            if self.text.len() > CHUNK {
                self.drain()?;
            }
        }
        self.drain()?;
        self.to.pass_on()?;
        Ok(true)
    }

    fn finish(&mut self) -> Result<Option<String>, Failure> {
        self.to.pass_on()?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float32Array, Float64Array, ListArray, StringArray, StructArray};
    use arrow::datatypes::{Field, Int32Type};

    use super::super::Target;
    use super::*;
    use crate::shutdown::Shutdown;

    fn written(batch: &RecordBatch, flavour: Flavour) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t");
        let mut to = Destination::open(Target::File(path.clone()), &Shutdown::default()).unwrap();
        let mut writer = TextWriter::new(batch.schema(), &mut to, flavour).unwrap();
        writer.write(batch).unwrap();
        writer.finish().unwrap();
        drop(writer);
        to.commit().unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    fn sample() -> RecordBatch {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("x, \"y\""), Some("")]));
        let inner = Arc::new(Field::new("s", DataType::Utf8, true));
        let structs = StructArray::from(vec![(inner, texts.clone())]);
        RecordBatch::try_from_iter([
            ("f", Arc::new(Float32Array::from(vec![0.1, f32::NAN])) as ArrayRef),
            ("l,", Arc::new(lists) as ArrayRef),
            ("t|", texts),
            ("o", Arc::new(structs) as ArrayRef),
        ])
        .unwrap()
    }

    #[test]
    fn csv_quotes_what_it_must_and_tells_null_from_empty() {
        let expected = "f,\"l,\",t|,o\n\
                        0.1,\"[1, null]\",\"x, \"\"y\"\"\",\"{s: \"\"x, \\\"\"y\\\"\"\"\"}\"\n\
                        NaN,,\"\",\"{s: \"\"\"\"}\"\n";
        assert_eq!(written(&sample(), Flavour::Csv), expected);
    }

    #[test]
    fn tsv_and_markdown_keep_a_row_on_a_line() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a\tb\n\\|"]));
        let batch = RecordBatch::try_from_iter([("t", texts)]).unwrap();
        assert_eq!(written(&batch, Flavour::Tsv), "t\na\\tb\\n\\\\|\n");
        assert_eq!(written(&batch, Flavour::Markdown), "| t |\n|---|\n| a\tb<br>\\\\| |\n");
    }

    #[test]
    fn a_lone_null_does_not_make_an_empty_line() {
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![None, Some(1e300)]));
        let batch = RecordBatch::try_from_iter([("x", numbers)]).unwrap();
        assert_eq!(written(&batch, Flavour::Csv), "x\n\"\"\n1e300\n");
    }
}
