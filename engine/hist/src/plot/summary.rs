//! What is written about a histogram beside its picture.

use super::ticks::plain;
use crate::axis::{Axis, Interval};
use crate::histogram::Histogram;
use crate::moments::Moments;

/// Lines of a name and a value.
pub(super) type Lines = Vec<(&'static str, String)>;

/// Entries, mean and deviation by the centres of the bins, and what the picture does not show.
pub(super) fn lines(histogram: &Histogram) -> Lines {
    let tally = histogram.tally();
    let mut lines = vec![("Entries", tally.entries.to_string())];
    if let [axis] = histogram.axes() {
        one_axis(histogram, axis, &mut lines);
    }
    let outside: f64 =
        histogram.bins().filter(|bin| bin.is_flow(histogram.axes())).map(|bin| bin.content.weight()).sum();
    if histogram.axes().len() > 1 && outside != 0.0 {
        lines.push(("Outside", plain(outside)));
    }
    for (name, count) in [("NULL", tally.nulls), ("NaN", tally.nans), ("Not filled", tally.outside)] {
        if count > 0 {
            lines.push((name, count.to_string()));
        }
    }
    lines
}

fn one_axis(histogram: &Histogram, axis: &Axis, lines: &mut Lines) {
    let bins: Vec<_> = histogram.bins().collect();
    let flow = |at: i64| bins.iter().find(|bin| bin.index == [at]).map_or(0.0, |bin| bin.content.weight());
    if let Some(Moments { mean, deviation, .. }) = histogram.moments(0)
        && mean.is_finite()
        && deviation.is_finite()
    {
        lines.push(("Mean", plain(mean)));
        lines.push(("Std dev", plain(deviation)));
    }
    let overflow = if axis.is_numeric() { "Overflow" } else { "Others" };
    for (name, value) in [("Underflow", flow(-1)), (overflow, flow(axis.bins() as i64))] {
        if value != 0.0 {
            lines.push((name, plain(value)));
        }
    }
}

/// The label of an axis with its unit; its name where it has no label.
pub(super) fn axis_label(axis: &Axis) -> String {
    let label = if axis.label().is_empty() { axis.name() } else { axis.label() };
    match axis.unit() {
        "" => label.to_owned(),
        unit if label.is_empty() => format!("[{unit}]"),
        unit => format!("{label} [{unit}]"),
    }
}

/// What the heights of bins are: entries, with the width of the bins, or a mean.
pub(super) fn value_label(histogram: &Histogram) -> String {
    let what = match histogram.storage() {
        crate::Storage::Count => "Entries",
        crate::Storage::Weight => "Sum of weights",
        crate::Storage::Mean | crate::Storage::WeightedMean => return "Mean".into(),
    };
    match histogram.axes() {
        [axis] => match axis.kind() {
            crate::AxisKind::Regular { bins, lower, upper } => {
                let width = plain((upper - lower) / f64::from(*bins));
                let unit = if axis.unit().is_empty() { String::new() } else { format!(" {}", axis.unit()) };
                match width.as_str() {
                    "1" => {
                        if unit.is_empty() {
                            what.to_owned()
                        } else {
                            format!("{what} /{unit}")
                        }
                    }
                    _ => format!("{what} / {width}{unit}"),
                }
            }
            crate::AxisKind::Log { .. } | crate::AxisKind::Variable { .. } => format!("{what} / bin"),
            _ => what.to_owned(),
        },
        _ => what.to_owned(),
    }
}

/// The name of a bin of a category.
pub(super) fn category(axis: &Axis, index: usize) -> String {
    match axis.interval(index as i64) {
        Interval::Int(number) => number.to_string(),
        Interval::Str(word) => word,
        Interval::Bool(value) => value.to_string(),
        Interval::Range(low, high) => format!("{}–{}", plain(low), plain(high)),
        Interval::Other => String::new(),
    }
}
