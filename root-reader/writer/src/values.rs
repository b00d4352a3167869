//! The values of a branch out of a batch: structs, lists and arrays taken apart down to numbers and texts, and checked, so
//! that appending them cannot fail any more.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::DataType;
use arrow_select::take::take;

use crate::column::{BranchPlan, Form};
use crate::error::{Error, Place, Result};
use crate::number::{Number, Numbers, numbers};
use crate::tree::Nulls;
use crate::wire::put_string;

/// The values of one branch for the rows of a batch.
pub(crate) enum Values {
    /// As many numbers for each row.
    Fixed { numbers: Numbers, per_row: usize },
    /// Numbers between two offsets for each row, each element being so many.
    Counted { numbers: Numbers, offsets: Offsets, per_element: usize },
    /// The lengths between the offsets.
    Lengths(Offsets),
    /// A text for each row.
    Text(Texts),
    /// Texts between two offsets for each row.
    Texts(Texts, Offsets),
}

/// Where the elements of each row lie in what the lists hold.
#[derive(Clone)]
pub(crate) struct Offsets {
    bounds: ScalarBuffer<i32>,
    /// The first one, where the elements begin.
    base: i32,
}

impl Offsets {
    fn new(bounds: ScalarBuffer<i32>) -> Self {
        let base = bounds.first().copied().unwrap_or(0);
        Self { bounds, base }
    }

    /// The elements of a row.
    pub(crate) fn row(&self, row: usize) -> Range<usize> {
        self.start(row)..self.start(row + 1)
    }

    /// Where the elements of a row begin, or those of the row before it end.
    pub(crate) fn start(&self, row: usize) -> usize {
        self.bounds.get(row).map_or(0, |bound| (bound - self.base) as usize)
    }

    /// Bounds of some rows, one more than there are rows, which begin at [`Offsets::start`] of the first.
    pub(crate) fn bounds(&self, rows: Range<usize>) -> &[i32] {
        self.bounds.get(rows.start..rows.end + 1).unwrap_or_default()
    }

    fn row_of(&self, element: usize) -> usize {
        let place = element as i32 + self.base;
        self.bounds.partition_point(|bound| *bound <= place).saturating_sub(1)
    }
}

/// Texts of any of Arrow's types for them.
pub(crate) struct Texts {
    array: ArrayRef,
}

impl Texts {
    fn get(&self, index: usize) -> &str {
        if self.array.is_null(index) {
            return "";
        }
        match self.array.data_type() {
            DataType::Utf8 => self.array.as_string::<i32>().value(index),
            DataType::LargeUtf8 => self.array.as_string::<i64>().value(index),
            _ => self.array.as_string_view().value(index),
        }
    }
}

impl Values {
    /// Takes the values of a branch out of a batch. `first_entry` is the entry of its first row.
    pub(crate) fn of(
        plan: &BranchPlan,
        batch: &RecordBatch,
        nulls: Nulls,
        first_entry: u64,
        place: &Place,
    ) -> Result<Self> {
        let place = *place.at_column(&plan.column);
        let opened = Walk { place: &place, nulls, first_entry }.open(plan, batch)?;
        opened.check_replacement(nulls, first_entry, &place)?;
        let mismatch =
            || Error::Schema { place: place.clone().into(), difference: "the type of the column is another".into() };
        let values = |opened: &Opened| numbers(&opened.leaf, opened.nulls.as_ref(), nulls).ok_or_else(mismatch);
        Ok(match (&plan.form, opened.offsets.clone()) {
            (Form::Fixed { .. }, None) => Self::Fixed { numbers: values(&opened)?, per_row: opened.per_item },
            (Form::Count { number }, None) => {
                let counts = values(&opened)?;
                Self::Fixed { numbers: narrowed(counts, *number, first_entry, &place)?, per_row: 1 }
            }
            (Form::Counted { .. }, Some(offsets)) => {
                Self::Counted { numbers: values(&opened)?, offsets, per_element: opened.per_item }
            }
            (Form::Length, Some(offsets)) => Self::Lengths(offsets),
            (Form::Text, None) => Self::Text(opened.texts(&place)?),
            (Form::Texts, Some(offsets)) => Self::Texts(opened.texts(&place)?, offsets),
            _ => return Err(mismatch()),
        })
    }

    /// The count of a row, where this is a counter that came as a column.
    pub(crate) fn count(&self, row: usize) -> Option<i64> {
        match self {
            Self::Fixed { numbers, .. } => numbers.integer(row),
            _ => None,
        }
    }

    /// The counts of all rows, where this is a counter that came as a column. One that is out of range is -1, which no
    /// list has.
    pub(crate) fn counts(&self, rows: usize) -> Vec<i32> {
        (0..rows).map(|row| self.count(row).and_then(|count| i32::try_from(count).ok()).unwrap_or(-1)).collect()
    }

