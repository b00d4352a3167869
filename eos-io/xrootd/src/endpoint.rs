//! A server, and the connections to it. They are independent logins, made when they are needed and used again for
//! everything that goes to the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::connection::{Connection, Patience, Target, TlsSettings, connect};
use crate::diagnosis::Trace;
use crate::error::Error;
use crate::metrics::Counters;
use crate::options::Options;
use crate::wire::{Request, Response};

/// What tells one server's connections from another's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
    /// Whether it is the host of a URL, or was reached from there over encrypted connections only.
    pub(crate) is_trusted: bool,
    pub(crate) user: String,
    /// What of the opaque part concerns the login.
    pub(crate) login: String,
}

impl Key {
    /// `host:port`.
    pub(crate) fn shown(&self) -> String {
        crate::url::XrootdUrl::server(self.host.as_str(), self.port, self.is_tls).authority()
    }
}

/// How much one vector read may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VectorLimits {
    pub(crate) segments: usize,
    pub(crate) segment_bytes: usize,
}

/// Beyond this many requests under way on every connection a further one is made.
const BUSY: usize = 8;

#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) key: Key,
    shown: String,
    connections: Mutex<Vec<Arc<Connection>>>,
    dialing: tokio::sync::Mutex<()>,
    /// The last attempt at a connection that failed.
    failure: Mutex<Option<(Instant, Error)>>,
    /// Whether the server has to be met step by step.
    is_careful: AtomicBool,
    /// Whether a connection has ever come about.
    is_known: AtomicBool,
    limits: Mutex<Option<VectorLimits>>,
    is_asked_for_limits: AtomicBool,
}

/// What making a connection needs.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) options: Arc<Options>,
    pub(crate) tls: Arc<TlsSettings>,
    pub(crate) counters: Arc<Counters>,
}

