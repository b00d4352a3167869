//! Entry points for the fuzz targets of `fuzz/`, only compiled for them: histograms that come as bytes or as text. They may
//! return errors; they must not panic, hang, or take more memory than the input or the largest histogram justifies.

use crate::histogram::Histogram;
use crate::uhi::{read_uhi, write_uhi};

/// The state of a histogram: what was read is written, read and merged.
pub fn state(bytes: &[u8]) {
    let Ok(histogram) = Histogram::from_bytes(bytes) else { return };
    let written = histogram.to_bytes();
    let again = Histogram::from_bytes(&written);
    assert!(again.is_ok_and(|again| again.to_bytes() == written));
    let mut twice = histogram.clone();
    assert!(twice.merge(&histogram).is_ok());
    // Whatever is kept of it, what is in the bins is the same.
    histogram.sum();
    histogram.moments(0);
    assert_eq!(twice.axes(), histogram.axes());
}

/// Histograms as UHI JSON.
pub fn uhi(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(histograms) = read_uhi(text) else { return };
    for (name, histogram) in &histograms {
        if let Ok(written) = write_uhi(&[(name, histogram)], &[]) {
            assert!(read_uhi(&written).is_ok_and(|again| again.len() == 1));
        }
    }
}
