//! Parallel lists as one list of structs, without copying their values.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ListArray, StructArray};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::utils::list_values_row_number;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use root_physics::Collection;

use super::failed;
use super::kernel::{Kernel, array_at, as_list, list_of};

const MEMBERS: [&str; 4] = ["pt", "eta", "phi", "mass"];

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Kernel::function(
            "p4",
            "pt, eta, phi, mass",
            "Momenta as structs of pt, eta, phi and mass, or as lists of such structs if one of the four is a list. A number \
             per row counts for each element of the row's lists.",
            |args| match args.arg_fields.len() {
                4 => zipped(MEMBERS.map(String::from).into(), &args.arg_fields.iter().collect::<Vec<_>>()),
                found => plan_err!("it takes (pt, eta, phi, mass), but got {found} arguments"),
            },
            |args| zip(args, &[0, 1, 2, 3]),
        ),
        Kernel::function(
            "named_zip",
            "name1, list1, name2, list2, ...",
            "Parallel lists, such as those of one collection, as one list of structs whose members have these names. A number \
             per row counts for each element of the row's lists.",
            |args| {
                let values: Vec<_> = args.arg_fields.iter().skip(1).step_by(2).collect();
                zipped(names(args)?, &values)
            },
            |args| zip(args, &(1..args.args.len()).step_by(2).collect::<Vec<_>>()),
        ),
    ]
}

/// The names among the arguments: every other one.
fn names(args: &ReturnFieldArgs<'_>) -> Result<Vec<String>> {
    let names: Option<Vec<String>> =
        args.scalar_arguments.iter().step_by(2).map(|name| Some((*name)?.try_as_str()??.to_string())).collect();
    match names {
        Some(names) if !names.is_empty() && args.arg_fields.len().is_multiple_of(2) => Ok(names),
        _ => plan_err!("it takes ('name1', list1, 'name2', list2, ...), with names that are written out"),
    }
}

fn zipped(names: Vec<String>, values: &[&Arc<Field>]) -> Result<DataType> {
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|n| n == *name)) {
        return plan_err!("the name '{}' is given twice", twice.1);
    }
    let element = |field: &Arc<Field>| match field.data_type() {
        DataType::List(element) => element.data_type().clone(),
        other => other.clone(),
    };
    let fields: Fields =
        names.into_iter().zip(values).map(|(name, value)| Field::new(name, element(value), true)).collect();
    let is_list = values.iter().any(|value| matches!(value.data_type(), DataType::List(_)));
    Ok(if is_list { list_of(DataType::Struct(fields)) } else { DataType::Struct(fields) })
}

/// Structs of the arguments at some places.
fn zip(args: &ScalarFunctionArgs, places: &[usize]) -> Result<ArrayRef> {
    let fields = match args.return_field.data_type() {
        DataType::Struct(fields) => {
            let columns = places.iter().map(|at| array_at(args, *at)).collect::<Result<_>>()?;
            return Ok(Arc::new(StructArray::try_new(fields.clone(), columns, None)?));
        }
        DataType::List(element) => match element.data_type() {
            DataType::Struct(fields) => fields.clone(),
            other => return exec_err!("elements of type {other}"),
        },
        other => return exec_err!("a result of type {other}"),
    };
    let is_list = |at: &usize| args.args.get(*at).is_some_and(|value| matches!(value.data_type(), DataType::List(_)));
    let lists: Vec<ListArray> =
        places.iter().filter(|at| is_list(at)).map(|at| as_list(&array_at(args, *at)?, *at)).collect::<Result<_>>()?;
    let collection = Collection::new(&lists.iter().collect::<Vec<_>>()).map_err(failed)?;
    let mut members = collection.members().iter();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(places.len());
    for at in places {
        columns.push(match args.args.get(*at) {
            Some(_) if is_list(at) => members.next().cloned().map_or_else(|| exec_err!("a list is missing"), Ok)?,
            Some(ColumnarValue::Scalar(value)) => value.to_array_of_size(collection.elements())?,
            _ => spread(&array_at(args, *at)?, &collection)?,
        });
    }
    let elements = StructArray::try_new_with_length(fields, columns, None, collection.elements())?;
    Ok(Arc::new(collection.wrap(Arc::new(elements)).map_err(failed)?))
}

/// The value of each row for each element of the row.
fn spread(values: &ArrayRef, collection: &Collection) -> Result<ArrayRef> {
    let Some(member) = collection.members().first() else { return exec_err!("there is no list") };
    let list = collection.wrap(member.clone()).map_err(failed)?;
    Ok(take(values, &list_values_row_number(&list)?, None)?)
}
