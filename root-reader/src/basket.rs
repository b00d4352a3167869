//! One branch's baskets, one after the other: fetched or read, decompressed into a buffer that is used again, and their
//! entry extents checked.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::compression::Decompressor;
use crate::decode::{Basket, Extents, KnownSpans, walk_extents};
use crate::error::{Error, FormatError, Place, Result};
use crate::layout::Decode;
use crate::metrics::ScanMetrics;
use crate::number::{Number, Values};
use crate::object::{BasketHeader, EmbeddedBasket};
use crate::output::KnownOffsets;
use crate::tree::{BasketAt, Branch, BranchId, Tree};
use crate::window::Fetched;
use crate::wire::{Cursor, KeyHead};

/// Contexts and buffers that all branches of a scan use in turn.
#[derive(Default)]
pub(crate) struct Workspace {
    decompressor: Decompressor,
    raw: Vec<u8>,
    /// Baskets of a remote file that were fetched ahead.
    pub fetched: Fetched,
    /// Counters by branch.
    counters: HashMap<BranchId, Counter>,
    /// List offsets of the column that was decoded last: columns that one branch counts have the same.
    pub offsets: KnownOffsets,
    /// Where its lists were, which is the same for these.
    pub spans: KnownSpans,
    /// Whether every byte is decompressed and every checksum compared, also where the values do not need it.
    verify: bool,
    pub metrics: Arc<ScanMetrics>,
}

/// Reads the baskets of one branch, forwards.
#[derive(Debug)]
pub(crate) struct BasketReader {
    pub branch: BranchId,
    loaded: Option<Loaded>,
    spare: Vec<u8>,
}

#[derive(Debug)]
struct Loaded {
    index: usize,
    entries: Range<u64>,
    content: Decompressed,
}

/// What [`Basket`] lends.
#[derive(Debug)]
struct Decompressed {
    values: Content,
    key_length: usize,
    extents: Extents,
}

/// Where decompressed bytes are.
#[derive(Debug)]
enum Content {
    /// A range of a buffer of this reader.
    Own(Vec<u8>, Range<usize>),
    /// A slice of what was fetched, or of the tree's record.
    Shared(Bytes),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(buffer, range) => buffer.get(range.clone()).unwrap_or_default(),
            Self::Shared(bytes) => bytes,
        }
    }
}

/// A part of a branch, as [`BasketReader::at`] finds it.
pub(crate) enum Part<'a> {
    /// Index and entries of a basket, and the basket.
    Basket(usize, Range<u64>, Basket<'a>),
    /// The branch has no entries here.
    Absent(Range<u64>),
}

impl BasketReader {
    pub(crate) fn new(branch: BranchId) -> Self {
        Self { branch, loaded: None, spare: Vec::new() }
    }

    /// The basket that holds entry `pos`, or the gap that does.
    pub(crate) fn at(
        &mut self,
        pos: u64,
        end: u64,
        tree: &Tree,
        decode: &Decode,
        counter: Option<BranchId>,
        work: &mut Workspace,
    ) -> Result<Part<'_>> {
        if self.loaded.as_ref().is_none_or(|l| !l.entries.contains(&pos)) {
            let Some(branch) = tree.branches().get(self.branch) else {
                return Ok(Part::Absent(pos..end));
            };
            let next = branch.baskets.partition_point(|b| b.entries.end <= pos);
            match branch.baskets.get(next) {
                Some(basket) if basket.entries.start <= pos => self.load(next, tree, branch, decode, counter, work)?,
                Some(basket) => return Ok(Part::Absent(pos..basket.entries.start.min(end))),
                None => return Ok(Part::Absent(pos..end)),
            }
        }
        match &self.loaded {
            Some(loaded) => Ok(Part::Basket(
                loaded.index,
                loaded.entries.clone(),
                Basket {
                    values: loaded.content.values.bytes(),
                    key_length: loaded.content.key_length,
                    extents: &loaded.content.extents,
                },
            )),
            None => Ok(Part::Absent(pos..end)),
        }
    }

    fn load(
        &mut self,
        index: usize,
        tree: &Tree,
        branch: &Branch,
        decode: &Decode,
        counter: Option<BranchId>,
        work: &mut Workspace,
    ) -> Result<()> {
        let Some(basket) = branch.baskets.get(index) else {
            return Ok(());
        };
        let place =
            || Place { basket: Some(index), entries: Some(basket.entries.clone()), ..tree.branch_place(self.branch) };
        let corrupt = |e: FormatError| Error::corrupt(place(), e);
        let entries = (basket.entries.end - basket.entries.start) as usize;
        if let Some(old) = self.loaded.take()
            && let Content::Own(buffer, _) = old.content.values
        {
            self.spare = buffer;
        }
        let totals = match (decode, counter) {
            (Decode::Counted { number, inner, .. }, Some(counter)) => {
                let totals = work.totals(counter, basket.entries.clone(), tree)?;
                totals.map(|t| (t, number.width() * (*inner).max(1)))
            }
            _ => None,
        };
        let loaded = match &basket.at {
            BasketAt::Missing(why) => return Err(corrupt(FormatError::invalid(&**why))),
            BasketAt::Embedded(embedded) => {
                embedded_basket(embedded, decode, entries, tree.record_of(self.branch), totals)
                    .map(|content| Loaded { index, entries: basket.entries.clone(), content })
                    .map_err(corrupt)?
            }
            BasketAt::File(range) => {
                let started = Instant::now();
                let source = tree.source_of(self.branch);
                let raw = match work.fetched.get((self.branch, index)) {
                    Some(bytes) => Raw::Shared(bytes),
                    None => match source.read_shared(range.clone()) {
                        Some(bytes) => Raw::Shared(bytes.map_err(|e| within(e, place()))?),
                        None => {
                            match source.read_now(range.clone(), &mut work.raw) {
                                Some(Ok(_)) => {}
                                Some(Err(e)) => return Err(within(e, place())),
                                None => {
                                    source.check(range).map_err(|e| within(e, place()))?;
                                    return Err(corrupt(FormatError::invalid("the basket was not fetched")));
                                }
                            }
                            Raw::Scratch((range.end - range.start) as usize)
                        }
                    },
                };
                let read = Instant::now();
                let spare = std::mem::take(&mut self.spare);
                let content = stored_basket(raw, decode, entries, totals, spare, work).map_err(corrupt)?;
                work.metrics.basket(range.end - range.start, read - started, read.elapsed());
                Loaded { index, entries: basket.entries.clone(), content }
            }
        };
        self.loaded = Some(loaded);
        Ok(())
    }
}

