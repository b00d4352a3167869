//! Layer 7: the payload of a basket into Arrow buffers. Numbers are converted in bulk, straight into the buffer that the
//! record batch will own; lengths and offsets of the file are checked before they are used.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::error::FormatError;
use crate::layout::{Decode, Frame};
use crate::output::{Nothing, Output, mismatch, push_offset};
use crate::walk::Walker;
use crate::wire::Cursor;

type Result<T> = std::result::Result<T, FormatError>;

/// Where the entries of a basket begin and end.
#[derive(Debug, Clone)]
pub(crate) enum Extents {
    /// Every entry takes so many bytes.
    Fixed(usize),
    /// Byte offsets into the payload, one more than entries.
    Bytes(Vec<u32>),
    /// Running totals of elements, one more than entries; every element takes `width` bytes.
    Elements { totals: Arc<Vec<u32>>, width: usize },
}

/// Runs of entries, ascending. Columns that are read at the same entries are given the same ones.
pub(crate) type Runs = Arc<Vec<Range<u64>>>;

/// Entries of a basket: the parts of some runs that lie in it.
#[derive(Debug, Clone)]
pub(crate) struct Rows<'a> {
    /// All runs that are read.
    pub all: &'a Runs,
    /// Those of them that begin in front of the basket's end.
    pub runs: &'a [Range<u64>],
    /// What counts of them.
    pub part: Range<u64>,
    /// The first entry of the basket.
    pub first: u64,
    /// How many rows they are.
    pub count: usize,
}

impl<'a> Rows<'a> {
    /// Those of `runs`, which are of `all`, that lie in a `part` of a basket that begins with `first`.
    pub(crate) fn new(all: &'a Runs, runs: &'a [Range<u64>], part: Range<u64>, first: u64) -> Self {
        let mut rows = Self { all, runs, part, first, count: 0 };
        rows.count = rows.iter().map(|run| run.len()).sum();
        rows
    }

    /// The runs, counted from the basket's first entry.
    fn iter(&self) -> impl Iterator<Item = Range<usize>> {
        let within = |entry: u64| (entry.max(self.part.start).min(self.part.end) - self.first) as usize;
        self.runs.iter().map(move |run| within(run.start)..within(run.end))
    }
}

/// One basket, decompressed: its values and the extents of its entries, which were checked against each other.
#[derive(Debug)]
pub(crate) struct Basket<'a> {
    pub values: &'a [u8],
    /// Length of the key before the values; references between objects count from its start.
    pub key_length: usize,
    pub extents: &'a Extents,
}

/// Where the lists of the last columns were found: columns that one branch counts have theirs at the same places.
#[derive(Debug, Default)]
pub(crate) struct KnownSpans {
    runs: Runs,
    /// The newest last.
    found: VecDeque<ListSpans>,
}

/// Where the lists of some runs lie in baskets that have these totals.
#[derive(Debug)]
struct ListSpans {
    totals: Arc<Vec<u32>>,
    /// Bytes of an element.
    width: usize,
    /// The first entry that counts.
    first: u64,
    /// Elements of the batch in front of it.
    before: i32,
    /// The bytes of each run.
    spans: Vec<Range<usize>>,
    /// Where the lists end among the elements of the batch.
    ends: Vec<i32>,
}

/// A batch can span several small baskets, which all columns of a collection ask for in turn.
const RECENT_SPANS: usize = 16;

impl KnownSpans {
    /// Whether runs are so short that to find them takes longer than to copy what was found.
    fn are_worth_keeping(rows: &Rows<'_>) -> bool {
        const SHORT: usize = 4;
        rows.runs.len() > 1 && rows.count < SHORT * rows.runs.len()
    }

    /// The bytes of each run; `offsets` goes on with the ends of the lists. `find` does both where it is not known.
    fn or_find(
        &mut self,
        (totals, width): (&Arc<Vec<u32>>, usize),
        rows: &Rows<'_>,
        offsets: &mut Vec<i32>,
        find: impl FnOnce(&mut Vec<i32>) -> Result<Vec<Range<usize>>>,
    ) -> Result<&[Range<usize>]> {
        if !Arc::ptr_eq(&self.runs, rows.all) {
            self.found.clear();
            self.runs = rows.all.clone();
        }
        let (first, before) = (rows.part.start, offsets.last().copied().unwrap_or(0));
        let is_same = |known: &ListSpans| {
            Arc::ptr_eq(&known.totals, totals) && (known.width, known.first, known.before) == (width, first, before)
        };
        let known = match self.found.iter().rposition(is_same) {
            Some(place) => {
                let known = self.found.get(place);
                offsets.extend_from_slice(known.map_or(&[], |known| &known.ends));
                known
            }
            None => {
                let rows_before = offsets.len();
                let spans = find(offsets)?;
                if self.found.len() == RECENT_SPANS {
                    self.found.pop_front();
                }
                let ends = offsets.get(rows_before..).unwrap_or_default().to_vec();
                self.found.push_back(ListSpans { totals: totals.clone(), width, first, before, spans, ends });
                self.found.back()
            }
        };
        Ok(known.map_or(&[], |known| &known.spans))
    }
}

