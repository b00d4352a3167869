//! Counters of a scan: what was read and where the time went.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a scan has done so far. Shared with whoever watches it.
#[derive(Debug, Default)]
pub struct ScanMetrics {
    bytes_read: AtomicU64,
    baskets_read: AtomicU64,
    entries_read: AtomicU64,
    entries_kept: AtomicU64,
    read_nanos: AtomicU64,
    decompress_nanos: AtomicU64,
    decode_nanos: AtomicU64,
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $($(#[$doc])* pub fn $name(&self) -> u64 {
            self.$name.load(Ordering::Relaxed)
        })*
    };
}

impl ScanMetrics {
    counters! {
        /// Stored bytes of the baskets that were read.
        bytes_read,
        /// Baskets that were read and decompressed.
        baskets_read,
        /// Entries that the scan has passed, those that its filter dropped included.
        entries_read,
        /// Entries that the scan has given out.
        entries_kept,
        /// Time spent waiting for bytes.
        read_nanos,
        /// Time spent decompressing baskets.
        decompress_nanos,
        /// Time spent turning decompressed bytes into arrays.
        decode_nanos,
    }

    pub(crate) fn basket(&self, bytes: u64, read: Duration, decompress: Duration) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        self.baskets_read.fetch_add(1, Ordering::Relaxed);
        self.read(read);
        add(&self.decompress_nanos, decompress);
    }

    pub(crate) fn read(&self, time: Duration) {
        add(&self.read_nanos, time);
    }

    pub(crate) fn decoded(&self, time: Duration) {
        add(&self.decode_nanos, time);
    }

    pub(crate) fn entries(&self, passed: u64, kept: u64) {
        self.entries_read.fetch_add(passed, Ordering::Relaxed);
        self.entries_kept.fetch_add(kept, Ordering::Relaxed);
    }
}

fn add(counter: &AtomicU64, time: Duration) {
    counter.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}
