//! `power`. Formulas of physics are full of squares, for which a multiplication is many times faster than the general
//! power, and correctly rounded.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, Float64Array};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::common::{Result, ScalarValue};
use datafusion::functions::math::power;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl};

/// `power` with a fast path for squares; everything else is left to DataFusion's function, which it replaces by name.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Power {
    general: Arc<ScalarUDF>,
}

/// The function, to be registered over DataFusion's.
pub(crate) fn power_with_squares() -> ScalarUDF {
    ScalarUDF::new_from_impl(Power { general: power() })
}

impl ScalarUDFImpl for Power {
    replaces_general!();

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.general.inner().simplify(args, context)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let [ColumnarValue::Array(base), ColumnarValue::Scalar(ScalarValue::Float64(Some(2.0)))] =
            args.args.as_slice()
            && let Some(base) = base.as_primitive_opt::<Float64Type>()
        {
            let squares: Float64Array = base.unary(|x| x * x);
            return Ok(ColumnarValue::Array(Arc::new(squares)));
        }
        self.general.inner().invoke_with_args(args)
    }
}
