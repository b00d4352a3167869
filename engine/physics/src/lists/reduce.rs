//! One value of each list: sums, extremes and where they are, and what conditions hold.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder};
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Int32Array, Int64Array, ListArray, PrimitiveArray,
};
use arrow_buffer::NullBuffer;

use super::number::{Number, with_number};
use crate::align::conditions;
use crate::collection::Collection;
use crate::error::{Error, Result};

/// What [`reduce`] makes of the elements of a list. Null elements are passed over, as aggregates of SQL do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// 0 if there are none. In double precision or 64 bits, one after the other; an overflow is an error.
    Sum,
    /// 1 if there are none, otherwise like the sum.
    Product,
    /// In double precision; null if there are no elements.
    Mean,
    /// In the type of the elements; null if there are none. NaN is passed over.
    Min,
    /// The same for the largest.
    Max,
}

/// Which element [`arg_extreme`] looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extreme {
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

/// One number of each list; null for a null list.
pub fn reduce(list: &ListArray, reduction: Reduction) -> Result<ArrayRef> {
    let collection = Collection::new(&[list])?;
    with_number!(member(&collection)?, 1, reduce_numbers(&collection, reduction))
}

/// The place of the smallest or largest element within each list, counted from 0, the first of equal ones. Null and NaN
/// are passed over; null if nothing else is there.
pub fn arg_extreme(list: &ListArray, extreme: Extreme) -> Result<Int32Array> {
    let collection = Collection::new(&[list])?;
    with_number!(member(&collection)?, 1, places_of_extremes(&collection, extreme))
}

/// How many elements of each list are true; null counts as not true.
pub fn count_if(list: &ListArray) -> Result<Int64Array> {
    let collection = Collection::new(&[list])?;
    let truth = conditions(member(&collection)?, 1)?;
    let count = |range: Range<usize>| truth.slice(range.start, range.len()).count_set_bits() as i64;
    Ok(collection.valid_ranges().map(|range| range.map(count)).collect())
}

/// Whether any element of each list is true. Null elements are passed over; false if there are no others.
pub fn any(list: &ListArray) -> Result<BooleanArray> {
    let collection = Collection::new(&[list])?;
    let truth = conditions(member(&collection)?, 1)?;
    Ok(each(&collection, |range| range.into_iter().any(|place| truth.value(place))))
}

/// Whether all elements of each list are true. Null elements are passed over; true if there are no others.
pub fn all(list: &ListArray) -> Result<BooleanArray> {
    let collection = Collection::new(&[list])?;
    let values = member(&collection)?;
    let truth = conditions(values, 1)?;
    Ok(each(&collection, |range| range.into_iter().all(|place| truth.value(place) || values.is_null(place))))
}

fn each(collection: &Collection, holds: impl Fn(Range<usize>) -> bool) -> BooleanArray {
    let mut builder = BooleanBuilder::with_capacity(collection.len());
    collection.valid_ranges().for_each(|range| builder.append_option(range.map(&holds)));
    builder.finish()
}

/// The values of a collection of one column.
pub(super) fn member(collection: &Collection) -> Result<&ArrayRef> {
    collection.members().first().ok_or(Error::TupleSize { size: 0, limit: 1 })
}

/// The valid elements of one list, with their places.
struct Elements<'a, N> {
    values: std::iter::Enumerate<std::slice::Iter<'a, N>>,
    nulls: Option<(&'a NullBuffer, usize)>,
}

impl<N: Copy> Iterator for Elements<'_, N> {
    type Item = (usize, N);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.values
            .find(|(place, _)| self.nulls.is_none_or(|(nulls, start)| nulls.is_valid(start + place)))
            .map(|(place, value)| (place, *value))
    }
}

/// Something of the valid elements of each list: `None` for a null list.
fn fold_lists<T: Number, S>(
    values: &PrimitiveArray<T>,
    collection: &Collection,
    mut fold: impl FnMut(usize, Elements<'_, T::Native>) -> S,
) -> Vec<Option<S>> {
    let nulls = values.nulls().filter(|n| n.null_count() > 0);
    let rows = collection.valid_ranges().enumerate();
    rows.map(|(row, range)| {
        let range = range?;
        let nulls = nulls.map(|nulls| (nulls, range.start));
        let values = values.values().get(range).unwrap_or_default().iter().enumerate();
        Some(fold(row, Elements { values, nulls }))
    })
    .collect()
}

fn reduce_numbers<T: Number>(
    values: &PrimitiveArray<T>,
    collection: &Collection,
    reduction: Reduction,
) -> Result<ArrayRef> {
    match reduction {
        Reduction::Sum => accumulate::<T>(values, collection, T::ZERO, T::add),
        Reduction::Product => accumulate::<T>(values, collection, T::ONE, T::multiply),
        Reduction::Mean => {
            let means = fold_lists(values, collection, |_, elements| {
                let (count, sum) = elements.fold((0u32, 0.0), |(count, sum), (_, v)| (count + 1, sum + T::to_f64(v)));
                (count > 0).then(|| sum / f64::from(count))
            });
            Ok(Arc::new(means.into_iter().map(Option::flatten).collect::<PrimitiveArray<Float64Type>>()))
        }
        Reduction::Min => Ok(extremes::<T>(values, collection, Extreme::Min)),
        Reduction::Max => Ok(extremes::<T>(values, collection, Extreme::Max)),
    }
}

type Wide<T> = <<T as Number>::Wide as ArrowPrimitiveType>::Native;

fn accumulate<T: Number>(
    values: &PrimitiveArray<T>,
    collection: &Collection,
    start: Wide<T>,
    operation: impl Fn(Wide<T>, Wide<T>) -> Option<Wide<T>>,
) -> Result<ArrayRef> {
    let results = fold_lists(values, collection, |row, mut elements| {
        let result = elements.try_fold(start, |total, (_, v)| operation(total, T::widen(v)));
        result.ok_or(Error::Overflow { row })
    });
    let mut builder = PrimitiveBuilder::<T::Wide>::with_capacity(collection.len());
    for result in results {
        builder.append_option(result.transpose()?);
    }
    Ok(Arc::new(builder.finish()))
}

fn best<T: Number>(elements: Elements<'_, T::Native>, extreme: Extreme) -> Option<(usize, T::Native)> {
    elements.fold(None, |best: Option<(usize, T::Native)>, (place, value)| {
        let wins = match (best, extreme) {
            // Only NaN differs from itself.
            (None, _) => value.partial_cmp(&value).is_some(),
            (Some((_, best)), Extreme::Min) => value < best,
            (Some((_, best)), Extreme::Max) => value > best,
        };
        if wins { Some((place, value)) } else { best }
    })
}

fn extremes<T: Number>(values: &PrimitiveArray<T>, collection: &Collection, extreme: Extreme) -> ArrayRef {
    let found = fold_lists(values, collection, |_, elements| best::<T>(elements, extreme).map(|(_, value)| value));
    let mut builder = PrimitiveBuilder::<T>::with_capacity(collection.len());
    found.into_iter().for_each(|value| builder.append_option(value.flatten()));
    Arc::new(builder.finish())
}

fn places_of_extremes<T: Number>(
    values: &PrimitiveArray<T>,
    collection: &Collection,
    extreme: Extreme,
) -> Result<Int32Array> {
    let found =
        fold_lists(values, collection, |_, elements| best::<T>(elements, extreme).map(|(place, _)| place as i32));
    Ok(found.into_iter().map(Option::flatten).collect::<PrimitiveArray<Int32Type>>())
}
