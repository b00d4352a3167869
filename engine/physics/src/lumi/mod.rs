//! Luminosity: which sections are certified, and how much data they are.

mod columns;
mod error;
mod luminosity;
mod mask;

pub use error::LumiError;
pub use luminosity::{Integral, LumiSections, LumiTable, Luminosity};
pub use mask::LumiMask;
