//! What is near to what: particles of two collections matched by their directions.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use datafusion::arrow::array::{Int64Array, Scalar};
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::numeric::add;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use root_physics::lists;

use super::failed;
use super::kernel::{Kernel, array_at, as_list, check_count, constant_at, element_at, list_of, member_of};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Kernel::function(
            "nearest",
            "a, b[, max]",
            "For each particle of the list a the nearest of the list b by √(Δη² + Δφ²), if it is nearer than max: structs of \
             index, counted from 1, and delta_r; null members where there is none. Particles are structs with eta and phi.",
            |args| {
                check_count(args, 2..=3)?;
                check_directions(args)?;
                Ok(list_of(DataType::Struct(match_fields())))
            },
            nearest,
        ),
        Kernel::function(
            "any_near",
            "a, b, max",
            "For each particle of the list a whether any of the list b is nearer than max by √(Δη² + Δφ²). Particles are \
             structs with eta and phi.",
            |args| {
                check_count(args, 3..=3)?;
                check_directions(args)?;
                Ok(list_of(DataType::Boolean))
            },
            |args| {
                let (of, among) = (directions(args, 0)?, directions(args, 1)?);
                let threshold = constant_at(args, 2)?.unwrap_or(f64::NAN);
                let near = lists::any_near([&of[0], &of[1]], [&among[0], &among[1]], threshold);
                Ok(Arc::new(near.map_err(failed)?))
            },
        ),
    ]
}

fn match_fields() -> Fields {
    vec![Field::new("index", DataType::Int64, true), Field::new("delta_r", DataType::Float64, true)].into()
}

fn check_directions(args: &ReturnFieldArgs<'_>) -> Result<()> {
    for at in 0..2 {
        let element = element_at(args, at)?;
        let has = |name| matches!(element, DataType::Struct(fields) if fields.iter().any(|f| f.name() == name));
        if !has("eta") || !has("phi") {
            return plan_err!("argument {} is a list of {element}, but structs with eta and phi are needed", at + 1);
        }
    }
    Ok(())
}

fn directions(args: &ScalarFunctionArgs, at: usize) -> Result<[ListArray; 2]> {
    let particles = array_at(args, at)?;
    let member = |name| as_list(&member_of(&particles, name)?, at);
    Ok([member("eta")?, member("phi")?])
}

fn nearest(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let (of, among) = (directions(args, 0)?, directions(args, 1)?);
    // NULL is no limit that anything could be within, unlike a limit that is not given.
    let threshold = if args.args.len() > 2 { Some(constant_at(args, 2)?.unwrap_or(f64::NAN)) } else { None };
    let found = lists::nearest([&of[0], &of[1]], [&among[0], &among[1]], threshold).map_err(failed)?;
    let places = from_one(found.places.values())?;
    let elements = StructArray::try_new(match_fields(), vec![places, found.distances.values().clone()], None)?;
    let field = Arc::new(Field::new_list_field(elements.data_type().clone(), true));
    let (offsets, nulls) = (found.places.offsets().clone(), found.places.nulls().cloned());
    Ok(Arc::new(ListArray::try_new(field, offsets, Arc::new(elements), nulls)?))
}

/// Places that are counted from 0 as SQL counts, from 1.
pub(super) fn from_one(places: &dyn Array) -> Result<ArrayRef> {
    let places = cast(places, &DataType::Int64)?;
    let one = Scalar::new(Int64Array::from(vec![1]));
    Ok(add(&places.as_primitive::<datafusion::arrow::datatypes::Int64Type>(), &one)?)
}
