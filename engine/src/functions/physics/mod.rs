//! The kernels of `root-physics` as SQL functions: kinematics, combinations of particles, what is chosen from lists, and
//! luminosity masks. Here only types are found and arguments are handed over.

mod kernel;
mod kinematics;
mod lists;
mod lumi;
mod near;
mod nearest_mass;
mod tuples;
mod zip;

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::logical_expr::{HigherOrderUDF, ScalarUDF};

pub(super) use kernel::{documentation, kernel_type, list_of, member_of};
pub(crate) use kinematics::members_needed;
pub(crate) use lumi::{IN_LUMI_MASK, InLumiMask, ReadMask, in_lumi_mask};
pub(crate) use nearest_mass::{NEAREST_INDICES, nearest_mass_parts};

/// The members of structs that momenta are read from.
pub(crate) const MOMENTUM: &[&str] = &["pt", "eta", "phi", "mass", "px", "py", "pz", "e"];

/// All scalar functions.
pub(super) fn scalar_functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    let all = [kinematics::functions(), zip::functions(), tuples::functions(), lists::functions(), near::functions()];
    all.into_iter().flatten().chain([in_lumi_mask(None)]).map(Arc::new)
}

/// All functions that take lambdas.
pub(super) fn higher_order_functions() -> impl Iterator<Item = Arc<HigherOrderUDF>> {
    std::iter::once(nearest_mass::nearest_mass()).chain(nearest_mass_parts()).map(Arc::new)
}

/// An error of a kernel, as those of the engine are.
pub(super) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
