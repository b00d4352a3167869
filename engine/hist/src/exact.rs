//! Sums of floating-point numbers without rounding, one for each bin.
//!
//! A finite `f64` is a whole number of units of 2⁻¹⁰⁷⁴. A sum is kept as the whole number it is, in digits to the base
//! 2³²: adding a number is one shift and one integer addition to the digit where its mantissa begins. Integer addition
//! is associative and commutative, so no partitioning of the numbers and no order of merging can change a bit of the
//! result, which is rounded once, when it is asked for. Sums that are merely compensated (of two doubles, say) are
//! accurate but not associative; those of Demmel and Nguyen are reproducible but need a look at the largest number so
//! far, and are not exact.
//!
//! A digit lies in an `i128`: a mantissa of 53 bits, shifted by at most 31, leaves room for 2⁴³ additions before a carry
//! has to be passed on. Digits of the same weight lie together in a plane with a place for each bin, and a plane is only
//! allocated when a number falls into it. Weights and samples of ordinary size touch one to three planes, 16 bytes per
//! bin each; there are 68.

use crate::wide::Wide;

/// Bits of a digit, as a power of two: 2⁵ = 32.
const DIGIT_SHIFT: u64 = 5;
const DIGIT_BITS: u64 = 1 << DIGIT_SHIFT;
/// Digits of the largest number, and room for the carries out of 2⁴³ of them.
pub(crate) const DIGITS: usize = 68;
/// Additions after which carries are passed on. One more bit than there is room for is left for merging.
const MAX_PENDING: u64 = 1 << 42;
const MANTISSA_BITS: u64 = 52;
const MANTISSA: u64 = (1 << MANTISSA_BITS) - 1;
const EXPONENT: u64 = 0x7ff;
/// The exponent of the unit.
const UNIT_EXPONENT: i32 = -1074;

/// What a sum becomes when numbers that are not finite were added.
mod special {
    pub(super) const NAN: u8 = 1;
    pub(super) const INFINITY: u8 = 2;
    pub(super) const NEGATIVE_INFINITY: u8 = 4;
}

/// An exact sum for each bin.
#[derive(Debug, Clone)]
pub(crate) struct ExactSums {
    cells: usize,
    /// By digit, lowest first, up to the highest that some number had; empty where no number had that digit.
    planes: Vec<Vec<i128>>,
    /// Flags of `special`; empty where all numbers were finite.
    special: Vec<u8>,
    /// At most so many additions since carries were passed on, in any bin.
    pending: u64,
}

/// Digits of one sum, each in -2³¹ .. 2³¹: there is only one way to write a number so.
type Balanced = [i32; DIGITS];

impl ExactSums {
    pub(crate) fn new(cells: usize) -> Self {
        Self { cells, planes: Vec::new(), special: Vec::new(), pending: 0 }
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        let planes: usize = self.planes.iter().map(Vec::capacity).sum();
        planes * size_of::<i128>() + self.special.capacity() + self.planes.capacity() * size_of::<Vec<i128>>()
    }

    /// Adds each value to the bin beside it.
    pub(crate) fn add_all(&mut self, cells: &[u32], values: &[f64]) {
        self.announce(cells.len() as u64);
        let Some(plane) = common_digit(values).and_then(|digit| self.plane(digit)) else {
            return cells.iter().zip(values).for_each(|(&cell, &value)| self.deposit(cell as usize, value, 1));
        };
        for (&cell, &value) in cells.iter().zip(values) {
            if let (Some(sum), Some((_, amount))) = (plane.get_mut(cell as usize), split(value)) {
                *sum += amount;
            }
        }
    }

    /// Adds `value`, `times` times over, to one bin.
    pub(crate) fn add_times(&mut self, cell: usize, value: f64, times: u32) {
        self.announce(u64::from(times));
        if times > 0 {
            self.deposit(cell, value, times);
        }
    }

    /// Adds both parts to one bin.
    pub(crate) fn add_wide(&mut self, cell: usize, value: Wide) {
        self.announce(2);
        self.deposit(cell, value.hi, 1);
        self.deposit(cell, value.lo, 1);
    }

    /// Adds the sums of `other`: to the bins of the same places, or to those at `places`.
    pub(crate) fn merge(&mut self, other: &Self, places: Option<&[u32]>) {
        self.announce(other.pending.max(1));
        for (digit, theirs) in other.planes.iter().enumerate().filter(|(_, theirs)| !theirs.is_empty()) {
            if let Some(mine) = self.plane(digit) {
                combine(mine, theirs, places, |mine, theirs| *mine += theirs);
            }
        }
        if !other.special.is_empty() {
            self.special.resize(self.cells, 0);
            combine(&mut self.special, &other.special, places, |mine, theirs| *mine |= theirs);
        }
    }

