//! Histograms.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod axis;
mod columns;
mod csv;
mod error;
mod exact;
mod fill;
mod histogram;
pub mod plot;
mod state;
mod storage;
mod uhi;
mod wide;

pub use axis::{Axis, AxisKind, Interval};
pub use error::{Error, Result};
pub use fill::{Entries, Number};
pub use histogram::{Bin, Histogram, MAX_AXES, MAX_CELLS, Tally};
pub use storage::{Content, Storage};
pub use uhi::{read_uhi, write_uhi};
