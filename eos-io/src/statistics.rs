//! What talking to servers has cost so far, and what happens on the way that a user may want to know.

use std::iter::Sum;
use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

/// Counts over all requests to servers of XRootD and HTTP. Local files have none, and the clients of S3 and HDFS do not
/// count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Connections that came about, with XRootD: that of HTTP does not tell.
    pub connections: u64,
    /// Requests sent, repeated ones included.
    pub requests: u64,
    /// Bytes of files received.
    pub bytes_read: u64,
    /// Bytes of files sent.
    pub bytes_written: u64,
    /// Requests made again after an error.
    pub retries: u64,
    /// Times that another server was asked after one had failed.
    pub failovers: u64,
    /// Reads asked for at a second server because the first was slow.
    pub hedged_reads: u64,
    /// Times that a server asked for patience.
    pub waits: u64,
    /// The time that this took.
    pub waited: Duration,
}

impl Add for Statistics {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            requests: self.requests + other.requests,
            bytes_read: self.bytes_read + other.bytes_read,
            bytes_written: self.bytes_written + other.bytes_written,
            retries: self.retries + other.retries,
            failovers: self.failovers + other.failovers,
            hedged_reads: self.hedged_reads + other.hedged_reads,
            waits: self.waits + other.waits,
            waited: self.waited + other.waited,
        }
    }
}

impl Sum for Statistics {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

/// Something that went wrong, or slowly, and is being put right. There may be one for every request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A server asked for patience.
    Waiting {
        /// `host:port`.
        host: String,
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
        /// What went wrong.
        reason: String,
    },
    /// A read was slow, and another server is asked for it too.
    Hedge {
        /// The slow server, `host:port`.
        host: String,
    },
}

/// Receives notices. It is called where data are received and must not block.
pub type Listener = Arc<dyn Fn(Notice) + Send + Sync>;
