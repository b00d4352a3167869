//! An asynchronous client for the XRootD protocol: `root://` and `roots://`.
#![cfg_attr(test, allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used))]

mod auth;
