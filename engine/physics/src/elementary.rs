//! Sine, cosine and hyperbolic sine without branches or calls, so that loops over them become vector instructions.
//! They are Taylor series on a reduced argument, right to 2 units in the last place; what lies outside their range is
//! noted, and `formula` computes it once more with the standard library.

use std::f64::consts::FRAC_2_PI;

/// The functions that a formula may use.
pub(crate) trait Math {
    /// Sine and cosine.
    fn sin_cos(&mut self, x: f64) -> (f64, f64);
    /// Hyperbolic sine.
    fn sinh(&mut self, x: f64) -> f64;
    /// Reduces an angle to [−π, π), exactly as the remainder of `x + π` by 2π, less π.
    fn wrap(&mut self, x: f64) -> f64;
}

/// The fast functions. A formula whose arguments leave their range has a wrong result, and this is noted.
#[derive(Default)]
pub(crate) struct Fast {
    outside: u64,
}

impl Fast {
    /// Whether a result of this instance is wrong.
    pub(crate) fn left_range(&self) -> bool {
        self.outside != 0
    }

    #[inline(always)]
    fn require(&mut self, inside: bool) {
        self.outside |= u64::from(!inside);
    }
}

/// The functions of the standard library, for any argument.
pub(crate) struct Exact;

/// Up to here products with the pieces of π/2 below are exact.
const ANGLE_LIMIT: f64 = 1_048_576.0;
/// Up to here e^x is a normal number.
const SINH_LIMIT: f64 = 708.0;
/// Adding it rounds to an integer, whose lowest bits are then those of the sum.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// π/2 in pieces of 33 bits, and the rest.
const HALF_PI: [f64; 4] =
    [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_711_166_5e-21, 8.478_427_660_368_9e-32];
/// ln 2 in a piece of 32 bits, and the rest.
const LN_2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];

/// 1/3!, 1/5!, ... with alternating signs: sin x = x + x³ p(x²).
const SIN: [f64; 8] = [
    -1.0 / 6.0,
    1.0 / 120.0,
    -1.0 / 5_040.0,
    1.0 / 362_880.0,
    -1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 1_307_674_368_000.0,
    1.0 / 355_687_428_096_000.0,
];
/// 1/4!, 1/6!, ... with alternating signs: cos x = 1 − x²/2 + x⁴ p(x²).
const COS: [f64; 7] = [
    1.0 / 24.0,
    -1.0 / 720.0,
    1.0 / 40_320.0,
    -1.0 / 3_628_800.0,
    1.0 / 479_001_600.0,
    -1.0 / 87_178_291_200.0,
    1.0 / 20_922_789_888_000.0,
];
/// 1/3!, 1/5!, ...: sinh x = x + x³ p(x²).
const SINH: [f64; 8] = [
    1.0 / 6.0,
    1.0 / 120.0,
    1.0 / 5_040.0,
    1.0 / 362_880.0,
    1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    1.0 / 1_307_674_368_000.0,
    1.0 / 355_687_428_096_000.0,
];
/// 1/2!, 1/3!, ...: e^x = 1 + x + x² p(x).
const EXP: [f64; 12] = [
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5_040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
];

/// a b + c, fused where the processor can. Elsewhere a call for each would cost more than all the rest.
#[inline(always)]
pub(crate) fn fma(a: f64, b: f64, c: f64) -> f64 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| fma(sum, x, *c))
}

#[inline(always)]
fn choose(condition: bool, yes: f64, no: f64) -> f64 {
    if condition { yes } else { no }
}

