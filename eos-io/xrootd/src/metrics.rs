//! What a client has done, and what it wants to tell.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts over all requests of a client, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Connections that came about.
    pub connections: u64,
    /// Requests sent, those of the login among them.
    pub requests: u64,
    /// Files opened, on each connection that reads them.
    pub opens: u64,
    /// Bytes of files received.
    pub bytes_read: u64,
    /// Bytes of files sent.
    pub bytes_written: u64,
    /// Requests made again after an error.
    pub retries: u64,
    /// Times that another server was asked after one had failed.
    pub failovers: u64,
    /// Reads asked for at a second replica because the first was slow.
    pub hedges: u64,
    /// Times that a server asked for patience.
    pub waits: u64,
    /// Milliseconds spent in waiting because a server asked for it.
    pub waited_ms: u64,
}

/// What happens on the way to an answer and that a user may want to know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A server asked for patience.
    Waiting {
        /// `host:port`.
        host: String,
        /// The path asked for; empty during a login, and where the answer comes later by itself.
        path: String,
        /// For how long.
        time: Duration,
        /// The server's words.
        message: String,
    },
    /// A request is made again.
    Retry {
        /// `host:port`.
        host: String,
        /// The path asked for.
        path: String,
        /// What went wrong.
        reason: String,
    },
    /// Another server is asked.
    Failover {
        /// The server that failed, `host:port`.
        host: String,
        /// The path asked for.
        path: String,
        /// What went wrong.
        reason: String,
    },
    /// A read was slow, and another replica is asked for it too.
    Hedge {
        /// The slow server, `host:port`.
        host: String,
        /// The path asked for.
        path: String,
    },
}

/// Receives [`Event`]s. It is called on the client's own threads and must not block.
pub type Listener = Arc<dyn Fn(Event) + Send + Sync>;

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) opens: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) failovers: AtomicU64,
    pub(crate) hedges: AtomicU64,
    pub(crate) waits: AtomicU64,
    pub(crate) waited_ms: AtomicU64,
    pub(crate) listener: Option<Listener>,
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

impl Counters {
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if let Some(listener) = &self.listener {
            listener(event());
        }
    }

    pub(crate) fn has_listener(&self) -> bool {
        self.listener.is_some()
    }

    /// Counts time that was spent because a server asked for it.
    pub(crate) fn waited(&self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.waited_ms.fetch_add(milliseconds, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Metrics {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Metrics {
            connections: value(&self.connections),
            requests: value(&self.requests),
            opens: value(&self.opens),
            bytes_read: value(&self.bytes_read),
            bytes_written: value(&self.bytes_written),
            retries: value(&self.retries),
            failovers: value(&self.failovers),
            hedges: value(&self.hedges),
            waits: value(&self.waits),
            waited_ms: value(&self.waited_ms),
        }
    }
}

pub(crate) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}
