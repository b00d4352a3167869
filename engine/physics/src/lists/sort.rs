//! The order of the elements of each list.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::{Array, Int32Array, ListArray, PrimitiveArray};

use super::number::{Number, with_number};
use super::reduce::member;
use super::select::take_list;
use crate::collection::Collection;
use crate::error::Result;

/// Which elements come first. Null and NaN are behind all others in either order, and equal ones keep their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// The smallest.
    Ascending,
    /// The largest.
    Descending,
}

/// The places of the elements of each list, counted from 0, in the order of their values.
pub fn argsort(list: &ListArray, order: Order) -> Result<ListArray> {
    let collection = Collection::new(&[list])?;
    with_number!(member(&collection)?, 1, places_in_order(&collection, order))
}

/// The elements of each list in the order of other values, one for each.
pub fn sort_by(list: &ListArray, keys: &ListArray, order: Order) -> Result<ListArray> {
    // That the lengths agree is checked here, as places that are too large would give nulls.
    Collection::new(&[list, keys])?;
    take_list(list, &argsort(keys, order)?)
}

fn places_in_order<T: Number>(keys: &PrimitiveArray<T>, collection: &Collection, order: Order) -> Result<ListArray> {
    let nulls = keys.nulls().filter(|n| n.null_count() > 0);
    let mut places: Vec<i32> = Vec::with_capacity(collection.elements());
    let mut row: Vec<(Option<T::Native>, i32)> = Vec::new();
    for range in collection.ranges() {
        row.clear();
        let values = keys.values().get(range.clone()).unwrap_or_default();
        row.extend((0..).zip(range).zip(values).map(|((place, at), value)| {
            let counts = nulls.is_none_or(|nulls| nulls.is_valid(at)) && value.partial_cmp(value).is_some();
            (counts.then_some(*value), place)
        }));
        row.sort_by(|(a, _), (b, _)| match (a, b) {
            (Some(a), Some(b)) => {
                let ordering = a.partial_cmp(b).unwrap_or(Ordering::Equal);
                if order == Order::Ascending { ordering } else { ordering.reverse() }
            }
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        places.extend(row.iter().map(|(_, place)| place));
    }
    collection.wrap(Arc::new(Int32Array::from(places)))
}
