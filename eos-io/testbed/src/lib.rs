//! Real storage servers on loopback, for tests: XRootD in every variety, Kerberos, tokens, certificates and HDFS, and a
//! proxy that adds latency and injects faults.
//!
//! Nothing here is a simulation: what runs are the servers that people use, of the distribution's packages, which
//! `.ci/packages test` installs. A missing program is a panic that names its package. Servers take free ports, so that
//! any number of test processes can run at once, and end together with the value that stands for them, at the latest
//! with the process: `static SERVER: LazyLock<Xrootd>` is a fine way to share one.
#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the crate is part of tests, and a test that cannot be set up has failed"
)]

mod cluster;
mod credentials;
mod hdfs;
mod place;
mod port;
mod process;
mod proxy;
mod tools;
mod volume;
mod xrootd;

pub use cluster::{Cluster, EosLike};
pub use credentials::{Ca, Ccache, Identity, Kdc, SssKey, TokenIssuer, Variables};
pub use hdfs::{Hdfs, Protection};
pub use place::Dir;
pub use port::Port;
pub use process::{Failed, Process, Spec};
pub use proxy::{Counts, Fault, FaultProxy, FaultProxyBuilder, Request, Rule, RuleBuilder};
pub use tools::{Ran, Tool, program};
pub use volume::{Volume, random_bytes};
pub use xrootd::{Xrootd, XrootdBuilder};
