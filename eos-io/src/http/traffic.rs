//! What talking to the servers has cost, for the statistics, and what a user may want to know of it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use object_store::path::Path;
use url::Url;

use crate::statistics::{Listener, Notice, Statistics};

use super::failure::Failure;

/// Counts over all requests of all stores.
#[derive(Default)]
pub(super) struct Traffic {
    requests: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    retries: AtomicU64,
    waits: AtomicU64,
    waited_ms: AtomicU64,
    listener: Option<Listener>,
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.statistics().fmt(f)
    }
}

impl Traffic {
    pub(super) fn new(listener: Option<Listener>) -> Self {
        Self { listener, ..Self::default() }
    }

    /// A request goes out, with a body of so many bytes.
    pub(super) fn asked(&self, bytes: u64) {
        add(&self.requests, 1);
        add(&self.bytes_written, bytes);
    }

    pub(super) fn received(&self, bytes: usize) {
        add(&self.bytes_read, bytes as u64);
    }

    /// A request is made again after a failure, or after the time for which the server has asked.
    pub(super) fn again(&self, server: &Url, path: &Path, failure: &Failure, asked: Option<Duration>) {
        add(&self.retries, 1);
        if let Some(time) = asked {
            add(&self.waits, 1);
            add(&self.waited_ms, u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        }
        if let Some(listener) = &self.listener {
            let port = server.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
            let host = format!("{}{port}", server.host_str().unwrap_or_default());
            let reason = failure.to_string();
            listener(match asked {
                Some(time) => Notice::Waiting { host, time, message: reason },
                None => Notice::Retry { host, path: path.to_string(), reason },
            });
        }
    }

    pub(super) fn statistics(&self) -> Statistics {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            requests: value(&self.requests),
            bytes_read: value(&self.bytes_read),
            bytes_written: value(&self.bytes_written),
            retries: value(&self.retries),
            waits: value(&self.waits),
            waited: Duration::from_millis(value(&self.waited_ms)),
            ..Statistics::default()
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
