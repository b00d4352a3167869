//! What an executor counts, for Prometheus, on a port of its own.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use datafusion::physical_plan::metrics::MetricsSet;
use eos_io::Stores;
use prometheus::{Counter, Encoder, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use tokio::net::TcpListener;

/// The counters of an executor. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    registry: Registry,
    tasks_running: IntGauge,
    tasks_ended: IntCounterVec,
    bytes: IntCounter,
    entries: IntCounter,
    baskets: IntCounter,
    read_time: Counter,
    decompress_time: Counter,
    decode_time: Counter,
    spills: IntCounter,
    spilled_bytes: IntCounter,
    requests: IntCounter,
    received: IntCounter,
    retries: IntCounter,
    waited: Counter,
    cache_hits: IntCounter,
    cache_misses: IntCounter,
}

/// A task that runs: counted as such until it is dropped.
pub(crate) struct Running(IntGauge);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            prometheus::Result::Ok(counter)
        };
        let seconds = |name: &str, help: &str| {
            let counter = Counter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            prometheus::Result::Ok(counter)
        };
        let tasks_running = IntGauge::new("rootquery_executor_tasks_running", "Tasks that run.")?;
        registry.register(Box::new(tasks_running.clone()))?;
        let ended = Opts::new("rootquery_executor_tasks_ended_total", "Tasks that have ended, by result.");
        let tasks_ended = IntCounterVec::new(ended, &["result"])?;
        // What has not happened yet counts as none, so that the first time is seen as a rise.
        ["succeeded", "failed"].iter().for_each(|result| drop(tasks_ended.with_label_values(&[*result])));
        registry.register(Box::new(tasks_ended.clone()))?;
        let of = |what: &str| format!("rootquery_executor_{what}_total");
        Ok(Self {
            tasks_running,
            tasks_ended,
            bytes: counter(&of("read_bytes"), "Stored bytes of baskets read.")?,
            entries: counter(&of("read_entries"), "Entries that scans have passed.")?,
            baskets: counter(&of("read_baskets"), "Baskets read.")?,
            read_time: seconds(&of("read_seconds"), "Time that scans waited for bytes.")?,
            decompress_time: seconds(&of("decompress_seconds"), "Time that baskets took to decompress.")?,
            decode_time: seconds(&of("decode_seconds"), "Time that baskets took to decode.")?,
            spills: counter(&of("spills"), "Times that operators wrote to disk what did not fit into memory.")?,
            spilled_bytes: counter(&of("spilled_bytes"), "Bytes of it.")?,
            requests: counter(&of("storage_requests"), "Requests to servers of XRootD and HTTP.")?,
            received: counter(&of("storage_received_bytes"), "Bytes of files received from them.")?,
            retries: counter(&of("storage_retries"), "Requests that were made again after an error.")?,
            waited: seconds(&of("storage_wait_seconds"), "Time for which servers asked for patience.")?,
            cache_hits: counter(&of("cache_hits"), "Requests that the cache of remote files answered alone.")?,
            cache_misses: counter(&of("cache_misses"), "Requests for which a server had to be asked.")?,
            registry,
        })
    }

    /// A task begins.
    pub(crate) fn running(&self) -> Running {
        self.tasks_running.inc();
        Running(self.tasks_running.clone())
    }

    /// A task has ended, and its operators have counted this.
    pub(crate) fn ended(&self, succeeded: bool, operators: &[MetricsSet]) {
        self.tasks_ended.with_label_values(&[if succeeded { "succeeded" } else { "failed" }]).inc();
        let sum = |name: &str| -> u64 {
            let values = operators.iter().filter_map(|operator| operator.sum_by_name(name));
            values.map(|value| value.as_usize() as u64).sum()
        };
        self.bytes.inc_by(sum("bytes_read"));
        self.entries.inc_by(sum("entries_read"));
        self.baskets.inc_by(sum("baskets_read"));
        self.spills.inc_by(sum("spill_count"));
        self.spilled_bytes.inc_by(sum("spilled_bytes"));
        for (counter, name) in [
            (&self.read_time, "read_time"),
            (&self.decompress_time, "decompress_time"),
            (&self.decode_time, "decode_time"),
        ] {
            counter.inc_by(sum(name) as f64 / 1e9);
        }
    }

    fn to_text(&self, stores: &Stores) -> prometheus::Result<Vec<u8>> {
        let now = stores.statistics();
        let cache = stores.cache().map(|cache| cache.stats()).unwrap_or_default();
        for (counter, value) in [
            (&self.requests, now.requests),
            (&self.received, now.bytes_read),
            (&self.retries, now.retries),
            (&self.cache_hits, cache.hits),
            (&self.cache_misses, cache.misses),
        ] {
            counter.inc_by(value.saturating_sub(counter.get()));
        }
        self.waited.inc_by((now.waited.as_secs_f64() - self.waited.get()).max(0.0));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// Answers on a port, as long as this is waited for.
    pub(crate) async fn serve(self, listener: TcpListener, stores: Stores) -> std::io::Result<()> {
        let routes = Router::new().route("/metrics", get(answer)).with_state((self, stores));
        axum::serve(listener, routes).await
    }
}

/// Listens where metrics are to be asked for.
pub(crate) async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!("metrics are at http://{}/metrics", listener.local_addr()?);
    Ok(listener)
}

async fn answer(State((metrics, stores)): State<(Metrics, Stores)>) -> impl IntoResponse {
    match metrics.to_text(&stores) {
        Ok(text) => Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text)),
        Err(error) => {
            tracing::warn!("the metrics cannot be written: {error}");
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}
