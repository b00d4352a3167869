//! stub
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]
mod align;
mod collection;
mod elementary;
pub mod combinatorics;
mod error;
mod formula;
mod kinematics;
pub mod lists;
mod values;
pub use collection::Collection;
pub use error::{Error, Result};
pub use kinematics::Function;
pub use values::Values;
