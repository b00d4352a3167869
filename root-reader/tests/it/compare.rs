//! Compares a column with its reference: same shape, same widths, same values, whatever the Arrow encoding of each.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BooleanArray, PrimitiveArray};
use arrow_schema::DataType;

/// How much two columns may differ.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leniency {
    /// Relative to the largest value of the column; packed floating point numbers only.
    pub tolerance: f64,
    /// Nested fixed-size lists may be given as one of the same total size.
    pub flat_dimensions: bool,
    /// Ours may be `int32` where the reference has `uint32`, with the same bits.
    pub signed_for_unsigned: bool,
    /// Zero may have another sign.
    pub unsigned_zero: bool,
    /// Ours may be `uint32`, as ROOT declares the unique numbers of objects, where the reference has `int32`.
    pub references: bool,
}

/// Where two arrays differ first: index of the row, the way down from it, and what is there.
#[derive(Debug)]
struct Difference {
    row: usize,
    path: String,
    what: String,
}

/// Says where and how `ours` differs from `theirs`, if it does.
pub fn compare(ours: &dyn Array, theirs: &dyn Array, leniency: Leniency) -> Result<(), String> {
    if ours.len() != theirs.len() {
        return Err(format!("{} rows, not {}", ours.len(), theirs.len()));
    }
    arrays(ours, theirs, leniency).map_err(|d| format!("row {}{}: {}", d.row, d.path, d.what))
}

fn at(row: usize, what: String) -> Difference {
    Difference { row, path: String::new(), what }
}

fn arrays(ours: &dyn Array, theirs: &dyn Array, leniency: Leniency) -> Result<(), Difference> {
    if ours.null_count() + theirs.null_count() > 0 {
        return with_nulls(ours, theirs, leniency);
    }
    // uproot gives numbers that stand for something as records of one field.
    if let DataType::Struct(fields) = theirs.data_type()
        && !matches!(ours.data_type(), DataType::Struct(_))
        && let Some(at) = fields.iter().position(|f| ["ref", "refs", "fDatime"].contains(&f.name().as_str()))
    {
        return arrays(ours, theirs.as_struct().column(at), Leniency { references: true, ..leniency });
    }
    if leniency.references && (ours.data_type(), theirs.data_type()) == (&DataType::UInt32, &DataType::Int32) {
        let theirs: PrimitiveArray<UInt32Type> = theirs.as_primitive::<Int32Type>().unary(|v| v as u32);
        return values(ours, &theirs, leniency);
    }
    let types = || format!("type {} where the reference has {}", ours.data_type(), theirs.data_type());
    match (shape(ours), shape(theirs)) {
        (Shape::List(a), Shape::List(b)) => lists(&a, &b, leniency),
        (Shape::Fixed(size_a, mut a), Shape::Fixed(size_b, mut b)) => {
            let (mut total_a, mut total_b) = (size_a, size_b);
            if size_a != size_b && leniency.flat_dimensions {
                while let Shape::Fixed(size, child) = shape(&a) {
                    (total_a, a) = (total_a * size, child);
                }
                while let Shape::Fixed(size, child) = shape(&b) {
                    (total_b, b) = (total_b * size, child);
                }
            }
            if total_a != total_b {
                return Err(at(0, types()));
            }
            arrays(&a, &b, leniency).map_err(|d| below(d, |row| (row / total_a.max(1), row % total_a.max(1))))
        }
        (Shape::Record(a), Shape::Record(b)) => {
            // uproot leaves out what pointers lead to, and numbers the fields of tuples.
            let by_position = a.len() == b.len() && !a.iter().zip(&b).all(|(a, b)| a.0 == b.0);
            for (at_b, (name, b)) in b.iter().enumerate() {
                let found = if by_position { a.get(at_b) } else { a.iter().find(|(own, _)| own == name) };
                let Some((_, a)) = found else {
                    return Err(at(0, types()));
                };
                arrays(a, b, leniency).map_err(|d| Difference { path: format!(".{name}{}", d.path), ..d })?;
            }
            Ok(())
        }
        (Shape::Bytes(a), Shape::Bytes(b)) => match a.iter().zip(&b).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(row) => Err(at(row, format!("'{}', not '{}'", a[row].escape_ascii(), b[row].escape_ascii()))),
        },
        (Shape::Value, Shape::Value) if ours.data_type() == theirs.data_type() => values(ours, theirs, leniency),
        (Shape::Value, Shape::Value)
            if leniency.signed_for_unsigned
                && (ours.data_type(), theirs.data_type()) == (&DataType::Int32, &DataType::UInt32) =>
        {
            let (a, b) = (ours.as_primitive::<Int32Type>(), theirs.as_primitive::<UInt32Type>());
            match a.values().iter().zip(b.values()).position(|(a, b)| *a as u32 != *b) {
                None => Ok(()),
                Some(row) => Err(at(row, format!("{}, not {}", a.value(row), b.value(row)))),
            }
        }
        _ => Err(at(0, types())),
    }
}

