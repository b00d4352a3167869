//! An asynchronous client for the XRootD protocol: `root://` and `roots://`.
#![cfg_attr(test, allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used))]

mod auth;
mod bearer_token;
mod environment;
mod secret_file;

pub use bearer_token::{BearerToken, BearerTokenError, bearer_token};