/// Adds the basket to an error about a range of the file.
fn within(error: Error, place: Place) -> Error {
    match error {
        Error::Corrupt { source, .. } => Error::corrupt(place, source),
        other => other,
    }
}

/// The stored bytes of a basket.
enum Raw {
    Shared(Bytes),
    /// So many bytes at the front of the workspace's buffer.
    Scratch(usize),
}

/// Running totals of elements and the width of one, from the branch that counts them.
type Totals = Option<(Arc<Vec<u32>>, usize)>;

fn stored_basket(
    raw: Raw,
    decode: &Decode,
    entries: usize,
    totals: Totals,
    mut buffer: Vec<u8>,
    work: &mut Workspace,
) -> Result<Decompressed, FormatError> {
    let stored = match &raw {
        Raw::Shared(bytes) => bytes,
        Raw::Scratch(length) => work.raw.get(..*length).unwrap_or_default(),
    };
    let head = Head::parse(stored)?;
    if (head.basket.entries as usize) < entries {
        return Err(FormatError::invalid(format!(
            "the basket holds {} entries where its branch counts {entries}",
            head.basket.entries
        )));
    }
    let content = stored.get(head.key_length..head.stored.min(stored.len())).unwrap_or_default();
    let border = head.border()?;
    let totals = totals.filter(|(totals, width)| fills(totals, *width, border));
    let needs_table = totals.is_none() && !matches!(decode, Decode::Fixed { .. } | Decode::Record { .. });
    let wanted = if needs_table || work.verify { head.length } else { border };
    let wanted_range = head.key_length..head.key_length + wanted;
    let values = if content.len() != head.length {
        work.decompressor.decompress(content, head.length, wanted, &mut buffer)?;
        Content::Own(buffer, 0..wanted)
    } else {
        match raw {
            Raw::Shared(bytes) => Content::Shared(bytes.slice(wanted_range)),
            // The workspace's buffer serves the next basket of another branch: keep it and leave ours.
            Raw::Scratch(_) => Content::Own(std::mem::replace(&mut work.raw, buffer), wanted_range),
        }
    };
    let extents = match totals {
        Some((totals, width)) => {
            if work.verify && head.length > border {
                let content = values.bytes().get(..wanted).unwrap_or_default();
                agree(&read_extents(content, head.key_length, decode, entries, border)?, &totals, width)?;
            }
            Extents::Elements { totals, width }
        }
        None => {
            let content = values.bytes().get(..wanted).unwrap_or_default();
            read_extents(content, head.key_length, decode, entries, border)?
        }
    };
    Ok(Decompressed { values: values.cut(border), key_length: head.key_length, extents })
}

impl Content {
    /// Only the first `length` bytes: the values without the table behind them.
    fn cut(self, length: usize) -> Self {
        match self {
            Self::Own(buffer, range) => Self::Own(buffer, range.start..(range.start + length).min(range.end)),
            Self::Shared(bytes) => Self::Shared(bytes.slice(..length.min(bytes.len()))),
        }
    }
}

