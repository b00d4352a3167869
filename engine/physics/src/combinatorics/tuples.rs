//! All tuples of each row, in pieces of bounded size: 84 million trijets need not be in memory at once.

use std::convert::Infallible;
use std::ops::Range;

use crate::collection::Collection;
use crate::error::{Error, Result};

/// The largest tuples.
pub(super) const LARGEST: usize = 16;

/// Which tuples of each row there are, before any of them is formed: subsets of one collection, or one element from each
/// of several.
#[derive(Debug, Clone)]
pub struct Tuples<'a> {
    collections: Vec<&'a Collection>,
    size: usize,
}

/// Some consecutive tuples.
///
/// Members are places among the values of their collection ([`Collection::members`]), so that
/// `arrow_select::take` gives the elements.
#[derive(Debug, Clone, Default)]
pub struct Chunk {
    first_row: usize,
    offsets: Vec<u32>,
    members: Vec<Vec<u32>>,
}

impl Chunk {
    /// The rows that have tuples here, and those without any between them. A row whose tuples do not fit goes on in the
    /// next chunk.
    pub fn rows(&self) -> Range<usize> {
        self.first_row..self.first_row + self.offsets.len().saturating_sub(1)
    }

    /// Where the tuples of each of the rows begin and end.
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The first members of all tuples, the second ones, and so on.
    pub fn members(&self) -> &[Vec<u32>] {
        &self.members
    }

    /// How many tuples there are.
    pub fn len(&self) -> usize {
        self.members.first().map_or(0, Vec::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The offsets and the members.
    pub fn into_parts(self) -> (Vec<u32>, Vec<Vec<u32>>) {
        (self.offsets, self.members)
    }

    fn start(&mut self, row: usize, size: usize) {
        self.first_row = row;
        self.offsets.clear();
        self.offsets.push(0);
        self.members.resize(size, Vec::new());
        self.members.iter_mut().for_each(Vec::clear);
    }

    /// Tuples that differ in the last member only.
    fn push(&mut self, prefix: &[u32], last: Range<u32>) {
        let Some((column, columns)) = self.members.split_last_mut() else { return };
        column.extend(last);
        let length = column.len();
        columns.iter_mut().zip(prefix).for_each(|(column, place)| column.resize(length, *place));
    }

    fn end_row(&mut self) {
        self.offsets.push(self.len() as u32);
    }
}

impl<'a> Tuples<'a> {
    /// The subsets of so many elements of each row: members in their order, tuples by their first member, then by their
    /// second and so on.
    pub fn combinations(collection: &'a Collection, size: usize) -> Result<Self> {
        if !(1..=LARGEST).contains(&size) {
            return Err(Error::TupleSize { size, limit: LARGEST });
        }
        Ok(Self { collections: vec![collection], size })
    }

    /// One element from each of the collections: all with the first element of the first collection, and so on. A row has
    /// none if it is null in one of them.
    pub fn cartesian(collections: &[&'a Collection]) -> Result<Self> {
        let size = collections.len();
        if !(2..=LARGEST).contains(&size) {
            return Err(Error::TupleSize { size, limit: LARGEST });
        }
        let rows = collections.first().map_or(0, |c| c.len());
        for (argument, collection) in (1..).zip(collections) {
            if collection.len() != rows {
                return Err(Error::Rows { argument, found: collection.len(), expected: rows });
            }
        }
        Ok(Self { collections: collections.to_vec(), size })
    }

    /// How many members a tuple has.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.collections.first().map_or(0, |c| c.len())
    }

    /// How many tuples each row has, and the largest number for those that have more.
    pub fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.rows()).map(|row| match self.collections.as_slice() {
            [only] => choose(elements(only, row).len() as u64, self.size as u64),
            several => several.iter().fold(1, |product: u64, c| product.saturating_mul(elements(c, row).len() as u64)),
        })
    }

    /// How many tuples there are, and the largest number if there are more.
    pub fn count(&self) -> u64 {
        match self.collections.as_slice() {
            // Of the elements of a batch fewer than 2^62 pairs can be made.
            [only] if self.size == 2 => {
                only.ranges().map(|r| r.len() as u64).map(|n| n * n.saturating_sub(1) / 2).sum()
            }
            _ => self.counts().fold(0, u64::saturating_add),
        }
    }