/// Same rows null, and the others equal.
fn with_nulls(ours: &dyn Array, theirs: &dyn Array, leniency: Leniency) -> Result<(), Difference> {
    let row = (0..ours.len()).find(|i| ours.is_null(*i) != theirs.is_null(*i));
    if let Some(row) = row {
        let null = |array: &dyn Array| if array.is_null(row) { "null" } else { "a value" };
        return Err(at(row, format!("{}, not {}", null(ours), null(theirs))));
    }
    let valid: BooleanArray = (0..ours.len()).map(|i| Some(ours.is_valid(i))).collect();
    let rows: Vec<usize> = (0..ours.len()).filter(|i| ours.is_valid(*i)).collect();
    let keep = |array| arrow_select::filter::filter(array, &valid).unwrap();
    let (a, b) = (keep(ours), keep(theirs));
    arrays(&without_nulls(&a), &without_nulls(&b), leniency).map_err(|d| Difference { row: rows[d.row], ..d })
}

fn without_nulls(array: &ArrayRef) -> ArrayRef {
    assert_eq!(array.null_count(), 0);
    array.clone()
}

fn lists(a: &Lists, b: &Lists, leniency: Leniency) -> Result<(), Difference> {
    for (row, (x, y)) in a.offsets.windows(2).zip(b.offsets.windows(2)).enumerate() {
        let (x, y) = (x[1] - x[0], y[1] - y[0]);
        if x != y {
            return Err(at(row, format!("{x} elements, not {y}")));
        }
    }
    arrays(&a.children(), &b.children(), leniency).map_err(|d| {
        below(d, |child| {
            let child = child + a.offsets[0];
            let row = a.offsets.partition_point(|o| *o <= child) - 1;
            (row, child - a.offsets[row])
        })
    })
}

fn below(difference: Difference, row_of: impl Fn(usize) -> (usize, usize)) -> Difference {
    let (row, within) = row_of(difference.row);
    Difference { row, path: format!("[{within}]{}", difference.path), ..difference }
}

/// What an array is, apart from its encoding.
enum Shape<'a> {
    List(Lists),
    Fixed(usize, ArrayRef),
    Record(Vec<(String, ArrayRef)>),
    Bytes(Vec<&'a [u8]>),
    Value,
}

struct Lists {
    offsets: Vec<usize>,
    child: ArrayRef,
}

impl Lists {
    fn children(&self) -> ArrayRef {
        let (first, last) = (self.offsets[0], *self.offsets.last().unwrap());
        self.child.slice(first, last - first)
    }
}