fn embedded_basket(
    basket: &EmbeddedBasket,
    decode: &Decode,
    entries: usize,
    record: &Bytes,
    totals: Totals,
) -> Result<Decompressed, FormatError> {
    if basket.payload.end > record.len() {
        return Err(FormatError::invalid("the basket reaches beyond the tree's record"));
    }
    let values = record.slice(basket.payload.clone());
    let border = values.len();
    let extents = match decode {
        Decode::Fixed { number, per_entry } => fixed_extents(number.width() * per_entry, entries, border)?,
        Decode::Record { stride, .. } => fixed_extents(*stride, entries, border)?,
        _ => match totals.filter(|(totals, width)| fills(totals, *width, border)) {
            Some((totals, width)) => Extents::Elements { totals, width },
            None if basket.offsets.is_empty() => walked(decode, &values, entries)?,
            None => Extents::Bytes(checked_bounds(basket.offsets.iter().copied(), basket.key_length, entries, border)?),
        },
    };
    Ok(Decompressed { values: Content::Shared(values), key_length: basket.key_length, extents })
}

/// Whether so many elements of `width` bytes take exactly the bytes that the values have.
fn fills(totals: &[u32], width: usize, border: usize) -> bool {
    totals.last().is_some_and(|total| *total as usize * width == border)
}

fn fixed_extents(stride: usize, entries: usize, border: usize) -> Result<Extents, FormatError> {
    match stride.checked_mul(entries) {
        Some(needed) if needed <= border => Ok(Extents::Fixed(stride)),
        _ => Err(FormatError::invalid(format!(
            "{entries} entries of {stride} bytes do not fit into the {border} bytes of the basket"
        ))),
    }
}

/// Extents of the entries of a basket from its content: the values up to `border`, and the table behind them where there
/// is one.
pub(crate) fn read_extents(
    content: &[u8],
    key_length: usize,
    decode: &Decode,
    entries: usize,
    border: usize,
) -> Result<Extents, FormatError> {
    match decode {
        Decode::Fixed { number, per_entry } => fixed_extents(number.width() * per_entry, entries, border),
        Decode::Record { stride, .. } => fixed_extents(*stride, entries, border),
        Decode::Counted { .. } | Decode::Sequential { .. } => {
            let table = content.get(border..).unwrap_or_default();
            table_extents(table, key_length, decode, content, entries, border)
        }
    }
}

/// Extents from the table behind the values: a count and 32-bit offsets from the start of the basket's key.
fn table_extents(
    table: &[u8],
    key_length: usize,
    decode: &Decode,
    values: &[u8],
    entries: usize,
    border: usize,
) -> Result<Extents, FormatError> {
    if table.is_empty() {
        let values = values.get(..border).unwrap_or_default();
        return walked(decode, values, entries);
    }
    let mut cursor = Cursor::new(table);
    let count = cursor.count(4, "entry offsets")?;
    if count < entries {
        return Err(FormatError::invalid(format!("the offset table has {count} offsets for {entries} entries")));
    }
    let words = cursor.bytes(4 * entries, "entry offsets")?.as_chunks::<4>().0;
    Ok(Extents::Bytes(checked_bounds(words.iter().map(|b| u32::from_be_bytes(*b)), key_length, entries, border)?))
}

/// Checks the offsets of the entries against the counts of their elements.
fn agree(extents: &Extents, totals: &[u32], width: usize) -> Result<(), FormatError> {
    match extents {
        Extents::Bytes(bounds) if bounds.iter().zip(totals).any(|(b, t)| *b as usize != *t as usize * width) => {
            Err(FormatError::invalid("the entry offsets contradict the branch that counts the elements"))
        }
        _ => Ok(()),
    }
}

fn walked(decode: &Decode, values: &[u8], entries: usize) -> Result<Extents, FormatError> {
    match (entries, u32::try_from(values.len())) {
        (1, Ok(end)) => Ok(Extents::Bytes(vec![0, end])),
        _ => Ok(Extents::Bytes(walk_extents(decode, values, entries)?)),
    }
}

/// Offsets counted from the values instead of the key, ascending and within the basket, with the end added.
fn checked_bounds(
    offsets: impl Iterator<Item = u32>,
    key_length: usize,
    entries: usize,
    border: usize,
) -> Result<Vec<u32>, FormatError> {
    let end = u32::try_from(border).map_err(|_| FormatError::invalid("a basket of more than 4 GB"))?;
    let key = key_length as u32;
    let mut bounds = Vec::with_capacity(offsets.size_hint().0.min(entries) + 1);
    bounds.extend(offsets.take(entries).map(|offset| offset.wrapping_sub(key)));
    bounds.push(end);
    // One pass that the compiler vectorises; which pair is wrong does not matter.
    let descents = bounds.iter().zip(bounds.iter().skip(1)).filter(|(a, b)| a > b).count();
    if descents > 0 || bounds.len() != entries + 1 {
        return Err(FormatError::invalid("the entry offsets are not ascending within the basket"));
    }
    Ok(bounds)
}

