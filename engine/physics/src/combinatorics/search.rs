//! The best tuple of each row, and whether there is a pair, without forming tuples as data.
//!
//! Sums of all tuples that are one member smaller are kept, ordered by their last member: then those that a further
//! member can be added to are the ones up to some place, and the innermost loop, which scores the sums with one more
//! particle, is long and has no branches. It becomes vector instructions.

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int32Builder};
use arrow_array::{BooleanArray, Float64Array, Int32Array, ListArray};

use super::momenta::{Momenta, Momentum};
use super::tuples::{LARGEST, choose};
use crate::align::numbers;
use crate::collection::Collection;
use crate::error::{Error, Result};

/// How many sums of smaller tuples a row may need.
const LARGEST_ROW: u64 = 1 << 24;
/// How many scores are compared at a time.
const LANES: usize = 8;

/// The best tuple of each row.
#[derive(Debug, Clone)]
pub struct Best {
    /// The first members, the second ones and so on, as places within their row, counted from 0; null where no tuple is.
    pub places: Vec<Int32Array>,
    /// The scores; null where no tuple is.
    pub scores: Float64Array,
}

/// The score of [`best_tuple`] that looks for the mass closest to a value.
pub fn distance_to_mass(target: f64) -> impl Fn(Momentum) -> f64 + Copy {
    move |sum: Momentum| (sum.mass() - target).abs()
}

/// Whether a mass lies between two values, neither of them included. No root is taken.
pub fn mass_between(low: f64, high: f64) -> impl Fn(Momentum) -> bool + Copy {
    let (low, high) = (low * low.abs(), high * high.abs());
    move |sum: Momentum| {
        let square = sum.mass_squared();
        low < square && square < high
    }
}

/// The subset of so many particles of each row whose sum has the smallest score; of equal ones the first in the order of
/// [`Tuples::combinations`](super::Tuples::combinations). Scores that are NaN or infinite never win. A row without a
/// tuple gives null, and so does a null row.
pub fn best_tuple(momenta: &Momenta, size: usize, score: impl Fn(Momentum) -> f64 + Copy) -> Result<Best> {
    if !(1..=LARGEST).contains(&size) {
        return Err(Error::TupleSize { size, limit: LARGEST });
    }
    let mut results = Results::new(size, momenta.len());
    let mut sums = PartialSums::default();
    let mut lowest_of = Vec::new();
    for range in momenta.ranges() {
        let mut best = Winner::default();
        if range.len() >= size {
            let count = choose(range.len() as u64, size as u64 - 1);
            if count > LARGEST_ROW {
                return Err(Error::TooMany { count, limit: LARGEST_ROW });
            }
            let row = momenta.row(range.clone());
            let smaller = sums.of(row, size - 1);
            // The tuples by their last member: that particle, and the sums of the others.
            let parts = || {
                (size - 1..range.len()).filter_map(|last| {
                    let count = choose(last as u64, size as u64 - 1) as usize;
                    let others = smaller.map(|component| component.get(..count).unwrap_or_default());
                    Some((last, particle(row, last)?, others))
                })
            };
            lowest_of.clear();
            lowest_of.extend(parts().map(|(_, particle, others)| lowest(others, particle, score)));
            let lowest = lowest_of.iter().fold(f64::INFINITY, |a, b| if *b < a { *b } else { a });
            if lowest < f64::INFINITY {
                for ((last, particle, others), _) in parts().zip(&lowest_of).filter(|(_, part)| **part == lowest) {
                    best.locate(others, particle, last, size, score, lowest);
                }
            }
        }
        results.push(&best);
    }
    Ok(results.finish())
}

/// Which pairs count.
#[derive(Debug, Clone, Default)]
pub struct PairRule {
    charges: Option<Vec<f64>>,
    flavours: Option<Vec<f64>>,
}