    /// Adds empty bins until there are so many.
    pub(crate) fn extend_to(&mut self, cells: usize) {
        self.cells = cells;
        self.planes.iter_mut().filter(|plane| !plane.is_empty()).for_each(|plane| plane.resize(cells, 0));
        if !self.special.is_empty() {
            self.special.resize(cells, 0);
        }
    }

    /// The sums of some bins, in this order.
    pub(crate) fn taken(&self, places: &[u32]) -> Self {
        let planes = self.planes.iter().map(|plane| if plane.is_empty() { Vec::new() } else { taken(plane, places) });
        let special = if self.special.is_empty() { Vec::new() } else { taken(&self.special, places) };
        Self { cells: places.len(), planes: planes.collect(), special, pending: self.pending }
    }

    /// Whether the sum of a bin is zero, and no number that was added was without end.
    pub(crate) fn is_empty(&self, cell: usize) -> bool {
        // Digits that are not zero may still add to nothing.
        let is_bare = self.planes.iter().all(|plane| plane.get(cell).is_none_or(|&digit| digit == 0));
        self.special.get(cell).is_none_or(|&flags| flags == 0)
            && (is_bare || self.balanced(cell).iter().all(|&digit| digit == 0))
    }

    /// The same sums in other bins: `place` has the new bin of each old one.
    pub(crate) fn moved(&self, cells: usize, place: &[u32]) -> Self {
        let planes = self.planes.iter().map(|plane| moved(plane, cells, place)).collect();
        Self { cells, planes, special: moved(&self.special, cells, place), pending: self.pending }
    }

    /// The sum of a bin, rounded to the nearest number.
    pub(crate) fn sum(&self, cell: usize) -> f64 {
        self.special_sum(cell).unwrap_or_else(|| round(&self.balanced(cell)))
    }

    /// The sum of a bin to twice the precision.
    pub(crate) fn wide_sum(&self, cell: usize) -> Wide {
        if let Some(special) = self.special_sum(cell) {
            return Wide::from(special);
        }
        let digits = self.balanced(cell);
        let hi = round(&digits);
        if !hi.is_finite() {
            return Wide::from(hi);
        }
        let mut rest = digits.map(i128::from);
        if let Some((digit, value)) = split(-hi)
            && let Some(place) = rest.get_mut(digit)
        {
            *place += value;
        }
        Wide { hi, lo: round(&balance(|digit| rest.get(digit).copied().unwrap_or(0))) }
    }

    /// The planes in which some bin has a digit, lowest first, with the digits of all bins.
    pub(crate) fn digits(&self) -> Vec<(usize, Vec<i32>)> {
        let mut planes: Vec<Vec<i32>> = vec![Vec::new(); DIGITS];
        let used: Vec<&Vec<i128>> = self.planes.iter().filter(|plane| !plane.is_empty()).collect();
        let is_bare = |cell: usize| used.iter().all(|plane| plane.get(cell).is_none_or(|&digit| digit == 0));
        let cells = if used.is_empty() { 0 } else { self.cells };
        for cell in (0..cells).filter(|&cell| !is_bare(cell)) {
            for (plane, digit) in planes.iter_mut().zip(self.balanced(cell)) {
                if digit != 0 {
                    if plane.is_empty() {
                        plane.resize(self.cells, 0);
                    }
                    if let Some(place) = plane.get_mut(cell) {
                        *place = digit;
                    }
                }
            }
        }
        planes.into_iter().enumerate().filter(|(_, plane)| !plane.is_empty()).collect()
    }

    /// Flags of numbers that were not finite, by bin; empty where there were none.
    pub(crate) fn flags(&self) -> &[u8] {
        &self.special
    }

    /// Sums of which `digits` and `flags` gave these.
    pub(crate) fn from_digits(cells: usize, digits: Vec<(usize, Vec<i32>)>, flags: Vec<u8>) -> Self {
        let mut sums = Self::new(cells);
        for (digit, digits) in digits {
            if let Some(plane) = sums.plane(digit) {
                plane.iter_mut().zip(digits).for_each(|(place, digit)| *place = i128::from(digit));
            }
        }
        sums.special = flags;
        sums.pending = 1;
        sums
    }

