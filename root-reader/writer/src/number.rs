//! The numbers that leaves hold, and their bytes.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow_schema::DataType;

use crate::tree::Nulls;

/// A number of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

impl Number {
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int8 => Self::I8,
            DataType::UInt8 => Self::U8,
            DataType::Int16 => Self::I16,
            DataType::UInt16 => Self::U16,
            DataType::Int32 => Self::I32,
            DataType::UInt32 => Self::U32,
            DataType::Int64 => Self::I64,
            DataType::UInt64 => Self::U64,
            DataType::Float32 => Self::F32,
            DataType::Float64 => Self::F64,
            _ => return None,
        })
    }

    pub(crate) fn width(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// The letter behind the name in a branch's title.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Bool => 'O',
            Self::I8 => 'B',
            Self::U8 => 'b',
            Self::I16 => 'S',
            Self::U16 => 's',
            Self::I32 => 'I',
            Self::U32 => 'i',
            Self::I64 => 'L',
            Self::U64 => 'l',
            Self::F32 => 'F',
            Self::F64 => 'D',
        }
    }

    pub(crate) fn leaf_class(self) -> &'static str {
        match self {
            Self::Bool => "TLeafO",
            Self::I8 | Self::U8 => "TLeafB",
            Self::I16 | Self::U16 => "TLeafS",
            Self::I32 | Self::U32 => "TLeafI",
            Self::I64 | Self::U64 => "TLeafL",
            Self::F32 => "TLeafF",
            Self::F64 => "TLeafD",
        }
    }

    pub(crate) fn is_unsigned(self) -> bool {
        matches!(self, Self::U8 | Self::U16 | Self::U32 | Self::U64)
    }

    pub(crate) fn is_integer(self) -> bool {
        !matches!(self, Self::Bool | Self::F32 | Self::F64)
    }

    /// Name of the type, as C++ has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "int8_t",
            Self::U8 => "uint8_t",
            Self::I16 => "int16_t",
            Self::U16 => "uint16_t",
            Self::I32 => "int32_t",
            Self::U32 => "uint32_t",
            Self::I64 => "int64_t",
            Self::U64 => "uint64_t",
            Self::F32 => "float",
            Self::F64 => "double",
        }
    }

    /// Whether an integer of this type can be the value.
    pub(crate) fn holds(self, value: i64) -> bool {
        match self {
            Self::Bool => value == 0 || value == 1,
            Self::I8 => i8::try_from(value).is_ok(),
            Self::U8 => u8::try_from(value).is_ok(),
            Self::I16 => i16::try_from(value).is_ok(),
            Self::U16 => u16::try_from(value).is_ok(),
            Self::I32 => i32::try_from(value).is_ok(),
            Self::U32 => u32::try_from(value).is_ok(),
            Self::U64 => value >= 0,
            Self::I64 | Self::F32 | Self::F64 => true,
        }
    }
}

/// Values of one type, without NULLs.
#[derive(Debug, Clone)]
pub(crate) enum Numbers {
    Bool(BooleanBuffer),
    I8(ScalarBuffer<i8>),
    U8(ScalarBuffer<u8>),
    I16(ScalarBuffer<i16>),
    U16(ScalarBuffer<u16>),
    I32(ScalarBuffer<i32>),
    U32(ScalarBuffer<u32>),
    I64(ScalarBuffer<i64>),
    U64(ScalarBuffer<u64>),
    F32(ScalarBuffer<f32>),
    F64(ScalarBuffer<f64>),
}

