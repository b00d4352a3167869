//! The queries as loops over columns, for the bound and for checking what the scan reads.

use std::f64::consts::{PI, TAU};
use std::ops::Range;

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
    /// Of each collection of the query, where each entry's elements begin, and the end of the last.
    pub offsets: Vec<&'a [i32]>,
}

/// Fills the histogram of a query.
pub fn fill(query: &str, block: &Block<'_>, histogram: &mut Histogram) {
    let f = &block.floats;
    let range = |row: usize| elements(block.offsets[0], row);
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
        "q5" => {
            let charge = block.integers[0];
            for row in 0..block.rows {
                let muons = range(row);
                let is_z = |a: usize, b: usize| {
                    let pt = 2.0 * f64::from(f[0][a]) * f64::from(f[0][b]);
                    let (eta, phi) = (f64::from(f[1][a]) - f64::from(f[1][b]), f64::from(f[2][a]) - f64::from(f[2][b]));
                    charge[a] != charge[b] && (3600.0..=14400.0).contains(&(pt * (eta.cosh() - phi.cos())))
                };
                if muons.clone().any(|a| (a + 1..muons.end).any(|b| is_z(a, b))) {
                    histogram.fill(f64::from(f[3][row]));
                }
            }
        }
        "q6" => trijets(block, |best, _, p| {
            let [x, y] = [0, 1].map(|k| best.iter().map(|&jet| p[jet][k]).sum::<f64>());
            histogram.fill((x * x + y * y).sqrt());
        }),
        "q6b" => trijets(block, |best, first, _| {
            let largest = best.iter().map(|jet| f[4][first + jet]).fold(f32::NEG_INFINITY, f32::max);
            histogram.fill(f64::from(largest));
        }),
        "q7" => isolated_jets(block, histogram),
        "q8" => third_lepton(block, histogram),
        "dimuon" => {
            let charge = block.integers[0];
            for row in 0..block.rows {
                let muons = range(row);
                let (a, b) = (muons.start, muons.start + 1);
                if muons.len() == 2 && charge[a] != charge[b] {
                    let momentum = |i: usize| cartesian(f[0][i], f[1][i], f[2][i], f[3][i]);
                    histogram.fill(mass_squared(&[momentum(a), momentum(b)]).max(0.0).sqrt());
                }
            }
        }
        other => panic!("no loop for {other}"),
    }
}

/// Q6: of each entry with three jets or more, those three whose mass is nearest to 172.5, where its jets begin, and the
/// momenta of all its jets.
fn trijets(block: &Block<'_>, mut each: impl FnMut([usize; 3], usize, &[[f64; 4]])) {
    let f = &block.floats;
    let mut jets: Vec<[f64; 4]> = Vec::new();
    for row in 0..block.rows {
        let range = elements(block.offsets[0], row);
        if range.len() < 3 {
            continue;
        }
        let first = range.start;
        jets.clear();
        jets.extend(range.map(|i| cartesian(f[0][i], f[1][i], f[2][i], f[3][i])));
        let (mut nearest, mut best) = (f64::INFINITY, [0; 3]);
        for i in 0..jets.len() {
            for j in i + 1..jets.len() {
                let [x, y, z, e] = std::array::from_fn(|k| jets[i][k] + jets[j][k]);
                for (k, jet) in jets.iter().enumerate().skip(j + 1) {
                    let (x, y, z, e) = (x + jet[0], y + jet[1], z + jet[2], e + jet[3]);
                    let distance = ((e * e - x * x - y * y - z * z).max(0.0).sqrt() - 172.5).abs();
                    if distance < nearest {
                        (nearest, best) = (distance, [i, j, k]);
                    }
                }
            }
        }
        each(best, first, &jets);
    }
}

