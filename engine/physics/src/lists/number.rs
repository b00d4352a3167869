//! What elements of lists must be able to do, whatever their type.

use arrow_array::ArrowPrimitiveType;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

/// A number type: sums and products are made in the widest type of its kind.
pub(super) trait Number: ArrowPrimitiveType<Native: PartialOrd> {
    type Wide: ArrowPrimitiveType;
    const ZERO: <Self::Wide as ArrowPrimitiveType>::Native;
    const ONE: <Self::Wide as ArrowPrimitiveType>::Native;

    fn widen(value: Self::Native) -> <Self::Wide as ArrowPrimitiveType>::Native;
    fn to_f64(value: Self::Native) -> f64;
    /// `None` if it does not fit.
    fn add(
        a: <Self::Wide as ArrowPrimitiveType>::Native,
        b: <Self::Wide as ArrowPrimitiveType>::Native,
    ) -> Option<<Self::Wide as ArrowPrimitiveType>::Native>;
    /// `None` if it does not fit.
    fn multiply(
        a: <Self::Wide as ArrowPrimitiveType>::Native,
        b: <Self::Wide as ArrowPrimitiveType>::Native,
    ) -> Option<<Self::Wide as ArrowPrimitiveType>::Native>;
}

macro_rules! integers {
    ($wide:ident, $native:ty: $($name:ident),+) => {$(
        impl Number for $name {
            type Wide = $wide;
            const ZERO: $native = 0;
            const ONE: $native = 1;

            fn widen(value: Self::Native) -> $native {
                value.into()
            }

            fn to_f64(value: Self::Native) -> f64 {
                value as f64
            }

            fn add(a: $native, b: $native) -> Option<$native> {
                a.checked_add(b)
            }

            fn multiply(a: $native, b: $native) -> Option<$native> {
                a.checked_mul(b)
            }
        }
    )+};
}

integers!(Int64Type, i64: Int8Type, Int16Type, Int32Type, Int64Type);
integers!(UInt64Type, u64: UInt8Type, UInt16Type, UInt32Type, UInt64Type);

macro_rules! floats {
    ($($name:ident),+) => {$(
        impl Number for $name {
            type Wide = Float64Type;
            const ZERO: f64 = 0.0;
            const ONE: f64 = 1.0;

            fn widen(value: Self::Native) -> f64 {
                value.into()
            }

            fn to_f64(value: Self::Native) -> f64 {
                value.into()
            }

            fn add(a: f64, b: f64) -> Option<f64> {
                Some(a + b)
            }

            fn multiply(a: f64, b: f64) -> Option<f64> {
                Some(a * b)
            }
        }
    )+};
}

floats!(Float32Type, Float64Type);

/// Calls a generic function with the type of an array's numbers.
macro_rules! with_number {
    ($array:expr, $argument:expr, $function:ident($($rest:expr),*)) => {{
        use arrow_array::cast::AsArray;
        use arrow_array::types::*;
        let array: &dyn arrow_array::Array = $array;
        macro_rules! call {
            ($type:ident) => { $function::<$type>(array.as_primitive::<$type>(), $($rest),*) };
        }
        match array.data_type() {
            arrow_schema::DataType::Int8 => call!(Int8Type),
            arrow_schema::DataType::Int16 => call!(Int16Type),
            arrow_schema::DataType::Int32 => call!(Int32Type),
            arrow_schema::DataType::Int64 => call!(Int64Type),
            arrow_schema::DataType::UInt8 => call!(UInt8Type),
            arrow_schema::DataType::UInt16 => call!(UInt16Type),
            arrow_schema::DataType::UInt32 => call!(UInt32Type),
            arrow_schema::DataType::UInt64 => call!(UInt64Type),
            arrow_schema::DataType::Float32 => call!(Float32Type),
            arrow_schema::DataType::Float64 => call!(Float64Type),
            found => Err($crate::error::Error::Type {
                argument: $argument,
                found: found.clone(),
                expected: "a list of numbers",
            }),
        }
    }};
}

pub(super) use with_number;
