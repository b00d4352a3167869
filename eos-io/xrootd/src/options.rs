//! How a client behaves.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::metrics::Listener;

/// How a [`Client`](crate::Client) behaves. The defaults suit an interactive user far from the servers.
#[derive(Clone)]
pub struct Options {
    /// Connections to one server at most. Further ones are made when much is under way, since servers such as EOS answer
    /// one request of a connection after the other.
    pub connections: usize,
    /// How long a connection, and each step of a login, may take.
    pub connect_timeout: Duration,
    /// How long a request may go without a byte from the server.
    pub silence_timeout: Duration,
    /// How long a request may take altogether, besides what the server asks for.
    pub request_timeout: Duration,
    /// How long, altogether, a server may ask to wait (for a file on tape, for example).
    pub wait_limit: Duration,
    /// How often a request is made again after errors that may pass.
    pub retries: u32,
    /// How many retries a client has for all its requests together. Every ten requests that succeed give one back.
    pub retry_budget: u32,
    /// After which time another replica is asked for a read too; `None` for never.
    pub hedge_after: Option<Duration>,
    /// How long a file that nobody reads stays open.
    pub idle_timeout: Duration,
    /// Whether data are read with a checksum for each page. It costs the server a lot of time, and many small ranges are
    /// asked for one by one, since vector reads have no checksums. Encrypted connections need none. Servers that do not
    /// know such reads, which came with XRootD 5, are read without.
    pub verify: bool,
    /// The name to log in with, where the URL has none; by default the user's.
    pub user: Option<String>,
    /// Where credentials are that are not where they are usually looked for.
    pub credentials: Credentials,
    /// The runtime that does the input and output; by default the client has its own, so that the work of others does not
    /// hold it up.
    pub runtime: Option<Handle>,
    /// Who is told of retries and the like.
    pub listener: Option<Listener>,
}

/// Where credentials are. What is not set is looked for where the grid's tools look, which variables decide.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// A file with a bearer token.
    pub token_file: Option<PathBuf>,
    /// Servers that may see the bearer token, where not all may: names, or `*.domain`.
    pub token_hosts: Option<Vec<String>>,
    /// A file with an X.509 proxy and its key.
    pub proxy: Option<PathBuf>,
    /// A directory with the certificates of authorities.
    pub authorities_dir: Option<PathBuf>,
    /// A file with such certificates, for TLS.
    pub authorities_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 4,
            connect_timeout: Duration::from_secs(10),
            silence_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(300),
            wait_limit: Duration::from_secs(1800),
            retries: 8,
            retry_budget: 200,
            hedge_after: Some(Duration::from_secs(4)),
            idle_timeout: Duration::from_secs(30),
            verify: false,
            user: None,
            credentials: Credentials::default(),
            runtime: None,
            listener: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("connections", &self.connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("silence_timeout", &self.silence_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("wait_limit", &self.wait_limit)
            .field("retries", &self.retries)
            .field("retry_budget", &self.retry_budget)
            .field("hedge_after", &self.hedge_after)
            .field("idle_timeout", &self.idle_timeout)
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}
