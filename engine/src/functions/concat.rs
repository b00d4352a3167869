//! `array_concat`. DataFusion's own appends row by row; leptons are made of muons and electrons in every event.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::functions_nested::concat::array_concat_udf;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl};
use root_physics::lists;

use super::physics::failed;

/// `array_concat` with a fast path for lists of one type of which none is null; everything else is left to DataFusion's
/// function, which it replaces by name.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Concat {
    general: Arc<ScalarUDF>,
}

/// The function, to be registered over DataFusion's.
pub(super) fn list_concat() -> ScalarUDF {
    ScalarUDF::new_from_impl(Concat { general: array_concat_udf() })
}

impl ScalarUDFImpl for Concat {
    replaces_general!();

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.general.inner().coerce_types(arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let plain = |value: &ColumnarValue| match value {
            ColumnarValue::Array(list) => list.data_type() == args.return_type() && list.null_count() == 0,
            ColumnarValue::Scalar(_) => false,
        };
        let DataType::List(element) = args.return_type() else { return self.general.inner().invoke_with_args(args) };
        if args.args.is_empty() || !args.args.iter().all(plain) {
            return self.general.inner().invoke_with_args(args);
        }
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let parts: Vec<&ListArray> = arrays.iter().filter_map(|list| list.as_list_opt()).collect();
        let (_, offsets, values, _) = lists::concat(&parts).map_err(failed)?.into_parts();
        let joined: ArrayRef = Arc::new(ListArray::try_new(element.clone(), offsets, values, None)?);
        Ok(ColumnarValue::Array(joined))
    }
}
