//! The columns of dataset files that mean something: the weight of a sample's events, which is a number or computed from the
//! other columns of the sample, and the condition on its events.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Fields, Float64Type, Schema};
use datafusion::common::{DFSchema, DataFusionError, plan_err};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::cell::Cell;
use super::parse::Row;
use crate::error::message_of;
use crate::expression;
use crate::yaml::Fault;

/// The column with the weight of each event of a sample.
pub const WEIGHT: &str = "sample_weight";
/// The column with the condition, in SQL, that the events of a sample have to meet.
pub const CONDITION: &str = "sample_where";

/// A condition on the events of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SampleCondition {
    pub sample: String,
    pub dataset: String,
    pub line: usize,
    pub sql: String,
}

/// The type of a column that means something.
pub(super) fn type_of(name: &str) -> Option<DataType> {
    match name {
        WEIGHT => Some(DataType::Float64),
        CONDITION => Some(DataType::Utf8),
        _ => None,
    }
}

/// Puts a number in place of a weight that is an expression over the other `columns` of the sample.
pub(super) fn compute_weight(row: &mut Row, columns: &Fields) -> Result<(), Fault> {
    let Some(at) = row.cells.iter().position(|(name, _)| name == WEIGHT) else { return Ok(()) };
    let fault = |sql: &str, reason: String| Fault::at(row.line, format!("{WEIGHT} '{sql}': {reason}"));
    let sql = match row.cells.get(at) {
        Some((_, Cell::Text(sql))) => sql.clone(),
        Some((_, Cell::Bool(value))) => return Err(fault(&value.to_string(), "it is no number".into())),
        _ => return Ok(()),
    };
    expression::check(&sql).map_err(|reason| Fault::at(row.line, format!("{WEIGHT}: {reason}")))?;
    let known: Vec<&str> = columns.iter().map(|field| field.name().as_str()).filter(|name| *name != WEIGHT).collect();
    let value = evaluate(&sql, row, columns).map_err(|error| {
        // What follows in other lines lists the columns, and one that stands for none.
        let message = message_of(&error);
        let reason = message.lines().next().unwrap_or_default();
        let reason = reason.trim_start_matches("Schema error: ").trim_start_matches("Error during planning: ");
        fault(&sql, format!("{reason}; the sample has the columns {}", known.join(", ")))
    })?;
    let value = value.filter(|value| value.is_finite());
    let value = value.ok_or_else(|| fault(&sql, "it is no finite number for this sample".into()))?;
    if let Some((_, cell)) = row.cells.get_mut(at) {
        *cell = Cell::Number(value, sql);
    }
    Ok(())
}

/// The value of an expression over the columns of a sample. Whole numbers count as floating-point ones, as a division of
/// two of them would be cut off.
fn evaluate(sql: &str, row: &Row, columns: &Fields) -> Result<Option<f64>, DataFusionError> {
    let (mut fields, mut values) = (Vec::new(), Vec::new());
    for field in columns.iter().filter(|field| field.name() != WEIGHT) {
        let cell = row.cells.iter().find(|(name, _)| name == field.name()).map_or(Cell::Null, |(_, cell)| cell.clone());
        let mut value = cell.into_scalar(field.data_type()).to_array()?;
        if field.data_type().is_integer() {
            value = cast(&value, &DataType::Float64)?;
        }
        fields.push(Field::new(field.name(), value.data_type().clone(), true));
        values.push(value);
    }
    // An expression of constants needs a row as well.
    fields.push(Field::new("", DataType::Boolean, true));
    values.push(datafusion::arrow::array::new_null_array(&DataType::Boolean, 1));
    let mut config = SessionConfig::new();
    config.options_mut().sql_parser.enable_ident_normalization = false;
    let state = SessionContext::new_with_config(config).state();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), values)?;
    let schema = DFSchema::try_from(batch.schema())?;
    let expression = state.create_physical_expr(state.create_logical_expr(sql, &schema)?, &schema)?;
    let value = expression.evaluate(&batch)?.into_array(1)?;
    if !value.data_type().is_numeric() {
        return plan_err!("it is {}, and a number is needed", value.data_type());
    }
    let value = cast(&value, &DataType::Float64)?;
    Ok(value.as_primitive::<Float64Type>().iter().next().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(sql: &str) -> Result<Option<(String, Cell)>, Fault> {
        let integer = |value: i64| Cell::Integer(value, value.to_string());
        let cells =
            [("xsec", integer(3)), ("events", integer(2)), ("name", Cell::Text("DY".into())), ("none", Cell::Null)];
        let mut cells: Vec<(String, Cell)> = cells.map(|(name, cell)| (name.to_string(), cell)).into();
        cells.push((WEIGHT.to_string(), Cell::of(sql)));
        let types = [DataType::Int64, DataType::Int64, DataType::Utf8, DataType::Int64, DataType::Float64];
        let columns = cells.iter().zip(types).map(|((name, _), of)| Field::new(name, of, true)).collect();
        let mut row = Row { line: 7, paths: vec!["a.root".into()], cells };
        compute_weight(&mut row, &columns)?;
        Ok(row.cells.pop())
    }

    #[test]
    fn a_weight_is_a_number_or_computed_from_the_columns_of_the_sample() {
        for (sql, value) in [
            ("xsec / events", 1.5),
            ("CASE WHEN name = 'DY' THEN 2 ELSE 4 END", 2.0),
            ("1 + 1", 2.0),
            ("xsec * 1000 / events", 1500.0),
        ] {
            let (_, cell) = weight(sql).unwrap().unwrap();
            assert_eq!(cell, Cell::Number(value, sql.to_string()), "{sql}");
        }
        assert_eq!(weight("0.25").unwrap().unwrap().1, Cell::Number(0.25, "0.25".into()));
        assert_eq!(weight("").unwrap().unwrap().1, Cell::Null);
    }

    #[test]
    fn a_weight_that_is_no_number_is_an_error_with_the_line() {
        for (sql, words) in [
            ("xsec / evnts", "evnts"),
            ("xsec / none", "no finite number"),
            ("xsec / 0", "no finite number"),
            ("name", "a number is needed"),
            ("xsec, events", "not one SQL expression"),
            ("xsec *", "not an SQL expression"),
            ("true", "no number"),
        ] {
            let fault = weight(sql).unwrap_err();
            assert_eq!(fault.line, Some(7), "{sql}");
            assert!(fault.reason.contains(words) && fault.reason.contains(WEIGHT), "{sql}: {}", fault.reason);
        }
    }
}
