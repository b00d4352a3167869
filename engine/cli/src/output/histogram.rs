//! Histograms among the columns of a result, as text: a sketch of each in tables, UHI JSON in the other formats of text.

use arrow::array::RecordBatch;
use root_engine::spell_histograms;
use root_hist::{Histogram, write_uhi};

use super::{BatchWriter, Format};
use crate::exit::Failure;

/// Most blocks of a sketch; neighbouring bins share one if there are more.
const BLOCKS: usize = 32;
const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How a histogram becomes text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Its shape and the number of its entries.
    Sketch,
    /// All of it.
    Json,
}

impl Spelling {
    /// The spelling in a format; `None` where bytes are bytes.
    pub(super) fn of(format: Format) -> Option<Self> {
        match format {
            Format::Auto | Format::Table | Format::Tree | Format::Ddl => Some(Self::Sketch),
            Format::Csv | Format::Tsv | Format::Json | Format::Ndjson | Format::Markdown => Some(Self::Json),
            Format::Arrow | Format::Parquet | Format::Root => None,
        }
    }

    pub(super) fn apply(self, batch: &RecordBatch) -> Result<RecordBatch, Failure> {
        let text = |histogram: &Histogram| match self {
            Self::Sketch => sketch(histogram),
            // What JSON cannot say of a histogram (which is nothing today) is said in its place.
            Self::Json => write_uhi(&[("hist", histogram)], &[]).unwrap_or_else(|error| error.to_string()),
        };
        Ok(spell_histograms(batch, text)?)
    }
}

/// Writes what another writer shall write, with histograms as text.
pub(super) struct SpellingWriter<'a> {
    spelling: Spelling,
    inner: Box<dyn BatchWriter + 'a>,
}

impl<'a> SpellingWriter<'a> {
    pub(super) fn new(spelling: Spelling, inner: Box<dyn BatchWriter + 'a>) -> Self {
        Self { spelling, inner }
    }
}

impl BatchWriter for SpellingWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<bool, Failure> {
        self.inner.write(&self.spelling.apply(batch)?)
    }

    fn finish(&mut self) -> Result<Option<String>, Failure> {
        self.inner.finish()
    }
}

/// The bins of one axis as blocks, and how many entries there are.
fn sketch(histogram: &Histogram) -> String {
    let entries = match histogram.tally().entries {
        1 => "1 entry".to_string(),
        entries => format!("{entries} entries"),
    };
    let [axis] = histogram.axes() else {
        let bins: Vec<String> = histogram.axes().iter().map(|axis| axis.bins().to_string()).collect();
        return format!("{} bins, {entries}", bins.join(" × "));
    };
    let values = histogram.values();
    let inside: Vec<f64> = values.into_iter().skip(usize::from(axis.underflow())).take(axis.bins()).collect();
    let shared = inside.len().div_ceil(BLOCKS).max(1);
    let blocks: Vec<f64> = inside.chunks(shared).map(|bins| bins.iter().sum()).collect();
    let highest = blocks.iter().copied().fold(0.0, f64::max);
    let block = |value: &f64| {
        let height = if highest > 0.0 { (value / highest * 8.0).ceil() } else { 0.0 };
        HEIGHTS.get(height as usize).copied().unwrap_or(' ')
    };
    format!("{} {entries}", blocks.iter().map(block).collect::<String>())
}

#[cfg(test)]
mod tests {
    use root_hist::{Axis, Storage};

    use super::*;

    #[test]
    fn a_sketch_shows_the_shape_without_what_lies_outside() {
        let mut histogram = Histogram::new(vec![Axis::regular(4, 0.0, 4.0).unwrap()], Storage::Count).unwrap();
        histogram.fill_slice(&[-1.0, -1.0, 0.5, 1.5, 1.5, 3.5, 3.5, 3.5, 3.5]).unwrap();
        assert_eq!(sketch(&histogram), "▂▄ █ 9 entries");
    }

    #[test]
    fn many_bins_share_the_blocks_and_several_axes_are_told_in_words() {
        let axis = |bins| Axis::regular(bins, 0.0, 1.0).unwrap();
        let fine = Histogram::new(vec![axis(1000)], Storage::Count).unwrap();
        assert_eq!(sketch(&fine).trim_start(), "0 entries");
        assert_eq!(sketch(&fine).chars().take_while(|c| *c == ' ').count(), 1000_usize.div_ceil(32) + 1);
        let plane = Histogram::new(vec![axis(10), axis(20)], Storage::Count).unwrap();
        assert_eq!(sketch(&plane), "10 × 20 bins, 0 entries");
    }
}