impl PairRule {
    /// Pairs of charges with different signs, if charges are given, and of equal flavours, if these are. The columns must
    /// be of the collection that the momenta are of. What has a null for its charge or flavour is in no pair.
    pub fn new(momenta: &Momenta, charges: Option<&ListArray>, flavours: Option<&ListArray>) -> Result<Self> {
        let column = |list: Option<&ListArray>, argument| {
            let Some(list) = list else { return Ok(None) };
            let collection = Collection::with_nulls(&[list], momenta.nulls())?;
            if collection.len() != momenta.len() {
                return Err(Error::Rows { argument, found: collection.len(), expected: momenta.len() });
            }
            let lengths = momenta.ranges().zip(collection.ranges()).map(|(a, b)| (a.len(), b.len()));
            if let Some((row, (first, found))) = lengths.enumerate().find(|(_, (first, found))| first != found) {
                return Err(Error::ListLengths { row, first, argument, found });
            }
            collection.members().first().map(|member| numbers(member, argument)).transpose()
        };
        Ok(Self { charges: column(charges, 2)?, flavours: column(flavours, 3)? })
    }

    /// Whether two particles, by their places among those of all rows, make a pair.
    #[inline]
    pub fn allows(&self, first: usize, second: usize) -> bool {
        let both = |values: &Vec<f64>| values.get(first).copied().zip(values.get(second).copied());
        let opposite = self.charges.as_ref().is_none_or(|c| both(c).is_some_and(|(a, b)| a * b < 0.0));
        opposite && self.flavours.as_ref().is_none_or(|f| both(f).is_some_and(|(a, b)| a == b))
    }
}

/// Whether a pair of each row that counts has a sum for which something holds; null for a null row. Stops at the first.
///
/// `allowed` is asked first, with the places of the two among the particles of all rows.
pub fn any_pair(
    momenta: &Momenta,
    allowed: impl Fn(usize, usize) -> bool,
    holds: impl Fn(Momentum) -> bool,
) -> BooleanArray {
    let mut builder = BooleanBuilder::with_capacity(momenta.len());
    for (row, range) in momenta.ranges().enumerate() {
        if momenta.nulls().is_some_and(|nulls| nulls.is_null(row)) {
            builder.append_null();
            continue;
        }
        let start = range.start;
        let particles = momenta.row(range);
        builder.append_value(pairs(particles).any(|(i, j, sum)| allowed(start + i, start + j) && holds(sum)));
    }
    builder.finish()
}

/// Like [`best_tuple`] for pairs, of those that count.
///
/// `allowed` is asked first, with the places of the two among the particles of all rows.
pub fn best_pair(
    momenta: &Momenta,
    allowed: impl Fn(usize, usize) -> bool,
    score: impl Fn(Momentum) -> f64,
) -> Best {
    let mut results = Results::new(2, momenta.len());
    for range in momenta.ranges() {
        let start = range.start;
        let (mut lowest, mut best) = (f64::INFINITY, Winner::default());
        for (i, j, sum) in pairs(momenta.row(range)) {
            if allowed(start + i, start + j) {
                let score = score(sum);
                if score < lowest {
                    lowest = score;
                    best.score = Some(score);
                    best.places = unrank(i as u64, j, 2);
                }
            }
        }
        results.push(&best);
    }
    results.finish()
}

/// All pairs of a row in their order, with their sums.
fn pairs(row: [&[f64]; 4]) -> impl Iterator<Item = (usize, usize, Momentum)> + '_ {
    let [px, py, pz, e] = row;
    let particles = move |from: usize| {
        let columns = px.iter().zip(py).zip(pz.iter().zip(e)).enumerate().skip(from);
        columns.map(|(place, ((px, py), (pz, e)))| (place, Momentum { px: *px, py: *py, pz: *pz, e: *e }))
    };
    particles(0).flat_map(move |(i, first)| particles(i + 1).map(move |(j, second)| (i, j, first + second)))
}

#[inline(always)]
fn particle(row: [&[f64]; 4], place: usize) -> Option<Momentum> {
    let [px, py, pz, e] = row;
    Some(Momentum { px: *px.get(place)?, py: *py.get(place)?, pz: *pz.get(place)?, e: *e.get(place)? })
}

/// Sums of all tuples of a size, ordered by their last member, then by the one before it and so on: those without the
/// particles from some place on stand first.
#[derive(Default)]
struct PartialSums {
    sums: [Vec<f64>; 4],
    next: [Vec<f64>; 4],
}

