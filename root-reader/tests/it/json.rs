//! Compares a column with values that JSROOT read, which are JSON: no widths, no difference between 1 and 1.0.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use serde_json::Value;

/// Says where `ours` differs from the JSON values of its first rows.
pub fn compare(ours: &dyn Array, theirs: &[Value]) -> Result<(), String> {
    for (row, value) in theirs.iter().enumerate() {
        if row >= ours.len() {
            return Err(format!("only {} rows", ours.len()));
        }
        one(ours, row, value).map_err(|what| format!("row {row}: {what}"))?;
    }
    Ok(())
}

fn one(array: &dyn Array, row: usize, value: &Value) -> Result<(), String> {
    if array.is_null(row) && *array.data_type() != DataType::Null {
        return if value.is_null() { Ok(()) } else { Err(format!("null, not {}", short(value))) };
    }
    if let Some(reference) = value.get("fUIDs").or(value.get("This")) {
        return one(array, row, reference);
    }
    match array.data_type() {
        // Nothing is known of the elements but how many they are.
        DataType::Null => Ok(()),
        // JSROOT leaves out the number that a TRef holds.
        DataType::UInt32 if value.get("fPID").is_some() => Ok(()),
        DataType::List(_) => elements(&array.as_list::<i32>().value(row), value),
        DataType::FixedSizeList(..) => elements(&array.as_fixed_size_list().value(row), value),
        DataType::Map(..) => {
            let pairs = array.as_map().value(row);
            let list = value.as_array().ok_or_else(|| format!("a map, not {}", short(value)))?;
            if list.len() != pairs.len() {
                return Err(format!("{} pairs, not {}", pairs.len(), list.len()));
            }
            list.iter().enumerate().try_for_each(|(i, pair)| {
                one(pairs.column(0), i, &pair["first"])?;
                one(pairs.column(1), i, &pair["second"])
            })
        }
        DataType::Struct(fields) => {
            let record = array.as_struct();
            let several = record.column_by_name("_class").is_some();
            fields.iter().zip(record.columns()).try_for_each(|(field, column)| match value.get(field.name()) {
                // Fields of other classes that the pointer could lead to.
                _ if several && column.is_null(row) => Ok(()),
                Some(value) => one(column, row, value).map_err(|e| format!("{}: {e}", field.name())),
                // JSROOT names classes in another way, and leaves out what a TObject has.
                None if ["_class", "fUniqueID", "fBits"].contains(&field.name().as_str()) => Ok(()),
                // Another version of the class has it.
                None if column.is_null(row) => Ok(()),
                // A member of a base class that JSROOT overwrites with one of the same name.
                None if field.name().contains("::") => Ok(()),
                None => Err(format!("{} is not in {}", field.name(), short(value))),
            })
        }
        DataType::Utf8 => text(array.as_string::<i32>().value(row).as_bytes(), value),
        DataType::Binary => text(array.as_binary::<i32>().value(row), value),
        DataType::Boolean => {
            let ours = array.as_boolean().value(row);
            let theirs = value.as_bool().or_else(|| value.as_f64().map(|n| n != 0.0));
            if theirs == Some(ours) { Ok(()) } else { Err(format!("{ours}, not {}", short(value))) }
        }
        _ => {
            let ours = number(array, row).ok_or("a type that cannot be compared")?;
            let theirs = value.as_f64().or_else(|| value.as_str()?.parse().ok());
            let theirs = theirs.or_else(|| value.is_null().then_some(f64::NAN));
            let theirs = theirs.or_else(|| value.as_bool().map(f64::from));
            match theirs {
                Some(theirs) if theirs == ours || theirs.is_nan() && !ours.is_finite() => Ok(()),
                // Packed floating point numbers are computed in another order.
                Some(theirs) if (theirs - ours).abs() <= 1e-12 * ours.abs() => Ok(()),
                _ => Err(format!("{ours}, not {}", short(value))),
            }
        }
    }
}

fn elements(ours: &ArrayRef, value: &Value) -> Result<(), String> {
    if let (Value::String(_), DataType::Int8) = (value, ours.data_type()) {
        let bytes: Vec<u8> = ours.as_primitive::<Int8Type>().values().iter().map(|c| *c as u8).collect();
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        return text(&bytes[..end], value);
    }
    if let DataType::FixedSizeList(inner, _) = ours.data_type() {
        // JSROOT gives the elements of all dimensions as one list.
        let flat = ours.as_fixed_size_list().values();
        let fits = value.as_array().is_some_and(|list| list.len() == flat.len() && !list.iter().any(Value::is_array));
        if fits || value.is_string() || matches!(inner.data_type(), DataType::FixedSizeList(..)) {
            return elements(flat, value);
        }
    }
    let list = value.as_array().ok_or_else(|| format!("a list, not {}", short(value)))?;
    if list.len() != ours.len() {
        return Err(format!("{} elements, not {}", ours.len(), list.len()));
    }
    list.iter().enumerate().try_for_each(|(i, v)| one(ours, i, v).map_err(|e| format!("[{i}] {e}")))
}

/// JSROOT gives one character per byte.
fn text(ours: &[u8], value: &Value) -> Result<(), String> {
    let theirs = value.as_str().ok_or_else(|| format!("text, not {}", short(value)))?;
    let same = theirs.as_bytes() == ours || theirs.chars().map(u32::from).eq(ours.iter().map(|b| u32::from(*b)));
    if same { Ok(()) } else { Err(format!("'{}', not {}", ours.escape_ascii(), short(value))) }
}

/// A number of any type.
pub fn number(array: &dyn Array, row: usize) -> Option<f64> {
    Some(match array.data_type() {
        DataType::Int8 => f64::from(array.as_primitive::<Int8Type>().value(row)),
        DataType::UInt8 => f64::from(array.as_primitive::<UInt8Type>().value(row)),
        DataType::Int16 => f64::from(array.as_primitive::<Int16Type>().value(row)),
        DataType::UInt16 => f64::from(array.as_primitive::<UInt16Type>().value(row)),
        DataType::Int32 => f64::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::UInt32 => f64::from(array.as_primitive::<UInt32Type>().value(row)),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row) as f64,
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row) as f64,
        DataType::Float32 => f64::from(array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row),
        _ => return None,
    })
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}
