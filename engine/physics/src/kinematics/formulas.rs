//! The formulas. Energies, momenta and masses have one unit, angles are in radians, the metric is (+, −, −, −).

use crate::elementary::{Math, fma};
use crate::formula::Formula;

macro_rules! formulas {
    ($($(#[$doc:meta])* $name:ident($math:ident, [$($argument:ident),+]) -> $results:literal $body:block)+) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl Formula<{ [$(stringify!($argument)),+].len() }, $results> for $name {
            #[inline(always)]
            fn evaluate<M: Math>($math: &mut M, [$($argument),+]: [f64; { [$(stringify!($argument)),+].len() }]) -> [f64; $results] $body
        }
    )+};
}

formulas! {
    DeltaPhi(math, [phi1, phi2]) -> 1 {
        [math.wrap(phi1 - phi2)]
    }

    DeltaEta(_math, [eta1, eta2]) -> 1 {
        [eta1 - eta2]
    }

    DeltaR(math, [eta1, phi1, eta2, phi2]) -> 1 {
        let (eta, phi) = (eta1 - eta2, math.wrap(phi1 - phi2));
        [fma(eta, eta, phi * phi).sqrt()]
    }

    /// 1 − cos Δφ = 2 sin²(Δφ/2), which loses nothing where the angle is small.
    TransverseMass(math, [pt1, phi1, pt2, phi2]) -> 1 {
        let (sin, _) = math.sin_cos(0.5 * (phi1 - phi2));
        [2.0 * (pt1 * pt2).sqrt() * sin.abs()]
    }

    /// cosh Δη − cos Δφ = 2 (sinh²(Δη/2) + sin²(Δφ/2)), which loses nothing where the angles are small.
    MasslessPair(math, [pt1, eta1, phi1, pt2, eta2, phi2]) -> 1 {
        [2.0 * (pt1 * pt2 * opening(math, eta1 - eta2, phi1 - phi2)).sqrt()]
    }

    /// m² = m₁² + m₂² + 2 (E₁E₂ − |p₁||p₂|) + 2 (|p₁||p₂| − p₁·p₂). Both brackets are written as sums of what is not
    /// negative, so that light and collinear particles lose no digits.
    MassivePair(math, [pt1, eta1, phi1, mass1, pt2, eta2, phi2, mass2]) -> 1 {
        let z1 = pt1 * math.sinh(eta1);
        let z2 = pt2 * math.sinh(eta2);
        let (p1, p2) = (fma(z1, z1, pt1 * pt1), fma(z2, z2, pt2 * pt2));
        let (square1, square2) = (at_least(-p1, signed_square(mass1)), at_least(-p2, signed_square(mass2)));
        let product = (p1 * p2).sqrt();
        let energies = ((p1 + square1) * (p2 + square2)).sqrt() + product;
        let excess = fma(p1, square2, fma(p2, square1, square1 * square2)) / energies;
        let excess = if energies == 0.0 { 0.0 } else { excess };
        let angular = 2.0 * pt1 * pt2 * opening(math, eta1 - eta2, phi1 - phi2);
        [signed_root(fma(2.0, excess + angular, square1 + square2))]
    }

    ToCartesian(math, [pt, eta, phi, mass]) -> 4 {
        let (sin, cos) = math.sin_cos(phi);
        let z = pt * math.sinh(eta);
        let square = fma(z, z, pt * pt) + signed_square(mass);
        [pt * cos, pt * sin, z, at_least(0.0, square).sqrt()]
    }

    FromCartesian(_math, [px, py, pz, e]) -> 4 {
        let pt = fma(px, px, py * py).sqrt();
        [pt, eta_of(pt, pz), py.atan2(px), signed_root(mass_squared(px, py, pz, e))]
    }

    Mass(_math, [px, py, pz, e]) -> 1 {
        [signed_root(mass_squared(px, py, pz, e))]
    }

    Rapidity(_math, [pz, e]) -> 1 {
        let ratio = pz / ((e - pz) * (e + pz)).sqrt();
        [if pz == 0.0 { 0.0 } else { ratio.asinh() }]
    }

    RapidityOfPtEtaMass(math, [pt, eta, mass]) -> 1 {
        let z = pt * math.sinh(eta);
        [if z == 0.0 { 0.0 } else { (z / (fma(pt, pt, signed_square(mass))).sqrt()).asinh() }]
    }

    /// −ln tan(θ/2) = arsinh(cot θ), which loses nothing where the angle is nearly a right one.
    PseudorapidityOfTheta(math, [theta]) -> 1 {
        let (sin, cos) = math.sin_cos(theta);
        [(cos / sin).asinh()]
    }

    Pseudorapidity(_math, [px, py, pz]) -> 1 {
        [eta_of(fma(px, px, py * py).sqrt(), pz)]
    }

    Boost(_math, [px, py, pz, e, bx, by, bz]) -> 4 {
        let square = fma(bx, bx, fma(by, by, bz * bz));
        let gamma = 1.0 / (1.0 - square).sqrt();
        let along = fma(bx, px, fma(by, py, bz * pz));
        let k = gamma * fma(gamma / (1.0 + gamma), along, e);
        [fma(k, bx, px), fma(k, by, py), fma(k, bz, pz), gamma * (e + along)]
    }

    /// E' = (E E₀ − p·p₀) / m₀ and p' = p − p₀ (E + E') / (E₀ + m₀), without the difference 1 − β² of fast frames.
    ToRestFrame(_math, [px, py, pz, e, px0, py0, pz0, e0]) -> 4 {
        let mass = mass_squared(px0, py0, pz0, e0).sqrt();
        let energy = (e * e0 - fma(px, px0, fma(py, py0, pz * pz0))) / mass;
        let k = -(e + energy) / (e0 + mass);
        [fma(k, px0, px), fma(k, py0, py), fma(k, pz0, pz), energy]
    }

    CosAngle(_math, [px1, py1, pz1, px2, py2, pz2]) -> 1 {
        let dot = fma(px1, px2, fma(py1, py2, pz1 * pz2));
        let square1 = fma(px1, px1, fma(py1, py1, pz1 * pz1));
        let square2 = fma(px2, px2, fma(py2, py2, pz2 * pz2));
        let ratio = dot / (square1.sqrt() * square2.sqrt());
        [ratio.clamp(-1.0, 1.0)]
    }
}

/// (cosh η − cos φ) / 2.
#[inline(always)]
fn opening<M: Math>(math: &mut M, eta: f64, phi: f64) -> f64 {
    let (sin, _) = math.sin_cos(0.5 * phi);
    let sinh = math.sinh(0.5 * eta);
    fma(sinh, sinh, sin * sin)
}

/// The value, or the bound that it is below. NaN stays NaN, where `f64::max` would give the bound.
#[inline(always)]
fn at_least(bound: f64, value: f64) -> f64 {
    if value < bound { bound } else { value }
}

/// m² with the sign of m: a negative mass stands for a space-like vector.
#[inline(always)]
fn signed_square(mass: f64) -> f64 {
    mass * mass.abs()
}

/// √|m²| with the sign of m².
#[inline(always)]
pub(crate) fn signed_root(square: f64) -> f64 {
    square.abs().sqrt().copysign(square)
}

/// E² − p².
#[inline(always)]
pub(crate) fn mass_squared(px: f64, py: f64, pz: f64, e: f64) -> f64 {
    e * e - fma(px, px, fma(py, py, pz * pz))
}

#[inline(always)]
fn eta_of(pt: f64, pz: f64) -> f64 {
    if pz == 0.0 { 0.0 } else { (pz / pt).asinh() }
}