/// Q7: the sum of the transverse momenta of jets above 30 that have no lepton above 10 within 0.4.
fn isolated_jets(block: &Block<'_>, histogram: &mut Histogram) {
    let f = &block.floats;
    let mut leptons: Vec<(f64, f64)> = Vec::new();
    for row in 0..block.rows {
        leptons.clear();
        for (collection, at) in [(1, 3), (2, 6)] {
            let hard = elements(block.offsets[collection], row).filter(|&i| f[at][i] > 10.0);
            leptons.extend(hard.map(|i| (f64::from(f[at + 1][i]), f64::from(f[at + 2][i]))));
        }
        let (mut sum, mut jets) = (0.0, 0);
        for jet in elements(block.offsets[0], row).filter(|&jet| f[0][jet] > 30.0) {
            let (eta, phi) = (f64::from(f[1][jet]), f64::from(f[2][jet]));
            let is_near = |&(lepton_eta, lepton_phi): &(f64, f64)| {
                // Angles of reconstructed particles lie between -π and π.
                let turned = (phi - lepton_phi).abs();
                let (eta, phi) = (eta - lepton_eta, if turned > PI { TAU - turned } else { turned });
                eta * eta + phi * phi < 0.4 * 0.4
            };
            if !leptons.iter().any(is_near) {
                sum += f64::from(f[0][jet]);
                jets += 1;
            }
        }
        if jets > 0 {
            histogram.fill(sum);
        }
    }
}

/// Q8: the transverse mass of the missing momentum and the hardest lepton outside the pair nearest to the Z.
fn third_lepton(block: &Block<'_>, histogram: &mut Histogram) {
    let (f, charges) = (&block.floats, &block.integers);
    let mut leptons: Vec<([f64; 4], i32, usize, f32, f32)> = Vec::new();
    for row in 0..block.rows {
        let ranges = [0, 1].map(|flavour| elements(block.offsets[flavour], row));
        if ranges.iter().map(ExactSizeIterator::len).sum::<usize>() < 3 {
            continue;
        }
        leptons.clear();
        for (flavour, range) in ranges.into_iter().enumerate() {
            let at = 4 * flavour;
            leptons.extend(range.map(|i| {
                let momentum = cartesian(f[at][i], f[at + 1][i], f[at + 2][i], f[at + 3][i]);
                (momentum, charges[flavour][i], flavour, f[at][i], f[at + 2][i])
            }));
        }
        let (mut nearest, mut best) = (f64::INFINITY, None);
        for (i, a) in leptons.iter().enumerate() {
            for (j, b) in leptons.iter().enumerate().skip(i + 1).filter(|(_, b)| a.2 == b.2 && a.1 != b.1) {
                let distance = (mass_squared(&[a.0, b.0]).max(0.0).sqrt() - 91.2).abs();
                if distance < nearest {
                    (nearest, best) = (distance, Some((i, j)));
                }
            }
        }
        let Some((i, j)) = best else { continue };
        let others = leptons.iter().enumerate().filter(|(k, _)| *k != i && *k != j).map(|(_, lepton)| lepton);
        if let Some(hardest) = others.reduce(|a, b| if b.3 > a.3 { b } else { a }) {
            let angle = f64::from(f[9][row]) - f64::from(hardest.4);
            histogram.fill((2.0 * f64::from(f[8][row]) * f64::from(hardest.3) * (1.0 - angle.cos())).sqrt());
        }
    }
}

fn elements(offsets: &[i32], row: usize) -> Range<usize> {
    offsets[row] as usize..offsets[row + 1] as usize
}

fn mass_squared(momenta: &[[f64; 4]]) -> f64 {
    let [x, y, z, e] = std::array::from_fn(|k| momenta.iter().map(|p| p[k]).sum::<f64>());
    e * e - x * x - y * y - z * z
}

fn cartesian(pt: f32, eta: f32, phi: f32, mass: f32) -> [f64; 4] {
    let (pt, eta, phi, mass) = (f64::from(pt), f64::from(eta), f64::from(phi), f64::from(mass));
    let (sin, cos) = phi.sin_cos();
    let grown = eta.exp();
    let z = pt * 0.5 * (grown - 1.0 / grown);
    [pt * cos, pt * sin, z, (pt * pt + z * z + mass * mass).sqrt()]
}
