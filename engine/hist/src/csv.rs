//! A histogram as rows of comma-separated values, one for each bin, underflow and overflow included.

use std::fmt::Write;

use crate::axis::{Axis, Interval};
use crate::histogram::Histogram;

impl Histogram {
    /// Rows of `bin, low, high, value, variance`; of `bin, category, value, variance` for categories. With several axes
    /// the first columns are repeated, with the name of the axis, or `x`, `y`, `z`, … before them: `x_bin, x_low, x_high`.
    /// Bin −1 is underflow, the number of bins overflow; a variance that is not defined is empty.
    pub fn to_csv(&self) -> String {
        let mut text = header(&self.axes).join(",");
        text.push_str(",value,variance\n");
        for bin in self.bins() {
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
        text
    }
}

fn header(axes: &[Axis]) -> Vec<String> {
    let names = axes.iter().zip(["x", "y", "z", "u", "v", "w"]).map(|(axis, letter)| match axes.len() {
        1 => String::new(),
        _ if axis.name().is_empty() => format!("{letter}_"),
        _ => format!("{}_", axis.name()),
    });
    let columns = axes.iter().zip(names).flat_map(|(axis, name)| {
        let columns: &[&str] = if axis.is_numeric() { &["bin", "low", "high"] } else { &["bin", "category"] };
        columns.iter().map(move |column| quoted(&format!("{name}{column}")))
    });
    columns.collect()
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
}
