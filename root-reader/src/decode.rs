//! Layer 7: the payload of a basket into Arrow buffers. Numbers are converted in bulk, straight into the buffer that the
//! record batch will own; lengths and offsets of the file are checked before they are used.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeListArray, ListArray, MapArray, StringArray, StructArray, make_array,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType};

use crate::cpp_type::TextForm;
use crate::error::FormatError;
use crate::layout::{Decode, Frame, Node};
use crate::number::{Number, Values};
use crate::wire::Cursor;

type Result<T> = std::result::Result<T, FormatError>;

/// The bit of TObject's bits that says that others refer to the object (`TObject::kIsReferenced`).
const IS_REFERENCED: u8 = 1 << 4;

/// Arrow wants bytes also for fixed-size values that are not there; a damaged file must not ask for any number of them.
const MOST_ABSENT_BYTES: usize = 256 << 20;

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

/// The offsets of the last list that was finished. Arrow checks new offsets one by one; equal ones are shared instead.
#[derive(Debug, Default)]
pub(crate) struct KnownOffsets {
    last: Option<OffsetBuffer<i32>>,
}

impl KnownOffsets {
    /// Offsets that only ever grew by checked, non-negative lengths.
    fn share(&mut self, offsets: Vec<i32>) -> OffsetBuffer<i32> {
        match &self.last {
            Some(last) if last.as_ref() == offsets.as_slice() => last.clone(),
            _ => {
                let new = OffsetBuffer::new(ScalarBuffer::from(offsets));
                self.last = Some(new.clone());
                new
            }
        }
    }
}

/// Entries of a basket: the parts of some runs that lie in it.
#[derive(Debug, Clone)]
pub(crate) struct Rows<'a> {
    /// Entries of the tree, ascending.
    pub runs: &'a [Range<u64>],
    /// What counts of them.
    pub part: Range<u64>,
    /// The first entry of the basket.
    pub first: u64,
}

impl Rows<'_> {
    /// The runs, counted from the basket's first entry.
    fn iter(&self) -> impl Iterator<Item = Range<usize>> {
        let within = |entry: u64| (entry.max(self.part.start).min(self.part.end) - self.first) as usize;
        self.runs.iter().map(move |run| within(run.start)..within(run.end))
    }

    /// How many rows they are.
    pub(crate) fn count(&self) -> usize {
        self.iter().map(|run| run.len()).sum()
    }
}

/// One basket, decompressed: its values and the extents of its entries, which were checked against each other.
#[derive(Debug)]
pub(crate) struct Basket<'a> {
    pub values: &'a [u8],
    pub extents: &'a Extents,
}

/// Values of one column while a batch is put together.
#[derive(Debug)]
pub(crate) enum Output {
    Numbers(Values),
    List { offsets: Vec<i32>, child: Box<Output> },
    Record(Vec<Output>),
    Text { offsets: Vec<i32>, bytes: Vec<u8> },
}

impl Output {
    /// An empty output for a column that is decoded as `decode` says, with room for so many rows, and elements of lists.
    pub(crate) fn new(decode: &Decode, rows: usize, elements: usize) -> Self {
        match decode {
            Decode::Fixed { number, per_entry } => {
                Self::Numbers(Values::new(*number, rows.saturating_mul(*per_entry).min(1 << 20)))
            }
            Decode::Counted { number, .. } => Self::list(rows, Self::Numbers(Values::new(*number, elements))),
            Decode::Record { members, .. } => {
                Self::Record(members.iter().map(|m| Self::Numbers(Values::new(m.number, rows.min(1 << 20)))).collect())
            }
            Decode::Sequential { frame: Frame::Bare | Frame::Versioned, node } => Self::of_node(node, rows),
            Decode::Sequential { node, .. } => Self::list(rows, Self::of_node(node, 0)),
        }
    }

