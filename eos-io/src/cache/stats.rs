//! What a cache did.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// What a cache did in this process so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Requests that were answered from the cache alone.
    pub hits: u64,
    /// Requests for which the server had to be asked for bytes.
    pub misses: u64,
    /// Bytes that came from the cache.
    pub bytes_cached: u64,
    /// Bytes that came from the server.
    pub bytes_fetched: u64,
    /// Bytes of the cache that were removed to keep its size.
    pub bytes_evicted: u64,
    /// Blocks that were damaged, and fetched again.
    pub damaged: u64,
    /// Why nothing more is kept, if so: a full disk, a directory that is not ours.
    pub warning: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) bytes_cached: AtomicU64,
    pub(crate) bytes_fetched: AtomicU64,
    pub(crate) bytes_evicted: AtomicU64,
    pub(crate) damaged: AtomicU64,
    warning: Mutex<Option<String>>,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Relaxed);
    }

    /// Notes a warning; the first one stays.
    pub(crate) fn warn(&self, message: String) {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
    }

    pub(crate) fn snapshot(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            bytes_cached: self.bytes_cached.load(Relaxed),
            bytes_fetched: self.bytes_fetched.load(Relaxed),
            bytes_evicted: self.bytes_evicted.load(Relaxed),
            damaged: self.damaged.load(Relaxed),
            warning: self.warning.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
