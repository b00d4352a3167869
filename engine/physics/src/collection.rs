//! Columns of one collection: lists with the same lengths, brought to one buffer of offsets. What Arrow allows of lists
//! (slices, values before the first list and behind the last, nulls with elements) ends here, and no kernel sees it.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StructArray, UInt32Array};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use arrow_select::take::take;

use crate::error::{Error, Result};

/// Lists of equal lengths, such as `Muon_pt`, `Muon_eta` and `Muon_phi`: one list of elements per row (event), of which
/// each column is a member.
///
/// A row is null if it is null in any of the columns, and then has no elements.
#[derive(Debug, Clone)]
pub struct Collection {
    /// From 0 to the number of elements.
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
    members: Vec<ArrayRef>,
}

impl Collection {
    /// The collection of some columns; lengths that differ are an error.
    pub fn new(columns: &[&ListArray]) -> Result<Self> {
        Self::with_nulls(columns, None)
    }

    /// The same, where rows are null for another reason too.
    pub(crate) fn with_nulls(columns: &[&ListArray], others: Option<&NullBuffer>) -> Result<Self> {
        let Some((first, rest)) = columns.split_first() else {
            return Err(Error::Arguments { function: "Collection", expected: "one list or more".into(), found: 0 });
        };
        for (argument, column) in (2..).zip(rest) {
            if column.len() != first.len() {
                return Err(Error::Rows { argument, found: column.len(), expected: first.len() });
            }
        }
        let mut nulls = others.cloned();
        for column in columns {
            nulls = NullBuffer::union(nulls.as_ref(), column.nulls());
        }
        let nulls = nulls.filter(|n| n.null_count() > 0);
        let mut hidden = nulls.as_ref().is_some_and(|nulls| has_hidden(first, nulls));
        for (argument, column) in (2..).zip(rest) {
            if column.offsets().ptr_eq(first.offsets()) {
                continue;
            }
            hidden |= nulls.as_ref().is_some_and(|nulls| has_hidden(column, nulls));
            let unequal = lengths(first)
                .zip(lengths(column))
                .enumerate()
                .find(|(row, (a, b))| a != b && nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row)));
            if let Some((row, (first, found))) = unequal {
                return Err(Error::ListLengths { row, first, argument, found });
            }
        }
        match nulls {
            Some(nulls) if hidden => Self::compact(columns, nulls),
            nulls => Ok(Self {
                offsets: from_zero(first.offsets()),
                nulls,
                members: columns.iter().map(|c| used(c)).collect(),
            }),
        }
    }

    /// Copies the elements of rows that are not null.
    fn compact(columns: &[&ListArray], nulls: NullBuffer) -> Result<Self> {
        let mut offsets = OffsetBuffer::new_empty();
        let mut members = Vec::with_capacity(columns.len());
        for column in columns {
            let ranges = || ranges(column.offsets()).zip(nulls.iter()).map(|(r, valid)| if valid { r } else { 0..0 });
            offsets = OffsetBuffer::from_lengths(ranges().map(|r| r.len()));
            let places: UInt32Array = ranges().flatten().map(|place| place as u32).collect::<Vec<_>>().into();
            members.push(taken(column.values(), &places)?);
        }
        Ok(Self { offsets, nulls: Some(nulls), members })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many elements all rows have together.
    pub fn elements(&self) -> usize {
        self.offsets.last().map_or(0, |end| *end as usize)
    }

    /// Where the elements of each row begin and end, from 0 on.
    pub fn offsets(&self) -> &OffsetBuffer<i32> {
        &self.offsets
    }

    /// Which rows are null.
    pub fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref()
    }

    /// The values of each column, all rows one behind the other; as long as the offsets say.
    pub fn members(&self) -> &[ArrayRef] {
        &self.members
    }

    /// The elements of each row, as places among the values.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        ranges(&self.offsets)
    }

    /// The ranges of rows that are not null, `None` for those that are.
    pub(crate) fn valid_ranges(&self) -> impl Iterator<Item = Option<Range<usize>>> + '_ {
        let valid = |row| self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        self.ranges().enumerate().map(move |(row, range)| valid(row).then_some(range))
    }

    /// Values as one more column of the collection. There must be one for each element.
    pub fn wrap(&self, values: ArrayRef) -> Result<ListArray> {
        list_of(values, self.offsets.clone(), self.nulls.clone())
    }

    /// One value per row, for each of its elements.
    pub(crate) fn row_of_elements(&self) -> Vec<u32> {
        let mut rows = Vec::with_capacity(self.elements());
        for (row, range) in (0u32..).zip(self.ranges()) {
            rows.resize(range.end, row);
        }
        rows
    }
}

