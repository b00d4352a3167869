//! An asynchronous client for the XRootD protocol, in Rust alone: `root://` and `roots://`, the way to the storage of
//! high-energy physics (EOS, dCache, XRootD itself and its caches).
//!
//! # Who we are
//!
//! A server lists the methods by which it lets users in, and they are tried in its order. Credentials are looked for
//! anew at every login, so that tickets and tokens may be renewed while a program runs. None of these secrets travels in
//! the clear. What follows the `?` of a URL does, over `root://`: it belongs to the URL, goes to the servers that it leads
//! to as it was written, and a token in it (`authz=`) is safe with `roots://` alone.
//!
//! | method | credentials | chosen by |
//! |---|---|---|
//! | `krb5` | a Kerberos ticket (`kinit`); caches of all kinds, by the machine's own library | `KRB5CCNAME`, `xrd.k5ccname` |
//! | `ztn` | a bearer token, over TLS alone, to the host of the URL and to where encrypted connections redirect from there | `BEARER_TOKEN`, `BEARER_TOKEN_FILE`, `XDG_RUNTIME_DIR`, `xrd.ztn` |
//! | `gsi` | an X.509 proxy (`voms-proxy-init`), without delegation; authorities in `X509_CERT_DIR` | `X509_USER_PROXY`, `xrd.gsiusrpxy` |
//! | `sss` | a keytab of shared secrets | `XrdSecSSSKT` |
//! | `unix` | the user's name, which the server believes | the name in the URL |
//! | `host` | nothing: the server looks at the address | |
//!
//! The variable `XrdSecPROTOCOL`, or `xrd.wantprot`, restricts the methods and orders them anew. What begins with `xrd.` is
//! a parameter of the URL: `root://host//path?xrd.wantprot=krb5,unix`.
//!
//! The service that a ticket is for is the one that the server names, as with the other clients of this protocol: servers
//! behind an alias go by names that no look-up tells. So a ticket proves who we are, and not who the server is: a server that
//! is not honest can name another service and pass the proof on to it.
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

pub use bearer_token::{BearerToken, BearerTokenError, bearer_token, bearer_token_in, may_see_token};
pub use client::Client;
pub use diagnosis::{Outcome, Step, diagnose};
pub use error::{Error, ErrorKind};
pub use metrics::{Event, Listener, Metrics};
pub use namespace::Location;
pub use options::{Credentials, Options};
pub use secret_file::{SecretFileError, secret_file};
pub use store::XrootdStore;
pub use url::{DEFAULT_PORT, InvalidUrl, XrootdUrl};
