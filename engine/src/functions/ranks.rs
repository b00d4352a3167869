//! Counting set bits of a bitmap list by list, from running totals over its words.

use datafusion::arrow::buffer::{BooleanBuffer, OffsetBuffer, ScalarBuffer};

/// The number of set bits before each word of a bitmap, and the words.
pub(super) struct Ranks {
    words: Vec<(u64, usize)>,
}

impl Ranks {
    pub(super) fn new(flags: &BooleanBuffer) -> Self {
        let mut before = 0;
        let mut rank = |word: u64| {
            let ranked = (word, before);
            before += word.count_ones() as usize;
            ranked
        };
        let mut words = Vec::with_capacity(flags.len() / 64 + 2);
        words.extend(flags.bit_chunks().iter_padded().map(&mut rank));
        // The end of the last row may be the beginning of a word that is not there.
        words.push(rank(0));
        Self { words }
    }

    /// Set bits before bit `place`.
    #[inline]
    fn before(&self, place: usize) -> usize {
        let (word, before) = self.words.get(place / 64).copied().unwrap_or_default();
        before + (word & !(u64::MAX << (place % 64))).count_ones() as usize
    }

    pub(super) fn total(&self) -> usize {
        self.words.last().map_or(0, |(_, before)| *before)
    }

    /// Set bits of each list, whose elements the bitmap begins with.
    pub(super) fn between(&self, offsets: &OffsetBuffer<i32>) -> impl ExactSizeIterator<Item = usize> {
        let first = offsets.first().copied().unwrap_or(0);
        let mut last = 0;
        offsets.iter().skip(1).map(move |end| {
            let until = self.before((end - first) as usize);
            until - std::mem::replace(&mut last, until)
        })
    }

    /// The offsets of lists of the set bits alone, which are no more than the lists have elements.
    pub(super) fn offsets(&self, offsets: &OffsetBuffer<i32>) -> OffsetBuffer<i32> {
        let first = offsets.first().copied().unwrap_or(0);
        let ends: Vec<i32> = offsets.iter().map(|end| self.before((end - first) as usize) as i32).collect();
        OffsetBuffer::new(ScalarBuffer::from(ends))
    }

    /// Which lists have set bits.
    pub(super) fn any_between(&self, offsets: &OffsetBuffer<i32>) -> BooleanBuffer {
        let mut counts = self.between(offsets);
        BooleanBuffer::collect_bool(counts.len(), |_| counts.next().is_some_and(|count| count > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_bits_are_counted_per_list_across_the_words_of_the_bitmap() {
        let flags: BooleanBuffer = (0..200).map(|i| i % 3 == 0).collect();
        let sliced = flags.slice(5, 190);
        let offsets = OffsetBuffer::<i32>::from_lengths([0, 60, 4, 64, 0, 62, 0]);

        let counted: Vec<usize> = Ranks::new(&sliced).between(&offsets).collect();

        let one_by_one = |(from, to): (i32, i32)| (from..to).filter(|i| (i + 5) % 3 == 0).count();
        let ends = offsets.iter().copied().zip(offsets.iter().copied().skip(1));
        assert_eq!(counted, ends.map(one_by_one).collect::<Vec<_>>());
        assert_eq!(Ranks::new(&sliced).total(), counted.iter().sum::<usize>());
        assert_eq!(Ranks::new(&sliced).offsets(&offsets), OffsetBuffer::from_lengths(counted));
    }

    #[test]
    fn no_bits_are_no_set_bits() {
        let none = Ranks::new(&BooleanBuffer::new_unset(0));
        assert_eq!(none.between(&OffsetBuffer::<i32>::from_lengths([0, 0])).collect::<Vec<_>>(), [0, 0]);
        assert_eq!(none.total(), 0);
    }
}
