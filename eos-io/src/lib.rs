//! The one place where what a user writes - a path, a URL, a pattern, a directory - becomes an
//! [`object_store::ObjectStore`] and a path in it. Every protocol is a module beside `local`.
//! Nothing here knows about ROOT or about queries.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # std::fs::write(dir.path().join("run1.root"), b"root")?;
//! # let spec = format!("{}/*.root:Events", dir.path().display());
//! use eos_io::{Stores, split_object};
//!
//! let (files, tree) = split_object(&spec);
//! assert_eq!(tree, Some("Events"));
//!
//! let stores = Stores::new();
//! let entries = futures::executor::block_on(stores.expand(files))?;
//! assert_eq!(entries.len(), 1);
//! assert_eq!(entries[0].meta.size, 4);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used))]

mod backend;
mod cache;
mod checksum;
mod diagnose;
mod error;
mod expand;
mod fence;
mod file_list;
#[cfg(fuzzing)]
pub mod fuzzing;
mod hdfs;
mod http;
mod local;
mod parts;
mod pattern;
mod ranges;
mod redact;
mod s3;
mod sections;
mod settings;
mod site;
mod spec;
mod statistics;
mod stores;
mod suggest;
#[cfg(test)]
mod testing;
mod transfer;
mod upload;
mod walk;
mod whole;
mod xrootd;

pub use cache::{Cache, CacheStats};
pub use checksum::{Checksum, ChecksumKind, Summing};
pub use diagnose::{Step, Trouble};
pub use error::{Error, ErrorKind};
pub use expand::FileEntry;
pub use file_list::read_file_list;
pub use redact::redact;
pub use sections::{SECTIONS, SettingError};
pub use settings::{
    Credentials, EosSettings, HdfsSettings, HttpSettings, LocalSettings, S3Settings, Settings, XrootdSettings,
};
pub use spec::{is_url, split_object};
pub use statistics::{Listener, Notice, Statistics};
pub use stores::{Location, Stores, StoresBuilder};
pub use upload::Upload;
