//! Histograms: filled from slices and Arrow arrays, merged, shipped, and shown.
//!
//! The crate knows neither queries nor ROOT files. Bins are those of boost-histogram to the last bit, and the result
//! does not depend on how entries were partitioned or in which order parts were merged: see [`Histogram::merge`].
//!
//! ```
//! # fn main() -> root_hist::Result<()> {
//! use arrow_array::{Float32Array, Float64Array};
//! use root_hist::plot::{Plot, Terminal};
//! use root_hist::{Axis, Entries, Histogram, Storage, read_uhi, write_uhi};
//!
//! let pt = Axis::regular(5, 0.0, 50.0)?.with_name("pt").with_label("p_{T}").with_unit("GeV");
//! let mut one = Histogram::new(vec![pt.clone()], Storage::Weight)?;
//! let column = Float32Array::from(vec![Some(12.0), Some(48.5), None, Some(61.0)]);
//! let weights = Float64Array::from(vec![0.1, 0.2, 0.3, 0.4]);
//! one.fill(&Entries::new(&[&column]).weights(&weights))?;
//!
//! // What another partition filled, perhaps on another machine.
//! let mut other = Histogram::new(vec![pt], Storage::Weight)?;
//! other.fill_slice(&[13.0, 22.0])?;
//! one.merge(&Histogram::from_bytes(&other.to_bytes())?)?;
//!
//! // Underflow first, overflow last.
//! assert_eq!(one.values(), [0.0, 0.0, 1.1, 1.0, 0.0, 0.2, 0.4]);
//! assert_eq!((one.tally().entries, one.tally().nulls), (5, 1));
//!
//! let json = write_uhi(&[("pt", &one)], &[])?;
//! assert_eq!(read_uhi(&json)?[0].1.values(), one.values());
//! println!("{}", Plot::new(&one)?.to_text(&Terminal::default()));
//! # Ok(())
//! # }
//! ```
//!
//! # How it is built
//!
//! - `axis`: bins, and the positions of values on them. `columns` makes Arrow columns ready for it: lists are flattened,
//!   categories looked up. `fill` goes through a chunk at a time, from positions to bins to contents.
//! - `exact`: sums of weights as whole numbers, added without rounding; `wide` is for the differences that variances are
//!   made of. `storage` says what a bin holds, `bins` which bins are kept.
//! - `moments`: sum, mean and deviation. `state`, `uhi`, `csv`: a histogram as bytes, as JSON, as rows.
//! - [`plot`]: pictures and text.
//!
//! # What it takes
//!
//! A count is 8 bytes a bin. A sum of weights, and of their squares, is 16 bytes a bin for each 32 powers of two in which
//! weights lie, which is one to three for weights of ordinary size; [`Histogram::memory`] tells. Entries of one weight are
//! counted and multiplied at the end. Of more than 16 bins only those that are filled are kept, until they are one in eight.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod axis;
mod bins;
mod columns;
mod csv;
mod error;
mod exact;
mod fill;
#[cfg(fuzzing)]
pub mod fuzzing;
mod histogram;
mod moments;
pub mod plot;
mod state;
mod storage;
mod uhi;
mod wide;

pub use axis::{Axis, AxisKind, Interval};
pub use csv::write_csv;
pub use error::{Error, Result};
pub use fill::{Entries, Number};
pub use histogram::{Bin, Histogram, MAX_AXES, MAX_CELLS, Tally};
pub use moments::Moments;
pub use storage::{Content, Storage};
pub use uhi::{read_uhi, write_uhi};
