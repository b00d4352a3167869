//! Arguments of a function brought to one shape: constants, columns and lists can be mixed, and a number per row counts
//! for each element of the row's lists.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Datum, Float64Array, ListArray, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Fields};

use crate::collection::{Collection, as_list, is_list};
use crate::error::{Error, Result};
use crate::values::Values;

/// What arguments have in common.
pub(crate) struct Aligned<'a> {
    arrays: Vec<Argument<'a>>,
    /// If any argument is a list: the lists, in the order of the arguments.
    collection: Option<Collection>,
    /// How many values a result has.
    length: usize,
    /// Which of them are null.
    nulls: Option<NullBuffer>,
}

enum Argument<'a> {
    /// An array of one value.
    Constant(&'a dyn Array),
    Column(&'a dyn Array),
    /// This member of the collection.
    Member(usize),
}

impl<'a> Aligned<'a> {
    pub(crate) fn new(arguments: &'a [&'a dyn Datum]) -> Result<Self> {
        let mut arrays = Vec::with_capacity(arguments.len());
        let mut lists: Vec<&ListArray> = Vec::new();
        let (mut rows, mut nulls, mut is_null) = (None, None, false);
        for (argument, datum) in (1..).zip(arguments) {
            let (array, constant) = datum.get();
            if constant && !is_list(array.data_type()) {
                is_null |= array.is_null(0);
                arrays.push(Argument::Constant(array));
                continue;
            }
            let expected = *rows.get_or_insert(array.len());
            if array.len() != expected {
                return Err(Error::Rows { argument, found: array.len(), expected });
            }
            if is_list(array.data_type()) {
                arrays.push(Argument::Member(lists.len()));
                lists.push(as_list(array, argument)?);
            } else {
                nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
                arrays.push(Argument::Column(array));
            }
        }
        let rows = rows.unwrap_or(1);
        if is_null {
            nulls = Some(NullBuffer::new_null(rows));
        }
        if lists.is_empty() {
            return Ok(Self { arrays, collection: None, length: rows, nulls });
        }
        let collection = Collection::with_nulls(&lists, nulls.as_ref())?;
        let mut nulls = None;
        for member in collection.members() {
            nulls = NullBuffer::union(nulls.as_ref(), member.logical_nulls().as_ref());
        }
        Ok(Self { arrays, length: collection.elements(), collection: Some(collection), nulls })
    }

    /// How many values a result has.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The values of each argument.
    pub(crate) fn values(&self) -> Result<Vec<Values<'_>>> {
        let members = self.collection.as_ref().map(Collection::members).unwrap_or_default();
        (1..)
            .zip(&self.arrays)
            .map(|(argument, array)| match array {
                Argument::Constant(array) if *array.data_type() == DataType::Null => Ok(Values::Constant(f64::NAN)),
                Argument::Column(array) if *array.data_type() == DataType::Null => Ok(Values::Constant(f64::NAN)),
                Argument::Constant(array) => {
                    Ok(Values::Constant(Values::of(*array, argument)?.first().unwrap_or(f64::NAN)))
                }
                Argument::Member(place) => match members.get(*place) {
                    Some(member) if *member.data_type() == DataType::Null => Ok(Values::Constant(f64::NAN)),
                    Some(member) => Values::of(member.as_ref(), argument),
                    None => Ok(Values::Constant(f64::NAN)),
                },
                Argument::Column(array) => {
                    let values = Values::of(*array, argument)?;
                    Ok(match &self.collection {
                        Some(collection) => Values::Float64(repeat(&values, collection).into()),
                        None => values,
                    })
                }
            })
            .collect()
    }

    /// Results in the shape of the arguments: numbers if there is one, structs with these names if there are more.
    pub(crate) fn finish(self, results: Vec<Vec<f64>>, names: &[&str]) -> Result<ArrayRef> {
        let nulls = self.nulls.filter(|n| n.null_count() > 0);
        let number = |values: Vec<f64>, nulls| -> ArrayRef { Arc::new(Float64Array::new(values.into(), nulls)) };
        let array = if names.len() > 1 {
            let fields: Fields = names.iter().map(|name| Field::new(*name, DataType::Float64, true)).collect();
            let members = results.into_iter().map(|values| number(values, nulls.clone())).collect();
            Arc::new(StructArray::try_new(fields, members, nulls)?)
        } else {
            number(results.into_iter().next().unwrap_or_default(), nulls)
        };
        match self.collection {
            Some(collection) => Ok(Arc::new(collection.wrap(array)?)),
            None => Ok(array),
        }
    }
}

/// The value of each row, for each of the row's elements.
fn repeat(values: &Values<'_>, collection: &Collection) -> Vec<f64> {
    let mut repeated = Vec::with_capacity(collection.elements());
    for (value, range) in values.to_f64(collection.len()).iter().zip(collection.ranges()) {
        repeated.resize(range.end, *value);
    }
    repeated
}

/// A numeric member of a collection in double precision, NaN where it is null.
pub(crate) fn numbers(array: &ArrayRef, argument: usize) -> Result<Vec<f64>> {
    let mut values = Values::of(array.as_ref(), argument)?.to_f64(array.len()).into_owned();
    if let Some(nulls) = array.nulls().filter(|n| n.null_count() > 0) {
        values.iter_mut().zip(nulls.iter()).filter(|(_, valid)| !valid).for_each(|(value, _)| *value = f64::NAN);
    }
    Ok(values)
}

/// A boolean member of a collection; null counts as false.
pub(crate) fn conditions(array: &ArrayRef, argument: usize) -> Result<arrow_buffer::BooleanBuffer> {
    let array = array.as_boolean_opt().ok_or_else(|| Error::Type {
        argument,
        found: array.data_type().clone(),
        expected: "a list of booleans",
    })?;
    Ok(match array.nulls() {
        Some(nulls) => array.values() & nulls.inner(),
        None => array.values().clone(),
    })
}
