//! An asynchronous client for the XRootD protocol, in Rust alone: `root://` and `roots://`, the way to the storage of
//! high-energy physics (EOS, dCache, XRootD itself and its caches).
#![cfg_attr(test, allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used))]

mod auth;
mod bearer_token;
mod client;
mod connection;
mod diagnosis;
mod endpoint;
mod environment;
mod error;
mod file;
#[cfg(fuzzing)]
pub mod fuzzing;
mod metrics;
mod namespace;
mod options;
mod plan;
mod recovery;
mod route;
mod secret_file;
mod store;
mod url;
mod wire;
mod writer;

pub use bearer_token::{BearerToken, BearerTokenError, bearer_token};
pub use client::Client;
pub use diagnosis::{Outcome, Step, diagnose};
pub use error::{Error, ErrorKind};
pub use metrics::{Event, Listener, Metrics};
pub use namespace::Location;
pub use options::Options;
pub use store::XrootdStore;
pub use url::{DEFAULT_PORT, InvalidUrl, XrootdUrl};
