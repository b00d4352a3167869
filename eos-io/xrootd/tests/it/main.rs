//! The client against real servers, which the tests start themselves.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod auth;
mod conformance;
mod eos;
mod faults;
mod hostile;
mod interoperability;
mod opens;
mod reading;
mod redirects;
mod replicas;
mod support;
mod vector;
mod waiting;
mod writing;

use eos_testbed::Xrootd;
use xrootd_client::{Client, Options, XrootdStore, XrootdUrl};

/// A store of a server, through a client of its own.
fn store(server: &Xrootd) -> XrootdStore {
    store_with(server, Options::default())
}

fn store_with(server: &Xrootd, options: Options) -> XrootdStore {
    store_at(&server.url("/"), options)
}

fn store_at(url: &str, options: Options) -> XrootdStore {
    let (url, _) = XrootdUrl::parse(url).unwrap();
    XrootdStore::new(&Client::new(options).unwrap(), &url)
}