    fn list(rows: usize, child: Self) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self::List { offsets, child: Box::new(child) }
    }

    fn of_node(node: &Node, rows: usize) -> Self {
        match node {
            Node::Number(number) => Self::Numbers(Values::new(*number, rows)),
            Node::Bits => Self::Numbers(Values::new(Number::U32, rows)),
            Node::Text(_) => {
                let mut offsets = Vec::with_capacity(rows + 1);
                offsets.push(0);
                Self::Text { offsets, bytes: Vec::new() }
            }
            Node::List(element) => Self::list(rows, Self::of_node(element, 0)),
            Node::Map(key, value) => {
                Self::list(rows, Self::Record(vec![Self::of_node(key, 0), Self::of_node(value, 0)]))
            }
        }
    }

    /// Elements of all lists so far; nothing else has elements.
    pub(crate) fn elements(&self) -> usize {
        match self {
            Self::List { offsets, .. } => offsets.last().map_or(0, |end| *end as usize),
            _ => 0,
        }
    }

    /// Appends entries that the branch does not have; the caller marks them as null.
    pub(crate) fn append_absent(&mut self, count: usize, decode: &Decode) -> Result<()> {
        let width = match decode {
            Decode::Fixed { number, per_entry } => number.width().saturating_mul(*per_entry),
            Decode::Record { stride, .. } => *stride,
            Decode::Counted { .. } | Decode::Sequential { .. } => 4,
        };
        if count.saturating_mul(width) > MOST_ABSENT_BYTES {
            return Err(FormatError::invalid(format!(
                "the branch lacks {count} entries of {width} bytes each, too much for one batch"
            )));
        }
        let repeat_last = |offsets: &mut Vec<i32>| {
            let last = offsets.last().copied().unwrap_or(0);
            offsets.resize(offsets.len() + count, last);
        };
        match (self, decode) {
            (Self::Numbers(values), Decode::Fixed { per_entry, .. }) => values.append_default(count * per_entry),
            (Self::Numbers(values), _) => values.append_default(count),
            (Self::List { offsets, .. } | Self::Text { offsets, .. }, _) => repeat_last(offsets),
            (Self::Record(children), Decode::Record { members, .. }) => {
                for (child, member) in children.iter_mut().zip(members) {
                    if let Self::Numbers(values) = child {
                        values.append_default(count * member.count);
                    }
                }
            }
            (Self::Record(_), _) => {}
        }
        Ok(())
    }

    fn number_values(&mut self) -> Result<&mut Values> {
        match self {
            Self::Numbers(values) => Ok(values),
            _ => Err(mismatch()),
        }
    }

    /// Turns the output into an array of `rows` rows; `nulls` marks absent rows.
    pub(crate) fn finish(
        self,
        data_type: &DataType,
        nulls: Option<NullBuffer>,
        known: &mut KnownOffsets,
    ) -> Result2<ArrayRef> {
        match (self, data_type) {
            (Self::Numbers(values), data_type) => wrap_dims(values.finish(), data_type, nulls),
            (Self::List { offsets, child }, DataType::List(field)) => {
                let child = child.finish(field.data_type(), None, known)?;
                Ok(Arc::new(ListArray::try_new(field.clone(), known.share(offsets), child, nulls)?))
            }
            (Self::List { offsets, child }, DataType::Map(field, sorted)) => {
                let pairs = child.finish(field.data_type(), None, known)?;
                let pairs = pairs.as_any().downcast_ref::<StructArray>().cloned().ok_or_else(not_arrow)?;
                Ok(Arc::new(MapArray::try_new(field.clone(), known.share(offsets), pairs, nulls, *sorted)?))
            }
            (Self::Record(children), DataType::Struct(fields)) => {
                let children = children.into_iter().zip(fields).map(|(c, f)| c.finish(f.data_type(), None, known));
                let children = children.collect::<Result2<Vec<_>>>()?;
                Ok(Arc::new(StructArray::try_new(fields.clone(), children, nulls)?))
            }
            (Self::Text { offsets, bytes }, DataType::Utf8) => {
                // The offsets are right by construction: only the text can be refused.
                let text = StringArray::try_new(known.share(offsets), Buffer::from_vec(bytes), nulls);
                Ok(Arc::new(text.map_err(|_| ArrowError::ExternalError(Box::new(NotUtf8)))?))
            }
            (Self::Text { offsets, bytes }, DataType::Binary) => {
                Ok(Arc::new(BinaryArray::try_new(known.share(offsets), Buffer::from_vec(bytes), nulls)?))
            }
            _ => Err(not_arrow()),
        }
    }
}

