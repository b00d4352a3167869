//! Operators that replace DataFusion's own where a physics query would spend its time in them: counting into bins and
//! unnesting lists. A plan without them gives the same rows, only later.

mod bin_count;
mod rule;
mod unnest;

pub(crate) use rule::Accelerate;
