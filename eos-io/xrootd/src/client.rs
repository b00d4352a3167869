//! The client: servers and their connections, shared by everything that is done through it.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::AbortHandle;

use crate::connection::{Patience, TlsSettings};
use crate::endpoint::{Dialer, Endpoint, Key};
use crate::error::Error;
use crate::metrics::{Counters, Metrics};
use crate::options::Options;
use crate::recovery::Budget;
use crate::url::XrootdUrl;

/// A client. Cheap to clone; clones share their connections.
///
/// It does its input and output on threads of its own, so it can be used from any executor, and a busy executor does not
/// keep it from receiving.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    _runtime: Option<Arc<OwnRuntime>>,
}

/// What all tasks of a client share.
pub(crate) struct Shared {
    pub(crate) dialer: Dialer,
    pub(crate) budget: Budget,
    handle: Handle,
    endpoints: Mutex<HashMap<Key, Arc<Endpoint>>>,
    /// Servers that have handed over to others for good.
    moved: Mutex<HashMap<Key, Key>>,
    user: String,
}

/// Ends without waiting for what is under way.
struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client. Nothing is connected to before it is needed.
    ///
    /// # Errors
    /// When the threads for input and output cannot be started.
    pub fn new(options: Options) -> std::io::Result<Self> {
        let (handle, runtime) = match &options.runtime {
            Some(handle) => (handle.clone(), None),
            None => {
                // One of them receives some GB/s; two that pass work to each other take more time than one.
                let threads =
                    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(4)).clamp(1, 4);
                let mut builder = Builder::new_multi_thread();
                let runtime = builder.worker_threads(threads).thread_name("xrootd").enable_all().build()?;
                (runtime.handle().clone(), Some(Arc::new(OwnRuntime(Some(runtime)))))
            }
        };
        let user = options.user.clone().unwrap_or_else(user_name);
        let budget = Budget::new(options.retry_budget);
        let counters = Counters { listener: options.listener.clone(), ..Counters::default() };
        let dialer = Dialer {
            tls: Arc::new(TlsSettings::new(&options.credentials)),
            options: Arc::new(options),
            counters: Arc::new(counters),
        };
        let (endpoints, moved) = Default::default();
        let shared = Arc::new(Shared { dialer, budget, handle, endpoints, moved, user });
        Ok(Self { shared, _runtime: runtime })
    }

    /// What has been done so far.
    pub fn metrics(&self) -> Metrics {
        self.shared.dialer.counters.snapshot()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Runs work on the client's own threads. Dropping the future ends the work.
    pub(crate) async fn run<T, F, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
        W: FnOnce(Arc<Shared>) -> F,
    {
        let task = self.shared.handle.spawn(work(Arc::clone(&self.shared)));
        let _abort = AbortOnDrop(task.abort_handle());
        task.await.unwrap_or_else(|ended| Err(ended.try_into_panic().map_or(Error::ShutDown, |panic| defect(&*panic))))
    }
}

/// What a task died of.
fn defect(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::Defect { reason: crate::error::mask(text.unwrap_or("it does not say why")) }
}

/// Ends a task when nobody wants its result any more.
pub(crate) struct AbortOnDrop(pub(crate) AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Shared {
    pub(crate) fn options(&self) -> &Options {
        &self.dialer.options
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.dialer.counters
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// How long a request about a file may take.
    pub(crate) fn patience(&self) -> Patience {
        let options = self.options();
        Patience { silence: options.silence_timeout, total: options.request_timeout, wait: options.wait_limit }
    }

    /// The server of a URL, or the one that it has handed over to. It is trusted if the user named it, or if it was named
    /// over encrypted connections only.
    pub(crate) fn endpoint(&self, url: &XrootdUrl, is_trusted: bool) -> Arc<Endpoint> {
        let key = self.key(url, is_trusted);
        let key = self.moved.lock().get(&key).cloned().unwrap_or(key);
        let mut endpoints = self.endpoints.lock();
        Arc::clone(endpoints.entry(key.clone()).or_insert_with(|| Arc::new(Endpoint::new(key))))
    }

    fn key(&self, url: &XrootdUrl, is_trusted: bool) -> Key {
        let user = url.user.clone().unwrap_or_else(|| self.user.clone());
        let login: Vec<_> = url.opaque.split('&').filter(|parameter| parameter.starts_with("xrd.")).collect();
        let login = login.join("&");
        Key { host: url.host.clone(), port: url.port, is_tls: url.is_tls, is_trusted, user, login }
    }

    /// Remembers that `to` answers for `from`, a server that the user named.
    pub(crate) fn hand_over(&self, from: &XrootdUrl, to: &XrootdUrl, is_trusted: bool) {
        let (from, to) = (self.key(from, true), self.key(to, is_trusted));
        if from != to {
            self.moved.lock().insert(from, to);
        }
    }

    /// Goes back to the server that was asked first.
    pub(crate) fn take_back(&self, url: &XrootdUrl) -> bool {
        self.moved.lock().remove(&self.key(url, true)).is_some()
    }
}

/// Pauses that a server asks for, within what is allowed altogether.
#[derive(Debug)]
pub(crate) struct Waiting {
    left: Duration,
    /// How long the next pause is at least.
    least: Duration,
}

impl Waiting {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { left: limit, least: Duration::ZERO }
    }

    /// What is left.
    pub(crate) fn left(&self) -> Duration {
        self.left
    }

    /// How long to pause, or `None` where that is not allowed. A server may well ask for no pause at all once, and each
    /// further time is made to wait a little longer, or it could keep us busy for ever.
    pub(crate) fn take(&mut self, asked: Duration) -> Option<Duration> {
        const SHORT: Duration = Duration::from_millis(50);
        const LONGEST: Duration = Duration::from_secs(5);
        let time = asked.max(self.least);
        self.left = self.left.checked_sub(time)?;
        self.least = (self.least * 2).clamp(SHORT, LONGEST);
        Some(time)
    }

    /// Counts a pause that has been made already.
    pub(crate) fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }
}

/// Who runs the program.
fn user_name() -> String {
    let named =
        ["USER", "LOGNAME"].into_iter().filter_map(|name| std::env::var(name).ok()).find(|name| !name.is_empty());
    named.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(what: &str) -> Result<(), Error> {
        panic!("no such {what}")
    }

    #[tokio::test]
    async fn a_task_that_dies_is_told_apart_from_one_that_is_shut_down() {
        let client = Client::new(Options::default()).unwrap();
        let error = client.run(|_| async { fails("thing") }).await.unwrap_err();
        assert!(matches!(&error, Error::Defect { reason } if reason == "no such thing"), "{error}");
        let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
        let options = Options { runtime: Some(runtime.handle().clone()), ..Options::default() };
        let client = Client::new(options).unwrap();
        runtime.shutdown_background();
        let error = client.run(|_| async { Ok(()) }).await.unwrap_err();
        assert!(matches!(error, Error::ShutDown), "{error}");
    }

    #[test]
    fn a_server_that_asks_for_no_pause_over_and_over_reaches_the_limit() {
        let mut waiting = Waiting::new(Duration::from_secs(60));
        let pauses: Vec<_> = std::iter::from_fn(|| waiting.take(Duration::ZERO)).take(1000).collect();
        assert_eq!(pauses[0], Duration::ZERO);
        assert!(pauses.len() < 30, "{}", pauses.len());
        assert!(pauses.iter().sum::<Duration>() <= Duration::from_secs(60));
    }
}
