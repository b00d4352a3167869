//! Reading only the members that a query touches. DataFusion projects columns and fields of plain structs, but it does
//! not look into lists of structs, nor into lambdas: this optimizer rule does. It finds out what a plan touches of each
//! table's columns (`need`, `expression`), declares the tables with no more than that, and gives the plan above them
//! the narrower types (`plan`). What projections compute is narrowed on the way (`computed`).
//!
//! The rule is a logical one, so that it also holds where the physical rules are another engine's.

mod computed;
mod expression;
mod need;
mod plan;
mod rule;
#[cfg(test)]
mod tests;

pub(crate) use rule::{Narrow, PruneLeaves};
