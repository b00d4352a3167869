//! A cache of parts of remote files on the local disk, shared by processes. What is read of a file is kept in pages and
//! found again by the file's URL, size, time and entity tag, so that a file that has changed is never served from what it
//! was. A cache that cannot be used steps aside and says so: it makes queries fast, and never fail.
//!
//! [`store`] wraps a remote store: it knows which version of a file is meant ([`identity`]), lets one request fetch what
//! several want ([`flights`]) and puts answers together ([`pieces`]). [`shelf`] is the directory, with one file per
//! [`block`], and [`evict`] keeps its size.

mod block;
mod evict;
mod flights;
mod identity;
mod pieces;
mod shelf;
mod stats;
mod store;
#[cfg(test)]
#[allow(clippy::print_stderr, clippy::single_range_in_vec_init)]
mod tests;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use stats::CacheStats;
pub(crate) use store::CachedStore;

use shelf::Shelf;
use stats::Counters;

/// A directory that keeps what is read of remote files; see [`StoresBuilder::cache`](crate::StoresBuilder::cache). Clones
/// share it, and so do all processes that use the same directory.
#[derive(Debug, Clone)]
pub struct Cache {
    shelf: Arc<Shelf>,
    counters: Arc<Counters>,
    timing: Timing,
}

#[derive(Debug, Clone, Copy)]
struct Timing {
    /// How long what a server said of a file counts.
    trusted_for: Duration,
    /// How long ago a file must have been changed for its time to tell this version from the next.
    settled_after: Duration,
}

impl Cache {
    /// Opens a directory, which is made if it is not there, to hold so many bytes at most.
    ///
    /// This never fails: a directory that cannot be used is not, and [`Cache::stats`] says why. A directory that belongs to
    /// another user, or that others can write to, is not used either. What is in it only its owner can read.
    ///
    /// ```
    /// # let home = tempfile::tempdir()?;
    /// use eos_io::{Cache, Stores};
    ///
    /// let cache = Cache::open(home.path().join("root-query"), 20 << 30);
    /// let stores = Stores::builder().cache(cache.clone()).build();
    /// assert_eq!(cache.stats().warning, None);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn open(directory: impl Into<PathBuf>, limit: u64) -> Self {
        let counters = Arc::<Counters>::default();
        let shelf = Arc::new(Shelf::open(directory.into(), limit, Arc::clone(&counters)));
        let timing = Timing { trusted_for: Duration::from_secs(5), settled_after: Duration::from_secs(10) };
        Self { shelf, counters, timing }
    }

    /// What this process did with it so far.
    pub fn stats(&self) -> CacheStats {
        self.counters.snapshot()
    }
}
