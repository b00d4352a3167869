//! Sum, mean and standard deviation of what was filled, as far as the bins tell.

use crate::axis::{Axis, AxisKind, Interval};
use crate::histogram::Histogram;

/// What the bins say of the values along an axis. Underflow and overflow are left out, on all axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// The sum of the contents of the bins, `Σw`.
    pub sum: f64,
    /// The mean by the centres of the bins, `Σwc / Σw`, in the unit of the axis; NaN if the sum is zero.
    pub mean: f64,
    /// The standard deviation by the centres of the bins, `√(Σw(c − mean)² / Σw)`, in the unit of the axis; NaN where
    /// that is not defined.
    pub deviation: f64,
}

impl Histogram {
    /// The sum of the contents of all bins but underflow and overflow: entries or their weights; of a profile, those of
    /// its sample.
    pub fn sum(&self) -> f64 {
        self.inner_weights().into_iter().map(|(_, weight)| weight).sum()
    }

    /// Sum, mean and standard deviation along the axis of this number, by the centres of its bins: as boost-histogram has
    /// it, these are half-way between the edges, in the logarithm if the bins are of equal width in the logarithm. Nothing
    /// where there is no such axis, or one of categories.
    pub fn moments(&self, axis: usize) -> Option<Moments> {
        let centers: Vec<f64> = self.axes.get(axis).filter(|axis| axis.is_numeric()).map(centers)?;
        let mut sums = vec![0.0; centers.len()];
        for (index, weight) in self.inner_weights() {
            if let Some(sum) = index.get(axis).and_then(|&place| sums.get_mut(place)) {
                *sum += weight;
            }
        }
        let weighted =
            |of: &dyn Fn(f64) -> f64| sums.iter().zip(&centers).map(|(sum, &center)| sum * of(center)).sum::<f64>();
        let sum: f64 = sums.iter().sum();
        let mean = if sum == 0.0 { f64::NAN } else { weighted(&|center| center) / sum };
        let deviation = (weighted(&|center| (center - mean) * (center - mean)) / sum).sqrt();
        Some(Moments { sum, mean, deviation })
    }

    /// The bins within all axes in which something may be: their numbers along the axes, and contents.
    fn inner_weights(&self) -> Vec<(Vec<usize>, f64)> {
        let mut found = Vec::new();
        for bin in self.bins.kept() {
            let mut rest = bin;
            let mut index = Vec::with_capacity(self.axes.len());
            for axis in self.axes.iter().rev() {
                let place = (rest % axis.extent()).checked_sub(usize::from(axis.underflow()));
                index.extend(place.filter(|&place| place < axis.bins()));
                rest /= axis.extent();
            }
            if index.len() == self.axes.len() {
                index.reverse();
                found.push((index, self.bins.content(bin).weight()));
            }
        }
        found
    }
}

fn centers(axis: &Axis) -> Vec<f64> {
    let center = |place: usize| match (axis.interval(place as i64), axis.kind()) {
        (Interval::Range(low, high), AxisKind::Log { .. }) => low.sqrt() * high.sqrt(),
        (Interval::Range(low, high), _) => 0.5 * (low + high),
        _ => f64::NAN,
    };
    (0..axis.bins()).map(center).collect()
}
