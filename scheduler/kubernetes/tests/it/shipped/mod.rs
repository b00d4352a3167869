//! What is in `deploy/`: it makes the same clusters as the command.

mod helm;
mod image;
mod manifests;

use std::path::PathBuf;

/// A file or folder of `deploy/`.
fn deploy(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy")).join(path)
}
