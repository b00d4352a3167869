//! Byte ranges, the pages that cover them, and ranges put together of what was read here and fetched there.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::block::{PAGE, Piece};

/// The most that is fetched as one range, so that a store can have several under way.
const LONGEST: u64 = (8 << 20) / PAGE;

/// The pages that a range of bytes lies on.
pub(crate) fn pages_of(bytes: &Range<u64>) -> Range<u64> {
    bytes.start / PAGE..bytes.end.div_ceil(PAGE)
}

/// The bytes of some pages of a file, each run no longer than what is fetched at once.
pub(crate) fn bytes_of(runs: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let parts = runs.iter().flat_map(|run| {
        let end = run.end;
        run.clone().step_by(LONGEST as usize).map(move |first| first..end.min(first + LONGEST))
    });
    parts.map(|pages| pages.start * PAGE..size.min(pages.end * PAGE)).collect()
}

/// Sorts runs of pages and joins those that touch.
pub(crate) fn join(mut runs: Vec<Range<u64>>) -> Vec<Range<u64>> {
    runs.retain(|run| !run.is_empty());
    runs.sort_unstable_by_key(|run| (run.start, run.end));
    runs.dedup_by(|next, last| {
        let touches = next.start <= last.end;
        if touches {
            last.end = last.end.max(next.end);
        }
        touches
    });
    runs
}

/// Pieces of a file, no two of which overlap, in order.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    sorted: Vec<Piece>,
}

impl Pieces {
    /// Adds those parts of some pieces that lie on certain pages and are not there yet.
    pub(crate) fn add(&mut self, pieces: &[Piece], wanted: &[Range<u64>]) {
        let missing = self.missing(wanted);
        for piece in pieces {
            for run in &missing {
                let (start, end) = (piece.start.max(run.start * PAGE), piece.end().min(run.end * PAGE));
                if start < end {
                    let bytes = piece.bytes.slice((start - piece.start) as usize..(end - piece.start) as usize);
                    self.sorted.push(Piece { start, bytes });
                }
            }
        }
        self.sorted.sort_unstable_by_key(|piece| piece.start);
    }

    /// Those of some sorted runs of pages that are not there.
    pub(crate) fn missing(&self, wanted: &[Range<u64>]) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        for run in wanted {
            let mut from = run.start;
            let first = self.sorted.partition_point(|piece| piece.end() <= run.start * PAGE);
            for piece in self.sorted.iter().skip(first) {
                let there = pages_of(&(piece.start..piece.end()));
                if there.start >= run.end {
                    break;
                }
                if there.start > from {
                    missing.push(from..there.start);
                }
                from = from.max(there.end);
            }
            if from < run.end {
                missing.push(from..run.end);
            }
        }
        missing
    }

    /// The bytes of a range; `None` if some are not there. They are copied only where they lie in several pieces.
    pub(crate) fn bytes(&self, range: &Range<u64>) -> Option<Bytes> {
        let first = self.sorted.partition_point(|piece| piece.end() <= range.start);
        let mut parts = self.sorted.iter().skip(first);
        let mut copy = BytesMut::new();
        let mut at = range.start;
        while at < range.end {
            let piece = parts.next()?;
            let from = at.checked_sub(piece.start)? as usize;
            let end = piece.end().min(range.end);
            let part = from..(end - piece.start) as usize;
            if copy.is_empty() {
                if end == range.end {
                    return Some(piece.bytes.slice(part));
                }
                copy.reserve((range.end - range.start) as usize);
            }
            copy.extend_from_slice(piece.bytes.get(part)?);
            at = end;
        }
        Some(copy.freeze())
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;

    fn piece(bytes: Range<u64>) -> Piece {
        Piece { start: bytes.start, bytes: bytes.map(|at| (at % 251) as u8).collect() }
    }

    #[test]
    fn ranges_are_put_together_of_several_pieces() {
        let mut pieces = Pieces::default();
        pieces.add(&[piece(PAGE..2 * PAGE), piece(0..PAGE)], &[0..2]);
        pieces.add(&[piece(0..4 * PAGE)], &[1..3]);
        for range in [0..1, 10..10, PAGE - 1..PAGE + 1, 5..3 * PAGE] {
            assert_eq!(pieces.bytes(&range).unwrap(), piece(range.clone()).bytes, "{range:?}");
        }
        assert_eq!(pieces.bytes(&(0..3 * PAGE + 1)), None);
        assert_eq!(pieces.missing(&[0..5]), [3..5]);
    }

    #[test]
    fn what_is_missing_is_told_in_runs() {
        let mut pieces = Pieces::default();
        pieces.add(&[piece(2 * PAGE..3 * PAGE), piece(5 * PAGE..5 * PAGE + 10)], &[0..9]);
        assert_eq!(pieces.missing(&[0..6]), [0..2, 3..5]);
        assert_eq!(pieces.missing(&[2..3]), []);
        assert_eq!(pieces.missing(&[0..1, 2..4]), [0..1, 3..4]);
    }

    #[test]
    fn runs_are_joined_and_long_ones_split_for_the_server() {
        assert_eq!(join(vec![5..6, 0..2, 2..3, 1..2, 7..7]), [0..3, 5..6]);
        let size: u64 = 2 * (8 << 20) + 5;
        assert_eq!(bytes_of(&[0..size.div_ceil(PAGE)], size), [0..8 << 20, 8 << 20..16 << 20, 16 << 20..size]);
    }
}
