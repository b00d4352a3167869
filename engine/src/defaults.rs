//! Defaults of columns: values that stand where a file lacks a column that others have, such as a trigger of another year.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;

use crate::error::Error;
use crate::ledger::{FilledColumn, Ledger};
use crate::suggest::nearest;
use crate::union::Absent;

/// Checks the defaults against the columns of all files together, and notes in the ledger where they are needed. What is
/// `absent` and has a default is taken out.
pub(crate) fn settle(
    defaults: &BTreeMap<String, String>,
    schema: &Schema,
    absent: &mut Vec<Absent>,
    files: usize,
    ledger: &Ledger,
) -> Result<(), Error> {
    for (column, text) in defaults {
        let Some((_, field)) = schema.fields().find(column) else {
            let near = nearest(column, schema.fields().iter().map(|field| field.name().as_str()));
            let hint = match near.as_slice() {
                [] => String::new(),
                names => format!("; did you mean {}?", names.join(" or ")),
            };
            return Err(bad(column, text, format!("no file has such a column, so that its type is not known{hint}")));
        };
        value(column, text, field.data_type())?;
        let missing = absent.iter().find(|absent| absent.column == *column).map_or(0, |absent| absent.files);
        ledger.fill(FilledColumn { column: column.clone(), value: text.clone(), files: missing, of: files });
    }
    absent.retain(|absent| !defaults.contains_key(&absent.column));
    Ok(())
}

/// A default as a value of its column.
pub(crate) fn value(column: &str, text: &str, data_type: &DataType) -> Result<ScalarValue, Error> {
    let is_single = data_type.is_numeric() || matches!(data_type, DataType::Boolean | DataType::Utf8);
    if !is_single {
        let expected = format!("the column is {data_type}; defaults are for single numbers, booleans and texts");
        return Err(bad(column, text, expected));
    }
    let written: ArrayRef = Arc::new(StringArray::from(vec![text]));
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let read = cast_with_options(&written, data_type, &options).ok();
    let value = read.and_then(|array| ScalarValue::try_from_array(&array, 0).ok());
    value.ok_or_else(|| bad(column, text, format!("the column is {data_type}, and '{text}' is no such value")))
}

fn bad(column: &str, text: &str, expected: String) -> Error {
    Error::Option { name: "defaults".into(), value: format!("{column} = {text}"), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_a_value_of_the_type_of_its_column() {
        for (text, data_type, expected) in [
            ("false", DataType::Boolean, ScalarValue::Boolean(Some(false))),
            ("-9", DataType::Int16, ScalarValue::Int16(Some(-9))),
            ("1.5", DataType::Float32, ScalarValue::Float32(Some(1.5))),
            ("a; b", DataType::Utf8, ScalarValue::Utf8(Some("a; b".into()))),
        ] {
            assert_eq!(value("x", text, &data_type).unwrap(), expected);
        }
        for (text, data_type) in [
            ("maybe", DataType::Boolean),
            ("1.5", DataType::Int32),
            ("300", DataType::UInt8),
            ("-1", DataType::UInt32),
            ("", DataType::Float64),
            ("1", DataType::new_list(DataType::Float32, true)),
        ] {
            let error = value("x", text, &data_type).unwrap_err().to_string();
            assert!(error.contains(&format!("x = {text}")) && error.contains(&data_type.to_string()), "{error}");
        }
    }
}
