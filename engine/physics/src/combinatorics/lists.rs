//! Tuples as lists of structs.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, StructArray, UInt32Array};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{Field, Fields};

use super::tuples::Tuples;
use crate::collection::{Collection, list_of, taken};
use crate::error::{Error, Result};

/// The subsets of so many elements of each list, as structs whose members are called `0`, `1` and so on, or by the names
/// that are given. The order is that of [`Tuples::combinations`].
pub fn combinations(list: &ListArray, size: usize, names: Option<&[&str]>) -> Result<ListArray> {
    let collection = Collection::new(&[list])?;
    tuples(&Tuples::combinations(&collection, size)?, &vec![&collection; size], names)
}

/// One element of each of the lists, as structs whose members are called `0`, `1` and so on, or by the names that are
/// given. The order is that of [`Tuples::cartesian`]. Null where one of the lists is.
pub fn cartesian(lists: &[&ListArray], names: Option<&[&str]>) -> Result<ListArray> {
    let collections = lists.iter().map(|list| Collection::new(&[list])).collect::<Result<Vec<_>>>()?;
    let collections: Vec<&Collection> = collections.iter().collect();
    tuples(&Tuples::cartesian(&collections)?, &collections, names)
}

fn tuples(tuples: &Tuples<'_>, collections: &[&Collection], names: Option<&[&str]>) -> Result<ListArray> {
    let names = member_names(tuples.size(), names)?;
    let mut nulls = None;
    for collection in collections {
        nulls = NullBuffer::union(nulls.as_ref(), collection.nulls());
    }
    let (offsets, places) = tuples.all(i32::MAX as u32)?.into_parts();
    let offsets = OffsetBuffer::new(offsets.into_iter().map(|offset| offset as i32).collect());
    let mut members: Vec<ArrayRef> = Vec::with_capacity(tuples.size());
    for (places, collection) in places.into_iter().zip(collections) {
        if let Some(values) = collection.members().first() {
            members.push(taken(values, &UInt32Array::from(places))?);
        }
    }
    let fields: Fields =
        names.into_iter().zip(&members).map(|(name, m)| Field::new(name, m.data_type().clone(), true)).collect();
    list_of(Arc::new(StructArray::try_new(fields, members, None)?), offsets, nulls)
}

fn member_names(size: usize, names: Option<&[&str]>) -> Result<Vec<String>> {
    let Some(names) = names else { return Ok((0..size).map(|place| place.to_string()).collect()) };
    let different = names.iter().enumerate().all(|(at, name)| !names.iter().take(at).any(|other| other == name));
    let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
    if names.len() == size && different { Ok(names) } else { Err(Error::TupleNames { size, names }) }
}
