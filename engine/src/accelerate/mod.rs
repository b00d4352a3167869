//! Operators that replace DataFusion's own where a physics query would spend its time in them: counting into bins,
//! filtering rows with lists, unnesting lists, and computing values for some rows only. A plan without them gives the same rows, only later.

mod bin_count;
mod filter;
mod only_where;
mod rule;
mod unnest;

pub(crate) use rule::{Accelerate, replaced};
