//! Choosing from lists and reducing them. Places are counted from 1, as SQL does.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, ListArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{Result, plan_err};
use datafusion::functions_nested::min_max::{array_max_udf, array_min_udf};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use root_physics::lists::{self, Extreme, Order, Reduction};

use super::failed;
use super::kernel::{Kernel, array_at, check_count, element_at, list_at, list_of, type_at};
use super::near::from_one;

pub(super) fn functions() -> Vec<ScalarUDF> {
    let extreme = |name, extreme, description| {
        Kernel::function(
            name,
            "list",
            description,
            |args| numbers(args).map(|_| DataType::Int64),
            move |args| from_one(&lists::arg_extreme(&list_at(args, 0)?, extreme).map_err(failed)?),
        )
    };
    let reduction = |name, reduction, description| {
        Kernel::function(
            name,
            "list",
            description,
            move |args| reduced(numbers(args)?, reduction),
            move |args| lists::reduce(&list_at(args, 0)?, reduction).map_err(failed),
        )
    };
    // DataFusion's functions, replaced for numbers only.
    let bound = |general: Arc<ScalarUDF>, reduction, description| {
        let name = if reduction == Reduction::Min { "array_min" } else { "array_max" };
        Kernel::function(
            name,
            "list",
            description,
            move |args| {
                check_count(args, 1..=1)?;
                reduced(element_at(args, 0)?, reduction)
            },
            move |args| {
                let list = list_at(args, 0)?;
                let element = list.value_type();
                if element.is_integer() || matches!(element, DataType::Float32 | DataType::Float64) {
                    return lists::reduce(&list, reduction).map_err(failed);
                }
                general.inner().invoke_with_args(args.clone())?.into_array(args.number_rows)
            },
        )
    };
    vec![
        extreme(
            "array_argmin",
            Extreme::Min,
            "The index of the smallest element, the first of equal ones, counted from 1; null if there is none. NaN is passed over.",
        ),
        extreme(
            "array_argmax",
            Extreme::Max,
            "The index of the largest element, the first of equal ones, counted from 1; null if there is none. NaN is passed over.",
        ),
        reduction(
            "array_sum",
            Reduction::Sum,
            "The sum of the elements, in double precision or 64 bits; 0 if there are none.",
        )
        .with_aliases(["list_sum"]),
        reduction("array_mean", Reduction::Mean, "The mean of the elements; null if there are none."),
        bound(
            array_min_udf(),
            Reduction::Min,
            "The smallest element, of anything that has an order; null if there are none. NaN is passed over.",
        )
        .with_aliases(["list_min"]),
        bound(
            array_max_udf(),
            Reduction::Max,
            "The largest element, of anything that has an order; null if there are none. NaN is passed over.",
        )
        .with_aliases(["list_max"]),
        Kernel::function(
            "array_any",
            "list",
            "Whether any element is true; false if there are none.",
            |args| truth(args, DataType::Boolean),
            |args| Ok(Arc::new(lists::any(&list_at(args, 0)?).map_err(failed)?)),
        ),
        Kernel::function(
            "array_all",
            "list",
            "Whether all elements are true; true if there are none.",
            |args| truth(args, DataType::Boolean),
            |args| Ok(Arc::new(lists::all(&list_at(args, 0)?).map_err(failed)?)),
        ),
        Kernel::function(
            "array_count_true",
            "list",
            "How many elements are true.",
            |args| truth(args, DataType::Int64),
            |args| Ok(Arc::new(lists::count_if(&list_at(args, 0)?).map_err(failed)?)),
        ),
        Kernel::function(
            "array_take",
            "list, index | indices",
            "The element at an index, or the elements at a list of indices, counted from 1; null where nothing is there.",
            |args| {
                check_count(args, 2..=2)?;
                let element = element_at(args, 0)?.clone();
                match type_at(args, 1)? {
                    DataType::List(index) if index.data_type().is_integer() => Ok(list_of(element)),
                    index if index.is_integer() || index.is_null() => Ok(element),
                    other => plan_err!("argument 2 is {other}, but an index or a list of indices is needed"),
                }
            },
            take,
        ),
        Kernel::function(
            "array_sort_by",
            "list, keys[, 'desc']",
            "The elements in the order of other values, one for each; null and NaN are last, and equal ones keep their order.",
            |args| {
                check_count(args, 2..=3)?;
                element_at(args, 1)?;
                if let Some(order) = args.scalar_arguments.get(2) {
                    order_of(order.and_then(|o| o.try_as_str().flatten()))?;
                }
                Ok(list_of(element_at(args, 0)?.clone()))
            },
            sort_by,
        ),
    ]
}

fn numbers<'a>(args: &'a ReturnFieldArgs<'_>) -> Result<&'a DataType> {
    check_count(args, 1..=1)?;
    let element = element_at(args, 0)?;
    if element.is_numeric() { Ok(element) } else { plan_err!("the elements are {element}, but numbers are needed") }
}

fn truth(args: &ReturnFieldArgs<'_>, result: DataType) -> Result<DataType> {
    check_count(args, 1..=1)?;
    match element_at(args, 0)? {
        DataType::Boolean => Ok(result),
        other => plan_err!("the elements are {other}, but conditions are needed"),
    }
}

fn reduced(element: &DataType, reduction: Reduction) -> Result<DataType> {
    Ok(match reduction {
        Reduction::Min | Reduction::Max => element.clone(),
        Reduction::Mean => DataType::Float64,
        _ if element.is_unsigned_integer() => DataType::UInt64,
        _ if element.is_integer() => DataType::Int64,
        _ => DataType::Float64,
    })
}

fn order_of(word: Option<&str>) -> Result<Order> {
    match word.map(str::to_ascii_lowercase).as_deref() {
        Some("asc") => Ok(Order::Ascending),
        Some("desc") => Ok(Order::Descending),
        _ => plan_err!("the order is 'asc' or 'desc'"),
    }
}

fn sort_by(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let order = match args.args.get(2) {
        Some(ColumnarValue::Scalar(word)) => order_of(word.try_as_str().flatten())?,
        Some(ColumnarValue::Array(_)) => order_of(None)?,
        None => Order::Ascending,
    };
    Ok(Arc::new(lists::sort_by(&list_at(args, 0)?, &list_at(args, 1)?, order).map_err(failed)?))
}

fn take(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let list = list_at(args, 0)?;
    let indices = array_at(args, 1)?;
    let Some(wanted) = indices.as_list_opt::<i32>() else {
        return lists::take(&list, &from_zero(&indices)?).map_err(failed);
    };
    let places: ArrayRef = Arc::new(from_zero(wanted.values())?);
    let field = Arc::new(Field::new_list_field(DataType::Int32, true));
    let places = ListArray::try_new(field, wanted.offsets().clone(), places, wanted.nulls().cloned())?;
    Ok(Arc::new(lists::take_list(&list, &places).map_err(failed)?))
}

/// Indices that are counted from 1 as places; what cannot be a place becomes one where nothing is.
fn from_zero(indices: &ArrayRef) -> Result<Int32Array> {
    let indices = cast(indices, &DataType::Int64)?;
    let indices: &Int64Array = indices.as_primitive::<Int64Type>();
    Ok(indices.unary(|index| i32::try_from(index.saturating_sub(1)).unwrap_or(-1)))
}
