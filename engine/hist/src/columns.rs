//! Arrow columns made ready: lists flattened, categories looked up, numbers as slices.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray, UInt64Array, make_array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use arrow_select::take::take;

use crate::axis::{Axis, AxisKind, NOWHERE};
use crate::error::{Error, Result};

/// Columns of the same length without lists.
pub(crate) struct Table {
    pub(crate) rows: usize,
    /// Entries that were left out because a list was NULL.
    pub(crate) null_lists: usize,
    pub(crate) columns: Vec<Flat>,
    pub(crate) weights: Option<ArrayRef>,
    pub(crate) sample: Option<ArrayRef>,
}

/// A column for an axis.
pub(crate) struct Flat(ArrayRef);

/// A column of lists: where each begins and ends among the elements.
struct Lists<'a> {
    offsets: Offsets<'a>,
    elements: ArrayRef,
    nulls: Option<NullBuffer>,
}

/// Where lists begin, as Arrow has it: nothing is copied, as the same column may fill many histograms.
enum Offsets<'a> {
    Small(&'a [i32]),
    Large(&'a [i64]),
    /// Lists of the same length.
    Fixed(usize),
}

impl Offsets<'_> {
    /// Where a list begins, or the one before it ends.
    fn at(&self, entry: usize) -> usize {
        match self {
            Self::Small(offsets) => offsets.get(entry).map_or(0, |&offset| offset as usize),
            Self::Large(offsets) => offsets.get(entry).map_or(0, |&offset| offset as usize),
            Self::Fixed(length) => entry * length,
        }
    }
}

impl Table {
    pub(crate) fn new(
        axes: &[Axis],
        columns: &[&dyn Array],
        weights: Option<&dyn Array>,
        sample: Option<&dyn Array>,
    ) -> Result<Self> {
        let names = axes.iter().enumerate().map(|(number, axis)| axis.display_name(number));
        let mut roles: Vec<(String, &dyn Array)> = names.zip(columns.iter().copied()).collect();
        roles.extend(weights.map(|weights| ("the weight".to_owned(), weights)));
        roles.extend(sample.map(|sample| ("the sample".to_owned(), sample)));
        let length = columns.first().map_or(0, |column| column.len());
        if let Some((role, column)) = roles.iter().find(|(_, column)| column.len() != length) {
            return Err(Error::Columns(format!("the column for {role} has {} rows, the first {length}", column.len())));
        }

        let (rows, null_lists, mut flat) = flatten(&roles, length)?;
        let sample = sample.and_then(|_| flat.pop());
        let weights = weights.and_then(|_| flat.pop());
        Ok(Self { rows, null_lists, columns: flat.into_iter().map(Flat).collect(), weights, sample })
    }

    /// Entries of which nothing is NULL.
    pub(crate) fn nulls(&self) -> Option<NullBuffer> {
        let columns = self.columns.iter().map(|column| &column.0).chain(&self.weights).chain(&self.sample);
        columns.fold(None, |nulls, column| NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref()))
    }
}

