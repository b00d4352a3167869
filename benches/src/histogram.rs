//! A histogram of bins of one width, with what lies below and above.

/// Counts per bin; the first is what lies below the range, the last what lies above.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    low: f64,
    bins_per_unit: f64,
    counts: Vec<u64>,
}

impl Histogram {
    /// An empty histogram of `bins` bins between `low` and `high`.
    pub fn new(low: f64, high: f64, bins: usize) -> Self {
        Self { low, bins_per_unit: bins as f64 / (high - low), counts: vec![0; bins + 2] }
    }

    /// Counts one value.
    #[inline(always)]
    pub fn fill(&mut self, value: f64) {
        // Truncation is enough above zero, and what is below saturates there.
        let at = ((value - self.low) * self.bins_per_unit + 1.0) as usize;
        let at = if value < self.low { 0 } else { at.min(self.counts.len() - 1) };
        self.counts[at] += 1;
    }

    /// Adds `count` values of the bin `floor((value - low) / width)`.
    pub fn add(&mut self, bin: f64, count: u64) {
        let last = self.counts.len() - 1;
        self.counts[(bin + 1.0).clamp(0.0, last as f64) as usize] += count;
    }

    /// Adds the counts of another histogram of the same shape.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
    }

    /// Number of values.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Bins that are not empty, counted from 0 for what lies below, and their counts.
    pub fn filled(&self) -> Vec<(usize, u64)> {
        self.counts.iter().copied().enumerate().filter(|(_, n)| *n > 0).collect()
    }

    /// How many values the other histogram has in other bins. A value on the edge between two bins may fall on either
    /// side where the sums are rounded differently; a real difference moves many values.
    pub fn moved(&self, other: &Self) -> u64 {
        self.counts.iter().zip(&other.counts).map(|(a, b)| a.abs_diff(*b)).sum::<u64>().div_ceil(2)
    }
}
