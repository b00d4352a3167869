//! Some elements of each list: by place, by condition, the first ones, or all but some; and lists put one behind the
//! other. Elements can be of any type.

use std::ops::Range;

use arrow_array::builder::{Int32Builder, UInt32Builder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int32Array, ListArray, UInt32Array};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer, OffsetBuffer};
use arrow_select::concat::concat as one_behind_the_other;

use super::reduce::member;
use crate::align::{conditions, numbers};
use crate::collection::{Collection, as_list, list_of, taken};
use crate::error::{Error, Result};

/// The element at one place of each list, counted from 0. Null where the list or the place is null, and where nothing is
/// at the place: −1 stands for "none" in cross-references of events.
pub fn take(list: &ListArray, places: &Int32Array) -> Result<ArrayRef> {
    if places.len() != list.len() {
        return Err(Error::Rows { argument: 2, found: places.len(), expected: list.len() });
    }
    let collection = Collection::new(&[list])?;
    let mut chosen = UInt32Builder::with_capacity(list.len());
    for (range, place) in collection.valid_ranges().zip(places) {
        chosen.append_option(range.zip(place).and_then(|(range, place)| locate(&range, place)));
    }
    taken(member(&collection)?, &chosen.finish())
}

/// The elements at several places of each list, counted from 0, in the order of the places; an element is null where
/// nothing is at the place.
pub fn take_list(list: &ListArray, places: &ListArray) -> Result<ListArray> {
    if places.len() != list.len() {
        return Err(Error::Rows { argument: 2, found: places.len(), expected: list.len() });
    }
    let (elements, places) = (Collection::new(&[list])?, Collection::with_nulls(&[places], list.nulls())?);
    let wanted = integers(member(&places)?, 2)?;
    let mut chosen = UInt32Builder::with_capacity(wanted.len());
    for (from, to) in elements.valid_ranges().zip(places.ranges()) {
        for place in to {
            let place = wanted.is_valid(place).then(|| wanted.value(place));
            chosen.append_option(from.clone().zip(place).and_then(|(range, place)| locate(&range, place)));
        }
    }
    places.wrap(taken(member(&elements)?, &chosen.finish())?)
}

/// The first elements of each list, at most so many.
pub fn first(list: &ListArray, count: usize) -> Result<ListArray> {
    choose(&Collection::new(&[list])?, |range, chosen| {
        chosen.extend(range.start as u32..(range.start + count.min(range.len())) as u32)
    })
}

/// The elements of each list for which a condition holds; where it is null it does not.
pub fn filter(list: &ListArray, condition: &ListArray) -> Result<ListArray> {
    let collection = Collection::new(&[list, condition])?;
    let truth = match collection.members() {
        [_, condition] => conditions(condition, 2)?,
        _ => return Err(Error::TupleSize { size: 0, limit: 1 }),
    };
    choose(&collection, |range, chosen| {
        chosen.extend(range.filter(|place| truth.value(*place)).map(|place| place as u32));
    })
}

/// The elements of each list but those at some places, such as those of the pair that was found. Where a place is null
/// or nothing is there, nothing is left out for it.
pub fn without(list: &ListArray, places: &[&Int32Array]) -> Result<ListArray> {
    let collection = Collection::new(&[list])?;
    let mut keep = BooleanBufferBuilder::new(collection.elements());
    keep.append_n(collection.elements(), true);
    for (argument, places) in (2..).zip(places) {
        if places.len() != list.len() {
            return Err(Error::Rows { argument, found: places.len(), expected: list.len() });
        }
        for (range, place) in collection.ranges().zip(places.iter()) {
            if let Some(place) = place.and_then(|place| locate(&range, place)) {
                keep.set_bit(place as usize, false);
            }
        }
    }
    let keep = keep.finish();
    choose(&collection, |range, chosen| {
        chosen.extend(range.filter(|place| keep.value(*place)).map(|place| place as u32));
    })
}

/// The elements of several lists of each row, those of the first list first. Null if one of them is; the elements must
/// be of one type.
pub fn concat(lists: &[&ListArray]) -> Result<ListArray> {
    let (collections, offsets, nulls) = behind_each_other(lists)?;
    let mut members: Vec<&dyn Array> = Vec::with_capacity(lists.len());
    let mut firsts = Vec::with_capacity(lists.len());
    let mut first_place = 0;
    for (argument, collection) in (1..).zip(&collections) {
        let values = member(collection)?;
        if members.first().is_some_and(|first| first.data_type() != values.data_type()) {
            let expected = "a list of the same elements as argument 1";
            return Err(Error::Type { argument, found: values.data_type().clone(), expected });
        }
        members.push(values);
        firsts.push(first_place);
        first_place += values.len() as u32;
    }
    let mut places = Vec::with_capacity(first_place as usize);
    for_each_source(&collections, |list, range| {
        let first = firsts.get(list).copied().unwrap_or(0);
        places.extend(range.map(|place| first + place as u32));
    });
    list_of(taken(&one_behind_the_other(&members)?, &places.into())?, offsets, nulls)
}

