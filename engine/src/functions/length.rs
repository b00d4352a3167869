//! `cardinality` and `array_length`. DataFusion's own make an array of each row to ask its length; the offsets of a list
//! tell it.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result};
use datafusion::functions_nested::array_filter::array_filter_higher_order_function;
use datafusion::functions_nested::cardinality::cardinality_udf;
use datafusion::functions_nested::length::array_length_udf;
use datafusion::logical_expr::expr::HigherOrderFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{ColumnarValue, Expr, HigherOrderUDF, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl};

/// A function that tells the length of lists, with a fast path; everything else is left to DataFusion's function, which
/// it replaces by name.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ListLength {
    general: Arc<ScalarUDF>,
    /// Counts elements that satisfy a condition.
    count: Arc<HigherOrderUDF>,
}

/// The functions, to be registered over DataFusion's. Of filtered lists they have `count` tell the length.
pub(crate) fn list_lengths(count: &Arc<HigherOrderUDF>) -> [ScalarUDF; 2] {
    [cardinality_udf(), array_length_udf()]
        .map(|general| ScalarUDF::new_from_impl(ListLength { general, count: count.clone() }))
}

impl ScalarUDFImpl for ListLength {
    replaces_general!();

    /// The length of a filtered list is a count; the list itself needs not be made.
    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match <[Expr; 1]>::try_from(args) {
            Ok([Expr::HigherOrderFunction(filter)]) if is_filter(&filter) => {
                let count = HigherOrderFunction::new(self.count.clone(), filter.args);
                Ok(ExprSimplifyResult::Simplified(Expr::HigherOrderFunction(count)))
            }
            Ok([other]) => Ok(ExprSimplifyResult::Original(vec![other])),
            Err(several) => Ok(ExprSimplifyResult::Original(several)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(list)] if is_plain_list(list.data_type()) => lengths(list).map(ColumnarValue::Array),
            _ => self.general.inner().invoke_with_args(args),
        }
    }
}

fn is_filter(function: &HigherOrderFunction) -> bool {
    function.func.name() == array_filter_higher_order_function().name()
}

/// Whether the elements are no lists themselves: those `cardinality` counts through and through.
fn is_plain_list(data_type: &DataType) -> bool {
    let DataType::List(element) = data_type else { return false };
    !element.data_type().is_nested() || matches!(element.data_type(), DataType::Struct(_))
}

/// The number of elements of each list, null for a null list.
pub(super) fn lengths(lists: &ArrayRef) -> Result<ArrayRef> {
    let lengths = match lists.data_type() {
        DataType::List(_) => lists.as_list::<i32>().offsets().lengths().map(|n| n as u64).collect(),
        DataType::LargeList(_) => lists.as_list::<i64>().offsets().lengths().map(|n| n as u64).collect(),
        other => return Err(DataFusionError::Internal(format!("the length of lists of type {other}"))),
    };
    Ok(Arc::new(UInt64Array::new(lengths, lists.nulls().cloned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::ListArray;
    use datafusion::arrow::datatypes::{Int32Type, UInt64Type};

    #[test]
    fn a_null_list_has_no_length_and_an_empty_one_has_length_zero() {
        let rows = [Some(vec![Some(1), None]), Some(vec![]), None, Some(vec![Some(3)])];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows).slice(1, 3));

        let told = lengths(&lists).unwrap();

        let told: Vec<_> = told.as_primitive::<UInt64Type>().iter().collect();
        assert_eq!(told, [Some(0), None, Some(1)]);
    }
}
