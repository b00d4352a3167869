//! Tables for people: as many rows as were asked for, as many columns as the terminal has room for, and a word about
//! what was left out.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::text::{Cells, cells};
use super::{BatchWriter, Destination, TableStyle, Target};
use crate::exit::Failure;

/// Cells wider than the first of these are cut if the table does not fit, then than the second.
const CELL_WIDTHS: [usize; 2] = [48, 20];
/// What stands between two columns.
const GAP: usize = 3;
/// Marks what was cut off.
const CUT: char = '…';

/// Collects the rows and lays them out at the end.
pub(super) struct TableWriter<'a> {
    to: &'a mut Destination,
    style: TableStyle,
    columns: Vec<Column>,
    rows: usize,
    more: bool,
}

struct Column {
    name: String,
    numeric: bool,
    cells: Vec<String>,
}

impl Column {
    fn width(&self, limit: usize) -> usize {
        let widest = self.cells.iter().map(|c| c.width()).max().unwrap_or(0);
        widest.max(self.name.width()).min(limit)
    }
}

impl<'a> TableWriter<'a> {
    pub(super) fn new(schema: SchemaRef, to: &'a mut Destination, style: TableStyle) -> Self {
        let column = |field: &arrow::datatypes::FieldRef| Column {
            name: one_line(field.name()),
            numeric: is_number(field.data_type()),
            cells: Vec::new(),
        };
        Self { to, style, columns: schema.fields().iter().map(column).collect(), rows: 0, more: false }
    }

    /// Which columns are shown, each with its width; `None` stands for the gap where columns are left out.
    fn layout(&self, room: Option<usize>) -> Vec<Option<(&Column, usize)>> {
        let sized =
            |limit: usize| -> Vec<(&Column, usize)> { self.columns.iter().map(|c| (c, c.width(limit))).collect() };
        let full = sized(usize::MAX);
        let Some(room) = room else { return full.into_iter().map(Some).collect() };
        let total = |columns: &[(&Column, usize)]| {
            columns.iter().map(|(_, width)| width + GAP).sum::<usize>().saturating_sub(1)
        };
        if self.columns.len() == 1 || total(&full) <= room {
            return full.into_iter().map(Some).collect();
        }
        let mut columns = full;
        for limit in CELL_WIDTHS {
            columns = sized(limit);
            if total(&columns) <= room {
                return columns.into_iter().map(Some).collect();
            }
        }
        // The first columns, a gap, and the last one.
        let Some(last) = columns.pop() else { return Vec::new() };
        let mut used = last.1 + GAP + 1 + GAP;
        let mut shown = Vec::new();
        for column in columns {
            used += column.1 + GAP;
            if used > room && !shown.is_empty() {
                break;
            }
            shown.push(Some(column));
        }
        if shown.len() + 1 < self.columns.len() {
            shown.push(None);
        }
        shown.push(Some(last));
        shown
    }
}

impl BatchWriter for TableWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, Failure> {
        let wanted = match self.style.max_rows {
            0 => batch.num_rows(),
            max => batch.num_rows().min(max - self.rows.min(max)),
        };
        self.more |= wanted < batch.num_rows();
        for (column, array) in self.columns.iter_mut().zip(batch.columns()) {
            let Cells { formatter, .. } = cells(array).map_err(|e| self.to.failure(&e))?;
            for row in 0..wanted {
                let text = if array.is_null(row) { String::new() } else { formatter.value(row).to_string() };
                column.cells.push(one_line(&text));
            }
        }
        self.rows += wanted;
        Ok(!self.more)
    }

    fn finish(&mut self) -> Result<Option<String>, Failure> {
        let room = match self.to.target() {
            Target::Stdout { terminal } => *terminal,
            Target::File(_) | Target::Remote(_) => None,
        };
        let mut text = String::new();
        let layout = self.layout(room);
        let shown = layout.iter().flatten().count();
        let mut line = |row: Option<usize>| {
            let start = text.len();
            for (index, column) in layout.iter().enumerate() {
                text.push_str(if index == 0 { " " } else { " | " });
                let Some((column, width)) = column else {
                    text.push(CUT);
                    continue;
                };
                let cell = match row {
                    Some(row) => column.cells.get(row).map(String::as_str).unwrap_or_default(),
                    None => &column.name,
                };
                pad(&mut text, cell, *width, column.numeric);
            }
            let end = text.trim_end().len().max(start);
            text.truncate(end);
            if row.is_none() && self.style.color {
                text.insert_str(start, "\x1b[1m");
                text.push_str("\x1b[0m");
            }
            text.push('\n');
            if row.is_none() {
                for (index, column) in layout.iter().enumerate() {
                    text.push_str(if index == 0 { "-" } else { "-+-" });
                    let width = column.as_ref().map_or(1, |(_, width)| *width);
                    text.extend(std::iter::repeat_n('-', width));
                }
                text.push_str("-\n");
            }
        };
        line(None);
        for row in 0..self.rows {
            line(Some(row));
        }
        let mut notes = Vec::new();
        if self.more {
            notes.push(format!("only the first {} rows are shown (--max-rows 0 shows all)", self.rows));
        }
        if shown < self.columns.len() {
            notes.push(format!(
                "{shown} of {} columns fit on the terminal (name fewer, or use another --format)",
                self.columns.len()
            ));
        }
        self.to.put(text.as_bytes())?;
        self.to.pass_on()?;
        Ok((!notes.is_empty()).then(|| notes.join("; ")))
    }
}

