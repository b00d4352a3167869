//! Layer 7: the values of one column while a batch is put together, and how they become an Arrow array.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeListArray, ListArray, MapArray, NullArray, StringArray, StructArray,
    make_array,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType};

use crate::class::{Node, RecordField, Run, Special};
use crate::error::FormatError;
use crate::layout::{Decode, Frame};
use crate::number::{Number, Values};

type Result<T> = std::result::Result<T, FormatError>;

/// Bytes that values of a batch which are not there may take.
const MOST_NOTHING: usize = 64 << 20;

/// What the values that are not there take: Arrow wants bytes for fixed-size ones, of which the file has none. A damaged
/// file must not ask for any number of them.
#[derive(Debug, Default)]
pub(crate) struct Nothing {
    bytes: usize,
}

impl Nothing {
    fn spend(&mut self, count: usize, width: usize) -> Result<()> {
        self.bytes = self.bytes.saturating_add(count.saturating_mul(width));
        if self.bytes > MOST_NOTHING {
            return Err(FormatError::invalid(format!(
                "values that are absent take more than {} MB in one batch; ask for fewer rows per batch",
                MOST_NOTHING >> 20
            )));
        }
        Ok(())
    }
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

/// Values of one column while a batch is put together.
#[derive(Debug)]
pub(crate) enum Output {
    Numbers(Values),
    List {
        offsets: Vec<i32>,
        child: Box<Output>,
    },
    /// Values side by side: of a leaf list, a pair, or of what a pointer leads to.
    Record(Vec<Output>),
    /// An object of a class.
    Object {
        fields: Vec<Output>,
        pending: Pending,
    },
    Text {
        offsets: Vec<i32>,
        bytes: Vec<u8>,
    },
    /// So many values of the child for each one.
    Array {
        child: Box<Output>,
        length: usize,
    },
    /// So many values of which nothing is known.
    Nothing(usize),
    /// Values that can be null.
    Optional {
        valid: BooleanBufferBuilder,
        child: Box<Output>,
    },
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
            Decode::Sequential { frame: Frame::Repeated | Frame::VersionedRepeated, node } => {
                Self::list(rows, Self::of_node(node, 0))
            }
            Decode::Sequential { node, .. } => Self::of_node(node, rows),
        }
    }

    fn list(rows: usize, child: Self) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self::List { offsets, child: Box::new(child) }
    }

    fn text(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self::Text { offsets, bytes: Vec::new() }
    }

    fn optional(child: Self) -> Self {
        Self::Optional { valid: BooleanBufferBuilder::new(0), child: Box::new(child) }
    }

    pub(crate) fn of_node(node: &Node, rows: usize) -> Self {
        match node {
            Node::Number(number) => Self::Numbers(Values::new(*number, rows)),
            Node::Bits | Node::Special(Special::Ref | Special::Datime) => Self::Numbers(Values::new(Number::U32, rows)),
            Node::Special(Special::Object) => {
                Self::Record(vec![Self::of_node(&Node::Bits, rows), Self::of_node(&Node::Bits, rows)])
            }
            Node::Special(Special::RefArray) => Self::list(rows, Self::of_node(&Node::Bits, 0)),
            Node::Special(Special::NumberArray(number)) => Self::list(rows, Self::Numbers(Values::new(*number, 0))),
            Node::Text(_) => Self::text(rows),
            Node::List(element) => Self::list(rows, Self::of_node(element, 0)),
            Node::Map(key, value) => {
                Self::list(rows, Self::Record(vec![Self::of_node(key, 0), Self::of_node(value, 0)]))
            }
            Node::Array(element, length) => Self::Array { child: Box::new(Self::of_node(element, 0)), length: *length },
            Node::Record(record) => {
                Self::Object { fields: record.fields.iter().map(Self::of_field).collect(), pending: Pending::default() }
            }
            Node::Objects(_, pointer) => Self::list(rows, Self::of_node(&Node::Pointer(pointer.clone()), 0)),
            Node::Nullable(target) => Self::optional(Self::of_node(target, 0)),
            Node::Enumeration(_) => Self::Numbers(Values::new(Number::I32, rows)),
            Node::Undescribed(_) | Node::Empty => Self::Nothing(0),
            Node::Pointer(pointer) => Self::optional(Self::Record(pointer.fields.iter().map(Self::of_field).collect())),
        }
    }

    fn of_field(field: &RecordField) -> Self {
        let plain = Self::of_node(&field.node, 0);
        // Pointers are optional already.
        if field.optional && !matches!(plain, Self::Optional { .. }) { Self::optional(plain) } else { plain }
    }

    /// Elements of all lists so far; nothing else has elements.
    pub(crate) fn elements(&self) -> usize {
        match self {
            Self::List { offsets, .. } => offsets.last().map_or(0, |end| *end as usize),
            _ => 0,
        }
    }

    /// Appends entries that the branch does not have; the caller marks them as null.
    pub(crate) fn append_absent(&mut self, count: usize, decode: &Decode, nothing: &mut Nothing) -> Result<()> {
        match (self, decode) {
            (Self::Record(children), Decode::Record { members, .. }) => {
                let counts = members.iter().map(|member| count.saturating_mul(member.count));
                children.iter_mut().zip(counts).try_for_each(|(child, count)| child.append_nothing(count, nothing))
            }
            (out, Decode::Fixed { per_entry, .. }) => out.append_nothing(count.saturating_mul(*per_entry), nothing),
            (out, _) => out.append_nothing(count, nothing),
        }
    }

    /// Appends values that are not there: null where they can be, else the default.
    pub(crate) fn append_nothing(&mut self, count: usize, nothing: &mut Nothing) -> Result<()> {
        nothing.spend(count, self.width_of_nothing())?;
        self.fill(count);
        Ok(())
    }

    fn fill(&mut self, count: usize) {
        match self {
            Self::Numbers(values) => values.append_default(count),
            Self::Nothing(total) => *total = total.saturating_add(count),
            Self::List { offsets, .. } | Self::Text { offsets, .. } => {
                let last = offsets.last().copied().unwrap_or(0);
                offsets.resize(offsets.len() + count, last);
            }
            Self::Record(children) | Self::Object { fields: children, .. } => {
                children.iter_mut().for_each(|child| child.fill(count));
            }
            Self::Array { child, length } => child.fill(count.saturating_mul(*length)),
            Self::Optional { valid, child } => {
                valid.append_n(count, false);
                child.fill(count);
            }
        }
    }

    /// Bytes that a value takes which is not there.
    fn width_of_nothing(&self) -> usize {
        match self {
            Self::Numbers(values) => values.width(),
            Self::List { .. } | Self::Text { .. } => 4,
            Self::Nothing(_) => 0,
            Self::Record(children) | Self::Object { fields: children, .. } => {
                children.iter().fold(0, |sum: usize, child| sum.saturating_add(child.width_of_nothing()))
            }
            Self::Array { child, length } => child.width_of_nothing().saturating_mul(*length),
            Self::Optional { child, .. } => child.width_of_nothing().saturating_add(1),
        }
    }

    /// The output for `count` values that are there, which is within the one that can be null.
    #[inline]
    pub(crate) fn present(&mut self, count: usize) -> &mut Self {
        match self {
            Self::Optional { valid, child } => {
                valid.append_n(count, true);
                child
            }
            plain => plain,
        }
    }

    /// Converts what [`Pending`] remembers of a basket with these values.
    pub(crate) fn settle(&mut self, basket: &[u8]) {
        match self {
            Self::Object { fields, pending } => {
                pending.settle(fields, basket);
                fields.iter_mut().for_each(|field| field.settle(basket));
            }
            Self::Record(children) => children.iter_mut().for_each(|child| child.settle(basket)),
            Self::List { child, .. } | Self::Array { child, .. } | Self::Optional { child, .. } => child.settle(basket),
            Self::Numbers(_) | Self::Text { .. } | Self::Nothing(_) => {}
        }
    }

    #[inline]
    pub(crate) fn number_values(&mut self) -> Result<&mut Values> {
        match self {
            Self::Numbers(values) => Ok(values),
            _ => Err(mismatch()),
        }
    }

    #[inline]
    pub(crate) fn list_parts(&mut self) -> Result<(&mut Vec<i32>, &mut Self)> {
        match self {
            Self::List { offsets, child } => Ok((offsets, child)),
            _ => Err(mismatch()),
        }
    }

    /// Keys and values of a map.
    pub(crate) fn pair(&mut self) -> Result<(&mut Self, &mut Self)> {
        match self {
            Self::Record(children) => match children.as_mut_slice() {
                [first, second] => Ok((first, second)),
                _ => Err(mismatch()),
            },
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
            (Self::Nothing(count), DataType::Null) => Ok(Arc::new(NullArray::new(count))),
            (Self::Array { child, .. }, DataType::FixedSizeList(field, length)) => {
                let child = child.finish(field.data_type(), None, known)?;
                Ok(Arc::new(FixedSizeListArray::try_new(field.clone(), *length, child, nulls)?))
            }
            (Self::Optional { mut valid, child }, data_type) => {
                let own = NullBuffer::new(valid.finish());
                child.finish(data_type, NullBuffer::union(Some(&own), nulls.as_ref()), known)
            }
            (Self::Record(children) | Self::Object { fields: children, .. }, DataType::Struct(fields)) => {
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

/// Runs of members that were found in a basket and not converted yet.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// Version of the class that all of them are of.
    owner: usize,
    runs: Vec<Option<PendingRun>>,
}

/// Where one run was found.
#[derive(Debug)]
struct PendingRun {
    run: Arc<Run>,
    shape: usize,
    /// Position in the basket, and number of objects.
    blocks: Vec<(u32, u32)>,
}

impl Pending {
    /// Objects of that version of the class come next. Its members and those of another can be the same fields, of which
    /// the first must be converted first.
    pub(crate) fn enter(&mut self, version: usize, fields: &mut [Output], basket: &[u8]) {
        if self.owner != version {
            self.settle(fields, basket);
            fields.iter_mut().for_each(|field| field.settle(basket));
            self.owner = version;
        }
    }

    /// Remembers that a run of so many objects lies at `start`.
    pub(crate) fn add(
        &mut self,
        (run, shape): (&Arc<Run>, usize),
        start: usize,
        count: usize,
        fields: &mut [Output],
        basket: &[u8],
    ) {
        if self.runs.len() <= run.id {
            self.runs.resize_with(run.id + 1, || None);
        }
        let block = (start as u32, count as u32);
        match self.runs.get_mut(run.id) {
            Some(Some(pending)) if pending.shape == shape => pending.blocks.push(block),
            Some(slot) => {
                if let Some(other) = slot.take() {
                    other.settle(fields, basket);
                }
                *slot = Some(PendingRun { run: run.clone(), shape, blocks: vec![block] });
            }
            None => {}
        }
    }

    pub(crate) fn settle(&mut self, fields: &mut [Output], basket: &[u8]) {
        for run in self.runs.iter_mut().flatten() {
            run.settle(fields, basket);
            run.blocks.clear();
        }
    }
}

impl PendingRun {
    fn settle(&self, fields: &mut [Output], basket: &[u8]) {
        if self.blocks.is_empty() {
            return;
        }
        for leaf in self.run.shapes.get(self.shape).into_iter().flat_map(|shape| &shape.leaves) {
            if let Some(values) = numbers_at(fields, &leaf.path) {
                values.append_blocks(basket, &self.blocks, leaf);
            }
        }
    }
}

/// The numbers that a path of fields leads to.
fn numbers_at<'o>(fields: &'o mut [Output], path: &[usize]) -> Option<&'o mut Values> {
    let (first, rest) = path.split_first()?;
    let mut out = fields.get_mut(*first)?;
    for at in rest {
        match out {
            Output::Object { fields, .. } => out = fields.get_mut(*at)?,
            _ => return None,
        }
    }
    while let Output::Array { child, .. } = out {
        out = child;
    }
    out.number_values().ok()
}

/// Strings that are read as text and are none.
#[derive(Debug, thiserror::Error)]
#[error("it holds strings that are not UTF-8")]
pub(crate) struct NotUtf8;

type Result2<T> = std::result::Result<T, ArrowError>;

fn not_arrow() -> ArrowError {
    ArrowError::SchemaError("the decoded values do not have the shape of their column".into())
}

pub(crate) fn mismatch() -> FormatError {
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
#[inline]
pub(crate) fn push_offset(offsets: &mut Vec<i32>, more: usize) -> Result<()> {
    let last = offsets.last().copied().unwrap_or(0);
    let next = i32::try_from(more).ok().and_then(|m| last.checked_add(m));
    offsets.push(
        next.ok_or_else(|| FormatError::invalid("more than 2^31 elements in one batch; ask for fewer rows per batch"))?,
    );
    Ok(())
}
