//! Functions of particles' momenta, by name: what they take, what they give, and how they are computed over columns.

mod formulas;

use arrow_array::{ArrayRef, Datum};

use crate::align::Aligned;
use crate::error::{Error, Result};
use crate::formula::{Blocks, Formula, blocks, evaluate, evaluate_block};
use crate::values::{BLOCK, Values};

pub(crate) use formulas::{mass_squared, signed_root};

use formulas::{
    Boost, CosAngle, DeltaEta, DeltaPhi, DeltaR, FromCartesian, Mass, MassivePair, MasslessPair, Pseudorapidity,
    PseudorapidityOfTheta, Rapidity, RapidityOfPtEtaMass, ToCartesian, ToRestFrame, TransverseMass,
};

/// A function of momenta. All are computed in double precision and give double precision, whatever the arguments are.
///
/// Energies, momenta and masses have one unit, angles are in radians, the metric is (+, −, −, −). A mass is √|m²| with
/// the sign of m²: rounding can make that of light particles negative, and it is shown rather than hidden; a negative
/// mass as an argument means the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Function {
    /// `delta_phi(phi1, phi2)`: φ₁ − φ₂ in [−π, π).
    DeltaPhi,
    /// `delta_eta(eta1, eta2)`: η₁ − η₂.
    DeltaEta,
    /// `delta_r(eta1, phi1, eta2, phi2)`: √(Δη² + Δφ²).
    DeltaR,
    /// `transverse_mass(pt1, phi1, pt2, phi2)`: √(2 pT₁ pT₂ (1 − cos Δφ)).
    TransverseMass,
    /// `invariant_mass(pt1, eta1, phi1, pt2, eta2, phi2)`: √(2 pT₁ pT₂ (cosh Δη − cos Δφ)), of two particles whose masses
    /// are neglected. `invariant_mass(pt1, eta1, phi1, mass1, pt2, ...)`: that of two particles or more with masses.
    InvariantMass,
    /// `p4_sum(pt1, eta1, phi1, mass1, pt2, ...)`: the sum as `pt`, `eta`, `phi`, `mass`.
    Sum,
    /// `cartesian_mass(px1, py1, pz1, e1, ...)`: the mass of the sum of one momentum or more, √(E² − p²).
    CartesianMass,
    /// `to_cartesian(pt, eta, phi, mass)`: `px`, `py`, `pz`, `e`.
    ToCartesian,
    /// `to_pt_eta_phi_mass(px, py, pz, e)`: `pt`, `eta`, `phi`, `mass`.
    ToPtEtaPhiMass,
    /// `rapidity(pz, e)`: ½ ln((E + pz) / (E − pz)); NaN where |pz| is larger than E. `rapidity(pt, eta, mass)`: the same.
    Rapidity,
    /// `pseudorapidity(theta)`: −ln tan(θ/2). `pseudorapidity(px, py, pz)`: arsinh(pz / pT); 0 where pz is.
    Pseudorapidity,
    /// `boost(px, py, pz, e, bx, by, bz)`: the momentum seen from a frame in which the old one moves with velocity
    /// (bx, by, bz), in units of the speed of light, as `px`, `py`, `pz`, `e`; NaN for velocities from 1 on.
    Boost,
    /// `boost_to_rest(px, py, pz, e, px0, py0, pz0, e0)`: the momentum in the frame where the second one rests; NaN if the
    /// second has no mass.
    BoostToRest,
    /// `cos_angle(px1, py1, pz1, px2, py2, pz2)`: the cosine of the angle between two momenta; NaN where one vanishes.
    CosAngle,
}

const ONE: &[&str] = &["value"];
const CYLINDER: &[&str] = &["pt", "eta", "phi", "mass"];
const CARTESIAN: &[&str] = &["px", "py", "pz", "e"];

