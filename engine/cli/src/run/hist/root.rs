//! Histograms as objects of a ROOT file.

use std::io::Cursor;

use root_hist::{Axis, AxisKind, Content, Histogram};
use root_writer::{
    Binning, Compression, FileOptions, FileWriter, HistogramAxis, HistogramObject, ProfileErrors, ProfileSums,
};

/// A ROOT file with these histograms.
pub fn file(name: &str, histograms: &[(String, Histogram)], compression: Compression) -> root_writer::Result<Vec<u8>> {
    let options = FileOptions { compression, ..FileOptions::default() };
    let mut writer = FileWriter::new(Cursor::new(Vec::new()), name, options)?;
    for (name, histogram) in histograms {
        writer.histogram(&object(name, histogram))?;
    }
    Ok(writer.finish()?.into_inner())
}

/// A histogram as ROOT's classes have it: every axis with underflow and overflow, and the first running fastest.
fn object(name: &str, histogram: &Histogram) -> HistogramObject {
    let axes: Vec<HistogramAxis> = histogram.axes().iter().map(axis).collect();
    let cells: usize = histogram.axes().iter().map(|axis| axis.bins() + 2).product();
    let (mut contents, mut squares, mut weights, mut squared_weights) =
        (vec![0.0; cells], vec![0.0; cells], vec![0.0; cells], vec![0.0; cells]);
    for bin in histogram.bins() {
        let mut stride = 1;
        let mut cell = 0;
        for (index, axis) in bin.index.iter().zip(histogram.axes()) {
            cell += usize::try_from(index + 1).unwrap_or(0) * stride;
            stride *= axis.bins() + 2;
        }
        let (content, square, weight, squared_weight) = match bin.content {
            Content::Count(count) => (count as f64, count as f64, 0.0, 0.0),
            Content::Weight { sum, sum_of_squares } => (sum, sum_of_squares, 0.0, 0.0),
            Content::Mean { count, mean, variance } => {
                let count = count as f64;
                let spread = if variance.is_nan() { 0.0 } else { variance * (count - 1.0) };
                (mean * count, spread + count * mean * mean, count, count)
            }
            Content::WeightedMean { sum_of_weights: w, sum_of_weights_squared: ww, mean, variance } => {
                let spread = if variance.is_nan() { 0.0 } else { variance * (w - ww / w) };
                (mean * w, spread + w * mean * mean, w, ww)
            }
        };
        let places = [
            (&mut contents, content),
            (&mut squares, square),
            (&mut weights, weight),
            (&mut squared_weights, squared_weight),
        ];
        for (values, value) in places {
            if let Some(place) = values.get_mut(cell) {
                *place = value;
            }
        }
    }
    let storage = histogram.storage();
    let profile =
        storage.is_mean().then_some(ProfileSums { weights, squared_weights, errors: ProfileErrors::default() });
    HistogramObject {
        name: identifier(name),
        title: name.to_owned(),
        axes,
        contents,
        sumw2: if storage.is_weighted() || storage.is_mean() { squares } else { Vec::new() },
        entries: histogram.tally().entries as f64,
        moments: None,
        profile,
    }
}

fn axis(axis: &Axis) -> HistogramAxis {
    let binning = match axis.kind() {
        AxisKind::Regular { bins, lower, upper } => {
            Binning::Regular { bins: *bins as usize, low: *lower, high: *upper }
        }
        AxisKind::IntCategory { categories, .. } => {
            Binning::Categories(categories.iter().map(ToString::to_string).collect())
        }
        AxisKind::StrCategory { categories, .. } => Binning::Categories(categories.clone()),
        AxisKind::Boolean => Binning::Categories(vec!["false".into(), "true".into()]),
        _ => Binning::Variable(axis.edges()),
    };
    HistogramAxis { title: axis.label().to_owned(), binning }
}

/// A name that a key of a file and an identifier in a macro can have.
pub fn identifier(name: &str) -> String {
    let words = |name: &str| -> String {
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        plain.split('_').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_")
    };
    // Two stand in front of the name of a variation.
    let parts: Vec<String> = name.split("__").map(words).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "h".to_owned() } else { parts.join("__") }
}
