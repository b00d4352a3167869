//! `array_reduce`: a lambda that takes the elements of each list together, one after the other. All lists are worked on
//! at once: first their first elements, then the second ones of those that have them, and so on.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array, new_empty_array};
use datafusion::arrow::compute::{cast, interleave, nullif, take, take_arrays};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature,
    HigherOrderUDF, HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};
use root_physics::{Collection, taken};

use super::physics::{documentation, failed, kernel_type};

const NAME: &str = "array_reduce";

/// How often the type of the result may change until the lambda gives what it takes.
const STEPS: usize = 3;

#[derive(Debug, PartialEq, Eq, Hash)]
struct Reduce {
    aliases: Vec<String>,
    signature: HigherOrderSignature,
    documentation: Documentation,
}

pub(super) fn array_reduce() -> HigherOrderUDF {
    let description = "What becomes of a first value when a lambda takes it together with the first element of the list, \
                       then its result with the second element, and so on; the first value if the list is empty, and \
                       null if it is null. A third parameter of the lambda is the index, counted from 1.";
    HigherOrderUDF::new_from_impl(Reduce {
        aliases: vec!["list_reduce".into(), "reduce".into()],
        signature: HigherOrderSignature::user_defined(Volatility::Immutable),
        documentation: documentation(NAME, "list, first, (result, x, index) -> ...", description),
    })
}

impl HigherOrderUDFImpl for Reduce {
    fn name(&self) -> &str {
        NAME
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [list, first] => match kernel_type(list) {
                list @ DataType::List(_) => Ok(vec![list, first.clone()]),
                other => plan_err!("{NAME} takes a list, but got {other}"),
            },
            _ => usage(),
        }
    }

    /// The result begins as the first value and becomes what the lambda makes of it: `0` is an integer, and a floating-point
    /// number as soon as a momentum is added.
    fn lambda_parameters(
        &self,
        step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let [ValueOrLambda::Value(list), ValueOrLambda::Value(first), ValueOrLambda::Lambda(body)] = fields else {
            return usage();
        };
        let DataType::List(element) = list.data_type() else {
            return plan_err!("{NAME} takes a list, but got {}", list.data_type());
        };
        let given = |result: &FieldRef| {
            let result = Arc::new(Field::new("result", result.data_type().clone(), true));
            let element = Arc::new(element.as_ref().clone().with_nullable(true));
            vec![result, element, Arc::new(Field::new("index", DataType::Int64, false))]
        };
        Ok(match body {
            None => LambdaParametersProgress::Partial(vec![Some(given(first))]),
            Some(body) if step > 0 && step < STEPS => LambdaParametersProgress::Partial(vec![Some(given(body))]),
            Some(body) => LambdaParametersProgress::Complete(vec![given(body)]),
        })
    }

    fn coerce_values_for_lambdas(&self, fields: &[ValueOrLambda<DataType, DataType>]) -> Result<Option<Vec<DataType>>> {
        match fields {
            [ValueOrLambda::Value(list), ValueOrLambda::Value(_), ValueOrLambda::Lambda(body)] => {
                Ok(Some(vec![list.clone(), body.clone()]))
            }
            _ => usage(),
        }
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [ValueOrLambda::Value(_), ValueOrLambda::Value(first), ValueOrLambda::Lambda(body)] => {
                if first.data_type() != body.data_type() {
                    return plan_err!(
                        "{NAME}: the lambda takes {} and makes {} of it; cast its result, or the first value",
                        first.data_type(),
                        body.data_type()
                    );
                }
                Ok(Arc::new(Field::new("", body.data_type().clone(), true)))
            }
            _ => usage(),
        }
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let [ValueOrLambda::Value(list), ValueOrLambda::Value(first), ValueOrLambda::Lambda(lambda)] =
            args.args.as_slice()
        else {
            return usage();
        };
        let list = list.to_array(args.number_rows)?;
        let list = list.as_list_opt::<i32>().ok_or_else(|| exec_datafusion_err!("{NAME} takes a list"))?;
        let collection = Collection::new(&[list]).map_err(failed)?;
        let first = cast(&first.to_array(args.number_rows)?, args.return_type())?;
        Ok(ColumnarValue::Array(reduce(&collection, first, lambda)?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

fn usage<T>() -> Result<T> {
    plan_err!("{NAME} takes a list, a first value, and a lambda: {NAME}(Jet_pt, 0, (sum, pt) -> sum + pt)")
}

fn reduce(collection: &Collection, first: ArrayRef, lambda: &LambdaArgument) -> Result<ArrayRef> {
    let [elements] = collection.members() else { return Err(exec_datafusion_err!("there is no list")) };
    let ranges: Vec<_> = collection.ranges().collect();
    // Results of lists that have come to their end, and for each row which of them is its own.
    let mut ended = vec![first.clone()];
    let mut own: Vec<(usize, usize)> = (0..ranges.len()).map(|row| (0, row)).collect();
    // The lists that go on, and their results so far.
    let mut rows: Vec<u32> = (0u32..).zip(&ranges).filter(|(_, range)| !range.is_empty()).map(|(row, _)| row).collect();
    let mut results = take(&first, &UInt32Array::from(rows.clone()), None)?;
    let mut place = 0;
    while !rows.is_empty() {
        let range_of = |row: &u32| ranges.get(*row as usize).cloned().unwrap_or_default();
        let places: UInt32Array =
            rows.iter().map(|row| (range_of(row).start + place) as u32).collect::<Vec<_>>().into();
        let of_rows = UInt32Array::from(rows.clone());
        let index = Int64Array::from_value(place as i64 + 1, rows.len());
        let given: [&dyn Fn() -> Result<ArrayRef>; 3] =
            [&|| Ok(results.clone()), &|| taken(elements, &places).map_err(failed), &|| Ok(Arc::new(index.clone()))];
        let spread = |captured: &[ArrayRef]| Ok(take_arrays(captured, &of_rows, None)?);
        let next = lambda.evaluate(&given, spread)?.into_array(rows.len())?;
        place += 1;
        let (mut going_on, mut kept) = (Vec::new(), Vec::new());
        for (at, row) in rows.iter().enumerate() {
            if range_of(row).len() > place {
                going_on.push(*row);
                kept.push(at as u32);
            } else if let Some(own) = own.get_mut(*row as usize) {
                *own = (ended.len(), at);
            }
        }
        results = if kept.len() < rows.len() { take(&next, &UInt32Array::from(kept), None)? } else { next.clone() };
        if going_on.len() < rows.len() {
            ended.push(next);
        }
        rows = going_on;
    }
    if own.is_empty() {
        return Ok(new_empty_array(first.data_type()));
    }
    let parts: Vec<&dyn Array> = ended.iter().map(AsRef::as_ref).collect();
    let reduced = interleave(&parts, &own)?;
    match collection.nulls() {
        Some(nulls) => Ok(nullif(&reduced, &(!nulls.inner()).into())?),
        None => Ok(reduced),
    }
}
