//! `in_lumi_mask`: whether events are in certified luminosity sections. The function holds the mask, which is read when a
//! statement is planned, so that nothing waits for a file while rows flow.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use root_physics::lumi::LumiMask;

use super::failed;
use super::kernel::{array_at, documentation};
use crate::ledger::MaskCounts;

/// The name of the function.
pub(crate) const IN_LUMI_MASK: &str = "in_lumi_mask";

/// A mask that was read.
#[derive(Debug)]
pub(crate) struct ReadMask {
    /// What the statement calls it.
    pub file: String,
    pub mask: LumiMask,
    /// Who counts the events that it was asked about, if anybody.
    pub counts: Option<MaskCounts>,
}

/// The function before and after its mask was read.
#[derive(Debug)]
pub(crate) struct InLumiMask {
    signature: Signature,
    documentation: Documentation,
    mask: Option<Arc<ReadMask>>,
}

/// The function; what the planner knows by its name has no mask yet.
pub(crate) fn in_lumi_mask(mask: Option<Arc<ReadMask>>) -> ScalarUDF {
    let description = "Whether the luminosity section of a run is certified by a mask, a file or URL of JSON as experiments \
                       publish it: {\"run\": [[first, last], ...], ...}.";
    ScalarUDF::new_from_impl(InLumiMask {
        signature: Signature::user_defined(Volatility::Immutable),
        documentation: documentation(IN_LUMI_MASK, "run, luminosityBlock, 'file.json'", description),
        mask,
    })
}

impl InLumiMask {
    /// The mask, if it was read.
    pub(crate) fn mask(&self) -> Option<&ReadMask> {
        self.mask.as_deref()
    }
}

impl PartialEq for InLumiMask {
    fn eq(&self, other: &Self) -> bool {
        let read = |function: &Self| function.mask.as_ref().map(|read| (read.file.clone(), read.mask.clone()));
        match (&self.mask, &other.mask) {
            (Some(own), Some(other)) if Arc::ptr_eq(own, other) => true,
            _ => read(self) == read(other),
        }
    }
}

impl Eq for InLumiMask {}

impl Hash for InLumiMask {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.mask.as_ref().map(|read| &read.file).hash(state);
    }
}

impl ScalarUDFImpl for InLumiMask {
    fn name(&self) -> &str {
        IN_LUMI_MASK
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [run, section, file] if run.is_integer() && section.is_integer() && file.is_string() => Ok(types.to_vec()),
            _ => {
                let given: Vec<String> = types.iter().map(ToString::to_string).collect();
                plan_err!(
                    "{IN_LUMI_MASK} takes a run and a luminosity section, both integers, and the name of a file, and was \
                     given ({}); cast what is no integer",
                    given.join(", ")
                )
            }
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(read) = &self.mask else {
            return exec_err!(
                "{IN_LUMI_MASK}: the mask was not read; plan the statement with RootSession::sql, which does"
            );
        };
        let certified = read.mask.contains_all(&array_at(&args, 0)?, &array_at(&args, 1)?).map_err(failed)?;
        if let Some(counts) = &read.counts {
            counts.add(args.number_rows as u64, certified.true_count() as u64);
        }
        Ok(ColumnarValue::Array(Arc::new(certified)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}
