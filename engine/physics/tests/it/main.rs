//! Behaviour of the kernels, against hand-computed values and against the Python packages of the field.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod adl;
mod combinatorics;
mod kinematics;
mod lists;
mod lumi;
mod rows;
mod slices;
mod support;