/// Appends some entries of a basket to `out`.
pub(crate) fn decode(
    decode: &Decode,
    basket: &Basket<'_>,
    rows: &Rows<'_>,
    out: &mut Output,
    nothing: &mut Nothing,
    known: &mut KnownSpans,
) -> Result<()> {
    match decode {
        Decode::Fixed { number, per_entry } => {
            let stride = number.width() * per_entry;
            let values = out.number_values()?;
            let spans = rows.iter().map(|run| fixed_span(basket, stride, &run)).collect::<Result<Vec<_>>>()?;
            values.append_spans(basket.values, &spans);
            Ok(())
        }
        Decode::Record { members, stride } => {
            let Output::Record(children) = out else {
                return Err(mismatch());
            };
            for run in rows.iter() {
                let records = basket.values.get(fixed_span(basket, *stride, &run)?).unwrap_or_default();
                for (member, child) in members.iter().zip(children.iter_mut()) {
                    let width = member.number.width() * member.count;
                    child.number_values()?.append_strided(records, *stride, member.offset, width);
                }
            }
            Ok(())
        }
        Decode::Counted { number, inner, header } => {
            counted(number.width() * (*inner).max(1), *header, basket, rows, out, known)
        }
        Decode::Sequential { frame, node } => {
            for row in rows.iter().flatten() {
                let range = entry(basket, row)?;
                let length = range.len();
                let mut walker = Walker::new(basket.values, range, basket.key_length, nothing);
                walker.entry(*frame, node, out).map_err(|e| e.in_entry(row))?;
                if walker.remaining() > 0 {
                    return Err(FormatError::invalid(format!(
                        "{} of the {} bytes of entry {row} of the basket are left over",
                        walker.remaining(),
                        length
                    )));
                }
            }
            out.settle(basket.values);
            Ok(())
        }
    }
}

/// Where a run of entries of `stride` bytes lies within the values.
#[inline]
fn fixed_span(basket: &Basket<'_>, stride: usize, rows: &Range<usize>) -> Result<Range<usize>> {
    let span = rows.start.saturating_mul(stride)..rows.end.saturating_mul(stride);
    if span.start <= span.end && span.end <= basket.values.len() {
        return Ok(span);
    }
    Err(FormatError::invalid(format!(
        "entries {}..{} of {stride} bytes do not fit into the {} bytes of the basket",
        rows.start,
        rows.end,
        basket.values.len()
    )))
}

/// Where an entry lies within the values.
fn entry(basket: &Basket<'_>, row: usize) -> Result<Range<usize>> {
    let range = match basket.extents {
        Extents::Fixed(width) => row * width..(row + 1) * width,
        Extents::Bytes(offsets) => match offsets.get(row..row + 2) {
            Some([start, end]) => *start as usize..*end as usize,
            _ => 0..usize::MAX,
        },
        Extents::Elements { totals, width } => match totals.get(row..row + 2) {
            Some([start, end]) => *start as usize * width..*end as usize * width,
            _ => 0..usize::MAX,
        },
    };
    if range.start > range.end || range.end > basket.values.len() {
        return Err(FormatError::invalid(format!("entry {row} lies outside of its basket")));
    }
    Ok(range)
}

