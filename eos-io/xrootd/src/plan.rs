//! Which requests fetch a set of ranges: large ranges in chunks that are under way together, many small ones by vector
//! reads, which cost the server less, and the others one by one, all of them at once.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::endpoint::VectorLimits;
use crate::wire::Segment;

/// What is read by one request, unless it is less. Servers that work through buffers use ones of this size.
const CHUNK: usize = 2 << 20;
/// Page reads are checked while they are received; smaller ones spread that better.
const VERIFIED_CHUNK: usize = 1 << 20;
/// A gap up to this length is read too, where that joins two ranges.
const GAP: u64 = 16 << 10;
/// Ranges up to this length are worth a vector read.
const SMALL: u64 = 128 << 10;
/// From so many of them on.
const MANY: usize = 8;
/// Bytes of a vector read, about: the answer to one is complete before it can be used.
const VECTOR: usize = 1 << 20;

/// What is read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// One range, in chunks.
    Whole { range: Range<u64>, chunk: usize },
    /// Several, by one vector read.
    Vector { segments: Vec<Segment> },
}

/// Where the bytes of a range are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    piece: usize,
    /// Which of the piece's answers.
    answer: usize,
    bytes: Range<usize>,
}

impl Part {
    /// The bytes of the range, out of the answers of all pieces.
    pub(crate) fn assemble(&self, pieces: &[Vec<Bytes>]) -> Bytes {
        let answer = pieces.get(self.piece).and_then(|answers| answers.get(self.answer));
        match answer {
            Some(bytes) if self.bytes.end <= bytes.len() => bytes.slice(self.bytes.clone()),
            _ => BytesMut::new().freeze(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) pieces: Vec<Piece>,
    /// One for each range, in their order.
    pub(crate) parts: Vec<Part>,
}

/// Whether a vector read could be of use for these ranges.
pub(crate) fn wants_vectors(ranges: &[Range<u64>]) -> bool {
    ranges.iter().filter(|range| range.end - range.start <= SMALL).count() >= MANY
}

/// Plans how to read ranges, which may overlap and come in any order. None of them is empty or reversed.
pub(crate) fn plan(ranges: &[Range<u64>], limits: Option<VectorLimits>, is_verified: bool) -> Plan {
    let chunk = if is_verified { VERIFIED_CHUNK } else { CHUNK };
    let joined = join(ranges);
    let limits = limits.filter(|_| wants_vectors(&joined));
    let mut pieces = Vec::new();
    // Where each joined range is found.
    let mut places = Vec::with_capacity(joined.len());
    let mut segments: Vec<Segment> = Vec::new();
    let mut filled = 0;
    for range in &joined {
        let length = range.end - range.start;
        let segment = u32::try_from(length).ok().filter(|_| length <= SMALL);
        let (Some(limits), Some(length)) =
            (limits, segment.filter(|&n| limits.is_some_and(|l| n as usize <= l.segment_bytes)))
        else {
            places.push(None);
            continue;
        };
        let count = length as usize;
        if segments.len() >= limits.segments || (filled + count > VECTOR && !segments.is_empty()) {
            pieces.push(Piece::Vector { segments: std::mem::take(&mut segments) });
            filled = 0;
        }
        places.push(Some((pieces.len(), segments.len())));
        segments.push(Segment { offset: range.start, length });
        filled += count;
    }
    if !segments.is_empty() {
        pieces.push(Piece::Vector { segments });
    }
    let places: Vec<(usize, usize)> = places
        .into_iter()
        .zip(&joined)
        .map(|(place, range)| {
            place.unwrap_or_else(|| {
                pieces.push(Piece::Whole { range: range.clone(), chunk });
                (pieces.len() - 1, 0)
            })
        })
        .collect();
    let parts = ranges
        .iter()
        .map(|range| {
            let at = joined.partition_point(|other| other.end < range.end);
            let (piece, answer) = places.get(at).copied().unwrap_or_default();
            let start = joined.get(at).map_or(0, |other| range.start - other.start) as usize;
            Part { piece, answer, bytes: start..start + (range.end - range.start) as usize }
        })
        .collect();
    Plan { pieces, parts }
}

/// The ranges in order, those that touch, overlap or nearly touch as one.
fn join(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| (range.start, range.end));
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: VectorLimits = VectorLimits { segments: 1024, segment_bytes: 2_097_136 };

    /// Reads a plan from a file whose bytes tell their place.
    fn carry_out(plan: &Plan, ranges: &[Range<u64>]) {
        let data = |range: Range<u64>| Bytes::from(range.map(|at| (at % 251) as u8).collect::<Vec<_>>());
        let pieces: Vec<Vec<Bytes>> = plan
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Whole { range, .. } => vec![data(range.clone())],
                Piece::Vector { segments } => {
                    segments.iter().map(|s| data(s.offset..s.offset + u64::from(s.length))).collect()
                }
            })
            .collect();
        for (part, range) in plan.parts.iter().zip(ranges) {
            assert_eq!(part.assemble(&pieces), data(range.clone()), "{range:?}");
        }
    }

    #[test]
    fn every_range_gets_its_bytes_in_any_order_and_with_overlaps() {
        let ranges = [500_000..500_100, 0..10, 5..2000, 1_000_000..4_000_000, 90_000..90_001, 1990..2000];
        for limits in [None, Some(LIMITS)] {
            carry_out(&plan(&ranges, limits, false), &ranges);
        }
    }

    #[test]
    fn many_small_ranges_become_few_vector_reads_within_the_limits() {
        let ranges: Vec<_> = (0..1500).map(|n| n * 100_000..n * 100_000 + 4000).collect();
        let plan = plan(&ranges, Some(VectorLimits { segments: 100, ..LIMITS }), false);
        assert_eq!(plan.pieces.len(), 15);
        carry_out(&plan, &ranges);
    }

    #[test]
    fn without_limits_there_are_no_vector_reads() {
        let ranges: Vec<_> = (0..20).map(|n| n * 100_000..n * 100_000 + 4000).collect();
        let plan = plan(&ranges, None, false);
        assert!(plan.pieces.iter().all(|piece| matches!(piece, Piece::Whole { .. })));
    }

    #[test]
    fn large_ranges_are_never_part_of_a_vector_read() {
        let mut ranges: Vec<_> = (0..20).map(|n| n * 100_000..n * 100_000 + 4000).collect();
        ranges.push(10_000_000..20_000_000);
        let plan = plan(&ranges, Some(LIMITS), false);
        assert!(plan.pieces.contains(&Piece::Whole { range: 10_000_000..20_000_000, chunk: CHUNK }));
        carry_out(&plan, &ranges);
    }

    #[test]
    fn close_neighbours_are_read_as_one() {
        assert_eq!(join(&[0..10, 10 + GAP..50 + GAP, 100 + 3 * GAP..200 + 3 * GAP]).len(), 2);
    }
}
