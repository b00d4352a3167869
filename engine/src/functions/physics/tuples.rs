//! Tuples of particles as lists of structs.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, ListArray};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ScalarFunctionArgs, ScalarUDF};
use root_physics::combinatorics;

use super::failed;
use super::kernel::{Kernel, check_count, element_at, list_at, list_of, literal_count};

/// The most members of a tuple.
pub(super) const LARGEST: usize = 16;

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Kernel::function(
            "combinations",
            "list, k",
            "All subsets of k elements of each list, as structs with the members '0', '1' and so on. A lambda over them may \
             name the members: (a, b) -> ...",
            |args| {
                check_count(args, 2..=2)?;
                let size = literal_count(args, 1)?;
                if !(1..=LARGEST).contains(&size) {
                    return datafusion::common::plan_err!("tuples of {size}; 1 to {LARGEST} elements can be combined");
                }
                tuple_of(std::iter::repeat_n(element_at(args, 0)?, size))
            },
            |args| {
                let size = match args.return_field.data_type() {
                    DataType::List(element) => members(element.data_type()),
                    other => return exec_err!("a result of type {other}"),
                };
                Ok(Arc::new(combinatorics::combinations(&list_at(args, 0)?, size, None).map_err(failed)?))
            },
        ),
        Kernel::function(
            "cartesian",
            "list1, list2, ...",
            "All tuples of one element of each of the lists, as structs with the members '0', '1' and so on. A lambda over \
             them may name the members: (a, b) -> ...",
            |args| {
                check_count(args, 2..=LARGEST)?;
                let elements = (0..args.arg_fields.len()).map(|at| element_at(args, at)).collect::<Result<Vec<_>>>()?;
                tuple_of(elements.into_iter())
            },
            cartesian,
        ),
    ]
}

fn cartesian(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let lists: Vec<ListArray> = (0..args.args.len()).map(|at| list_at(args, at)).collect::<Result<_>>()?;
    let lists: Vec<&ListArray> = lists.iter().collect();
    Ok(Arc::new(combinatorics::cartesian(&lists, None).map_err(failed)?))
}

fn tuple_of<'a>(elements: impl Iterator<Item = &'a DataType>) -> Result<DataType> {
    let member = |(at, element): (usize, &DataType)| Field::new(at.to_string(), element.clone(), true);
    Ok(list_of(DataType::Struct(elements.enumerate().map(member).collect())))
}

fn members(tuple: &DataType) -> usize {
    match tuple {
        DataType::Struct(fields) => fields.len(),
        _ => 0,
    }
}
