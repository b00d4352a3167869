//! Reads ROOT trees into Arrow record batches.
//!
//! The crate is the ROOT format and nothing else: no query engine, no network code. Bytes come from an
//! [`object_store::ObjectStore`], from a local file, or from memory; batches come out in entry order, decoded basket by
//! basket straight into Arrow buffers.
//!
//! ```
//! # fn main() -> Result<(), root_reader::Error> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
//! use root_reader::{RootFile, ScanOptions};
//!
//! let tree = RootFile::open_local(path)?.tree_blocking("Events")?;
//! let schema = tree.schema();
//! let columns = [schema.index_of("nMuon").unwrap(), schema.index_of("Muon_pt").unwrap()];
//! for batch in tree.scan(&columns, 0..tree.entries(), ScanOptions::default())?.blocking() {
//!     println!("{} events", batch?.num_rows());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//!
//! Each layer uses only those before it: bytes (`wire`, `tags`), compressed frames (`compression`), the container
//! (`file`), class descriptions (`streamer`) and metadata objects (`object`), trees (`tree`) and trees read beside them
//! (`friend`), classes made ready to be decoded (`class`), the choice of a decoder per branch (`layout`), its columns as
//! objects (`nested`), decoders (`decode`, and `walk` for objects), baskets (`basket`) and the scan.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod basket;
mod builtin;
mod class;
mod column;
mod compression;
mod cpp_type;
mod decode;
mod error;
mod file;
mod friend;
#[cfg(fuzzing)]
pub mod fuzzing;
mod layout;
mod local;
mod metrics;
mod narrow;
mod nested;
mod number;
mod object;
mod output;
mod scan;
mod select;
mod source;
mod streamer;
mod tags;
mod tree;
mod walk;
mod window;
mod wire;

pub use compression::Codec;
pub use error::{Error, ErrorKind, FormatError, Place, Result};
pub use file::{Header, Key, RootFile};
pub use layout::{Column, TextAs};
pub use metrics::ScanMetrics;
pub use nested::{BASE, Nested, NestedPlan};
pub use scan::{Scan, ScanOptions, Selectivity, Spawn};
pub use select::RowFilter;
pub use tree::{BasketInfo, Branch, BranchId, ListedFriend, Tree};
