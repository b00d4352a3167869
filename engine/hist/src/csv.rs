//! Histograms as rows of comma-separated values, one for each bin, underflow and overflow included.

use std::fmt::Write;

use crate::axis::{Axis, Interval};
use crate::error::{Error, Result};
use crate::histogram::Histogram;

/// Histograms by name, with the rows of [`Histogram::to_csv`] and the name in front, in a column `histogram`. All must
/// have the columns of the first.
pub fn write_csv(histograms: &[(&str, &Histogram)]) -> Result<String> {
    let Some((_, first)) = histograms.first() else { return Ok(String::new()) };
    let columns = header(&first.axes);
    let mut text = format!("histogram,{columns}\n");
    for (name, histogram) in histograms {
        let found = header(&histogram.axes);
        if found != columns {
            return Err(Error::Csv { name: (*name).to_owned(), found, expected: columns });
        }
        rows(&mut text, &format!("{},", quoted(name)), histogram);
    }
    Ok(text)
}

impl Histogram {
    /// Rows of `bin, low, high, value, variance`; of `bin, category, value, variance` for categories. With several axes
    /// the first columns are repeated, with the name of the axis, or `x`, `y`, `z`, … before them: `x_bin, x_low, x_high`.
    /// Bin −1 is underflow, the number of bins overflow; a variance that is not defined is empty.
    pub fn to_csv(&self) -> String {
        let mut text = header(&self.axes) + "\n";
        rows(&mut text, "", self);
        text
    }
}

/// A row for each bin, each with the same in front.
fn rows(text: &mut String, front: &str, histogram: &Histogram) {
    for bin in histogram.bins() {
        text.push_str(front);
        for (index, interval) in bin.index.iter().zip(&bin.intervals) {
            // Writing to a string does not fail.
            let _ = match interval {
                Interval::Range(low, high) => write!(text, "{index},{low},{high},"),
                Interval::Int(category) => write!(text, "{index},{category},"),
                Interval::Bool(value) => write!(text, "{index},{value},"),
                Interval::Str(category) => write!(text, "{index},{},", quoted(category)),
                Interval::Other => write!(text, "{index},,"),
            };
        }
        let (value, variance) = (bin.content.value(), bin.content.variance());
        let _ = if variance.is_nan() { writeln!(text, "{value},") } else { writeln!(text, "{value},{variance}") };
    }
}

/// The names of the columns.
fn header(axes: &[Axis]) -> String {
    let names = axes.iter().zip(["x", "y", "z", "u", "v", "w"]).map(|(axis, letter)| match axes.len() {
        1 => String::new(),
        _ if axis.name().is_empty() => format!("{letter}_"),
        _ => format!("{}_", axis.name()),
    });
    let columns = axes.iter().zip(names).flat_map(|(axis, name)| {
        let columns: &[&str] = if axis.is_numeric() { &["bin", "low", "high"] } else { &["bin", "category"] };
        columns.iter().map(move |column| quoted(&format!("{name}{column}")))
    });
    columns.chain(["value".into(), "variance".into()]).collect::<Vec<_>>().join(",")
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Storage;

    #[test]
    fn each_bin_is_a_row() {
        let mut histogram = Histogram::new(vec![Axis::regular(2, 0.0, 1.0).unwrap()], Storage::Count).unwrap();
        histogram.fill_slice(&[0.1, 0.2, 0.7, 3.0]).unwrap();

        let expected = "bin,low,high,value,variance\n-1,-inf,0,0,0\n0,0,0.5,2,2\n1,0.5,1,1,1\n2,1,inf,1,1\n";
        assert_eq!(histogram.to_csv(), expected);
    }

    #[test]
    fn names_of_axes_and_categories_are_quoted_where_they_must() {
        let axes = vec![Axis::str_category(["a,b", "c"]).unwrap().without_flow().with_name("s"), Axis::boolean()];
        let histogram = Histogram::new(axes, Storage::Weight).unwrap();

        let csv = histogram.to_csv();

        assert!(csv.starts_with("s_bin,s_category,y_bin,y_category,value,variance\n0,\"a,b\",0,false,0,0\n"), "{csv}");
    }

    #[test]
    fn of_several_histograms_the_name_is_the_first_column() {
        // A category over two lines is in one row.
        let new = |axis: Axis| Histogram::new(vec![axis.without_flow()], Storage::Count).unwrap();
        let (one, two) = (new(Axis::str_category(["a\nb"]).unwrap()), new(Axis::boolean()));

        let csv = write_csv(&[("x\ry", &one), ("2", &two)]).unwrap();

        let expected = "histogram,bin,category,value,variance\n\"x\ry\",0,\"a\nb\",0,0\n2,0,false,0,0\n2,1,true,0,0\n";
        assert_eq!(csv, expected);
        let other = new(Axis::regular(1, 0.0, 1.0).unwrap());
        assert!(
            matches!(write_csv(&[("1", &one), ("other", &other)]), Err(Error::Csv { name, .. }) if name == "other")
        );
    }
}
