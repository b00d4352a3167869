//! The steps of reaching a file, each with its time, for a user who wants to know where it fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, Stream};
use tokio::sync::mpsc;

use crate::client::Client;
use crate::error::Error;
use crate::file::File;
use crate::route::Place;
use crate::url::XrootdUrl;

/// A step that has ended.
#[derive(Debug, Clone)]
pub struct Step {
    /// What was done: `name look-up`, `connect`, `TLS`, `login`, `authentication`, `open`, `first read`.
    pub name: &'static str,
    /// The server, `host:port`.
    pub target: String,
    /// How long it took.
    pub elapsed: Duration,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a step ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Well; with what can be said of it.
    Success(String),
    /// The server sent us on to another one.
    Redirect(String),
    /// Not at all.
    Failure(Error),
}

/// Where steps are told; mostly nowhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    listener: Option<mpsc::UnboundedSender<Step>>,
}

impl Trace {
    pub(crate) fn to(listener: mpsc::UnboundedSender<Step>) -> Self {
        Self { listener: Some(listener) }
    }

    pub(crate) fn step<T>(
        &self,
        name: &'static str,
        target: &str,
        started: Instant,
        result: &Result<T, Error>,
        detail: impl FnOnce(&T) -> String,
    ) {
        self.tell(name, target, started, || match result {
            Ok(value) => Outcome::Success(detail(value)),
            Err(error) => Outcome::Failure(error.clone()),
        });
    }

    pub(crate) fn tell(&self, name: &'static str, target: &str, started: Instant, outcome: impl FnOnce() -> Outcome) {
        if let Some(listener) = &self.listener {
            let elapsed = started.elapsed();
            // Nobody may be listening any more.
            drop(listener.send(Step { name, target: target.to_owned(), elapsed, outcome: outcome() }));
        }
    }
}

/// Reaches a file step by step: look-up, connection, login and open at each server on the way, and a first read. Every
/// step is told as it ends; the last one is the read, or the first failure.
pub fn diagnose(client: &Client, url: &str) -> impl Stream<Item = Step> + Send + use<> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let client = client.clone();
    let parsed = XrootdUrl::parse(url);
    let work = async move {
        let trace = Trace::to(sender);
        let (url, path) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                trace.tell("URL", "", Instant::now(), || Outcome::Failure(error.into()));
                return;
            }
        };
        let path = format!("{}{path}", url.prefix.trim_end_matches('/'));
        let place = Place { url: Arc::new(url), path };
        let steps = trace.clone();
        let reached = client.run(|shared| async move { File::open(shared, place, steps).await.map(Arc::new) }).await;
        let Ok(file) = reached else {
            return;
        };
        let (started, end) = (Instant::now(), file.stat.size.min(FIRST_READ));
        let (target, size) = (file.server(), file.stat.size);
        let reading = client.run(|_| async move {
            if end == 0 { Ok(Vec::new()) } else { file.read(std::slice::from_ref(&(0..end))).await }
        });
        let read = reading.await;
        trace.step("first read", &target, started, &read, |_| format!("{end} of {size} bytes"));
    };
    // The work goes on as the steps are taken, and ends when nobody takes them.
    let mut work = Some(work.boxed());
    let mut receiver = receiver;
    futures::stream::poll_fn(move |context| {
        if let Some(running) = &mut work
            && running.poll_unpin(context).is_ready()
        {
            work = None;
        }
        receiver.poll_recv(context)
    })
}

/// A read of this many bytes shows that data come.
const FIRST_READ: u64 = 64;