    /// The first row whose list has another length than `counts` says, and that length.
    pub(crate) fn first_length_other_than(&self, counts: &[i32]) -> Option<(usize, i32)> {
        let (Self::Counted { offsets, .. } | Self::Lengths(offsets) | Self::Texts(_, offsets)) = self else {
            return None;
        };
        let ends = offsets.bounds.get(1..).unwrap_or_default();
        let mut lengths = offsets.bounds.iter().zip(ends).map(|(start, end)| end - start).zip(counts).enumerate();
        lengths.find(|(_, (length, count))| length != *count).map(|(row, (length, _))| (row, length))
    }

    /// Appends the bytes of some rows to a basket, and where each of them begins, if the branch is jagged.
    pub(crate) fn put(&self, rows: Range<usize>, out: &mut Vec<u8>, starts: &mut Vec<u32>) {
        match self {
            Self::Fixed { numbers, per_row } => numbers.put(rows.start * per_row, rows.end * per_row, out),
            Self::Counted { numbers, offsets, per_element } => {
                let (first, last) = (offsets.start(rows.start), offsets.start(rows.end));
                let begin = out.len();
                numbers.put(first * per_element, last * per_element, out);
                let elements = last - first;
                let width = (out.len() - begin).checked_div(elements).unwrap_or(0);
                let bounds = offsets.bounds(rows);
                let origin = bounds.first().copied().unwrap_or(0);
                let row_starts = bounds.get(..bounds.len().saturating_sub(1)).unwrap_or_default();
                starts.extend(row_starts.iter().map(|bound| (begin + (bound - origin) as usize * width) as u32));
            }
            Self::Lengths(offsets) => {
                out.extend(rows.flat_map(|row| (offsets.row(row).len() as i32).to_be_bytes()));
            }
            Self::Text(texts) => {
                for row in rows {
                    starts.push(out.len() as u32);
                    put_string(out, texts.get(row).as_bytes());
                }
            }
            Self::Texts(texts, offsets) => {
                /// Version of an STL container in a stream.
                const CONTAINER: u16 = 9;
                for row in rows {
                    let begin = out.len();
                    starts.push(begin as u32);
                    out.extend([0; 4]);
                    out.extend(CONTAINER.to_be_bytes());
                    let elements = offsets.row(row);
                    out.extend((elements.len() as u32).to_be_bytes());
                    elements.for_each(|i| put_string(out, texts.get(i).as_bytes()));
                    let count = (out.len() - begin - 4) as u32 | 0x4000_0000;
                    if let Some(head) = out.get_mut(begin..begin + 4) {
                        head.copy_from_slice(&count.to_be_bytes());
                    }
                }
            }
        }
    }

    /// The largest of some rows: of a counter the count, of a text its length.
    pub(crate) fn largest(&self, rows: Range<usize>) -> i64 {
        match self {
            Self::Fixed { .. } => rows.filter_map(|row| self.count(row)).max().unwrap_or(0),
            Self::Lengths(offsets) => rows.map(|row| offsets.row(row).len() as i64).max().unwrap_or(0),
            Self::Text(texts) => rows.map(|row| texts.get(row).len() as i64).max().unwrap_or(0),
            Self::Counted { .. } | Self::Texts(..) => 0,
        }
    }
}

/// Counts in the type of their branch.
fn narrowed(counts: Numbers, number: Number, first_entry: u64, place: &Place) -> Result<Numbers> {
    if !matches!(counts, Numbers::I64(_) | Numbers::U64(_)) {
        return Ok(counts);
    }
    let narrow = |row: usize| {
        counts.integer(row).and_then(|count| i32::try_from(count).ok()).ok_or_else(|| Error::OutOfRange {
            place: place.at_entry(first_entry + row as u64),
            value: counts.integer(row).map_or_else(|| "a count of 64 bits".into(), |count| count.to_string()),
            branch_type: number.name(),
            advice: "it counts the elements of lists, of which a basket holds fewer: give the column another name",
        })
    };
    Ok(Numbers::I32((0..counts.len()).map(narrow).collect::<Result<Vec<i32>>>()?.into()))
}

/// What is at the end of a branch's path.
struct Opened {
    offsets: Option<Offsets>,
    leaf: ArrayRef,
    nulls: Option<NullBuffer>,
    /// Values for each row, or for each element of a list.
    per_item: usize,
}

impl Opened {
    /// What takes the place of a NULL has to be a value of the type.
    fn check_replacement(&self, replacement: Nulls, first_entry: u64, place: &Place) -> Result<()> {
        let (Nulls::Replace { integer, .. }, Some(number)) = (replacement, Number::of(self.leaf.data_type())) else {
            return Ok(());
        };
        let null = self.nulls.as_ref().filter(|nulls| nulls.null_count() > 0).and_then(|n| n.iter().position(|v| !v));
        let Some(item) = null.filter(|_| number.is_integer() && !number.holds(integer)) else {
            return Ok(());
        };
        let item = item / self.per_item.max(1);
        let row = self.offsets.as_ref().map_or(item, |offsets| offsets.row_of(item));
        Err(Error::OutOfRange {
            place: place.at_entry(first_entry + row as u64),
            value: integer.to_string(),
            branch_type: number.name(),
            advice: "it would take the place of a NULL: choose a value that the type holds, or replace the NULL in the query \
                     (COALESCE, CAST)",
        })
    }

