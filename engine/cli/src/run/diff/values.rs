//! Whether the values of two columns are the same, entry by entry, and where they first are not.

use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float16Type, Float32Type, Float64Type};
use arrow::util::display::array_value_to_string;

use super::super::types::counted;

/// The first place at which two values differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The element, `[2]`, counted from 1 as in SQL, or the member, `.pt`, if it is not the value itself.
    pub element: String,
    /// What stands there on either side.
    pub values: [String; 2],
}

/// Differences of one column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Entries that differ.
    pub entries: u64,
    /// The first of them.
    pub first: Option<(u64, Place)>,
}

impl Differences {
    /// Compares arrays of the same type and length, whose first entry has this number.
    pub fn compare(&mut self, sides: [&ArrayRef; 2], first_entry: u64) {
        let [a, b] = sides;
        // Equal bytes are equal values; unequal ones may be too.
        if a.to_data() == b.to_data() {
            return;
        }
        for row in 0..a.len().min(b.len()) {
            let Some(place) = difference([a, b], [row, row]) else { continue };
            self.entries += 1;
            self.first.get_or_insert((first_entry + row as u64, place));
        }
    }
}

/// The first place at which two values of the same type differ.
fn difference(sides: [&ArrayRef; 2], at: [usize; 2]) -> Option<Place> {
    let ([a, b], [i, j]) = (sides, at);
    let here = |values: [String; 2]| Some(Place { element: String::new(), values });
    match (a.is_null(i), b.is_null(j)) {
        (true, true) => return None,
        (false, false) => {}
        _ => return here([shown(a, i), shown(b, j)]),
    }
    let is_equal = match a.data_type() {
        DataType::Float64 => are_equal::<Float64Type>(sides, at)?,
        DataType::Float32 => are_equal::<Float32Type>(sides, at)?,
        DataType::Float16 => are_equal::<Float16Type>(sides, at)?,
        DataType::Struct(_) => return in_structs([a.as_struct_opt()?, b.as_struct_opt()?], at),
        DataType::List(_) => return in_lists([a.as_list_opt::<i32>()?.value(i), b.as_list_opt::<i32>()?.value(j)]),
        DataType::LargeList(_) => {
            return in_lists([a.as_list_opt::<i64>()?.value(i), b.as_list_opt::<i64>()?.value(j)]);
        }
        DataType::FixedSizeList(..) => {
            return in_lists([a.as_fixed_size_list_opt()?.value(i), b.as_fixed_size_list_opt()?.value(j)]);
        }
        DataType::Map(..) => {
            let entries = |map: &ArrayRef, row| Some(std::sync::Arc::new(map.as_map_opt()?.value(row)) as ArrayRef);
            return in_lists([entries(a, i)?, entries(b, j)?]);
        }
        _ => a.slice(i, 1).to_data() == b.slice(j, 1).to_data(),
    };
    if is_equal { None } else { here([shown(a, i), shown(b, j)]) }
}

/// Whether two floating-point numbers are the same; NaN is the same as NaN.
fn are_equal<T>([a, b]: [&ArrayRef; 2], [i, j]: [usize; 2]) -> Option<bool>
where
    T: ArrowPrimitiveType,
    T::Native: Into<f64>,
{
    let (a, b): (f64, f64) = (a.as_primitive_opt::<T>()?.value(i).into(), b.as_primitive_opt::<T>()?.value(j).into());
    Some(a == b || (a.is_nan() && b.is_nan()))
}

fn in_structs(sides: [&StructArray; 2], at: [usize; 2]) -> Option<Place> {
    let [a, b] = sides;
    let members = a.fields().iter().zip(a.columns().iter().zip(b.columns()));
    members.into_iter().find_map(|(field, (a, b))| {
        let place = difference([a, b], at)?;
        Some(Place { element: format!(".{}{}", field.name(), place.element), ..place })
    })
}

fn in_lists(sides: [ArrayRef; 2]) -> Option<Place> {
    let [a, b] = &sides;
    let common = (0..a.len().min(b.len())).find_map(|index| {
        let place = difference([a, b], [index, index])?;
        Some(Place { element: format!("[{}]{}", index + 1, place.element), ..place })
    });
    common.or_else(|| {
        let length = |list: &ArrayRef| counted(list.len() as u64, "element");
        let values = [length(a), length(b)];
        (a.len() != b.len()).then(|| Place { element: String::new(), values })
    })
}

/// A value as text, not too long for a line.
fn shown(array: &ArrayRef, row: usize) -> String {
    const LONGEST: usize = 60;
    if array.is_null(row) {
        return "NULL".into();
    }
    let text = array_value_to_string(array, row).unwrap_or_default();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float32Array, Int32Array, ListArray, StringArray};
    use arrow::datatypes::Field;

    use super::*;

    fn compared(a: ArrayRef, b: ArrayRef) -> Differences {
        let mut found = Differences::default();
        found.compare([&a, &b], 100);
        found
    }

    fn place(element: &str, a: &str, b: &str) -> Place {
        Place { element: element.into(), values: [a.into(), b.into()] }
    }

    #[test]
    fn nan_is_equal_to_nan_and_zero_to_minus_zero() {
        let a = Float32Array::from(vec![f32::NAN, 0.0, 1.0, f32::NAN]);
        let b = Float32Array::from(vec![f32::from_bits(0x7fc0_0001), -0.0, 1.0, 2.0]);
        let found = compared(Arc::new(a), Arc::new(b));
        assert_eq!(found, Differences { entries: 1, first: Some((103, place("", "NaN", "2.0"))) });
    }

    #[test]
    fn the_element_of_a_list_is_named() {
        let lists = |rows: [Option<Vec<f32>>; 3]| {
            let rows = rows.map(|row| row.map(|row| row.into_iter().map(Some).collect::<Vec<_>>()));
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows)) as ArrayRef
        };
        let a = lists([Some(vec![1.0]), Some(vec![1.0, 2.0, 3.0]), Some(vec![])]);
        let found = compared(a.clone(), lists([Some(vec![1.0]), Some(vec![1.0, 2.5, 3.0]), None]));
        assert_eq!(found, Differences { entries: 2, first: Some((101, place("[2]", "2.0", "2.5"))) });
        let found = compared(a, lists([Some(vec![1.0]), Some(vec![1.0, 2.0]), Some(vec![])]));
        assert_eq!(found, Differences { entries: 1, first: Some((101, place("", "3 elements", "2 elements"))) });
    }

    #[test]
    fn the_member_of_a_struct_is_named_and_null_is_a_value() {
        let objects = |numbers: Vec<Option<i32>>, texts: Vec<&str>| {
            let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
            let columns: Vec<(_, ArrayRef)> = vec![
                (field("n", DataType::Int32), Arc::new(Int32Array::from(numbers))),
                (field("s", DataType::Utf8), Arc::new(StringArray::from(texts))),
            ];
            Arc::new(StructArray::from(columns)) as ArrayRef
        };
        let a = objects(vec![Some(1), None], vec!["x", "y"]);
        let found = compared(a.clone(), objects(vec![Some(1), Some(2)], vec!["z", "y"]));
        assert_eq!(found, Differences { entries: 2, first: Some((100, place(".s", "x", "z"))) });
        let found = compared(a, objects(vec![Some(1), Some(2)], vec!["x", "y"]));
        assert_eq!(found.first, Some((101, place(".n", "NULL", "2"))));
    }
}
