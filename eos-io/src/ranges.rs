//! Ranges of bytes: joined before they are asked for, and found again in what comes.

use std::ops::Range;

use bytes::Bytes;

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) start: u64,
    pub(crate) bytes: Bytes,
}

impl Part {
    fn cut(&self, range: &Range<u64>) -> Option<Bytes> {
        let from = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(range.end.checked_sub(self.start)?).ok()?;
        (from <= to && to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}

/// Sorts ranges and joins those that lie closer together than `gap`.
pub(crate) fn merged(ranges: &[Range<u64>], gap: u64) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| (range.start, range.end));
    let mut out: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match out.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap) => last.end = last.end.max(range.end),
            _ => out.push(range),
        }
    }
    out
}

/// Each range out of the part that covers it; `None` for those that no part covers.
pub(crate) fn pick(ranges: &[Range<u64>], parts: &[Part]) -> Vec<Option<Bytes>> {
    ranges.iter().map(|range| parts.iter().find_map(|part| part.cut(range))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sorted_and_joined_across_small_gaps() {
        assert_eq!(merged(&[20..30, 0..5, 5..10, 1..2], 9), [0..10, 20..30]);
        assert_eq!(merged(&[20..30, 0..5, 99..100], 15), [0..30, 99..100]);
        assert!(merged(&[], 1).is_empty());
    }

    #[test]
    fn a_range_is_cut_out_of_the_part_that_covers_it_whole() {
        let parts = [Part { start: 10, bytes: Bytes::from_static(b"abcdef") }];
        let found = pick(&[10..12, 15..16, 9..11, 15..17], &parts);
        assert_eq!(found, [Some(Bytes::from_static(b"ab")), Some(Bytes::from_static(b"f")), None, None]);
    }
}