/// Appends a cell in `width` columns of the terminal, cut if it has to be.
fn pad(line: &mut String, cell: &str, width: usize, right: bool) {
    let own = cell.width();
    let fill = std::iter::repeat_n(' ', width.saturating_sub(own));
    if own > width {
        let mut left = width.saturating_sub(1);
        for c in cell.chars() {
            let needed = c.width().unwrap_or(0);
            if needed > left {
                break;
            }
            left -= needed;
            line.push(c);
        }
        line.push(CUT);
        line.extend(std::iter::repeat_n(' ', left));
    } else if right {
        line.extend(fill);
        line.push_str(cell);
    } else {
        line.push_str(cell);
        line.extend(fill);
    }
}

/// A text on one line, with nothing in it that could move the cursor.
fn one_line(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_string();
    }
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || matches!(data_type, DataType::Duration(_))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float32Array, Int32Array, ListArray, StringArray};
    use arrow::datatypes::Float32Type;

    use super::*;
    use crate::shutdown::Shutdown;

    /// What a table of these columns looks like on a terminal of so many columns, and its note.
    fn shown(columns: Vec<(&str, ArrayRef)>, max_rows: usize, width: Option<usize>) -> (Vec<String>, Option<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.txt");
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut to = Destination::open(Target::File(path.clone()), &Shutdown::default()).unwrap();
        let mut writer = TableWriter::new(batch.schema(), &mut to, TableStyle { max_rows, color: false });
        writer.write(&batch).unwrap();
        let layout: Vec<String> =
            writer.layout(width).iter().map(|c| c.map_or("…".into(), |(c, w)| format!("{}:{w}", c.name))).collect();
        let note = writer.finish().unwrap();
        drop(writer);
        to.commit().unwrap();
        let mut lines: Vec<String> = std::fs::read_to_string(path).unwrap().lines().map(str::to_string).collect();
        lines.extend(layout);
        (lines, note)
    }

    #[test]
    fn numbers_stand_right_and_lists_are_readable() {
        let lists =
            ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![Some(1.5), Some(2.0)]), Some(vec![]), None]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("n", Arc::new(Int32Array::from(vec![1, 200, 30]))),
            ("pt", Arc::new(lists)),
            ("name", Arc::new(StringArray::from(vec!["a", "b\u{1b}\nc", "é"]))),
        ];
        let (lines, note) = shown(columns, 0, None);
        assert_eq!(
            lines[..5],
            [
                "   n | pt         | name",
                "-----+------------+------------",
                "   1 | [1.5, 2.0] | a",
                " 200 | []         | b\\u{1b}\\nc",
                "  30 |            | é",
            ]
        );
        assert_eq!(note, None);
    }

    #[test]
    fn rows_beyond_the_limit_are_left_out_with_a_note() {
        let columns: Vec<(&str, ArrayRef)> = vec![("n", Arc::new(Int32Array::from_iter_values(0..100)))];
        let (lines, note) = shown(columns, 3, None);
        assert_eq!(lines[..5], [" n", "---", " 0", " 1", " 2"]);
        assert!(note.unwrap().contains("first 3 rows"));
    }

    #[test]
    fn columns_that_do_not_fit_are_cut_then_left_out() {
        let wide: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(100)]));
        let number: ArrayRef = Arc::new(Float32Array::from(vec![1.0]));
        let (lines, _) = shown(vec![("a", wide.clone()), ("b", number.clone())], 0, Some(60));
        assert_eq!(lines[3..], ["a:48", "b:3"]);
        let many = || vec![("a", wide.clone()), ("b", wide.clone()), ("c", wide.clone()), ("d", number.clone())];
        let (lines, _) = shown(many(), 0, Some(60));
        assert_eq!(lines[3..], ["a:20", "b:20", "…", "d:3"]);
    }

    #[test]
    fn a_cell_is_cut_where_its_width_ends() {
        let mut line = String::new();
        pad(&mut line, "物理学", 4, false);
        assert_eq!(line, "物… ");
    }
}