/// The values at some places; null where the place is. Arrow asks each place of a struct whether it is null there, also
/// where none is: members of such structs are taken one by one. Lists it copies one after the other: here all of their
/// elements are taken together.
pub fn taken(values: &dyn Array, places: &UInt32Array) -> Result<ArrayRef> {
    if let Some(lists) = values.as_list_opt::<i32>()
        && lists.null_count() == 0
        && places.null_count() == 0
    {
        return Ok(Arc::new(taken_lists(lists, places)?));
    }
    match values.as_struct_opt() {
        Some(objects) if objects.null_count() == 0 && objects.num_columns() > 0 => {
            let columns = objects.columns().iter().map(|column| taken(column, places)).collect::<Result<_>>()?;
            Ok(Arc::new(StructArray::try_new(objects.fields().clone(), columns, places.nulls().cloned())?))
        }
        _ => Ok(take(values, places, None)?),
    }
}

/// The lists at some places, of which none is null.
fn taken_lists(lists: &ListArray, places: &UInt32Array) -> Result<ListArray> {
    let offsets = lists.offsets();
    let (mut elements, mut ends) = (Vec::with_capacity(places.len()), Vec::with_capacity(places.len() + 1));
    ends.push(0);
    for place in places.values() {
        let place = *place as usize;
        let Some([start, end]) = offsets.get(place..place + 2) else {
            return Err(Error::Rows { argument: 1, found: place, expected: lists.len() });
        };
        elements.extend(*start as u32..*end as u32);
        match i32::try_from(elements.len()) {
            Ok(end) => ends.push(end),
            Err(_) => return Err(Error::TooMany { count: elements.len() as u64, limit: i32::MAX as u64 }),
        }
    }
    let DataType::List(element) = lists.data_type() else { return Ok(lists.clone()) };
    let values = taken(lists.values(), &UInt32Array::from(elements))?;
    Ok(ListArray::try_new(element.clone(), OffsetBuffer::new(ends.into()), values, None)?)
}

/// A list array whose elements can be null.
pub(crate) fn list_of(values: ArrayRef, offsets: OffsetBuffer<i32>, nulls: Option<NullBuffer>) -> Result<ListArray> {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    Ok(ListArray::try_new(field, offsets, values, nulls)?)
}

/// An argument as a list.
pub(crate) fn as_list(array: &dyn Array, argument: usize) -> Result<&ListArray> {
    array.as_list_opt::<i32>().ok_or_else(|| Error::Type {
        argument,
        found: array.data_type().clone(),
        expected: "a list (List with 32-bit offsets)",
    })
}

/// Whether a type is a list that kernels take.
pub(crate) fn is_list(data_type: &DataType) -> bool {
    matches!(data_type, DataType::List(_))
}

fn ranges(offsets: &OffsetBuffer<i32>) -> impl Iterator<Item = Range<usize>> + '_ {
    offsets.iter().zip(offsets.iter().skip(1)).map(|(start, end)| *start as usize..*end as usize)
}

fn lengths(list: &ListArray) -> impl Iterator<Item = usize> + '_ {
    ranges(list.offsets()).map(|r| r.len())
}

/// Whether a null row has elements.
fn has_hidden(list: &ListArray, nulls: &NullBuffer) -> bool {
    lengths(list).zip(nulls.iter()).any(|(length, valid)| !valid && length > 0)
}

fn from_zero(offsets: &OffsetBuffer<i32>) -> OffsetBuffer<i32> {
    match offsets.first() {
        None | Some(0) => offsets.clone(),
        Some(first) => OffsetBuffer::new(offsets.iter().map(|o| o - first).collect::<ScalarBuffer<i32>>()),
    }
}

/// The values that lists refer to.
fn used(list: &ListArray) -> ArrayRef {
    let start = list.offsets().first().map_or(0, |o| *o as usize);
    let end = list.offsets().last().map_or(0, |o| *o as usize);
    match (start, end) {
        (0, end) if end == list.values().len() => list.values().clone(),
        (start, end) => list.values().slice(start, end - start),
    }
}