/// Strings that are read as text and are none.
#[derive(Debug, thiserror::Error)]
#[error("it holds strings that are not UTF-8")]
pub(crate) struct NotUtf8;

type Result2<T> = std::result::Result<T, ArrowError>;

fn not_arrow() -> ArrowError {
    ArrowError::SchemaError("the decoded values do not have the shape of their column".into())
}

fn mismatch() -> FormatError {
    FormatError::invalid("the decoder does not fit its column")
}

fn wrap_dims(values: ArrayRef, data_type: &DataType, nulls: Option<NullBuffer>) -> Result2<ArrayRef> {
    if let DataType::FixedSizeList(field, length) = data_type {
        let child = wrap_dims(values, field.data_type(), None)?;
        return Ok(Arc::new(FixedSizeListArray::try_new(field.clone(), *length, child, nulls)?));
    }
    match nulls {
        None => Ok(values),
        Some(nulls) => Ok(make_array(values.to_data().into_builder().nulls(Some(nulls)).build()?)),
    }
}

/// Makes `totals` of `i32` list offsets out of lengths, refusing batches that Arrow's 32-bit lists cannot hold.
fn push_offset(offsets: &mut Vec<i32>, more: usize) -> Result<()> {
    let last = offsets.last().copied().unwrap_or(0);
    let next = i32::try_from(more).ok().and_then(|m| last.checked_add(m));
    offsets.push(
        next.ok_or_else(|| FormatError::invalid("more than 2^31 elements in one batch; ask for fewer rows per batch"))?,
    );
    Ok(())
}

/// Appends some entries of a basket to `out`.
pub(crate) fn decode(decode: &Decode, basket: &Basket<'_>, rows: &Rows<'_>, out: &mut Output) -> Result<()> {
    match decode {
        Decode::Fixed { number, per_entry } => {
            let stride = number.width() * per_entry;
            let values = out.number_values()?;
            rows.iter().try_for_each(|run| {
                values.append(fixed_slice(basket, stride, &run)?);
                Ok(())
            })
        }
        Decode::Record { members, stride } => {
            let Output::Record(children) = out else {
                return Err(mismatch());
            };
            for run in rows.iter() {
                let records = fixed_slice(basket, *stride, &run)?;
                for (member, child) in members.iter().zip(children.iter_mut()) {
                    let width = member.number.width() * member.count;
                    child.number_values()?.append_strided(records, *stride, member.offset, width);
                }
            }
            Ok(())
        }
        Decode::Counted { number, inner, header } => {
            counted(number.width() * (*inner).max(1), *header, basket, rows, out)
        }
        Decode::Sequential { frame, node } => {
            for row in rows.iter().flatten() {
                let entry = entry(basket, row)?;
                let mut cursor = Cursor::new(entry);
                framed(*frame, node, &mut cursor, out)?;
                if cursor.remaining() > 0 {
                    return Err(FormatError::invalid(format!(
                        "{} of the {} bytes of entry {row} of the basket are left over",
                        cursor.remaining(),
                        entry.len()
                    )));
                }
            }
            Ok(())
        }
    }
}

fn fixed_slice<'a>(basket: &Basket<'a>, stride: usize, rows: &Range<usize>) -> Result<&'a [u8]> {
    let range = rows.start.saturating_mul(stride)..rows.end.saturating_mul(stride);
    basket.values.get(range).ok_or_else(|| {
        FormatError::invalid(format!(
            "entries {}..{} of {stride} bytes do not fit into the {} bytes of the basket",
            rows.start,
            rows.end,
            basket.values.len()
        ))
    })
}

fn entry<'a>(basket: &Basket<'a>, row: usize) -> Result<&'a [u8]> {
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
    basket.values.get(range).ok_or_else(|| FormatError::invalid(format!("entry {row} lies outside of its basket")))
}

