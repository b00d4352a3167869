//! The queries as loops over columns, for the bound and for checking what the scan reads.

use crate::histogram::Histogram;

/// Columns of some entries, in the order of the query's columns, floats and integers apart.
#[derive(Debug, Default)]
pub struct Block<'a> {
    /// Number of entries.
    pub rows: usize,
    /// Values of the columns of floats.
    pub floats: Vec<&'a [f32]>,
    /// Values of the columns of integers.
    pub integers: Vec<&'a [i32]>,
    /// Where each entry's jets or muons begin, and the end of the last; empty if the query does not ask.
    pub offsets: &'a [i32],
}

/// Fills the histogram of a query.
pub fn fill(query: &str, block: &Block<'_>, histogram: &mut Histogram) {
    let f = &block.floats;
    let range = |row: usize| block.offsets[row] as usize..block.offsets[row + 1] as usize;
    match query {
        "q1" | "q2" => f[0].iter().for_each(|v| histogram.fill(f64::from(*v))),
        "q3" => {
            for (pt, _) in f[0].iter().zip(f[1]).filter(|(_, eta)| eta.abs() < 1.0) {
                histogram.fill(f64::from(*pt));
            }
        }
        "q4" => {
            for row in 0..block.rows {
                let jets: u32 = f[0][range(row)].iter().map(|pt| u32::from(*pt > 40.0)).sum();
                if jets > 1 {
                    histogram.fill(f64::from(f[1][row]));
                }
            }
        }
        "dimuon" => {
            let charge = block.integers[0];
            for row in 0..block.rows {
                let muons = range(row);
                let (a, b) = (muons.start, muons.start + 1);
                if muons.len() == 2 && charge[a] != charge[b] {
                    let momentum = |i: usize| cartesian(f[0][i], f[1][i], f[2][i], f[3][i]);
                    let (p, q) = (momentum(a), momentum(b));
                    let [x, y, z, e] = std::array::from_fn(|k| p[k] + q[k]);
                    histogram.fill((e * e - x * x - y * y - z * z).max(0.0).sqrt());
                }
            }
        }
        other => panic!("no loop for {other}"),
    }
}

/// Whether the loop of a query needs to know which values belong to which entry.
pub fn needs_offsets(query: &str) -> bool {
    matches!(query, "q4" | "dimuon")
}

fn cartesian(pt: f32, eta: f32, phi: f32, mass: f32) -> [f64; 4] {
    let (pt, eta, phi, mass) = (f64::from(pt), f64::from(eta), f64::from(phi), f64::from(mass));
    let (sin, cos) = phi.sin_cos();
    let grown = eta.exp();
    let z = pt * 0.5 * (grown - 1.0 / grown);
    [pt * cos, pt * sin, z, (pt * pt + z * z + mass * mass).sqrt()]
}
