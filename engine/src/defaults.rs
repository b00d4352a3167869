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
use crate::wildcard::{families, is_like, is_pattern};

/// The defaults by column, of those that are written by column or pattern, checked against the columns of all files together.
/// The ledger learns where they are needed; what is `absent` and has a default is taken out.
pub(crate) fn settle(
    defaults: &BTreeMap<String, String>,
    schema: &Schema,
    absent: &mut Vec<Absent>,
    files: usize,
    ledger: &Ledger,
) -> Result<BTreeMap<String, String>, Error> {
    let missing = |column: &str| absent.iter().find(|absent| absent.column == column).map_or(0, |absent| absent.files);
    let note = |column: &str, text: &str| {
        let (column, value) = (column.to_owned(), text.to_owned());
        ledger.fill(FilledColumn { files: missing(&column), column, value, of: files });
    };
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    let hint = |near: Vec<&str>| match near.as_slice() {
        [] => String::new(),
        names => format!("; did you mean {}?", names.join(" or ")),
    };
    let mut settled = BTreeMap::new();
    for (column, text) in defaults.iter().filter(|(column, _)| !is_pattern(column)) {
        let Some((_, field)) = schema.fields().find(column) else {
            let hint = hint(nearest(column, names()));
            return Err(bad(column, text, format!("no file has such a column, so that its type is not known{hint}")));
        };
        value(column, text, field.data_type())?;
        note(column, text);
        settled.insert(column.clone(), text.clone());
    }
    let mut by_pattern: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for (pattern, text) in defaults.iter().filter(|(column, _)| is_pattern(column)) {
        let fields: Vec<_> = schema.fields().iter().filter(|field| is_like(pattern, field.name())).collect();
        if fields.is_empty() {
            let families = families(names());
            let hint = hint(nearest(pattern, families.iter().map(String::as_str)));
            return Err(bad(pattern, text, format!("no file has a column that is like that{hint}")));
        }
        // What no file lacks may be of any type, and what has a default of its own keeps it.
        let is_open = |name: &str| missing(name) > 0 && !defaults.contains_key(name);
        let open: Vec<_> = fields.into_iter().filter(|field| is_open(field.name())).collect();
        if open.is_empty() {
            note(pattern, text);
        }
        for field in open {
            let name = field.name().as_str();
            let other = by_pattern.insert(name, (pattern, text));
            if let Some((other, value)) = other.filter(|(_, value)| value != text) {
                let problem =
                    format!("'{name}' has the default '{value}' by '{other}' already; give it one of its own");
                return Err(bad(pattern, text, problem));
            }
            if let Err(error) = value(name, text, field.data_type()) {
                let Error::Option { name: option, value, expected } = error else { return Err(error) };
                let expected =
                    format!("{expected} (by '{pattern}'); give it a default of its own, or a narrower pattern");
                return Err(Error::Option { name: option, value, expected });
            }
            if other.is_none() {
                note(name, text);
                settled.insert(name.to_owned(), text.clone());
            }
        }
    }
    absent.retain(|absent| !settled.contains_key(&absent.column));
    Ok(settled)
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
