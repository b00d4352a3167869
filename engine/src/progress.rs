//! How far the scans of a session are: counters that a progress bar polls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a session. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    files_total: AtomicU64,
    entries_total: AtomicU64,
    entries_done: AtomicU64,
    bytes_read: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProgressSnapshot {
    /// Files that the planned scans read.
    pub files_total: u64,
    /// Entries that the planned scans read.
    pub entries_total: u64,
    /// Entries that were passed so far, kept or not.
    pub entries_done: u64,
    /// Stored bytes of the baskets read so far.
    pub bytes_read: u64,
}

impl Progress {
    /// The counters now.
    pub fn snapshot(&self) -> ProgressSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProgressSnapshot {
            files_total: read(&self.counters.files_total),
            entries_total: read(&self.counters.entries_total),
            entries_done: read(&self.counters.entries_done),
            bytes_read: read(&self.counters.bytes_read),
        }
    }

    pub(crate) fn plan(&self, files: u64, entries: u64) {
        self.counters.files_total.fetch_add(files, Ordering::Relaxed);
        self.counters.entries_total.fetch_add(entries, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self, entries: u64, bytes: u64) {
        self.counters.entries_done.fetch_add(entries, Ordering::Relaxed);
        self.counters.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }
}