impl Function {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::DeltaPhi,
        Self::DeltaEta,
        Self::DeltaR,
        Self::TransverseMass,
        Self::InvariantMass,
        Self::Sum,
        Self::CartesianMass,
        Self::ToCartesian,
        Self::ToPtEtaPhiMass,
        Self::Rapidity,
        Self::Pseudorapidity,
        Self::Boost,
        Self::BoostToRest,
        Self::CosAngle,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeltaPhi => "delta_phi",
            Self::DeltaEta => "delta_eta",
            Self::DeltaR => "delta_r",
            Self::TransverseMass => "transverse_mass",
            Self::InvariantMass => "invariant_mass",
            Self::Sum => "p4_sum",
            Self::CartesianMass => "cartesian_mass",
            Self::ToCartesian => "to_cartesian",
            Self::ToPtEtaPhiMass => "to_pt_eta_phi_mass",
            Self::Rapidity => "rapidity",
            Self::Pseudorapidity => "pseudorapidity",
            Self::Boost => "boost",
            Self::BoostToRest => "boost_to_rest",
            Self::CosAngle => "cos_angle",
        }
    }

    /// The forms in which it can be called, in words: names of arguments, `...` where more of the same can follow.
    pub fn signatures(self) -> &'static [&'static str] {
        match self {
            Self::DeltaPhi => &["phi1, phi2"],
            Self::DeltaEta => &["eta1, eta2"],
            Self::DeltaR => &["eta1, phi1, eta2, phi2"],
            Self::TransverseMass => &["pt1, phi1, pt2, phi2"],
            Self::InvariantMass => {
                &["pt1, eta1, phi1, pt2, eta2, phi2", "pt1, eta1, phi1, mass1, pt2, eta2, phi2, mass2, ..."]
            }
            Self::Sum => &["pt1, eta1, phi1, mass1, ..."],
            Self::CartesianMass => &["px1, py1, pz1, e1, ..."],
            Self::ToCartesian => &["pt, eta, phi, mass"],
            Self::ToPtEtaPhiMass => &["px, py, pz, e"],
            Self::Rapidity => &["pz, e", "pt, eta, mass"],
            Self::Pseudorapidity => &["theta", "px, py, pz"],
            Self::Boost => &["px, py, pz, e, bx, by, bz"],
            Self::BoostToRest => &["px, py, pz, e, px0, py0, pz0, e0"],
            Self::CosAngle => &["px1, py1, pz1, px2, py2, pz2"],
        }
    }

    /// The members of the result if it is a struct; one name if it is a number.
    pub fn results(self) -> &'static [&'static str] {
        match self {
            Self::Sum | Self::ToPtEtaPhiMass => CYLINDER,
            Self::ToCartesian | Self::Boost | Self::BoostToRest => CARTESIAN,
            _ => ONE,
        }
    }

    /// Whether it can be called with so many arguments.
    pub fn takes(self, arguments: usize) -> bool {
        match self {
            Self::DeltaPhi | Self::DeltaEta => arguments == 2,
            Self::DeltaR | Self::TransverseMass | Self::ToCartesian | Self::ToPtEtaPhiMass => arguments == 4,
            Self::InvariantMass => arguments == 6 || arguments >= 8 && arguments.is_multiple_of(4),
            Self::Sum | Self::CartesianMass => arguments >= 4 && arguments.is_multiple_of(4),
            Self::Rapidity => arguments == 2 || arguments == 3,
            Self::Pseudorapidity => arguments == 1 || arguments == 3,
            Self::Boost => arguments == 7,
            Self::BoostToRest => arguments == 8,
            Self::CosAngle => arguments == 6,
        }
    }

    /// Over arrays of numbers, lists of numbers and constants in any mixture.
    ///
    /// If an argument is a list, so is the result: a number per row counts for each element of the row's lists, and the
    /// lists must be of equal lengths. A row is null if one of its arguments is null, an element if one of its numbers is.
    pub fn evaluate(self, arguments: &[&dyn Datum]) -> Result<ArrayRef> {
        self.check(arguments.len())?;
        let aligned = Aligned::new(arguments)?;
        let results = self.compute(&aligned.values()?, aligned.length())?;
        aligned.finish(results, self.results())
    }

    /// Over plain numbers: one vector of values for each of [`results`](Self::results), of one value if all arguments are
    /// constant.
    pub fn evaluate_values(self, arguments: &[Values<'_>]) -> Result<Vec<Vec<f64>>> {
        self.check(arguments.len())?;
        let mut length = None;
        for (argument, values) in (1..).zip(arguments) {
            if let Some(found) = values.len() {
                let expected = *length.get_or_insert(found);
                if found != expected {
                    return Err(Error::Rows { argument, found, expected });
                }
            }
        }
        self.compute(arguments, length.unwrap_or(1))
    }

    fn check(self, arguments: usize) -> Result<()> {
        if self.takes(arguments) { Ok(()) } else { Err(self.wrong_number(arguments)) }
    }

    fn wrong_number(self, found: usize) -> Error {
        let expected = self.signatures().iter().map(|s| format!("({s})")).collect::<Vec<_>>().join(" or ");
        Error::Arguments { function: self.name(), expected, found }
    }

    fn compute(self, arguments: &[Values<'_>], length: usize) -> Result<Vec<Vec<f64>>> {
        let results = match self {
            Self::DeltaPhi => run::<DeltaPhi, 2, 1>(arguments, length),
            Self::DeltaEta => run::<DeltaEta, 2, 1>(arguments, length),
            Self::DeltaR => run::<DeltaR, 4, 1>(arguments, length),
            Self::TransverseMass => run::<TransverseMass, 4, 1>(arguments, length),
            Self::InvariantMass => match arguments.len() {
                6 => run::<MasslessPair, 6, 1>(arguments, length),
                8 => run::<MassivePair, 8, 1>(arguments, length),
                _ => Some(sum::<Mass, 1>(arguments, length, true)),
            },
            Self::Sum => Some(sum::<FromCartesian, 4>(arguments, length, true)),
            Self::CartesianMass => Some(sum::<Mass, 1>(arguments, length, false)),
            Self::ToCartesian => run::<ToCartesian, 4, 4>(arguments, length),
            Self::ToPtEtaPhiMass => run::<FromCartesian, 4, 4>(arguments, length),
            Self::Rapidity => match arguments.len() {
                2 => run::<Rapidity, 2, 1>(arguments, length),
                _ => run::<RapidityOfPtEtaMass, 3, 1>(arguments, length),
            },
            Self::Pseudorapidity => match arguments.len() {
                1 => run::<PseudorapidityOfTheta, 1, 1>(arguments, length),
                _ => run::<Pseudorapidity, 3, 1>(arguments, length),
            },
            Self::Boost => run::<Boost, 7, 4>(arguments, length),
            Self::BoostToRest => run::<ToRestFrame, 8, 4>(arguments, length),
            Self::CosAngle => run::<CosAngle, 6, 1>(arguments, length),
        };
        results.ok_or_else(|| self.wrong_number(arguments.len()))
    }
}

/// Momenta `pt`, `eta`, `phi`, `mass` as `px`, `py`, `pz`, `e`.
pub(crate) fn to_cartesian(arguments: [&Values<'_>; 4], length: usize) -> [Vec<f64>; 4] {
    evaluate::<ToCartesian, 4, 4>(arguments, length)
}

/// Momenta `px`, `py`, `pz`, `e` as `pt`, `eta`, `phi`, `mass`.
pub(crate) fn from_cartesian(arguments: [&Values<'_>; 4], length: usize) -> [Vec<f64>; 4] {
    evaluate::<FromCartesian, 4, 4>(arguments, length)
}

/// A formula over arguments; `None` if there are more or fewer than it takes.
fn run<F: Formula<IN, OUT>, const IN: usize, const OUT: usize>(
    arguments: &[Values<'_>],
    length: usize,
) -> Option<Vec<Vec<f64>>> {
    let arguments: &[Values<'_>; IN] = arguments.try_into().ok()?;
    Some(evaluate::<F, IN, OUT>(arguments.each_ref(), length).into())
}

/// A formula of the sum of momenta, each given by four arguments.
fn sum<F: Formula<4, OUT>, const OUT: usize>(
    arguments: &[Values<'_>],
    length: usize,
    cylindrical: bool,
) -> Vec<Vec<f64>> {
    let mut results: Vec<Vec<f64>> = (0..OUT).map(|_| Vec::with_capacity(length)).collect();
    let (mut given, mut momentum, mut outputs) = (blocks::<4>(), blocks::<4>(), blocks::<OUT>());
    for start in (0..length).step_by(BLOCK) {
        let mut total: Box<Blocks<4>> = blocks();
        for particle in arguments.as_chunks::<4>().0 {
            particle.iter().zip(given.iter_mut()).for_each(|(values, block)| values.load(start, block));
            if cylindrical {
                evaluate_block::<ToCartesian, 4, 4>(&given, &mut momentum);
            } else {
                momentum.copy_from_slice(&given[..]);
            }
            for (total, more) in total.iter_mut().flatten().zip(momentum.iter().flatten()) {
                *total += more;
            }
        }
        evaluate_block::<F, 4, OUT>(&total, &mut outputs);
        for (result, block) in results.iter_mut().zip(outputs.iter()) {
            result.extend(block.iter().take(length - start));
        }
    }
    results
}