/// What a basket's key says.
struct Head {
    stored: usize,
    length: usize,
    key_length: usize,
    basket: BasketHeader,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(bytes);
        let KeyHead { stored, length, key_length } = KeyHead::parse(&mut cursor)?;
        let basket = BasketHeader::parse(&mut cursor)?;
        match (usize::try_from(stored), usize::try_from(length)) {
            (Ok(stored), Ok(length)) if stored <= bytes.len() && key_length <= stored => {
                Ok(Self { stored, length, key_length, basket })
            }
            _ => Err(FormatError::invalid(format!(
                "the basket's key tells {stored} stored bytes, {length} of content and {key_length} of its own; the \
                 branch counts {} stored",
                bytes.len()
            ))),
        }
    }

    /// Where the values end within the content.
    fn border(&self) -> Result<usize, FormatError> {
        match (self.basket.last as usize).checked_sub(self.key_length) {
            Some(border) if border <= self.length => Ok(border),
            _ => Err(FormatError::invalid(format!(
                "the basket's values end at {} of {} bytes",
                self.basket.last,
                self.length + self.key_length
            ))),
        }
    }
}

/// The branch that counts the elements of others. Its totals are kept for the readers that ask for the same basket.
struct Counter {
    reader: BasketReader,
    recent: VecDeque<(Range<u64>, MaybeTotals)>,
}

/// A batch can span several small baskets, which all branches of a collection ask for in turn.
const RECENT_TOTALS: usize = 16;

/// Running totals of elements, one more than entries; `None` where the counter cannot tell.
type MaybeTotals = Option<Arc<Vec<u32>>>;

impl Workspace {
    pub(crate) fn new(verify: bool, metrics: Arc<ScanMetrics>) -> Self {
        Self { verify, metrics, ..Self::default() }
    }

    /// Running totals of the elements of `entries`; `None` where the counter cannot tell.
    fn totals(&mut self, branch: BranchId, entries: Range<u64>, tree: &Tree) -> Result<Option<Arc<Vec<u32>>>> {
        let fresh = || Counter { reader: BasketReader::new(branch), recent: VecDeque::new() };
        let mut counter = self.counters.remove(&branch).unwrap_or_else(fresh);
        let known = counter.recent.iter().find(|(range, _)| *range == entries).map(|(_, totals)| totals.clone());
        let totals = match known {
            Some(totals) => totals,
            None => {
                let totals = self.read_totals(&mut counter.reader, entries.clone(), tree)?;
                counter.recent.truncate(RECENT_TOTALS - 1);
                counter.recent.push_front((entries, totals.clone()));
                totals
            }
        };
        self.counters.insert(branch, counter);
        Ok(totals)
    }

    fn read_totals(
        &mut self,
        reader: &mut BasketReader,
        entries: Range<u64>,
        tree: &Tree,
    ) -> Result<Option<Arc<Vec<u32>>>> {
        let Some(number) = tree.branches().get(reader.branch).and_then(counter_number) else {
            return Ok(None);
        };
        let decode = Decode::Fixed { number, per_entry: 1 };
        // More than this has to be there before room is made for it.
        let mut counts = Values::new(number, (entries.end - entries.start).min(1 << 16) as usize);
        let mut pos = entries.start;
        while pos < entries.end {
            match reader.at(pos, entries.end, tree, &decode, None, self)? {
                Part::Absent(_) => return Ok(None),
                Part::Basket(_, range, basket) => {
                    let stop = range.end.min(entries.end);
                    let bytes =
                        (pos - range.start) as usize * number.width()..(stop - range.start) as usize * number.width();
                    let Some(bytes) = basket.values.get(bytes) else {
                        return Ok(None);
                    };
                    counts.append(bytes);
                    pos = stop;
                }
            }
        }
        Ok(counts.running_totals())
    }
}

/// The integer that a counting branch holds per entry.
fn counter_number(branch: &Branch) -> Option<Number> {
    if branch.element.as_ref().is_some_and(|e| matches!(e.kind, 3 | 4)) {
        return Some(Number::I32);
    }
    let layout = crate::layout::plain_number(branch)?;
    matches!(
        layout,
        Number::I8 | Number::U8 | Number::I16 | Number::U16 | Number::I32 | Number::U32 | Number::I64 | Number::U64
    )
    .then_some(layout)
}
