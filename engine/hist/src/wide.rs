//! Numbers of twice the precision, as unevaluated sums of two, for the differences that variances are made of.

/// `hi + lo`, with `lo` below the last place of `hi`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wide {
    pub(crate) hi: f64,
    pub(crate) lo: f64,
}

/// The product as it is: rounded, and what the rounding left over. Only the rounded part where it is not finite.
#[inline]
pub(crate) fn product(a: f64, b: f64) -> Wide {
    let hi = a * b;
    Wide { hi, lo: if hi.is_finite() { a.mul_add(b, -hi) } else { 0.0 } }
}

/// Adds two numbers without loss.
#[inline]
fn sum(a: f64, b: f64) -> Wide {
    let hi = a + b;
    let part = hi - a;
    Wide { hi, lo: (a - (hi - part)) + (b - part) }
}

impl Wide {
    pub(crate) fn from(value: f64) -> Self {
        Self { hi: value, lo: 0.0 }
    }

    pub(crate) fn value(self) -> f64 {
        self.hi + self.lo
    }

    pub(crate) fn add(self, other: Self) -> Self {
        let high = sum(self.hi, other.hi);
        let low = sum(self.lo, other.lo);
        let first = sum(high.hi, high.lo + low.hi);
        sum(first.hi, first.lo + low.lo)
    }

    pub(crate) fn sub(self, other: Self) -> Self {
        self.add(Self { hi: -other.hi, lo: -other.lo })
    }

    pub(crate) fn mul(self, other: Self) -> Self {
        let high = product(self.hi, other.hi);
        sum(high.hi, high.lo + (self.hi * other.lo + self.lo * other.hi))
    }

    pub(crate) fn div(self, other: Self) -> Self {
        let first = self.hi / other.hi;
        let rest = self.sub(other.mul(Self::from(first)));
        let second = rest.hi / other.hi;
        let rest = rest.sub(other.mul(Self::from(second)));
        let third = rest.hi / other.hi;
        let head = sum(first, second);
        sum(head.hi, head.lo + third)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_times_three_is_one_to_twice_the_precision() {
        let third = Wide::from(1.0).div(Wide::from(3.0));

        let rest = third.mul(Wide::from(3.0)).sub(Wide::from(1.0));

        assert!(rest.value().abs() < 1e-31);
    }

    #[test]
    fn a_square_less_its_rounded_value_is_what_was_rounded_off() {
        let square = product(0.1, 0.1);

        assert_ne!(square.lo, 0.0);
        assert_eq!(product(3.0, 5.0).lo, 0.0);
        assert_eq!(product(1e200, 1e200).value(), f64::INFINITY);
    }
}
