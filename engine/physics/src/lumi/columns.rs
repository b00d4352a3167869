//! Columns of runs and luminosity sections, of whatever integers.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use arrow_schema::DataType;

use super::error::LumiError;

/// Numbers; `None` for those that no run or section can have.
pub(super) struct Integers {
    values: Vec<Option<u32>>,
}

impl Integers {
    pub(super) fn new(array: &dyn Array, column: &'static str) -> Result<Self, LumiError> {
        macro_rules! collect {
            ($type:ident) => {
                array.as_primitive::<$type>().values().iter().map(|v| u32::try_from(*v).ok()).collect()
            };
        }
        let values = match array.data_type() {
            DataType::Int8 => collect!(Int8Type),
            DataType::Int16 => collect!(Int16Type),
            DataType::Int32 => collect!(Int32Type),
            DataType::Int64 => collect!(Int64Type),
            DataType::UInt8 => collect!(UInt8Type),
            DataType::UInt16 => collect!(UInt16Type),
            DataType::UInt32 => collect!(UInt32Type),
            DataType::UInt64 => collect!(UInt64Type),
            found => return Err(LumiError::Type { column, found: found.clone() }),
        };
        Ok(Self { values })
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Option<u32>> + '_ {
        self.values.iter().copied()
    }
}