/// The values of an array, with the one of `replace` where `nulls` has a NULL.
pub(crate) fn numbers(array: &ArrayRef, nulls: Option<&NullBuffer>, replace: Nulls) -> Option<Numbers> {
    let (integer, float) = match replace {
        Nulls::Refuse => (0, f64::NAN),
        Nulls::Replace { integer, float } => (integer, float),
    };
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    macro_rules! primitive {
        ($variant:ident, $type:ty, $fill:expr) => {
            Numbers::$variant(filled::<$type>(array, nulls, $fill as <$type as ArrowPrimitiveType>::Native)?)
        };
    }
    Some(match Number::of(array.data_type())? {
        Number::Bool => {
            let values = array.as_boolean_opt()?.values().clone();
            Numbers::Bool(match nulls {
                Some(nulls) if integer == 0 => &values & nulls.inner(),
                Some(nulls) => &values | &!nulls.inner(),
                None => values,
            })
        }
        Number::I8 => primitive!(I8, Int8Type, integer),
        Number::U8 => primitive!(U8, UInt8Type, integer),
        Number::I16 => primitive!(I16, Int16Type, integer),
        Number::U16 => primitive!(U16, UInt16Type, integer),
        Number::I32 => primitive!(I32, Int32Type, integer),
        Number::U32 => primitive!(U32, UInt32Type, integer),
        Number::I64 => primitive!(I64, Int64Type, integer),
        Number::U64 => primitive!(U64, UInt64Type, integer),
        Number::F32 => primitive!(F32, Float32Type, float),
        Number::F64 => primitive!(F64, Float64Type, float),
    })
}

fn filled<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    nulls: Option<&NullBuffer>,
    fill: T::Native,
) -> Option<ScalarBuffer<T::Native>> {
    let values = array.as_primitive_opt::<T>()?.values();
    Some(match nulls {
        Some(nulls) => {
            values.iter().zip(nulls.iter()).map(|(value, valid)| if valid { *value } else { fill }).collect()
        }
        None => values.clone(),
    })
}

impl Numbers {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// The value at a place, if it is an integer that 64 bits with a sign hold.
    pub(crate) fn integer(&self, at: usize) -> Option<i64> {
        match self {
            Self::I8(values) => values.get(at).map(|v| i64::from(*v)),
            Self::U8(values) => values.get(at).map(|v| i64::from(*v)),
            Self::I16(values) => values.get(at).map(|v| i64::from(*v)),
            Self::U16(values) => values.get(at).map(|v| i64::from(*v)),
            Self::I32(values) => values.get(at).map(|v| i64::from(*v)),
            Self::U32(values) => values.get(at).map(|v| i64::from(*v)),
            Self::I64(values) => values.get(at).copied(),
            Self::U64(values) => values.get(at).and_then(|v| i64::try_from(*v).ok()),
            Self::Bool(_) | Self::F32(_) | Self::F64(_) => None,
        }
    }

    /// Appends the bytes of some values, as files have them.
    pub(crate) fn put(&self, from: usize, to: usize, out: &mut Vec<u8>) {
        match self {
            Self::Bool(values) => {
                let to = to.min(values.len());
                out.extend((from..to).map(|i| u8::from(values.value(i))));
            }
            Self::I8(values) => out.extend(values.get(from..to).unwrap_or_default().iter().map(|v| *v as u8)),
            Self::U8(values) => out.extend_from_slice(values.get(from..to).unwrap_or_default()),
            Self::I16(values) => put_all(values.get(from..to), i16::to_be_bytes, out),
            Self::U16(values) => put_all(values.get(from..to), u16::to_be_bytes, out),
            Self::I32(values) => put_all(values.get(from..to), i32::to_be_bytes, out),
            Self::U32(values) => put_all(values.get(from..to), u32::to_be_bytes, out),
            Self::I64(values) => put_all(values.get(from..to), i64::to_be_bytes, out),
            Self::U64(values) => put_all(values.get(from..to), u64::to_be_bytes, out),
            Self::F32(values) => put_all(values.get(from..to), f32::to_be_bytes, out),
            Self::F64(values) => put_all(values.get(from..to), f64::to_be_bytes, out),
        }
    }
}

/// Appends numbers in one loop over room that is already there, which compilers make wide.
pub(crate) fn put_all<T: Copy, const N: usize>(values: Option<&[T]>, bytes: impl Fn(T) -> [u8; N], out: &mut Vec<u8>) {
    let values = values.unwrap_or_default();
    let start = out.len();
    out.resize(start + values.len() * N, 0);
    let (room, _) = out.get_mut(start..).unwrap_or_default().as_chunks_mut::<N>();
    for (place, value) in room.iter_mut().zip(values) {
        *place = bytes(*value);
    }
}