impl PartialSums {
    fn of<'a>(&'a mut self, row: [&'a [f64]; 4], size: usize) -> [&'a [f64]; 4] {
        match size {
            0 => [&[0.0]; 4],
            1 => row,
            _ => {
                for grown in 2..=size {
                    for (component, (from, to)) in row.iter().zip(self.sums.iter().zip(&mut self.next)) {
                        let smaller = if grown == 2 { component } else { from.as_slice() };
                        to.clear();
                        for (last, value) in component.iter().enumerate().skip(grown - 1) {
                            let count = choose(last as u64, grown as u64 - 1) as usize;
                            to.extend(smaller.get(..count).unwrap_or_default().iter().map(|sum| sum + value));
                        }
                    }
                    std::mem::swap(&mut self.sums, &mut self.next);
                }
                self.sums.each_ref().map(Vec::as_slice)
            }
        }
    }
}

/// The best tuple of a row.
#[derive(Default)]
struct Winner {
    /// `None` if there is no tuple.
    score: Option<f64>,
    places: [i32; LARGEST],
}

impl Winner {
    /// Among the tuples of which `last` is the last member and `smaller` the sums of the others: the first one, in the
    /// order of tuples, of those with this score.
    fn locate(
        &mut self,
        smaller: [&[f64]; 4],
        particle: Momentum,
        last: usize,
        size: usize,
        score: impl Fn(Momentum) -> f64,
        best: f64,
    ) {
        let [px, py, pz, e] = smaller;
        for (rank, ((px, py), (pz, e))) in px.iter().zip(py).zip(pz.iter().zip(e)).enumerate() {
            if score(Momentum { px: *px, py: *py, pz: *pz, e: *e } + particle) != best {
                continue;
            }
            let places = unrank(rank as u64, last, size);
            if self.score.is_none() || places < self.places {
                self.score = Some(best);
                self.places = places;
            }
        }
    }
}

/// The smallest score of sums with one more particle; infinite if none is a number.
#[inline]
#[expect(clippy::indexing_slicing, reason = "lanes are arrays of a constant length")]
fn lowest(sums: [&[f64]; 4], particle: Momentum, score: impl Fn(Momentum) -> f64) -> f64 {
    let [(px, px_rest), (py, py_rest), (pz, pz_rest), (e, e_rest)] = sums.map(|component| component.as_chunks::<LANES>());
    let mut lanes = [f64::INFINITY; LANES];
    for ((px, py), (pz, e)) in px.iter().zip(py).zip(pz.iter().zip(e)) {
        for lane in 0..LANES {
            let value = score(Momentum { px: px[lane], py: py[lane], pz: pz[lane], e: e[lane] } + particle);
            lanes[lane] = if value < lanes[lane] { value } else { lanes[lane] };
        }
    }
    let mut lowest = lanes.into_iter().fold(f64::INFINITY, |a, b| if b < a { b } else { a });
    for ((px, py), (pz, e)) in px_rest.iter().zip(py_rest).zip(pz_rest.iter().zip(e_rest)) {
        let value = score(Momentum { px: *px, py: *py, pz: *pz, e: *e } + particle);
        lowest = if value < lowest { value } else { lowest };
    }
    lowest
}

/// The members of a tuple of which the last is known, and the number of the others in the order of [`PartialSums`].
fn unrank(mut rank: u64, last: usize, size: usize) -> [i32; LARGEST] {
    let mut places = [0; LARGEST];
    let mut place = last as u64;
    for (members, slot) in places.iter_mut().take(size).enumerate().rev() {
        if members + 1 < size {
            // The largest place with no more tuples before it than the rank.
            place = place.saturating_sub(1);
            while choose(place, members as u64 + 1) > rank {
                place -= 1;
            }
            rank -= choose(place, members as u64 + 1);
        }
        *slot = place as i32;
    }
    places
}

struct Results {
    places: Vec<Int32Builder>,
    scores: Float64Builder,
}

impl Results {
    fn new(size: usize, rows: usize) -> Self {
        let places = (0..size).map(|_| Int32Builder::with_capacity(rows)).collect();
        Self { places, scores: Float64Builder::with_capacity(rows) }
    }

    fn push(&mut self, best: &Winner) {
        for (builder, place) in self.places.iter_mut().zip(best.places) {
            builder.append_option(best.score.map(|_| place));
        }
        self.scores.append_option(best.score);
    }

    fn finish(mut self) -> Best {
        Best {
            places: self.places.iter_mut().map(Int32Builder::finish).collect(),
            scores: self.scores.finish(),
        }
    }
}