/// For each element of [`concat()`] of the same lists: which of the lists it is from, counted from 0.
pub fn concat_sources(lists: &[&ListArray]) -> Result<ListArray> {
    let (collections, offsets, nulls) = behind_each_other(lists)?;
    let mut sources = Int32Builder::with_capacity(offsets.last().map_or(0, |end| *end as usize));
    for_each_source(&collections, |list, range| sources.append_value_n(list as i32, range.len()));
    list_of(std::sync::Arc::new(sources.finish()), offsets, nulls)
}

/// The elements of all lists one behind the other; null lists have none.
pub fn flatten(list: &ListArray) -> Result<ArrayRef> {
    Ok(member(&Collection::new(&[list])?)?.clone())
}

/// The value of each row for each element of the row's list, as a list of the same lengths. `flatten` of it stands
/// beside `flatten` of the list. Null where the list is null; null elements where the value is.
pub fn spread(values: &dyn Array, list: &ListArray) -> Result<ListArray> {
    if values.len() != list.len() {
        return Err(Error::Rows { argument: 2, found: list.len(), expected: values.len() });
    }
    let collection = Collection::new(&[list])?;
    let rows = UInt32Array::from(collection.row_of_elements());
    collection.wrap(taken(values, &rows)?)
}

/// Lists of the elements whose places are chosen for each row.
pub(super) fn choose(collection: &Collection, mut of: impl FnMut(Range<usize>, &mut Vec<u32>)) -> Result<ListArray> {
    let mut chosen = Vec::with_capacity(collection.elements());
    let mut ends = Vec::with_capacity(collection.len() + 1);
    ends.push(0);
    ends.extend(collection.ranges().map(|range| {
        of(range, &mut chosen);
        chosen.len() as i32
    }));
    let values = taken(member(collection)?, &UInt32Array::from(chosen))?;
    list_of(values, OffsetBuffer::new(ends.into()), collection.nulls().cloned())
}

/// A place within a list as a place among the values.
fn locate(range: &Range<usize>, place: i32) -> Option<u32> {
    let place = usize::try_from(place).ok().filter(|place| *place < range.len())?;
    Some((range.start + place) as u32)
}

/// Places, whatever the type of integer.
fn integers(array: &ArrayRef, argument: usize) -> Result<Int32Array> {
    if let Some(places) = array.as_primitive_opt() {
        return Ok(places.clone());
    }
    if !array.data_type().is_integer() {
        return Err(Error::Type { argument, found: array.data_type().clone(), expected: "a list of integers" });
    }
    // What does not fit becomes a place where nothing is.
    let places = numbers(array, argument)?;
    Ok(places.into_iter().map(|place| (!place.is_nan()).then_some(place as i32)).collect())
}

type Joined = (Vec<Collection>, OffsetBuffer<i32>, Option<NullBuffer>);

fn behind_each_other(lists: &[&ListArray]) -> Result<Joined> {
    let Some(first) = lists.first() else {
        return Err(Error::Arguments { function: "concat", expected: "one list or more".into(), found: 0 });
    };
    let mut nulls = None;
    for (argument, list) in (1..).zip(lists) {
        if list.len() != first.len() {
            return Err(Error::Rows { argument, found: list.len(), expected: first.len() });
        }
        as_list(list, argument)?;
        nulls = NullBuffer::union(nulls.as_ref(), list.nulls());
    }
    let collections: Vec<Collection> =
        lists.iter().map(|list| Collection::with_nulls(&[list], nulls.as_ref())).collect::<Result<_>>()?;
    let total: usize = collections.iter().map(Collection::elements).sum();
    if i32::try_from(total).is_err() {
        return Err(Error::TooMany { count: total as u64, limit: i32::MAX as u64 });
    }
    let mut lengths = vec![0; first.len()];
    for collection in &collections {
        lengths.iter_mut().zip(collection.ranges()).for_each(|(length, range)| *length += range.len());
    }
    Ok((collections, OffsetBuffer::from_lengths(lengths), nulls))
}

fn for_each_source(collections: &[Collection], mut visit: impl FnMut(usize, Range<usize>)) {
    let mut ranges: Vec<_> = collections.iter().map(Collection::ranges).collect();
    let rows = collections.first().map_or(0, Collection::len);
    for _ in 0..rows {
        for (list, ranges) in ranges.iter_mut().enumerate() {
            if let Some(range) = ranges.next() {
                visit(list, range);
            }
        }
    }
}