/// Lists of elements of `width` bytes, each list behind a header.
fn counted(width: usize, header: usize, basket: &Basket<'_>, rows: &Rows<'_>, out: &mut Output) -> Result<()> {
    let Output::List { offsets, child } = out else {
        return Err(mismatch());
    };
    let values = child.number_values()?;
    let outside = || FormatError::invalid("entries lie outside of their basket");
    match basket.extents {
        Extents::Elements { totals, width: element } if header == 0 => rows.iter().try_for_each(|run| {
            let totals = totals.get(run.start..=run.end).ok_or_else(outside)?;
            let [first, .., last] = totals else { return Ok(()) };
            let bytes = *first as usize * element..*last as usize * element;
            values.append(basket.values.get(bytes).ok_or_else(outside)?);
            shift_offsets(offsets, totals, |t| t)
        }),
        Extents::Bytes(bounds) if header == 0 => rows.iter().try_for_each(|run| {
            let bounds = bounds.get(run.start..=run.end).ok_or_else(outside)?;
            let [first, .., last] = bounds else { return Ok(()) };
            values.append(basket.values.get(*first as usize..*last as usize).ok_or_else(outside)?);
            // Division by a constant that the compiler knows costs a shift.
            match width {
                1 => shift_offsets(offsets, bounds, |b| b),
                2 => shift_offsets(offsets, bounds, |b| b / 2),
                4 => shift_offsets(offsets, bounds, |b| b / 4),
                8 => shift_offsets(offsets, bounds, |b| b / 8),
                width => shift_offsets(offsets, bounds, |b| b / width as u32),
            }
        }),
        _ => rows.iter().flatten().try_for_each(|row| {
            let entry = entry(basket, row)?;
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

/// Appends list offsets for checked, ascending `bounds`, scaled from what they count to elements.
#[inline]
fn shift_offsets(offsets: &mut Vec<i32>, bounds: &[u32], scale: impl Fn(u32) -> u32) -> Result<()> {
    let (Some((first, rest)), Some(last)) = (bounds.split_first(), bounds.last()) else {
        return Ok(());
    };
    let base = offsets.last().copied().unwrap_or(0);
    let more = i32::try_from(scale(last.saturating_sub(*first))).ok();
    if more.and_then(|m| base.checked_add(m)).is_none() {
        return Err(FormatError::invalid("more than 2^31 elements in one batch; ask for fewer rows per batch"));
    }
    let first = *first;
    offsets.extend(rest.iter().map(|bound| base + scale(bound.wrapping_sub(first)) as i32));
    Ok(())
}

/// One entry with what surrounds it.
fn framed(frame: Frame, node: &Node, cursor: &mut Cursor<'_>, out: &mut Output) -> Result<()> {
    match frame {
        Frame::Bare => walk(node, cursor, out),
        Frame::Versioned => {
            let header = cursor.version()?;
            if header.memberwise { walk_memberwise(node, cursor, out) } else { walk(node, cursor, out) }
        }
        Frame::Repeated | Frame::VersionedRepeated => {
            let Output::List { offsets, child } = out else {
                return Err(mismatch());
            };
            let mut count = 0;
            if frame == Frame::VersionedRepeated && cursor.remaining() > 0 && cursor.version()?.memberwise {
                member_version(cursor)?;
                while cursor.remaining() > 0 {
                    walk_columns(node, cursor, child)?;
                    count += 1;
                }
            }
            while cursor.remaining() > 0 {
                walk(node, cursor, child)?;
                count += 1;
            }
            push_offset(offsets, count)
        }
    }
}

/// Values one after the other.
fn walk(node: &Node, cursor: &mut Cursor<'_>, out: &mut Output) -> Result<()> {
    match (node, out) {
        (Node::Number(number), Output::Numbers(values)) => {
            values.append(cursor.bytes(number.width(), "number")?);
            Ok(())
        }
        (Node::Bits, Output::Numbers(values)) => {
            let word = cursor.bytes(4, "bits")?;
            if word.last().is_some_and(|low| low & IS_REFERENCED != 0) {
                cursor.skip(2)?;
            }
            values.append(word);
            Ok(())
        }
        (Node::Text(form), Output::Text { offsets, bytes }) => {
            let text = match form {
                TextForm::Std | TextForm::Root => cursor.string_bytes()?,
                TextForm::Long => {
                    let length = cursor.count(1, "characters")?;
                    cursor.bytes(length, "characters")?
                }
            };
            bytes.extend_from_slice(text);
            push_offset(offsets, text.len())
        }
        (Node::List(element), Output::List { offsets, child }) => {
            let count = cursor.count(least(element), "elements")?;
            walk_many(element, count, cursor, child)?;
            push_offset(offsets, count)
        }
        (Node::Map(key, value), Output::List { offsets, child }) => {
            let count = cursor.count(least(key) + least(value), "pairs")?;
            let Output::Record(columns) = child.as_mut() else {
                return Err(mismatch());
            };
            let [keys, values] = columns.as_mut_slice() else {
                return Err(mismatch());
            };
            for _ in 0..count {
                walk(key, cursor, keys)?;
                walk(value, cursor, values)?;
            }
            push_offset(offsets, count)
        }
        _ => Err(mismatch()),
    }
}

fn walk_many(node: &Node, count: usize, cursor: &mut Cursor<'_>, out: &mut Output) -> Result<()> {
    if let (Node::Number(number), Output::Numbers(values)) = (node, &mut *out) {
        values.append(cursor.bytes(count.saturating_mul(number.width()), "numbers")?);
        return Ok(());
    }
    (0..count).try_for_each(|_| walk(node, cursor, out))
}

/// Member-wise streaming: the version of the pair's class, a count, then all keys and all values.
fn walk_memberwise(node: &Node, cursor: &mut Cursor<'_>, out: &mut Output) -> Result<()> {
    member_version(cursor)?;
    walk_columns(node, cursor, out)
}

fn member_version(cursor: &mut Cursor<'_>) -> Result<()> {
    // A class without a version of its own is known by the checksum of its description.
    if cursor.u16()? == 0 { cursor.skip(4) } else { Ok(()) }
}

fn walk_columns(node: &Node, cursor: &mut Cursor<'_>, out: &mut Output) -> Result<()> {
    match (node, out) {
        (Node::Map(key, value), Output::List { offsets, child }) => {
            let count = cursor.count(least(key) + least(value), "pairs")?;
            let Output::Record(columns) = child.as_mut() else {
                return Err(mismatch());
            };
            let [keys, values] = columns.as_mut_slice() else {
                return Err(mismatch());
            };
            walk_column(key, count, cursor, keys)?;
            walk_column(value, count, cursor, values)?;
            push_offset(offsets, count)
        }
        _ => Err(FormatError::Unsupported("member-wise streaming of a container that is not a map".into())),
    }
}

/// A column of member-wise streaming: `std::string`s and containers have a byte count and version before the first of them.
fn walk_column(node: &Node, count: usize, cursor: &mut Cursor<'_>, out: &mut Output) -> Result<()> {
    if count > 0 && !matches!(node, Node::Number(_) | Node::Text(TextForm::Root)) {
        cursor.version()?;
    }
    walk_many(node, count, cursor, out)
}

/// The fewest bytes that a value takes: a bound on counts.
fn least(node: &Node) -> usize {
    match node {
        Node::Number(number) => number.width(),
        Node::Bits => 4,
        Node::Text(TextForm::Std | TextForm::Root) => 1,
        Node::Text(TextForm::Long) | Node::List(_) | Node::Map(..) => 4,
    }
}

/// Finds the extents of the entries of a basket that was written without an offset table, by walking through them.
pub(crate) fn walk_extents(decode: &Decode, values: &[u8], entries: usize) -> Result<Vec<u32>> {
    let mut cursor = Cursor::new(values);
    let mut bounds = vec![0];
    let no_table =
        || FormatError::invalid("the basket has no table of entry offsets, and its entries do not tell their length");
    for _ in 0..entries {
        match decode {
            Decode::Sequential { frame: Frame::Bare, node } => {
                let mut discarded = Output::new(decode, 0, 0);
                walk(node, &mut cursor, &mut discarded)?;
            }
            Decode::Sequential { .. } | Decode::Counted { header: 10, .. } => {
                let end = cursor.version()?.end.ok_or_else(no_table)?;
                cursor.seek(end)?;
            }
            _ => return Err(no_table()),
        }
        bounds.push(cursor.pos() as u32);
    }
    if cursor.remaining() > 0 {
        return Err(FormatError::invalid(format!("{} bytes of the basket belong to no entry", cursor.remaining())));
    }
    Ok(bounds)
}