/// Lists of elements of `width` bytes, each list behind a header.
fn counted(
    width: usize,
    header: usize,
    basket: &Basket<'_>,
    rows: &Rows<'_>,
    out: &mut Output,
    known: &mut KnownSpans,
) -> Result<()> {
    let (offsets, child) = out.list_parts()?;
    let values = child.number_values()?;
    match basket.extents {
        Extents::Elements { totals, width: element } if header == 0 => {
            let find = |offsets: &mut _| list_spans(basket, totals, rows, *element, offsets, |total| total);
            if KnownSpans::are_worth_keeping(rows) {
                values.append_spans(basket.values, known.or_find((totals, *element), rows, offsets, find)?);
            } else {
                values.append_spans(basket.values, &find(offsets)?);
            }
            Ok(())
        }
        Extents::Bytes(bounds) if header == 0 => {
            // Division by a constant that the compiler knows costs a shift.
            let spans = match width {
                1 => list_spans(basket, bounds, rows, 1, offsets, |bound| bound),
                2 => list_spans(basket, bounds, rows, 1, offsets, |bound| bound / 2),
                4 => list_spans(basket, bounds, rows, 1, offsets, |bound| bound / 4),
                8 => list_spans(basket, bounds, rows, 1, offsets, |bound| bound / 8),
                width => list_spans(basket, bounds, rows, 1, offsets, |bound| bound / width as u32),
            }?;
            values.append_spans(basket.values, &spans);
            Ok(())
        }
        _ => rows.iter().flatten().try_for_each(|row| {
            let entry = basket.values.get(entry(basket, row)?).unwrap_or_default();
            // A null pointer, or a counted array of nothing, has no bytes at all or only its flag.
            let elements = entry.get(header..).unwrap_or_default();
            if elements.len() % width != 0 {
                return Err(FormatError::invalid(format!(
                    "entry {row} of the basket has {} bytes of values, which are {width} bytes each",
                    elements.len()
                )));
            }
            let count = elements.len() / width;
            // Only a vector's header ends in the count of its elements.
            let announced = entry.get(6..10).filter(|_| header == 10).and_then(|b| b.first_chunk::<4>());
            if announced.is_some_and(|b| u32::from_be_bytes(*b) as usize != count) {
                return Err(FormatError::invalid(format!(
                    "entry {row} of the basket announces another number of elements than its {count}"
                )));
            }
            values.append(elements);
            push_offset(offsets, count)
        }),
    }
}

/// Where the bytes of each run lie, from checked and ascending `bounds` of the entries, and the offsets of its lists.
/// `element` turns a bound into bytes, and `scale` a difference of bounds into elements.
#[inline]
fn list_spans(
    basket: &Basket<'_>,
    bounds: &[u32],
    rows: &Rows<'_>,
    element: usize,
    offsets: &mut Vec<i32>,
    scale: impl Fn(u32) -> u32,
) -> Result<Vec<Range<usize>>> {
    let mut spans = Vec::with_capacity(rows.runs.len());
    let mut end = u64::from(offsets.last().copied().unwrap_or(0).unsigned_abs());
    let outside = || FormatError::invalid("entries lie outside of their basket");
    for run in rows.iter() {
        let [first, rest @ ..] = bounds.get(run.start..=run.end).ok_or_else(outside)? else { continue };
        let (base, first) = (end as u32, *first);
        let offset = |bound: &u32| base.wrapping_add(scale(bound.wrapping_sub(first))) as i32;
        let last = match rest {
            [] => continue,
            // Selections leave many runs of one entry.
            [last] => {
                offsets.push(offset(last));
                *last
            }
            [.., last] => {
                offsets.extend(rest.iter().map(offset));
                *last
            }
        };
        end += u64::from(scale(last.wrapping_sub(first)));
        let span = first as usize * element..last as usize * element;
        if span.start > span.end || span.end > basket.values.len() {
            return Err(outside());
        }
        spans.push(span);
    }
    match i32::try_from(end) {
        Ok(_) => Ok(spans),
        Err(_) => Err(FormatError::invalid("more than 2^31 elements in one batch; ask for fewer rows per batch")),
    }
}

/// Finds the extents of the entries of a basket that was written without an offset table, by walking through them.
pub(crate) fn walk_extents(decode: &Decode, values: &[u8], entries: usize) -> Result<Vec<u32>> {
    let no_table =
        || FormatError::invalid("the basket has no table of entry offsets, and its entries do not tell their length");
    let (mut pos, mut bounds) = (0, vec![0]);
    for _ in 0..entries {
        let rest = values.get(pos..).unwrap_or_default();
        pos += match decode {
            Decode::Sequential {
                frame: frame @ (Frame::Bare | Frame::Members | Frame::Member | Frame::Base | Frame::Named),
                node,
            } => {
                let mut nothing = Nothing::default();
                let mut walker = Walker::new(values, pos..values.len(), 0, &mut nothing);
                walker.entry(*frame, node, &mut Output::new(decode, 0, 0))?;
                walker.pos()
            }
            Decode::Sequential { .. } | Decode::Counted { header: 10, .. } => {
                Cursor::new(rest).version()?.end.ok_or_else(no_table)?
            }
            _ => return Err(no_table()),
        };
        bounds.push(pos as u32);
    }
    if pos < values.len() {
        return Err(FormatError::invalid(format!("{} bytes of the basket belong to no entry", values.len() - pos)));
    }
    Ok(bounds)
}
