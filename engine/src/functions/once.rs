//! `computed_once(x)`: x itself, which the optimizer leaves where it stands. A condition on a column that is computed is
//! otherwise moved below it, into the scan, and computes the column once more, and so does every further condition.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::physics::documentation;

pub(crate) const COMPUTED_ONCE: &str = "computed_once";

/// The function.
pub(crate) fn computed_once() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let description = "The value itself. Conditions on it are not moved to where it would have to be computed again.";
        Arc::new(ScalarUDF::new_from_impl(Once {
            // What may change with each call is neither moved nor computed twice.
            signature: Signature::any(1, Volatility::Volatile),
            documentation: documentation(COMPUTED_ONCE, "value", description),
        }))
    });
    FUNCTION.clone()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Once {
    signature: Signature,
    documentation: Documentation,
}

impl ScalarUDFImpl for Once {
    fn name(&self) -> &str {
        COMPUTED_ONCE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [value] => Ok(value.clone()),
            _ => internal_err!("{COMPUTED_ONCE} has one argument"),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        match args.arg_fields {
            [value] => Ok(value.clone()),
            _ => internal_err!("{COMPUTED_ONCE} has one argument"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match <[ColumnarValue; 1]>::try_from(args.args) {
            Ok([value]) => Ok(value),
            Err(_) => internal_err!("{COMPUTED_ONCE} has one argument"),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}
