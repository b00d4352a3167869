//! A real Kubernetes on loopback, for tests: etcd, API server, controllers and scheduler, with rights that are checked and
//! certificates of its own. `control_plane` starts it, with the `programs` and the `pki` that it needs, and `everything` is what
//! stands in it.
//!
//! What it has not is a kubelet: a `node` stands in for it, which runs nothing, and says of each pod what the test wants said.
//! So there are no logs, no ways into pods, and no network between them.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the crate is part of tests, and a test that cannot be set up has failed"
)]

mod control_plane;
mod everything;
mod fate;
mod node;
mod pki;
mod programs;

pub use control_plane::ControlPlane;
pub use everything::everything;
pub use fate::{ANNOTATION, DONE, FAILING, Fate, GREEDY, MISSING, UNMOUNTABLE, UNREADY};
pub use node::FakeNode;
pub use programs::{helm, kubectl};