    fn texts(&self, place: &Place) -> Result<Texts> {
        // A struct around the texts may be NULL where they are not.
        let array = match &self.nulls {
            Some(nulls) if nulls.null_count() > self.leaf.null_count() => {
                let kept = nulls.iter().enumerate().map(|(i, valid)| valid.then_some(i as u32));
                taken(&self.leaf, kept.collect(), place)?
            }
            _ => self.leaf.clone(),
        };
        Ok(Texts { array })
    }
}

fn taken(array: &ArrayRef, rows: UInt32Array, place: &Place) -> Result<ArrayRef> {
    take(array, &rows, None).map_err(|e| Error::Schema { place: place.clone().into(), difference: e.to_string() })
}

struct Walk<'a> {
    place: &'a Place,
    nulls: Nulls,
    first_entry: u64,
}

impl Walk<'_> {
    fn open(&self, plan: &BranchPlan, batch: &RecordBatch) -> Result<Opened> {
        let missing = || Error::Schema { place: self.place.clone().into(), difference: "the column is missing".into() };
        let mut path = plan.path.iter().copied();
        let mut array = path.next().and_then(|i| batch.columns().get(i)).ok_or_else(missing)?.clone();
        let (mut offsets, mut nulls, mut per_item): (Option<Offsets>, Option<NullBuffer>, usize) = (None, None, 1);
        loop {
            let combined = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
            array = match array.data_type() {
                DataType::Struct(_) => {
                    nulls = combined;
                    let columns = array.as_struct_opt().map(|s| s.columns().to_vec()).unwrap_or_default();
                    path.next().and_then(|i| columns.get(i).cloned()).ok_or_else(missing)?
                }
                DataType::List(_) | DataType::LargeList(_) => {
                    let (elements, bounds) = self.list(&array, combined.as_ref())?;
                    offsets = Some(Offsets::new(bounds));
                    nulls = None;
                    if plan.form == Form::Length {
                        return Ok(Opened { offsets, leaf: elements, nulls, per_item });
                    }
                    elements
                }
                DataType::FixedSizeList(_, length) => {
                    let length = usize::try_from(*length).unwrap_or(0);
                    nulls = combined.map(|nulls| nulls.expand(length));
                    per_item *= length;
                    let list = array.as_fixed_size_list_opt().ok_or_else(missing)?;
                    list.values().slice(list.value_offset(0) as usize, list.len() * length)
                }
                _ => {
                    nulls = combined;
                    break;
                }
            };
        }
        let null = nulls.as_ref().filter(|nulls| nulls.null_count() > 0 && self.nulls == Nulls::Refuse);
        if let Some(first) = null.and_then(|nulls| nulls.iter().position(|valid| !valid)) {
            let item = first / per_item.max(1);
            return Err(self.null(offsets.map_or(item, |offsets| offsets.row_of(item))));
        }
        Ok(Opened { offsets, leaf: array, nulls, per_item })
    }

    fn null(&self, row: usize) -> Error {
        Error::Null { place: self.place.at_entry(self.first_entry + row as u64) }
    }

    /// The elements of a list array, those of its rows only, and their bounds. Lists that are NULL are empty.
    fn list(&self, array: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<(ArrayRef, ScalarBuffer<i32>)> {
        let (elements, bounds) = if let Some(list) = array.as_list_opt::<i32>() {
            (list.values().clone(), list.offsets().inner().clone())
        } else {
            let list = array.as_list::<i64>();
            let bounds: Result<Vec<i32>> = list.offsets().iter().map(|bound| self.narrow_bound(*bound)).collect();
            (list.values().clone(), bounds?.into())
        };
        let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else {
            let (first, last) = (bounds.first().copied().unwrap_or(0), bounds.last().copied().unwrap_or(0));
            return Ok((elements.slice(first as usize, (last - first) as usize), bounds));
        };
        if self.nulls == Nulls::Refuse {
            return Err(self.null(nulls.iter().position(|valid| !valid).unwrap_or(0)));
        }
        // Behind a NULL there may be elements, which are left out.
        let mut kept: Vec<u32> = Vec::new();
        let mut new_bounds = vec![0];
        for (pair, valid) in bounds.windows(2).zip(nulls.iter()) {
            if let ([from, to], true) = (pair, valid) {
                kept.extend(*from as u32..*to as u32);
            }
            new_bounds.push(kept.len() as i32);
        }
        Ok((taken(&elements, kept.into(), self.place)?, new_bounds.into()))
    }

    fn narrow_bound(&self, bound: i64) -> Result<i32> {
        i32::try_from(bound).map_err(|_| Error::TooLarge {
            place: self.place.clone().into(),
            what: "the lists of a batch",
            bytes: bound as u64,
            advice: "make the batches smaller",
        })
    }
}