impl Math for Fast {
    #[inline(always)]
    fn sin_cos(&mut self, x: f64) -> (f64, f64) {
        self.require(x.abs() <= ANGLE_LIMIT);
        let rounded = fma(x, FRAC_2_PI, ROUND);
        let (turns, quadrant) = (rounded - ROUND, rounded.to_bits());
        // The first three products are exact; what their differences lose is kept in `low`.
        let first = x - turns * HALF_PI[0];
        let b = turns * HALF_PI[1];
        let second = first - b;
        let c = turns * HALF_PI[2];
        let third = second - c;
        let lost = ((first - second) - b) + ((second - third) - c);
        let low = lost - turns * HALF_PI[3];
        let r = third + low;
        let low = (third - r) + low;
        let z = r * r;
        let sin = r + fma(r * z, polynomial(&SIN, z), low);
        let half = 0.5 * z;
        let w = 1.0 - half;
        let cos = w + (((1.0 - w) - half) + fma(z * z, polynomial(&COS, z), -(r * low)));
        let odd = quadrant & 1 != 0;
        let sign = |q: u64| (q & 2) << 62;
        let (s, c) = (choose(odd, cos, sin), choose(odd, sin, cos));
        let flip = |v: f64, sign: u64| f64::from_bits(v.to_bits() ^ sign);
        // The sum would lose the sign of −0.
        let s = choose(x == 0.0, x, flip(s, sign(quadrant)));
        (s, flip(c, sign(quadrant.wrapping_add(1))))
    }

    #[inline(always)]
    fn sinh(&mut self, x: f64) -> f64 {
        let a = x.abs();
        self.require(a <= SINH_LIMIT);
        let z = x * x;
        let small = fma(x * z, polynomial(&SINH, z), x);
        let rounded = fma(a, std::f64::consts::LOG2_E, ROUND);
        let power = rounded - ROUND;
        let r = (a - power * LN_2[0]) - power * LN_2[1];
        let mantissa = 1.0 + fma(r * r, polynomial(&EXP, r), r);
        // Half of e^a, the power of two put together from its bits.
        let half = mantissa * f64::from_bits(rounded.to_bits().wrapping_add(1022) << 52);
        let large = (half - 0.25 / half).copysign(x);
        choose(a < 1.0, small, large)
    }

    #[inline(always)]
    fn wrap(&mut self, x: f64) -> f64 {
        let shifted = x + std::f64::consts::PI;
        self.require((-std::f64::consts::TAU..2.0 * std::f64::consts::TAU).contains(&shifted));
        let low = shifted + choose(shifted < 0.0, std::f64::consts::TAU, 0.0);
        to_half_open(low - choose(low >= std::f64::consts::TAU, std::f64::consts::TAU, 0.0))
    }
}

/// From [0, 2π) to [−π, π).
#[inline(always)]
fn to_half_open(x: f64) -> f64 {
    x - std::f64::consts::PI
}

impl Math for Exact {
    fn sin_cos(&mut self, x: f64) -> (f64, f64) {
        x.sin_cos()
    }

    fn sinh(&mut self, x: f64) -> f64 {
        x.sinh()
    }

