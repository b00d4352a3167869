//! The best tuple of each row, and whether there is a pair, without forming tuples as data.
//!
//! Sums of all tuples that are one member smaller are kept, ordered by their last member: then those that a further
//! member can be added to are the ones up to some place, and the innermost loop, which scores the sums with one more
//! particle, is long and has no branches. It becomes vector instructions.

use arrow_array::builder::BooleanBuilder;
use arrow_array::{Array, BooleanArray, Float64Array, Int32Array, ListArray};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};

use super::momenta::{Momenta, Momentum};
use super::tuples::LARGEST;
use crate::align::numbers;
use crate::collection::Collection;
use crate::error::{Error, Result};

/// How many sums of smaller tuples a row may need.
const LARGEST_ROW: u64 = 1 << 24;
/// How many scores are compared at a time.
const LANES: usize = 4;

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
    let mut numbers = Binomials::new(size);
    let mut sums = PartialSums::default();
    for range in momenta.ranges() {
        let mut best = Winner::default();
        if range.len() >= size {
            numbers.extend(range.len());
            let count = numbers.choose(range.len(), size - 1);
            if count > LARGEST_ROW {
                return Err(Error::TooMany { count, limit: LARGEST_ROW });
            }
            let row = momenta.row(range);
            sums.fill(row, size - 1, &numbers);
            best.find(&sums, row, &numbers, score);
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
            if list.len() != momenta.len() {
                return Err(Error::Rows { argument, found: list.len(), expected: momenta.len() });
            }
            let collection = Collection::with_nulls(&[list], momenta.nulls())?;
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
pub fn best_pair(momenta: &Momenta, allowed: impl Fn(usize, usize) -> bool, score: impl Fn(Momentum) -> f64) -> Best {
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
                    best.places = pair(i, j);
                }
            }
        }
        results.push(&best);
    }
    results.finish()
}