impl Endpoint {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            shown: key.shown(),
            key,
            connections: Mutex::default(),
            dialing: tokio::sync::Mutex::default(),
            failure: Mutex::default(),
            is_careful: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            limits: Mutex::default(),
            is_asked_for_limits: AtomicBool::new(false),
        }
    }

    /// `host:port`.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether it has been reached before, so that a failure may well pass.
    pub(crate) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// The connection with the least to do, and how many there are.
    fn idlest(&self, except: &[Arc<Connection>]) -> (Option<Arc<Connection>>, usize) {
        let mut connections = self.connections.lock();
        connections.retain(|connection| connection.is_usable());
        let eligible = connections.iter().filter(|c| !except.iter().any(|other| Arc::ptr_eq(c, other)));
        (eligible.min_by_key(|connection| connection.load()).cloned(), connections.len())
    }

    /// A connection that is not one of `except`; a new one if there is none yet. Where there are as many as there may be,
    /// it may be one of those.
    pub(crate) async fn connection(
        self: &Arc<Self>,
        except: &[Arc<Connection>],
        dialer: &Dialer,
        trace: &Trace,
    ) -> Result<Arc<Connection>, Error> {
        let (idlest, count) = self.idlest(except);
        if let Some(connection) = idlest {
            if connection.load() >= BUSY && self.may_grow(count, dialer) {
                self.grow(dialer);
            }
            return Ok(connection);
        }
        let asked = Instant::now();
        let _one_at_a_time = self.dialing.lock().await;
        let (idlest, count) = self.idlest(except);
        if let Some(connection) = idlest {
            if connection.load() < BUSY || !self.may_grow(count, dialer) {
                return Ok(connection);
            }
            // Many have come at once. Where no further connection is to be had, this one serves.
            return Ok(self.dial(dialer, trace).await.unwrap_or(connection));
        }
        // Those who have waited for an attempt that failed do not each make their own.
        if let Some((failed, error)) = &*self.failure.lock()
            && *failed >= asked
        {
            return Err(error.clone());
        }
        if count >= dialer.options.connections
            && let (Some(connection), _) = self.idlest(&[])
        {
            return Ok(connection);
        }
        self.dial(dialer, trace).await
    }

    /// Whether a further connection is worth an attempt. A server that has just refused one is left in peace.
    fn may_grow(&self, count: usize, dialer: &Dialer) -> bool {
        const PAUSE: Duration = Duration::from_secs(30);
        let has_failed = self.failure.lock().as_ref().is_some_and(|(failed, _)| failed.elapsed() < PAUSE);
        count < dialer.options.connections && !has_failed
    }

    async fn dial(&self, dialer: &Dialer, trace: &Trace) -> Result<Arc<Connection>, Error> {
        let target = Target {
            host: self.key.host.clone(),
            port: self.key.port,
            shown: self.shown.clone(),
            is_tls: self.key.is_tls,
            is_trusted: self.key.is_trusted,
            user: self.key.user.clone(),
            opaque: self.key.login.clone(),
            credentials: dialer.options.credentials.clone(),
            is_careful: self.is_careful.load(Ordering::Relaxed),
            limit: dialer.options.connect_timeout,
            wait_limit: dialer.options.wait_limit,
            silence: dialer.options.silence_timeout,
        };
        let connected = connect(&target, &dialer.tls, &dialer.counters, trace).await;
        let (connection, is_careful) = connected.inspect_err(|error| {
            *self.failure.lock() = Some((Instant::now(), error.clone()));
        })?;
        self.is_careful.store(is_careful, Ordering::Relaxed);
        self.is_known.store(true, Ordering::Relaxed);
        self.connections.lock().push(Arc::clone(&connection));
        Ok(connection)
    }

    /// Makes a further connection without waiting for it.
    fn grow(self: &Arc<Self>, dialer: &Dialer) {
        let (endpoint, dialer) = (Arc::clone(self), dialer.clone());
        tokio::spawn(async move {
            if let Ok(_one_at_a_time) = endpoint.dialing.try_lock()
                && endpoint.may_grow(endpoint.idlest(&[]).1, &dialer)
            {
                // Without it the others go on; what is wrong shows when they fail.
                drop(endpoint.dial(&dialer, &Trace::default()).await);
            }
        });
    }

    /// What the server allows in a vector read, once it has been asked. The first call asks, and does not wait.
    pub(crate) fn vector_limits(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        patience: Patience,
    ) -> Option<VectorLimits> {
        let known = *self.limits.lock();
        if known.is_none() && !self.is_asked_for_limits.swap(true, Ordering::Relaxed) {
            let (endpoint, connection) = (Arc::clone(self), Arc::clone(connection));
            tokio::spawn(async move {
                let question = Request::configuration("readv_ior_max readv_iov_max");
                match connection.call(&question, patience).await {
                    Ok(Response::Ok(answer)) => *endpoint.limits.lock() = limits(&String::from_utf8_lossy(&answer)),
                    Ok(_) => {}
                    // The next read asks again.
                    Err(_) => endpoint.is_asked_for_limits.store(false, Ordering::Relaxed),
                }
            });
        }
        known
    }

    /// Notes that the server refuses vector reads, so that it is asked for none any more.
    pub(crate) fn refuses_vectors(&self) {
        *self.limits.lock() = None;
    }
}

/// Reads the answer, one value to a line. A server that does not know a name says the name.
pub(crate) fn limits(answer: &str) -> Option<VectorLimits> {
    // Some servers tell their buffer's size and forget the header of 16 bytes.
    const LARGEST: usize = (2 << 20) - 16;
    const MOST: usize = 1024;
    let mut lines = answer.trim_end_matches('\0').lines();
    let segment_bytes = lines.next()?.trim().parse::<usize>().ok()?.min(LARGEST);
    let segments = lines.next()?.trim().parse::<usize>().ok()?.min(MOST);
    (segments > 1 && segment_bytes > 0).then_some(VectorLimits { segments, segment_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_in_the_order_in_which_they_were_asked_for() {
        assert_eq!(limits("2097136\n1024\n"), Some(VectorLimits { segments: 1024, segment_bytes: 2_097_136 }));
        assert_eq!(limits("2097152\n512\0"), Some(VectorLimits { segments: 512, segment_bytes: 2_097_136 }));
    }

    #[test]
    fn a_server_that_does_not_know_them_gets_no_vector_reads() {
        assert_eq!(limits("readv_ior_max\nreadv_iov_max\n"), None);
        assert_eq!(limits(""), None);
    }
}
