//! The columns of one file in the shape of the table's: put together, members by name, widened, and NULL or the default where
//! the file has none.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, ListArray, MapArray, RecordBatch, StructArray, new_null_array,
};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use root_reader::{NestedPlan, Tree};

use crate::defaults;
use crate::error::Error;
use crate::options::{Layout, TableOptions};

/// How to make some columns of the table out of a file's.
pub(crate) struct Shape {
    /// What the file is scanned for.
    columns: Vec<usize>,
    nested: Option<NestedPlan>,
    /// The columns of the table.
    fields: Fields,
    /// Where each comes from.
    origins: Vec<Origin>,
}

/// Where a column of the table comes from.
enum Origin {
    /// The place among the file's columns, and whether its type is the table's already.
    File(usize, bool),
    /// The file has no such column, but there is a default.
    Default(ScalarValue),
    /// The file has no such column.
    Nowhere,
}

impl Shape {
    /// The columns `fields` of a table out of a file with this tree. Of nested columns only the members that the table
    /// declares are read.
    pub(crate) fn of(tree: &Tree, options: &TableOptions, fields: &Fields) -> Result<Self, Error> {
        let (columns, nested, own) = match options.layout {
            Layout::Flat => {
                let schema = tree.schema();
                let found = fields.iter().filter_map(|f| schema.fields().find(f.name()));
                let (columns, own): (Vec<usize>, Vec<FieldRef>) = found.map(|(at, own)| (at, own.clone())).unzip();
                (columns, None, own.into())
            }
            Layout::Nested => {
                let plan = tree.nested().plan(fields);
                let own = plan.schema().fields().clone();
                (plan.columns().to_vec(), Some(plan), own)
            }
        };
        // The file's columns are in the order of the table's.
        let mut own = own.iter().enumerate().peekable();
        let origins = fields.iter().map(|field| {
            if let Some((at, own)) = own.next_if(|(_, own)| own.name() == field.name()) {
                return Ok(Origin::File(at, own.data_type() == field.data_type()));
            }
            Ok(match options.defaults.get(field.name()) {
                Some(text) => Origin::Default(defaults::value(field.name(), text, field.data_type())?),
                None => Origin::Nowhere,
            })
        });
        let origins = origins.collect::<Result<_, Error>>()?;
        Ok(Self { columns, nested, origins, fields: fields.clone() })
    }

    /// The columns to scan, as the reader counts them.
    pub(crate) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The columns of the table, out of a batch that begins with the scanned ones.
    pub(crate) fn arrays(&self, scanned: &RecordBatch) -> Result<Vec<ArrayRef>, ArrowError> {
        let assembled = match &self.nested {
            Some(plan) => Some(plan.assemble(scanned).map_err(|e| ArrowError::ExternalError(Box::new(e)))?),
            None => None,
        };
        let own = assembled.as_ref().unwrap_or(scanned).columns();
        let missing = || ArrowError::SchemaError("the scan returned too few columns".into());
        let column = |(field, origin): (&FieldRef, &Origin)| match origin {
            Origin::File(at, true) => own.get(*at).cloned().ok_or_else(missing),
            Origin::File(at, false) => conform(own.get(*at).ok_or_else(missing)?, field.data_type()),
            Origin::Default(value) => {
                value.to_array_of_size(scanned.num_rows()).map_err(|e| ArrowError::ExternalError(Box::new(e)))
            }
            Origin::Nowhere => Ok(new_null_array(field.data_type(), scanned.num_rows())),
        };
        self.fields.iter().zip(&self.origins).map(column).collect()
    }
}

/// An array in a type that [`common_type`](crate::merge::common_type) has found for it, or a narrower one.
fn conform(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    Ok(match (array.data_type(), wanted) {
        (own, wanted) if own == wanted => array.clone(),
        (DataType::Struct(_), DataType::Struct(fields)) => Arc::new(conform_struct(array.as_struct(), fields)?),
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let values = conform(list.values(), item.data_type())?;
            Arc::new(ListArray::try_new(item.clone(), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        (DataType::FixedSizeList(..), DataType::FixedSizeList(item, size)) => {
            let list = array.as_fixed_size_list();
            let values = conform(list.values(), item.data_type())?;
            Arc::new(FixedSizeListArray::try_new(item.clone(), *size, values, list.nulls().cloned())?)
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => {
            let (map, DataType::Struct(pair)) = (array.as_map(), entries.data_type()) else {
                return Err(ArrowError::SchemaError("a map without entries".into()));
            };
            let values = conform_struct(map.entries(), pair)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::try_new(entries.clone(), offsets, values, nulls, *sorted)?)
        }
        // Wider types hold every value, so a cast that fails is a mistake that must not become NULL.
        _ => cast_with_options(array, wanted, &CastOptions { safe: false, ..CastOptions::default() })?,
    })
}

fn conform_struct(array: &StructArray, fields: &Fields) -> Result<StructArray, ArrowError> {
    let column = |field: &FieldRef| match array.column_by_name(field.name()) {
        Some(own) => conform(own, field.data_type()),
        None => Ok(new_null_array(field.data_type(), array.len())),
    };
    let columns = fields.iter().map(column).collect::<Result<Vec<_>, _>>()?;
    StructArray::try_new_with_length(fields.clone(), columns, array.nulls().cloned(), array.len())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Float64Array, Int8Array, Int32Array, ListBuilder, StringArray};
    use datafusion::arrow::datatypes::{Field, Int64Type};

    use super::*;

    #[test]
    fn members_are_found_by_name_widened_and_null_where_there_are_none() {
        let a: ArrayRef = Arc::new(Int8Array::from(vec![Some(1), None, Some(-3)]));
        let b: ArrayRef = Arc::new(StringArray::from(vec!["x", "y", "z"]));
        let own = StructArray::from(vec![
            (Arc::new(Field::new("a", DataType::Int8, true)), a),
            (Arc::new(Field::new("b", DataType::Utf8, true)), b),
        ]);
        let wanted: Fields =
            vec![Field::new("c", DataType::Boolean, true), Field::new("a", DataType::Int64, true)].into();
        let made = conform(&(Arc::new(own) as ArrayRef), &DataType::Struct(wanted)).unwrap();
        let made = made.as_struct();
        assert_eq!(made.column(0).null_count(), 3);
        let a: Vec<Option<i64>> = made.column(1).as_primitive::<Int64Type>().iter().collect();
        assert_eq!(a, [Some(1), None, Some(-3)]);
    }

    #[test]
    fn lists_keep_their_lengths_and_nulls() {
        let mut lists = ListBuilder::new(datafusion::arrow::array::Int32Builder::new());
        lists.append_value([Some(1), Some(2)]);
        lists.append_null();
        lists.append_value([]);
        let lists: ArrayRef = Arc::new(lists.finish());
        let made = conform(&lists, &DataType::new_list(DataType::Float64, true)).unwrap();
        let made = made.as_list::<i32>();
        assert_eq!((made.value_length(0), made.is_null(1), made.value_length(2)), (2, true, 0));
        assert_eq!(made.value(0).as_ref(), &Float64Array::from(vec![1.0, 2.0]) as &dyn Array);
    }

    #[test]
    fn a_value_that_does_not_fit_is_an_error() {
        let large: ArrayRef = Arc::new(Int32Array::from(vec![300]));
        assert!(conform(&large, &DataType::Int8).is_err());
    }
}