/// Columns without lists, the number of their rows, and the number of entries left out.
fn flatten(roles: &[(String, &dyn Array)], length: usize) -> Result<(usize, usize, Vec<ArrayRef>)> {
    let lists: Vec<Option<Lists<'_>>> = roles.iter().map(|(_, column)| Lists::of(*column)).collect();
    let Some(first) = lists.iter().flatten().next() else {
        return Ok((length, 0, roles.iter().map(|(_, column)| whole(*column)).collect()));
    };
    let nulls = lists.iter().flatten().fold(None, |nulls, list| NullBuffer::union(nulls.as_ref(), list.nulls.as_ref()));
    let valid = |entry: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(entry));
    for ((role, _), list) in roles.iter().zip(&lists) {
        let Some(list) = list.as_ref().filter(|list| !std::ptr::eq(*list, first)) else { continue };
        let differs = |entry: &usize| valid(*entry) && list.length(*entry) != first.length(*entry);
        if let Some(entry) = (0..length).find(differs) {
            let (expected, found) = (first.length(entry), list.length(entry));
            return Err(Error::ListLength { entry, role: role.clone(), expected, found });
        }
    }
    let null_lists = nulls.as_ref().map_or(0, NullBuffer::null_count);
    let rows = match null_lists {
        0 => first.range(0..length).len(),
        _ => (0..length).filter(|&entry| valid(entry)).map(|entry| first.length(entry)).sum(),
    };
    // Which entry each element belongs to; made only if some column is no list.
    let mut parents: Option<UInt64Array> = None;
    let columns = roles.iter().zip(&lists).map(|((role, column), list)| {
        let taken = match list {
            Some(list) if null_lists == 0 => return Ok(list.all(length)),
            Some(list) => {
                let elements = (0..length).filter(|&entry| valid(entry)).flat_map(|entry| list.range(entry..entry + 1));
                take(&list.elements, &indices(elements), None)
            }
            None => {
                let parents = parents.get_or_insert_with(|| {
                    let mut parents: Vec<u64> = Vec::with_capacity(rows);
                    for entry in (0..length).filter(|&entry| valid(entry)) {
                        parents.resize(parents.len() + first.length(entry), entry as u64);
                    }
                    parents.into()
                });
                take(*column, parents, None)
            }
        };
        taken.map_err(|error| Error::Columns(format!("the column for {role}: {error}")))
    });
    Ok((rows, null_lists, columns.collect::<Result<_>>()?))
}

fn indices(indices: impl Iterator<Item = usize>) -> UInt64Array {
    UInt64Array::from_iter_values(indices.map(|index| index as u64))
}

fn whole(column: &dyn Array) -> ArrayRef {
    make_array(column.to_data())
}

impl<'a> Lists<'a> {
    fn of(column: &'a dyn Array) -> Option<Self> {
        let (offsets, elements) = match column.data_type() {
            DataType::List(_) => {
                let list = column.as_list::<i32>();
                (Offsets::Small(list.value_offsets()), list.values())
            }
            DataType::LargeList(_) => {
                let list = column.as_list::<i64>();
                (Offsets::Large(list.value_offsets()), list.values())
            }
            DataType::FixedSizeList(_, size) => {
                (Offsets::Fixed(usize::try_from(*size).unwrap_or(0)), column.as_fixed_size_list().values())
            }
            _ => return None,
        };
        Some(Self { offsets, elements: Arc::clone(elements), nulls: column.nulls().cloned() })
    }

    /// The elements of some lists.
    fn range(&self, entries: Range<usize>) -> Range<usize> {
        self.offsets.at(entries.start)..self.offsets.at(entries.end)
    }

    fn length(&self, entry: usize) -> usize {
        self.range(entry..entry + 1).len()
    }

    /// The elements of all lists, if none is left out.
    fn all(&self, length: usize) -> ArrayRef {
        let all = self.range(0..length);
        self.elements.slice(all.start, all.len())
    }
}