    /// Passes carries on where `additions` more could overflow.
    fn announce(&mut self, additions: u64) {
        if self.pending.saturating_add(additions) > MAX_PENDING {
            *self = Self::from_digits(self.cells, self.digits(), std::mem::take(&mut self.special));
        }
        self.pending = self.pending.saturating_add(additions);
    }

    #[inline]
    fn deposit(&mut self, cell: usize, value: f64, times: u32) {
        let Some((digit, amount)) = split(value) else {
            return self.deposit_special(cell, value);
        };
        if amount == 0 {
            return;
        }
        let amount = amount * i128::from(times);
        // An empty plane has no place for the bin: one check answers for both.
        match self.planes.get_mut(digit).and_then(|plane| plane.get_mut(cell)) {
            Some(sum) => *sum += amount,
            None => self.deposit_new(digit, cell, amount),
        }
    }

    #[cold]
    fn deposit_new(&mut self, digit: usize, cell: usize, amount: i128) {
        if let Some(sum) = self.plane(digit).and_then(|plane| plane.get_mut(cell)) {
            *sum += amount;
        }
    }

    /// The plane of a digit, with a place for each bin.
    fn plane(&mut self, digit: usize) -> Option<&mut Vec<i128>> {
        if digit >= self.planes.len() {
            self.planes.resize_with(digit + 1, Vec::new);
        }
        let plane = self.planes.get_mut(digit)?;
        plane.resize(self.cells, 0);
        Some(plane)
    }

    #[cold]
    fn deposit_special(&mut self, cell: usize, value: f64) {
        self.special.resize(self.cells, 0);
        if let Some(flags) = self.special.get_mut(cell) {
            *flags |= match value {
                f64::INFINITY => special::INFINITY,
                f64::NEG_INFINITY => special::NEGATIVE_INFINITY,
                _ => special::NAN,
            };
        }
    }

