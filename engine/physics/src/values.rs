//! Numbers on their way into a formula: columns of several types and constants, converted block by block.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::DataType;

use crate::error::{Error, Result};

/// How many values are converted and computed at a time: what a formula needs then fits into the first-level cache.
pub(crate) const BLOCK: usize = 256;

/// The values of one argument: a column, or one number for all rows.
#[derive(Debug, Clone)]
pub enum Values<'a> {
    /// A column of single precision.
    Float32(&'a [f32]),
    /// A column of double precision, or one that had to be converted to it.
    Float64(Cow<'a, [f64]>),
    /// The same for all rows.
    Constant(f64),
}

impl<'a> From<&'a [f32]> for Values<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::Float32(values)
    }
}

impl<'a> From<&'a [f64]> for Values<'a> {
    fn from(values: &'a [f64]) -> Self {
        Self::Float64(Cow::Borrowed(values))
    }
}

impl From<f64> for Values<'_> {
    fn from(value: f64) -> Self {
        Self::Constant(value)
    }
}

impl<'a> Values<'a> {
    /// The values of a numeric array, whatever stands at its nulls.
    pub(crate) fn of(array: &'a dyn Array, argument: usize) -> Result<Self> {
        match array.data_type() {
            DataType::Float32 => Ok(Self::Float32(array.as_primitive::<Float32Type>().values())),
            DataType::Float64 => Ok(Self::from(&array.as_primitive::<Float64Type>().values()[..])),
            DataType::Int8 => small::<Int8Type>(array),
            DataType::Int16 => small::<Int16Type>(array),
            DataType::Int32 => small::<Int32Type>(array),
            DataType::UInt8 => small::<UInt8Type>(array),
            DataType::UInt16 => small::<UInt16Type>(array),
            DataType::UInt32 => small::<UInt32Type>(array),
            DataType::Int64 => large::<Int64Type>(array, argument),
            DataType::UInt64 => large::<UInt64Type>(array, argument),
            found => Err(Error::Type { argument, found: found.clone(), expected: "a number" }),
        }
    }

    /// How many values there are; `None` if as many as needed.
    pub fn len(&self) -> Option<usize> {
        match self {
            Self::Float32(values) => Some(values.len()),
            Self::Float64(values) => Some(values.len()),
            Self::Constant(_) => None,
        }
    }

    /// Whether this is a column without values.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The value of a column's first row.
    pub(crate) fn first(&self) -> Option<f64> {
        match self {
            Self::Float32(values) => values.first().copied().map(f64::from),
            Self::Float64(values) => values.first().copied(),
            Self::Constant(value) => Some(*value),
        }
    }

    /// Puts the values from `start` on into a block; what is left of the block keeps what it had.
    pub(crate) fn load(&self, start: usize, block: &mut [f64; BLOCK]) {
        match self {
            Self::Float32(values) => {
                let values = values.get(start..).unwrap_or_default();
                block.iter_mut().zip(values).for_each(|(to, from)| *to = f64::from(*from));
            }
            Self::Float64(values) => {
                let values = values.get(start..).unwrap_or_default();
                block.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
            }
            Self::Constant(value) => block.fill(*value),
        }
    }

    /// All values in double precision, `length` if they are one constant.
    pub(crate) fn to_f64(&self, length: usize) -> Cow<'_, [f64]> {
        match self {
            Self::Float32(values) => values.iter().copied().map(f64::from).collect(),
            Self::Float64(values) => Cow::Borrowed(values),
            Self::Constant(value) => vec![*value; length].into(),
        }
    }
}

fn small<'a, T: ArrowPrimitiveType<Native: Into<f64>>>(array: &dyn Array) -> Result<Values<'a>> {
    Ok(Values::Float64(array.as_primitive::<T>().values().iter().map(|v| (*v).into()).collect()))
}

fn large<'a, T: ArrowPrimitiveType<Native: Into<i128>>>(array: &dyn Array, argument: usize) -> Result<Values<'a>> {
    const LARGEST: i128 = 1 << 53;
    let array = array.as_primitive::<T>();
    let mut values = Vec::with_capacity(array.len());
    for (row, value) in array.values().iter().enumerate() {
        let value: i128 = (*value).into();
        if value.abs() > LARGEST && array.is_valid(row) {
            return Err(Error::Inexact { argument, value });
        }
        values.push(value as f64);
    }
    Ok(Values::Float64(values.into()))
}
