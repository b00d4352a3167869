//! ROOT trees as DataFusion tables.
//!
//! Two lines from a file to a [`DataFrame`](datafusion::dataframe::DataFrame):
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
//! # let spec = format!("{path}:Events");
//! let session = root_engine::RootSession::new();
//! let events = session.read(&spec).await?;
//! # assert_eq!(events.count().await?, 1000);
//! # Ok(())
//! # }
//! ```
//!
//! The same session takes SQL, in which a file can stand wherever a table can:
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
//! let session = root_engine::RootSession::new();
//! let sql = format!("SELECT count(*) FROM '{path}:Events' WHERE \"nMuon\" = 2");
//! let counts = session.sql(&sql).await?.collect().await?;
//! # assert_eq!(counts[0].num_rows(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! `session` is the front door; `table` plans scans and `source` with `opener`, `filter` and `shape` run them; `dataset`
//! finds the files, `friends` puts other trees beside them, `selection` chooses among their rows, `cache`, `split`,
//! `union`, `merge` and `defaults` serve the table; `lumi` reads the masks and tables of luminosity that queries name;
//! `names` knows what names in SQL stand for, `prune` keeps scans to the members that a query touches, and `compute_once`
//! keeps filters from computing twice; `sort_keys`, `accelerate` and `functions` are the operators and functions that
//! queries over events need fast, `histogram` the aggregates, and [`expr_fn`] gives them to expressions in Rust; `cutflow`
//! counts events by the cuts that they pass, and [`analysis`] makes one plan of many results; `output` writes results as
//! ROOT files and `in_order` gives rows in the order of the files; `options`, `ledger`, `progress` and
//! `error` are what users set and see.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod accelerate;
pub mod analysis;
mod cache;
mod compute_once;
mod copy_to;
mod cutflow;
mod dataset;
mod defaults;
mod dialect;
mod error;
pub mod expr_fn;
mod expression;
mod factory;
mod filter;
mod friends;
mod functions;
mod histogram;
mod in_order;
mod ledger;
mod lumi;
mod merge;
mod names;
mod opener;
mod options;
mod output;
mod parts;
mod progress;
mod prune;
mod script;
mod selection;
mod session;
mod shape;
mod sort_keys;
mod source;
mod split;
mod suggest;
mod table;
mod union;
mod wildcard;
pub mod wire;
mod yaml;

pub use cutflow::{Cut, Cutflow, CutflowResult, Passed};
pub use dataset::{CONDITION as SAMPLE_CONDITION, InputFile, Inputs, Sample, WEIGHT as SAMPLE_WEIGHT};
pub use error::{Error, ErrorKind, kind_of, location_kind, may_pass, message_of};
pub use expression::check as check_expression;
pub use friends::{Friend, OnMissingFriend};
pub use histogram::{HISTOGRAM_EXTENSION, histograms, spell_histograms};
pub use in_order::{Ordered, copy_in_order};
pub use ledger::{FileRecord, FilledColumn, Ledger, MaskCounts, Outcome};
pub use lumi::{read_mask as read_lumi_mask, read_table as read_lumi_table};
pub use merge::common_type;
pub use names::Replacements;
pub use options::{Layout, LumiColumns, OnBadFile, TableOptions};
pub use output::{RootFileWriter, RootOptions};
pub use parts::{Part, WriteParts};
pub use progress::{Progress, ProgressSnapshot};
pub use root_hist;
pub use root_hist::{Axis, Histogram};
pub use script::names_row_id;
pub use session::{Elsewhere, RootSession, RootSessionBuilder, Rules};
pub use source::RootSource;
pub use split::PartitionSize;
pub use suggest::nearest;
pub use table::RootTable;
pub use wildcard::{families, is_like, is_pattern};

/// The examples of the project's first page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