    fn special_sum(&self, cell: usize) -> Option<f64> {
        match self.special.get(cell).copied().unwrap_or(0) {
            0 => None,
            special::INFINITY => Some(f64::INFINITY),
            special::NEGATIVE_INFINITY => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    fn balanced(&self, cell: usize) -> Balanced {
        balance(|digit| self.planes.get(digit).and_then(|plane| plane.get(cell)).copied().unwrap_or(0))
    }
}

/// Values in other places, with nothing in those that are new. What was empty stays so.
pub(crate) fn moved<T: Copy + Default>(values: &[T], cells: usize, place: &[u32]) -> Vec<T> {
    if values.is_empty() {
        return Vec::new();
    }
    let mut new = vec![T::default(); cells];
    for (&value, &place) in values.iter().zip(place) {
        if let Some(slot) = new.get_mut(place as usize) {
            *slot = value;
        }
    }
    new
}

/// The values at some places.
pub(crate) fn taken<T: Copy + Default>(values: &[T], places: &[u32]) -> Vec<T> {
    places.iter().map(|&place| values.get(place as usize).copied().unwrap_or_default()).collect()
}

/// Takes each of `theirs` into one of `mine`: that beside it, or that at its place in `places`.
pub(crate) fn combine<T: Copy>(mine: &mut [T], theirs: &[T], places: Option<&[u32]>, take: impl Fn(&mut T, T)) {
    match places {
        None => mine.iter_mut().zip(theirs).for_each(|(mine, &theirs)| take(mine, theirs)),
        Some(places) => {
            for (&theirs, &place) in theirs.iter().zip(places) {
                if let Some(mine) = mine.get_mut(place as usize) {
                    take(mine, theirs);
                }
            }
        }
    }
}

/// The digit that all values begin at, if they do, as weights mostly do. Not the highest, which infinity would have, nor
/// the lowest, which zero would have.
fn common_digit(values: &[f64]) -> Option<usize> {
    let digit =
        |value: &f64| (((value.to_bits() >> MANTISSA_BITS) & EXPONENT) as u32).max(1).wrapping_sub(1) >> DIGIT_SHIFT;
    let first = values.first().map(digit)?;
    // Without an early end, so that it is done for several values at a time.
    let differ = values.iter().fold(0, |differ, value| differ | (digit(value) ^ first));
    (differ == 0 && first != 0 && first != (EXPONENT >> DIGIT_SHIFT) as u32).then_some(first as usize)
}

/// A finite number as a whole number of units, and the digit that this begins at; nothing for the others.
#[inline]
fn split(value: f64) -> Option<(usize, i128)> {
    let bits = value.to_bits();
    let exponent = (bits >> MANTISSA_BITS) & EXPONENT;
    if exponent == EXPONENT {
        return None;
    }
    // Subnormal numbers have the unit of the smallest normal ones, and no hidden bit.
    let normal = u64::from(exponent != 0);
    let position = exponent - normal;
    let mantissa = (bits & MANTISSA) | (normal << MANTISSA_BITS);
    let magnitude = i128::from(mantissa) << (position & (DIGIT_BITS - 1));
    let sign = -i128::from(bits >> 63);
    Some(((position >> DIGIT_SHIFT) as usize, (magnitude ^ sign) - sign))
}

/// Passes carries on, so that every digit is in its range.
fn balance(digit_at: impl Fn(usize) -> i128) -> Balanced {
    let mut carry = 0_i128;
    let mut digits = [0; DIGITS];
    for (index, digit) in digits.iter_mut().enumerate() {
        let total = digit_at(index) + carry;
        *digit = total as i32;
        carry = (total - i128::from(*digit)) >> DIGIT_BITS;
    }
    digits
}

/// The nearest `f64`, ties to even.
fn round(digits: &Balanced) -> f64 {
    let Some(top) = digits.iter().rposition(|&digit| digit != 0) else {
        return 0.0;
    };
    // The sign of the highest digit is that of the sum. Its size in digits from 0 to 2³²:
    let negative = digits.get(top).is_some_and(|&digit| digit < 0);
    let mut size = [0_u32; DIGITS];
    let mut borrow = 0_i64;
    for (place, &digit) in size.iter_mut().zip(digits.iter()).take(top + 1) {
        let total = if negative { -i64::from(digit) } else { i64::from(digit) } + borrow;
        *place = total as u32;
        borrow = total >> DIGIT_BITS;
    }
    let top = size.iter().rposition(|&digit| digit != 0).unwrap_or(0);
    let at = |index: Option<usize>| index.and_then(|index| size.get(index)).copied().map_or(0, u128::from);
    // The highest three digits, of which the first is not zero, hold at least 65 bits if there are so many.
    let head = at(Some(top)) << 64 | at(top.checked_sub(1)) << 32 | at(top.checked_sub(2));
    let shift = head.leading_zeros();
    let aligned = head << shift;
    let below = top.saturating_sub(2);
    let rest = aligned as u64 != 0 || size.iter().take(below).any(|&digit| digit != 0);
    // 64 bits, and one at the end that stands for all that follow: enough to round to 53.
    let significant = (aligned >> 64) as u64 | u64::from(rest);
    let exponent = UNIT_EXPONENT + 32 * (top as i32 - 2) + 64 - shift as i32;
    let rounded = scale(significant, exponent);
    if negative { -rounded } else { rounded }
}

/// `significant · 2^exponent`, for what is not zero. Nothing lies below the unit, so that numbers too small for 53 bits are whole.
fn scale(significant: u64, exponent: i32) -> f64 {
    match u32::try_from(exponent - UNIT_EXPONENT) {
        // Both factors are exact, and so is the product unless it is too large.
        Ok(above @ 0..=51) => significant as f64 * f64::from_bits(1 << above),
        Ok(_) if exponent > 1023 => f64::INFINITY,
        Ok(_) => significant as f64 * f64::from_bits(((exponent + 1023) as u64) << MANTISSA_BITS),
        Err(_) => (significant >> (UNIT_EXPONENT - exponent).min(63)) as f64 * f64::from_bits(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_of(values: &[f64]) -> f64 {
        let mut sums = ExactSums::new(1);
        sums.add_all(&vec![0; values.len()], values);
        sums.sum(0)
    }

    #[test]
    fn one_number_is_its_own_sum_whatever_its_size() {
        let values = [
            0.0,
            1.0,
            -1.0,
            0.1,
            -1.0 / 3.0,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            f64::from_bits(1),
            -f64::from_bits(1),
            f64::from_bits(0x000f_ffff_ffff_ffff),
            f64::from_bits(0x001f_ffff_ffff_ffff),
            1e-300,
            1e300,
            4_294_967_296.0,
            -2_147_483_648.0,
            2_147_483_648.5,
        ];
        for value in values {
            assert_eq!(sum_of(&[value]).to_bits(), (value + 0.0).to_bits(), "{value:e}");
        }
        // Every exponent.
        for exponent in 0..2047_u64 {
            let value = f64::from_bits(exponent << 52 | 0x000a_aaaa_5555_1234);
            assert_eq!(sum_of(&[value]), value);
            assert_eq!(sum_of(&[-value]), -value);
        }
    }

    #[test]
    fn a_sum_is_rounded_once() {
        assert_eq!(sum_of(&[1e300, 1.0, -1e300]), 1.0);
        assert_eq!(sum_of(&[1.0, f64::EPSILON / 2.0]), 1.0);
        // A tie goes to the even neighbour; a bit far below decides it otherwise.
        assert_eq!(sum_of(&[1.0, f64::EPSILON / 2.0, 1e-300]), 1.0 + f64::EPSILON);
        assert_eq!(sum_of(&[1.0 + f64::EPSILON, f64::EPSILON / 2.0]), 1.0 + 2.0 * f64::EPSILON);
        assert_eq!(sum_of(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
        assert_eq!(sum_of(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum_of(&[f64::MIN_POSITIVE, -f64::from_bits(1)]), f64::from_bits(0x000f_ffff_ffff_ffff));
    }

    #[test]
    fn what_is_not_finite_gives_what_it_gives_in_any_order() {
        assert_eq!(sum_of(&[1.0, f64::INFINITY, 2.0]), f64::INFINITY);
        assert!(sum_of(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert!(sum_of(&[f64::NAN, f64::INFINITY]).is_nan());
    }

    #[test]
    fn digits_are_listed_for_bins_that_have_some() {
        let mut sums = ExactSums::new(1 << 24);
        assert_eq!(sums.digits(), []);
        // 1 is 2^1074 units, the 18th bit of digit 33.
        sums.add_all(&[3, 3, 9, 9, 5], &[1.0, 1.0, 1.0, -1.0, 0.0]);
        // The carry of this bin has gone into the next digit, where nothing was added.
        sums.add_times(7, 8192.0, 1);

        let digits = sums.digits();

        assert_eq!(digits.iter().map(|(digit, _)| *digit).collect::<Vec<_>>(), [33, 34]);
        let filled =
            |plane: &Vec<i32>| plane.iter().copied().zip(0..).filter(|(digit, _)| *digit != 0).collect::<Vec<_>>();
        assert_eq!(filled(&digits[0].1), [(1 << 19, 3), (i32::MIN, 7)]);
        assert_eq!(filled(&digits[1].1), [(1, 7)]);
        assert!(sums.is_empty(9) && sums.is_empty(5) && !sums.is_empty(7));
    }

    #[test]
    fn digits_that_cancel_across_places_are_nothing() {
        let mut sums = ExactSums::new(1);
        // The mantissa of the last begins in the next digit.
        sums.add_all(&[0, 0, 0], &[8_589_934_592.0, 8_589_934_592.0, -17_179_869_184.0]);
        assert!(sums.is_empty(0));
        assert_eq!(sums.digits(), []);
    }

    #[test]
    fn carries_are_passed_on_before_a_digit_overflows() {
        let value = f64::from_bits(0x41ff_ffff_ffff_ffff);
        let mut sums = ExactSums::new(1);
        for _ in 0..20_000 {
            sums.add_times(0, value, u32::MAX);
        }

        // 20 000 (2³² - 1) is less than 2⁵³, and the product exact in 128 bits; `value` is (2⁵³ - 1) 2⁻²⁰.
        let expected = ((1_u128 << 53) - 1) * 20_000 * u128::from(u32::MAX);
        assert_eq!(sums.sum(0), expected as f64 / f64::from(1 << 20));
    }

    #[test]
    fn sums_beyond_all_numbers_are_infinite() {
        for digit in DIGITS - 3..DIGITS {
            for (value, expected) in [(i32::MAX, f64::INFINITY), (i32::MIN, f64::NEG_INFINITY)] {
                let sums = ExactSums::from_digits(1, vec![(digit, vec![value])], Vec::new());
                assert_eq!((sums.sum(0), sums.wide_sum(0).value()), (expected, expected), "digit {digit}");
            }
        }
    }

    #[test]
    fn the_second_part_is_what_rounding_left() {
        let mut sums = ExactSums::new(2);
        sums.add_all(&[1, 1], &[1.0, 1e-20]);

        let wide = sums.wide_sum(1);

        assert_eq!((wide.hi, wide.lo), (1.0, 1e-20));
        assert_eq!(sums.sum(0), 0.0);
    }
}