fn shape(array: &dyn Array) -> Shape<'_> {
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.offsets().iter().map(|o| *o as usize).collect();
            Shape::List(Lists { offsets, child: list.values().clone() })
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets = list.offsets().iter().map(|o| *o as usize).collect();
            Shape::List(Lists { offsets, child: list.values().clone() })
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let offsets = map.offsets().iter().map(|o| *o as usize).collect();
            Shape::List(Lists { offsets, child: Arc::new(map.entries().clone()) })
        }
        DataType::FixedSizeList(_, size) => {
            let list = array.as_fixed_size_list();
            Shape::Fixed(
                *size as usize,
                list.values().slice(list.offset() * *size as usize, list.len() * *size as usize),
            )
        }
        DataType::Struct(fields) => {
            let record = array.as_struct();
            Shape::Record(fields.iter().zip(record.columns()).map(|(f, c)| (f.name().clone(), c.clone())).collect())
        }
        DataType::Utf8 => Shape::Bytes(array.as_string::<i32>().iter().map(|s| s.unwrap().as_bytes()).collect()),
        DataType::LargeUtf8 => Shape::Bytes(array.as_string::<i64>().iter().map(|s| s.unwrap().as_bytes()).collect()),
        DataType::Binary => Shape::Bytes(array.as_binary::<i32>().iter().map(|s| s.unwrap()).collect()),
        DataType::LargeBinary => Shape::Bytes(array.as_binary::<i64>().iter().map(|s| s.unwrap()).collect()),
        _ => Shape::Value,
    }
}

fn values(ours: &dyn Array, theirs: &dyn Array, leniency: Leniency) -> Result<(), Difference> {
    match ours.data_type() {
        DataType::Boolean => {
            let (a, b) = (ours.as_boolean().values(), theirs.as_boolean().values());
            match a.iter().zip(b).position(|(a, b)| a != b) {
                None => Ok(()),
                Some(row) => Err(at(row, format!("{}, not {}", a.value(row), b.value(row)))),
            }
        }
        DataType::Int8 => exact::<Int8Type>(ours, theirs),
        DataType::UInt8 => exact::<UInt8Type>(ours, theirs),
        DataType::Int16 => exact::<Int16Type>(ours, theirs),
        DataType::UInt16 => exact::<UInt16Type>(ours, theirs),
        DataType::Int32 => exact::<Int32Type>(ours, theirs),
        DataType::UInt32 => exact::<UInt32Type>(ours, theirs),
        DataType::Int64 => exact::<Int64Type>(ours, theirs),
        DataType::UInt64 => exact::<UInt64Type>(ours, theirs),
        DataType::Float32 => near::<Float32Type>(ours, theirs, leniency),
        DataType::Float64 => near::<Float64Type>(ours, theirs, leniency),
        DataType::Null => Ok(()),
        other => Err(at(0, format!("type {other} cannot be compared"))),
    }
}

fn primitives<'a, T: ArrowPrimitiveType>(
    ours: &'a dyn Array,
    theirs: &'a dyn Array,
) -> (&'a PrimitiveArray<T>, &'a PrimitiveArray<T>) {
    (ours.as_primitive::<T>(), theirs.as_primitive::<T>())
}

fn exact<T: ArrowPrimitiveType>(ours: &dyn Array, theirs: &dyn Array) -> Result<(), Difference> {
    let (a, b) = primitives::<T>(ours, theirs);
    match a.values().iter().zip(b.values()).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(row) => Err(at(row, format!("{:?}, not {:?}", a.value(row), b.value(row)))),
    }
}

fn near<T: ArrowPrimitiveType>(ours: &dyn Array, theirs: &dyn Array, leniency: Leniency) -> Result<(), Difference>
where
    T::Native: Into<f64>,
{
    let (a, b) = primitives::<T>(ours, theirs);
    let largest = b.values().iter().map(|v| (*v).into().abs()).filter(|v| v.is_finite()).fold(0.0, f64::max);
    let same = |a: T::Native, b: T::Native| {
        let (a, b): (f64, f64) = (a.into(), b.into());
        a.to_bits() == b.to_bits()
            || (a.is_nan() && b.is_nan())
            || (a == 0.0 && b == 0.0 && leniency.unsigned_zero)
            || (a - b).abs() <= leniency.tolerance * largest && leniency.tolerance > 0.0
    };
    match a.values().iter().zip(b.values()).position(|(a, b)| !same(*a, *b)) {
        None => Ok(()),
        Some(row) => Err(at(row, format!("{:?}, not {:?}", a.value(row), b.value(row)))),
    }
}
