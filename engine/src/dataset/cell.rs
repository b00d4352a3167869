//! Values of a dataset file, and the types of its columns, which are found by looking at all of them.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Integer(i64, String),
    Number(f64, String),
    Text(String),
}

impl Cell {
    /// What a text without quotes looks like. Whole numbers that begin with a zero are names: 007 is not 7.
    pub(super) fn of(text: &str) -> Self {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let is_name = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        // Rust also reads words as numbers, such as `inf`.
        let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !is_name;
        match text {
            "" => Self::Null,
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            _ => match (text.parse(), text.parse()) {
                (Ok(integer), _) if is_number => Self::Integer(integer, text.to_string()),
                (_, Ok(number)) if is_number => Self::Number(number, text.to_string()),
                _ => Self::Text(text.to_string()),
            },
        }
    }

    /// The text of the value; `None` if there is none.
    pub(super) fn into_text(self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(b) => Some(b.to_string()),
            Self::Integer(_, text) | Self::Number(_, text) | Self::Text(text) => Some(text),
        }
    }

    /// The value as one of a column of that type, which [`type_of`] found for the column.
    pub(super) fn into_scalar(self, data_type: &DataType) -> ScalarValue {
        match (data_type, self) {
            (DataType::Boolean, Self::Bool(b)) => ScalarValue::Boolean(Some(b)),
            (DataType::Boolean, _) => ScalarValue::Boolean(None),
            (DataType::Int64, Self::Integer(integer, _)) => ScalarValue::Int64(Some(integer)),
            (DataType::Int64, _) => ScalarValue::Int64(None),
            (DataType::Float64, Self::Integer(integer, _)) => ScalarValue::Float64(Some(integer as f64)),
            (DataType::Float64, Self::Number(number, _)) => ScalarValue::Float64(Some(number)),
            (DataType::Float64, _) => ScalarValue::Float64(None),
            (_, cell) => ScalarValue::Utf8(cell.into_text()),
        }
    }
}

/// The type of a column: of its values if they agree, a float where integers and floats meet, and else text.
pub(super) fn type_of<'a>(cells: impl Iterator<Item = &'a Cell>) -> DataType {
    let mut found = None;
    for cell in cells {
        let own = match cell {
            Cell::Null => continue,
            Cell::Bool(_) => DataType::Boolean,
            Cell::Integer(..) => DataType::Int64,
            Cell::Number(..) => DataType::Float64,
            Cell::Text(_) => return DataType::Utf8,
        };
        found = Some(match found {
            None => own,
            Some(before) if before == own => own,
            Some(DataType::Int64 | DataType::Float64) if own.is_numeric() => DataType::Float64,
            Some(_) => return DataType::Utf8,
        });
    }
    found.unwrap_or(DataType::Utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(texts: &[&str]) -> (DataType, Vec<String>) {
        let cells: Vec<Cell> = texts.iter().map(|text| Cell::of(text)).collect();
        let data_type = type_of(cells.iter());
        let values = cells.into_iter().map(|cell| cell.into_scalar(&data_type).to_string());
        (data_type.clone(), values.collect())
    }

    #[test]
    fn the_type_of_a_column_is_one_that_fits_all_rows() {
        for (texts, data_type, values) in [
            (["1", "", "-20"], DataType::Int64, ["1", "NULL", "-20"]),
            (["1", "2.5", "1e3"], DataType::Float64, ["1", "2.5", "1000"]),
            (["true", "false", ""], DataType::Boolean, ["true", "false", "NULL"]),
            (["true", "1", "x"], DataType::Utf8, ["true", "1", "x"]),
            (["1.50", "false", ""], DataType::Utf8, ["1.50", "false", "NULL"]),
            (["", "", ""], DataType::Utf8, ["NULL", "NULL", "NULL"]),
            (["007", "0", "0.5"], DataType::Utf8, ["007", "0", "0.5"]),
            (["inf", "nan", "-infinity"], DataType::Utf8, ["inf", "nan", "-infinity"]),
            (["0", "9223372036854775807", "-0"], DataType::Int64, ["0", "9223372036854775807", "0"]),
        ] {
            assert_eq!(column(&texts), (data_type, values.map(str::to_string).to_vec()), "{texts:?}");
        }
    }
}