    /// All tuples at once, if there are not more than `limit`.
    pub fn all(&self, limit: u32) -> Result<Chunk> {
        let count = self.count();
        if count > u64::from(limit) {
            return Err(Error::TooMany { count, limit: limit.into() });
        }
        let mut all = Chunk::default();
        all.start(0, self.size);
        if let ([only], [firsts, seconds]) = (self.collections.as_slice(), all.members.as_mut_slice()) {
            pairs(only, count as usize, &mut all.offsets, [firsts, seconds]);
            return Ok(all);
        }
        let Ok(()) = self.for_each_chunk::<Infallible>(limit as usize, |chunk| {
            all = chunk.clone();
            Ok(())
        });
        Ok(all)
    }

    /// Calls a function with all tuples, at most `limit` at a time and nearly as many.
    pub fn for_each_chunk<E>(&self, limit: usize, mut visit: impl FnMut(&Chunk) -> Result<(), E>) -> Result<(), E> {
        let limit = limit.clamp(1, u32::MAX as usize);
        let mut chunk = Chunk::default();
        chunk.start(0, self.size);
        let mut prefix = Vec::with_capacity(self.size);
        for (row, count) in self.counts().enumerate() {
            if count == 0 {
                chunk.end_row();
                continue;
            }
            self.runs(row, &mut prefix, &mut |prefix, mut last| {
                while !last.is_empty() {
                    if chunk.len() == limit {
                        chunk.end_row();
                        visit(&chunk)?;
                        chunk.start(row, self.size);
                    }
                    let room = u32::try_from(limit - chunk.len()).unwrap_or(u32::MAX);
                    let end = last.end.min(last.start.saturating_add(room));
                    chunk.push(prefix, last.start..end);
                    last.start = end;
                }
                Ok(())
            })?;
            chunk.end_row();
        }
        if chunk.rows().is_empty() { Ok(()) } else { visit(&chunk) }
    }

    /// Calls a function with the tuples of one row, those that differ in their last member only at once.
    fn runs<E>(
        &self,
        row: usize,
        prefix: &mut Vec<u32>,
        visit: &mut impl FnMut(&[u32], Range<u32>) -> Result<(), E>,
    ) -> Result<(), E> {
        let left = self.size - prefix.len() - 1;
        let range = match self.collections.as_slice() {
            [only] => {
                let all = elements(only, row);
                prefix.last().map_or(all.start, |last| last + 1)..all.end.saturating_sub(left as u32)
            }
            several => several.get(prefix.len()).map(|collection| elements(collection, row)).unwrap_or_default(),
        };
        if left == 0 {
            return visit(prefix, range);
        }
        for place in range {
            prefix.push(place);
            self.runs(row, prefix, visit)?;
            prefix.pop();
        }
        Ok(())
    }
}

/// All pairs of the elements of each row. Most analyses want pairs, and most events have one, or none.
fn pairs(collection: &Collection, count: usize, offsets: &mut Vec<u32>, members: [&mut Vec<u32>; 2]) {
    let [firsts, seconds] = members;
    // The first pair is written whether or not there is one: how many there are cannot be foretold, and the next row
    // writes over it.
    firsts.resize(count + 1, 0);
    seconds.resize(count + 1, 0);
    let mut at = 0;
    offsets.extend(collection.ranges().map(|range| {
        let (start, end) = (range.start as u32, range.end as u32);
        if let (Some(first), Some(second)) = (firsts.get_mut(at), seconds.get_mut(at)) {
            (*first, *second) = (start, start + 1);
        }
        let length = range.len();
        if length <= 2 {
            at += length >> 1;
            return at as u32;
        }
        for first in start..end {
            let others = first + 1..end;
            let room = at..at + others.len();
            if let (Some(firsts), Some(seconds)) = (firsts.get_mut(room.clone()), seconds.get_mut(room)) {
                firsts.fill(first);
                seconds.iter_mut().zip(others.clone()).for_each(|(second, other)| *second = other);
            }
            at += others.len();
        }
        at as u32
    }));
    firsts.truncate(count);
    seconds.truncate(count);
}

/// Where the elements of a row are.
#[inline]
fn elements(collection: &Collection, row: usize) -> Range<u32> {
    match collection.offsets().get(row..row + 2) {
        Some(&[start, end]) => start as u32..end as u32,
        _ => 0..0,
    }
}

/// Subsets of `k` out of `n`; the largest number if there are more.
fn choose(n: u64, k: u64) -> u64 {
    match k {
        _ if k > n => return 0,
        1 => return n,
        2 if n <= u64::from(u32::MAX) => return n * (n - 1) / 2,
        _ => {}
    }
    let mut count: u128 = 1;
    for i in 0..k {
        // Of i + 1 consecutive numbers one is divisible by i + 1, so nothing is lost.
        count = count * u128::from(n - i) / u128::from(i + 1);
        if count > u128::from(u64::MAX) {
            return u64::MAX;
        }
    }
    count as u64
}
