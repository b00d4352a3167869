//! All tuples of each row, in pieces of bounded size: 84 million trijets need not be in memory at once.

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
        self.ranges().map(|ranges| match ranges.as_slice() {
            [range] => choose(range.len() as u64, self.size as u64),
            ranges => ranges.iter().fold(1u64, |product, range| product.saturating_mul(range.len() as u64)),
        })
    }

    /// How many tuples there are, and the largest number if there are more.
    pub fn count(&self) -> u64 {
        self.counts().fold(0, u64::saturating_add)
    }

    /// Calls a function with all tuples, at most `limit` at a time and nearly as many.
    pub fn for_each_chunk<E>(&self, limit: usize, mut visit: impl FnMut(&Chunk) -> Result<(), E>) -> Result<(), E> {
        let limit = limit.clamp(1, u32::MAX as usize);
        let mut chunk = Chunk::default();
        chunk.start(0, self.size);
        for (row, ranges) in self.ranges().enumerate() {
            // One empty list is enough for a row without tuples, whatever there is to combine before it.
            let ranges: &[_] = if ranges.iter().any(Range::is_empty) { &[] } else { ranges.as_slice() };
            self.runs(ranges, &mut Vec::with_capacity(self.size), &mut |prefix, mut last| {
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

    /// Where the elements of each row are in each collection.
    fn ranges(&self) -> impl Iterator<Item = Vec<Range<u32>>> + '_ {
        let mut ranges: Vec<_> = self.collections.iter().map(|c| c.ranges()).collect();
        (0..self.rows())
            .map(move |_| ranges.iter_mut().filter_map(Iterator::next).map(|r| r.start as u32..r.end as u32).collect())
    }

    /// Calls a function with the tuples of one row, those that differ in their last member only at once.
    fn runs<E>(
        &self,
        ranges: &[Range<u32>],
        prefix: &mut Vec<u32>,
        visit: &mut impl FnMut(&[u32], Range<u32>) -> Result<(), E>,
    ) -> Result<(), E> {
        let level = prefix.len();
        let mut range = match ranges {
            [range] => prefix.last().map_or(range.start, |last| last + 1)..range.end,
            ranges => ranges.get(level).cloned().unwrap_or_default(),
        };
        if level + 1 == self.size {
            return visit(prefix, range);
        }
        if ranges.len() == 1 {
            range.end = range.end.saturating_sub((self.size - level - 1) as u32);
        }
        for place in range {
            prefix.push(place);
            self.runs(ranges, prefix, visit)?;
            prefix.pop();
        }
        Ok(())
    }
}

/// Subsets of `k` out of `n`; the largest number if there are more.
fn choose(n: u64, k: u64) -> u64 {
    if k > n {
        return 0;
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
