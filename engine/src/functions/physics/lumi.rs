//! `in_lumi_mask`: whether events are in certified luminosity sections. The mask is read once, when a query is planned.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use root_physics::lumi::LumiMask;

use super::failed;
use super::kernel::{array_at, documentation};

const NAME: &str = "in_lumi_mask";

/// The function before and after its mask was read.
#[derive(Debug)]
struct InLumiMask {
    signature: Signature,
    documentation: Documentation,
    /// The file and what it says.
    mask: Option<(String, Arc<LumiMask>)>,
}

pub(super) fn in_lumi_mask() -> ScalarUDF {
    with_mask(None)
}

fn with_mask(mask: Option<(String, Arc<LumiMask>)>) -> ScalarUDF {
    let description = "Whether the luminosity section of a run is certified by a mask, a local file of JSON as experiments \
                       publish it: {\"run\": [[first, last], ...], ...}.";
    ScalarUDF::new_from_impl(InLumiMask {
        signature: Signature::user_defined(Volatility::Immutable),
        documentation: documentation(NAME, "run, luminosityBlock, 'file.json'", description),
        mask,
    })
}

impl PartialEq for InLumiMask {
    fn eq(&self, other: &Self) -> bool {
        self.mask == other.mask
    }
}

impl Eq for InLumiMask {}

impl Hash for InLumiMask {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.mask.as_ref().map(|(file, _)| file).hash(state);
    }
}

impl ScalarUDFImpl for InLumiMask {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [run, section, file] if run.is_integer() && section.is_integer() && file.is_string() => Ok(types.to_vec()),
            _ => plan_err!("{NAME} takes a run and a luminosity section, both integers, and the name of a file"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        if self.mask.is_some() {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let Some(Expr::Literal(file, _)) = args.get(2) else {
            return plan_err!("{NAME}: the name of the mask's file must be written out");
        };
        let Some(file) = file.try_as_str().flatten() else { return plan_err!("{NAME}: the mask's file has no name") };
        let json = std::fs::read(file)
            .map_err(|e| plan_datafusion_err!("the mask '{file}' cannot be read: {e}; it must be a local file"))?;
        let mask = LumiMask::parse(&json).map_err(|e| failed(e).context(format!("the mask '{file}'")))?;
        let function = with_mask(Some((file.to_string(), Arc::new(mask))));
        Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), args))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some((_, mask)) = &self.mask else {
            return exec_err!("{NAME}: the query was run without being optimized, which reads the mask");
        };
        let certified = mask.contains_all(&array_at(&args, 0)?, &array_at(&args, 1)?).map_err(failed)?;
        Ok(ColumnarValue::Array(Arc::new(certified)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}