    fn wrap(&mut self, x: f64) -> f64 {
        let remainder = (x + std::f64::consts::PI).rem_euclid(std::f64::consts::TAU);
        to_half_open(choose(remainder >= std::f64::consts::TAU, 0.0, remainder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units of the last place, through zero too.
    fn ulps(a: f64, b: f64) -> u64 {
        if a.is_nan() && b.is_nan() {
            return 0;
        }
        let order = |v: f64| {
            let bits = v.to_bits() as i64;
            if bits < 0 { i64::MIN - bits } else { bits }
        };
        order(a).abs_diff(order(b))
    }

    /// Arguments of every size up to `limit`, both signs: evenly spaced, logarithmically spaced, and awkward ones.
    fn samples(limit: f64) -> impl Iterator<Item = f64> {
        let n = 400_000;
        let even = (0..n).map(move |i| limit.min(8.0) * f64::from(i) / f64::from(n));
        let wide = (0..n).map(move |i| limit * (f64::from(i) + 0.37) / f64::from(n));
        let tiny = (0..n).map(move |i| 10f64.powf(-320.0 + f64::from(i) / f64::from(n) * (320.0 + limit.log10())));
        even.chain(wide).chain(tiny).flat_map(|x| [x, -x]).filter(move |x| x.abs() <= limit)
    }

    fn worst(limit: f64, ours: impl Fn(f64) -> f64, theirs: impl Fn(f64) -> f64) -> (u64, f64) {
        samples(limit).map(|x| (ulps(ours(x), theirs(x)), x)).max_by_key(|(distance, _)| *distance).unwrap()
    }

    #[test]
    fn sine_and_cosine_are_right_to_two_units_in_the_last_place() {
        for limit in [std::f64::consts::TAU, 1000.0, ANGLE_LIMIT] {
            let (sine, at) = worst(limit, |x| Fast::default().sin_cos(x).0, f64::sin);
            assert!(sine <= 2, "sine of {at:e}: {sine}");
            let (cosine, at) = worst(limit, |x| Fast::default().sin_cos(x).1, f64::cos);
            assert!(cosine <= 2, "cosine of {at:e}: {cosine}");
        }
    }

    #[test]
    fn sine_is_right_next_to_multiples_of_pi() {
        for k in 1..600_000 {
            let near = f64::from(k) * std::f64::consts::FRAC_PI_2;
            for x in [near, near.next_up(), near.next_down(), -near] {
                let (s, c) = Fast::default().sin_cos(x);
                assert!(
                    ulps(s, x.sin()) <= 2 && ulps(c, x.cos()) <= 2,
                    "{x:e}: {s:e} {c:e}, {:e} {:e}",
                    x.sin(),
                    x.cos()
                );
            }
        }
    }

    #[test]
    fn hyperbolic_sine_is_right_to_two_units_in_the_last_place() {
        for limit in [1.0, 10.0, SINH_LIMIT] {
            let (distance, at) = worst(limit, |x| Fast::default().sinh(x), f64::sinh);
            assert!(distance <= 2, "sinh {at:e}: {distance}");
        }
    }

    #[test]
    fn what_is_outside_the_range_of_the_fast_functions_is_noted() {
        for x in [f64::NAN, f64::INFINITY, -f64::INFINITY, 1.1e6, -1e300] {
            let mut math = Fast::default();
            math.sin_cos(x);
            assert!(math.left_range(), "sin {x}");
            let mut math = Fast::default();
            math.sinh(x);
            assert!(math.left_range(), "sinh {x}");
            let mut math = Fast::default();
            math.wrap(x);
            assert!(math.left_range(), "wrap {x}");
        }
        let mut math = Fast::default();
        for x in [0.0, -0.0, f64::MIN_POSITIVE, 5e-324, 3.0] {
            math.sin_cos(x);
            math.sinh(x);
            math.wrap(x);
        }
        assert!(!math.left_range());
    }

    #[test]
    fn zero_keeps_its_sign() {
        assert_eq!(Fast::default().sin_cos(-0.0).0.to_bits(), (-0.0f64).to_bits());
        assert_eq!(Fast::default().sinh(-0.0).to_bits(), (-0.0f64).to_bits());
        assert_eq!(Fast::default().sin_cos(0.0), (0.0, 1.0));
    }

    #[test]
    fn angles_are_wrapped_alike_by_both_and_never_reach_pi() {
        let mut math = Fast::default();
        let pi = std::f64::consts::PI;
        for x in samples(9.0).chain([pi, -pi, pi.next_up(), pi.next_down(), (-pi).next_down(), (-pi).next_up()]) {
            let (fast, exact) = (math.wrap(x), Exact.wrap(x));
            assert_eq!(fast.to_bits(), exact.to_bits(), "{x:e}");
            assert!((-pi..pi).contains(&fast), "{x:e}: {fast:e}");
        }
        assert!(!math.left_range());
        assert_eq!(Exact.wrap(pi), -pi);
    }
}