/// Two places where those of tuples of any size go.
fn pair(first: usize, second: usize) -> [i32; LARGEST] {
    let mut places = [0; LARGEST];
    places.iter_mut().zip([first, second]).for_each(|(slot, place)| *slot = place as i32);
    places
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

/// How many subsets there are: Pascal's triangle, as far as it was needed.
struct Binomials {
    /// By the size of the subsets, then by what they are of.
    numbers: Vec<Vec<u64>>,
}

impl Binomials {
    fn new(size: usize) -> Self {
        Self { numbers: (0..=size).map(|k| vec![u64::from(k == 0)]).collect() }
    }

    /// Makes room for subsets of up to `n`.
    fn extend(&mut self, n: usize) {
        for known in self.numbers.first().map_or(0, Vec::len)..=n {
            let mut smaller = 0;
            for row in &mut self.numbers {
                let above = row.last().copied().unwrap_or_default();
                row.push(above.saturating_add(smaller));
                smaller = above;
            }
            debug_assert!(self.numbers.iter().all(|row| row.len() == known + 1));
        }
    }

    /// Subsets of `k` out of 0, 1, 2 and so on.
    #[inline]
    fn subsets(&self, k: usize) -> &[u64] {
        self.numbers.get(k).map(Vec::as_slice).unwrap_or_default()
    }

    /// Subsets of `k` out of `n`; the largest number if there are more.
    #[inline]
    fn choose(&self, n: usize, k: usize) -> u64 {
        self.numbers.get(k).and_then(|row| row.get(n)).copied().unwrap_or_default()
    }

    /// The members of the subset of which the largest is known, and the number of the others among those without a larger
    /// one, ordered by their largest member, then by the next and so on.
    fn subset(&self, mut rank: u64, last: usize, size: usize) -> [i32; LARGEST] {
        let mut places = [0; LARGEST];
        let mut place = last;
        for (before, slot) in places.iter_mut().take(size).enumerate().rev() {
            let members = before + 1;
            if members < size {
                place = place.saturating_sub(1);
                while place > 0 && self.choose(place, members) > rank {
                    place -= 1;
                }
                rank -= self.choose(place, members);
            }
            *slot = place as i32;
        }
        places
    }
}

/// Sums of all tuples of a size, ordered by their last member, then by the one before it and so on: those without the
/// particles from some place on stand first. Behind them are numbers that mean nothing, so that a vector can be read
/// from any place.
#[derive(Default)]
struct PartialSums {
    size: usize,
    sums: [Vec<f64>; 4],
    next: [Vec<f64>; 4],
}

type Lanes = [f64; LANES];

impl PartialSums {
    fn fill(&mut self, row: [&[f64]; 4], size: usize, numbers: &Binomials) {
        self.size = size;
        for (sums, component) in self.sums.iter_mut().zip(row) {
            sums.clear();
            match size {
                0 => sums.push(0.0),
                _ => sums.extend_from_slice(component),
            }
            sums.resize(sums.len() + LANES, 0.0);
        }
        let [particles, ..] = row.map(<[f64]>::len);
        for grown in 2..=size {
            let total = numbers.choose(particles, grown) as usize + LANES;
            for (from, (to, component)) in self.sums.iter().zip(self.next.iter_mut().zip(row)) {
                if to.len() < total {
                    to.resize(total, 0.0);
                }
                let mut start = 0;
                for (value, count) in component.iter().zip(numbers.subsets(grown - 1)).skip(grown - 1) {
                    let count = *count as usize;
                    add(from, *value, to.get_mut(start..).unwrap_or_default(), count);
                    start += count;
                }
            }
            std::mem::swap(&mut self.sums, &mut self.next);
        }
    }

    /// So many sums, the last of them together with what is behind.
    #[inline(always)]
    fn vectors(&self, count: usize) -> impl Iterator<Item = [&Lanes; 4]> {
        let [px, py, pz, e] = self.sums.each_ref().map(|component| component.as_chunks::<LANES>().0.iter());
        px.zip(py).zip(pz.zip(e)).take(count.div_ceil(LANES)).map(|((px, py), (pz, e))| [px, py, pz, e])
    }
}

/// A number added to so many others, and to those behind them up to a full vector.
#[inline(always)]
fn add(from: &[f64], value: f64, to: &mut [f64], count: usize) {
    let (from, to) = (from.as_chunks::<LANES>().0, to.as_chunks_mut::<LANES>().0);
    for (from, to) in from.iter().zip(to).take(count.div_ceil(LANES)) {
        *to = from.map(|sum| sum + value);
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
    #[inline]
    fn find(
        &mut self,
        sums: &PartialSums,
        row: [&[f64]; 4],
        numbers: &Binomials,
        score: impl Fn(Momentum) -> f64 + Copy,
    ) {
        let [px, py, pz, e] = row;
        let particles = || {
            let columns = px.iter().zip(py).zip(pz.iter().zip(e)).zip(numbers.subsets(sums.size)).enumerate();
            columns.skip(sums.size).map(|(last, (((px, py), (pz, e)), count))| {
                (last, *count as usize, Momentum { px: *px, py: *py, pz: *pz, e: *e })
            })
        };
        let (mut lowest, mut first, mut ties) = (f64::INFINITY, None, 0);
        for (last, count, particle) in particles() {
            let candidate = lowest_score(sums, count, particle, score);
            if candidate < lowest {
                (lowest, first, ties) = (candidate, Some((last, count, particle)), 0);
            } else if candidate == lowest {
                ties += 1;
            }
        }
        let Some((last, count, particle)) = first else { return };
        self.locate(sums, count, particle, last, numbers, score, lowest);
        if ties > 0 {
            for (last, count, particle) in particles().filter(|(other, _, _)| *other > last) {
                self.locate(sums, count, particle, last, numbers, score, lowest);
            }
        }
    }

    /// Among the tuples with this last member: the first one, in the order of tuples, of those with this score.
    #[expect(clippy::too_many_arguments, reason = "what is known of one part of a row")]
    fn locate(
        &mut self,
        sums: &PartialSums,
        count: usize,
        particle: Momentum,
        last: usize,
        numbers: &Binomials,
        score: impl Fn(Momentum) -> f64 + Copy,
        lowest: f64,
    ) {
        for (start, vector) in (0..count).step_by(LANES).zip(sums.vectors(count)) {
            let scores = scores(vector, particle, score);
            for (rank, _) in (start..count).zip(scores).filter(|(_, score)| *score == lowest) {
                let places = numbers.subset(rank as u64, last, sums.size + 1);
                if self.score.is_none() || places < self.places {
                    (self.score, self.places) = (Some(lowest), places);
                }
            }
        }
    }
}

/// Added to the scores of a vector of which only so many count. Unlike a comparison for each lane, an addition stays one
/// instruction.
const PENALTIES: [Lanes; LANES] = {
    const NO: f64 = f64::INFINITY;
    [[NO, NO, NO, NO], [0.0, NO, NO, NO], [0.0, 0.0, NO, NO], [0.0, 0.0, 0.0, NO]]
};

/// The smallest score of so many sums with one more particle; infinite if none is a number.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "lanes are arrays of a constant length")]
fn lowest_score(sums: &PartialSums, count: usize, particle: Momentum, score: impl Fn(Momentum) -> f64 + Copy) -> f64 {
    let smaller = |a: f64, b: f64| if b < a { b } else { a };
    let mut lowest = [f64::INFINITY; LANES];
    let mut vectors = sums.vectors(count);
    for vector in vectors.by_ref().take(count / LANES) {
        let scores = scores(vector, particle, score);
        for lane in 0..LANES {
            lowest[lane] = smaller(lowest[lane], scores[lane]);
        }
    }
    if let Some(vector) = vectors.next() {
        let scores = scores(vector, particle, score);
        let penalty = &PENALTIES[count % LANES];
        for lane in 0..LANES {
            lowest[lane] = smaller(lowest[lane], scores[lane] + penalty[lane]);
        }
    }
    lowest.into_iter().fold(f64::INFINITY, smaller)
}

/// The scores of some sums with one more particle.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "lanes are arrays of a constant length")]
fn scores([px, py, pz, e]: [&Lanes; 4], particle: Momentum, score: impl Fn(Momentum) -> f64) -> Lanes {
    let mut scores = [0.0; LANES];
    for lane in 0..LANES {
        scores[lane] = score(Momentum { px: px[lane], py: py[lane], pz: pz[lane], e: e[lane] } + particle);
    }
    scores
}

/// Places and scores; neither for a row without a tuple.
struct Results {
    places: Vec<Vec<i32>>,
    scores: Vec<f64>,
    valid: BooleanBufferBuilder,
}

impl Results {
    fn new(size: usize, rows: usize) -> Self {
        let places = (0..size).map(|_| Vec::with_capacity(rows)).collect();
        Self { places, scores: Vec::with_capacity(rows), valid: BooleanBufferBuilder::new(rows) }
    }

    fn push(&mut self, best: &Winner) {
        self.places.iter_mut().zip(best.places).for_each(|(column, place)| column.push(place));
        self.scores.push(best.score.unwrap_or_default());
        self.valid.append(best.score.is_some());
    }

    fn finish(mut self) -> Best {
        let nulls = Some(NullBuffer::new(self.valid.finish())).filter(|nulls| nulls.null_count() > 0);
        let places = self.places.into_iter().map(|column| Int32Array::new(column.into(), nulls.clone())).collect();
        Best { places, scores: Float64Array::new(self.scores.into(), nulls) }
    }
}