/// A column that numbers can be read from.
pub(crate) enum Numbers<'a> {
    F16(&'a PrimitiveArray<Float16Type>),
    F32(&'a [f32]),
    F64(&'a [f64]),
    I8(&'a [i8]),
    I16(&'a [i16]),
    I32(&'a [i32]),
    I64(&'a [i64]),
    U8(&'a [u8]),
    U16(&'a [u16]),
    U32(&'a [u32]),
    U64(&'a [u64]),
    Bool(&'a BooleanArray),
}

/// Runs `$body` with `$values`, a slice, and `$number`, which makes `f64` of an element.
macro_rules! with_slice {
    ($numbers:expr, $range:expr, $values:ident, $number:ident => $body:expr) => {
        with_slice!(@ $numbers, $range, $values, $number, $body, F32 f32, F64 f64, I8 i8, I16 i16, I32 i32, I64 i64,
            U8 u8, U16 u16, U32 u32, U64 u64)
    };
    (@ $numbers:expr, $range:expr, $values:ident, $number:ident, $body:expr, $($kind:ident $type:ty),*) => {
        match $numbers {
            $(Numbers::$kind(values) => {
                let $values = values.get($range).unwrap_or_default();
                let $number = |value: $type| value as f64;
                $body
            })*
            Numbers::F16(array) => {
                let $values = array.values().get($range).unwrap_or_default();
                let $number = |value: <Float16Type as arrow_array::ArrowPrimitiveType>::Native| value.to_f64();
                $body
            }
            Numbers::Bool(array) => {
                let values: Vec<u8> = ($range).map(|row| u8::from(array.value(row))).collect();
                let $values = values.as_slice();
                let $number = |value: u8| f64::from(value);
                $body
            }
        }
    };
}

impl<'a> Numbers<'a> {
    pub(crate) fn new(array: &'a ArrayRef, role: impl FnOnce() -> String) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Float16 => Self::F16(array.as_primitive()),
            DataType::Float32 => Self::F32(array.as_primitive::<Float32Type>().values()),
            DataType::Float64 => Self::F64(array.as_primitive::<Float64Type>().values()),
            DataType::Int8 => Self::I8(array.as_primitive::<Int8Type>().values()),
            DataType::Int16 => Self::I16(array.as_primitive::<Int16Type>().values()),
            DataType::Int32 => Self::I32(array.as_primitive::<Int32Type>().values()),
            DataType::Int64 => Self::I64(array.as_primitive::<Int64Type>().values()),
            DataType::UInt8 => Self::U8(array.as_primitive::<UInt8Type>().values()),
            DataType::UInt16 => Self::U16(array.as_primitive::<UInt16Type>().values()),
            DataType::UInt32 => Self::U32(array.as_primitive::<UInt32Type>().values()),
            DataType::UInt64 => Self::U64(array.as_primitive::<UInt64Type>().values()),
            DataType::Boolean => Self::Bool(array.as_boolean()),
            other => return Err(column_type(role(), "numbers or lists of numbers", other)),
        })
    }

    /// Appends the numbers of `range`, multiplied.
    pub(crate) fn read(&self, range: Range<usize>, factor: f64, into: &mut Vec<f64>) {
        with_slice!(self, range, values, number => into.extend(values.iter().map(|&value| number(value) * factor)));
    }

    fn locate(&self, axis: &Axis, range: Range<usize>, nulls: Option<&NullBuffer>, positions: &mut [u32]) -> usize {
        with_slice!(self, range.clone(), values, number => {
            let nans = axis.locate(values, number, positions);
            match nulls {
                // What lies under NULL is nobody's value.
                Some(nulls) if nans > 0 => {
                    values.iter().zip(range).filter(|&(&value, row)| number(value).is_nan() && nulls.is_valid(row)).count()
                }
                _ => nans,
            }
        })
    }
}

/// A column bound to its axis.
pub(crate) enum Column<'a> {
    Numbers(Numbers<'a>),
    Positions(Vec<u32>),
}

impl Column<'_> {
    /// Writes the positions of a range of rows, and tells how many values are NaN.
    pub(crate) fn locate(
        &self,
        axis: &Axis,
        range: Range<usize>,
        nulls: Option<&NullBuffer>,
        positions: &mut [u32],
    ) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.locate(axis, range, nulls, positions),
            Self::Positions(all) => {
                if let Some(found) = all.get(range) {
                    positions.iter_mut().zip(found).for_each(|(position, found)| *position = *found);
                }
                0
            }
        }
    }
}

impl Flat {
    /// The axis with the categories that it takes up from this column.
    pub(crate) fn grow(&self, axis: &Axis) -> Axis {
        if !axis.is_growing() {
            return axis.clone();
        }
        // Equal values often follow each other.
        fn once<T: PartialEq>(mut values: Vec<Option<T>>) -> impl Iterator<Item = T> {
            values.dedup();
            values.into_iter().flatten()
        }
        let words = self.words().map_or_else(Vec::new, |words| axis.missing_words(once(words)));
        let numbers = self.integers().map_or_else(Vec::new, |numbers| axis.missing_numbers(once(numbers)));
        if words.is_empty() && numbers.is_empty() { axis.clone() } else { axis.grown(&words, &numbers).0 }
    }

    pub(crate) fn bind<'a>(&'a self, axis: &Axis, number: usize) -> Result<Column<'a>> {
        let role = || axis.display_name(number);
        let wrong = |expected| column_type(role(), expected, self.0.data_type());
        Ok(match axis.kind() {
            AxisKind::StrCategory { .. } => {
                let words = self.words().ok_or_else(|| wrong("strings or lists of strings"))?;
                let (positions, other) = axis.word_positions();
                Column::Positions(look_up(words, |word| positions.get(word).copied().unwrap_or(other)))
            }
            AxisKind::IntCategory { .. } => {
                let numbers = self.integers().ok_or_else(|| wrong("whole numbers or lists of them"))?;
                let (positions, other) = axis.number_positions();
                Column::Positions(look_up(numbers, |number| positions.get(&number).copied().unwrap_or(other)))
            }
            AxisKind::Boolean => {
                let values = self.0.as_boolean_opt().ok_or_else(|| wrong("booleans or lists of booleans"))?;
                Column::Positions(values.iter().map(|value| value.map_or(NOWHERE, u32::from)).collect())
            }
            _ => Column::Numbers(Numbers::new(&self.0, role)?),
        })
    }

    fn words(&self) -> Option<Vec<Option<&str>>> {
        fn words(array: &dyn Array) -> Option<Vec<Option<&str>>> {
            Some(match array.data_type() {
                DataType::Utf8 => array.as_string::<i32>().iter().collect(),
                DataType::LargeUtf8 => array.as_string::<i64>().iter().collect(),
                DataType::Utf8View => array.as_string_view().iter().collect(),
                DataType::Dictionary(..) => {
                    let dictionary = array.as_any_dictionary();
                    let values = words(dictionary.values().as_ref())?;
                    let keys = dictionary.normalized_keys();
                    let valid = |row| array.is_valid(row);
                    let word = |(row, key): (usize, usize)| values.get(key).copied().flatten().filter(|_| valid(row));
                    keys.into_iter().enumerate().map(word).collect()
                }
                _ => return None,
            })
        }
        words(self.0.as_ref())
    }

    fn integers(&self) -> Option<Vec<Option<i64>>> {
        macro_rules! integers {
            ($($kind:ident $type:ty),*) => {
                match self.0.data_type() {
                    $(DataType::$kind => Some(
                        self.0.as_primitive::<$type>().iter().map(|value| value.and_then(|value| i64::try_from(value).ok())).collect(),
                    ),)*
                    DataType::Boolean => Some(self.0.as_boolean().iter().map(|value| value.map(i64::from)).collect()),
                    _ => None,
                }
            };
        }
        integers!(Int8 Int8Type, Int16 Int16Type, Int32 Int32Type, Int64 Int64Type, UInt8 UInt8Type, UInt16 UInt16Type,
            UInt32 UInt32Type, UInt64 UInt64Type)
    }
}

/// The position of each value. Equal values often follow each other, and are looked up once.
fn look_up<T: Copy + PartialEq>(values: Vec<Option<T>>, position: impl Fn(T) -> u32) -> Vec<u32> {
    let mut last = None;
    let look_up = |value: Option<T>| {
        let Some(value) = value else { return NOWHERE };
        match last {
            Some((known, position)) if known == value => position,
            _ => {
                let found = position(value);
                last = Some((value, found));
                found
            }
        }
    };
    values.into_iter().map(look_up).collect()
}

fn column_type(role: String, expected: &'static str, found: &DataType) -> Error {
    Error::ColumnType { role, expected, found: found.clone() }
}
