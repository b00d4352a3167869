//! Writes Arrow record batches into trees of ROOT files, and histograms beside them.
//!
//! The crate is the ROOT format and nothing else: no query engine, no network code. What it writes describes its classes,
//! so that ROOT, uproot, JSROOT and `root-reader` read it without knowing anything of it.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::io::Cursor;
//! use std::sync::Arc;
//!
//! use arrow_array::types::Float32Type;
//! use arrow_array::{ArrayRef, Int32Array, ListArray, RecordBatch};
//! use root_writer::{FileOptions, FileWriter, TreeOptions};
//!
//! let pt = [Some(vec![Some(42.0), Some(17.5)]), Some(vec![])];
//! let batch = RecordBatch::try_from_iter([
//!     ("nMuon", Arc::new(Int32Array::from(vec![2, 0])) as ArrayRef),
//!     ("Muon_pt", Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(pt))),
//! ])?;
//!
//! let mut file = FileWriter::new(Cursor::new(Vec::new()), "muons.root", FileOptions::default())?;
//! let events = file.tree("Events", &batch.schema(), TreeOptions::default())?;
//! file.write(events, &batch)?;
//! let bytes = file.finish()?.into_inner();
//!
//! let tree = root_reader::RootFile::from_bytes("muons.root", bytes)?.tree_blocking("Events")?;
//! assert_eq!(tree.entries(), 2);
//! assert_eq!(tree.schema().field(1).name(), "Muon_pt");
//! # Ok(())
//! # }
//! ```
//!
//! | column | branch |
//! | --- | --- |
//! | truth values, integers, `Float32`, `Float64` | a leaf of that type |
//! | `FixedSizeList` of them, nested or not | an array, `x[2][3]` |
//! | `List` of them | an array with a counter, `x[nx]`; see [`Counters`] |
//! | texts | a C string (`TLeafC`), which can be read in ROOT up to its first NUL |
//! | `List` of texts | `std::vector<std::string>` |
//! | `Struct` | its members, `x_a`, `x_b` |
//! | `List` of `Struct` of numbers, arrays and structs of them | its members, `x_a[nx]`, `x_b[nx]`, with one counter |
//!
//! Integers of 64 bits that count lists become 32 bits wide, as readers expect of counters. Everything else is an error that
//! names the column and says what to do, and so are NULLs, unless [`Nulls`] says what takes their place.

mod basket;
mod classes;
mod column;
mod compression;
mod date;
mod error;
mod file;
mod histogram;
mod number;
mod record;
mod tree;
mod values;
mod wire;
mod workers;

pub use compression::{Codec, Compression};
pub use error::{Error, Place, Result};
pub use file::{FileOptions, FileWriter, TreeId};
pub use histogram::{Binning, HistogramAxis, HistogramObject, Moments, ProfileErrors, ProfileSums};
pub use tree::{Counters, Nulls, TreeOptions};
