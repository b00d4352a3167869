//! An executor from its options to its end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use eos_io::Stores;
use root_cluster::Cluster;
use root_cluster::serving::signalled;
use root_cluster::setup::{self, MAX_MESSAGE_BYTES};
use tokio::net::TcpStream;

use crate::metrics::{self, Metrics};
use crate::relay::Relay;
use crate::rows;
use crate::scratch::{self, Scratch};
use crate::stage::Stages;

/// How often it is looked whether the scheduler is there.
const LOOK: Duration = Duration::from_millis(500);
/// How often the scheduler is asked whose rows are wanted.
const TIDY: Duration = Duration::from_secs(20);
/// How long the scheduler may take to answer anything else.
const REQUEST: Duration = Duration::from_secs(20);
/// Ports of which one is taken where none is said: below those that Linux gives to connections (`ip_local_port_range`).
const PORTS: (u16, u16) = (10_000, 32_768);
/// How many of them are tried.
const ATTEMPTS: usize = 64;

/// An executor could not be started, or stopped by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no port to listen on.
    #[error("cannot listen on {host}: {source}")]
    Listen {
        /// Where it was to listen.
        host: IpAddr,
        /// Why it cannot.
        source: std::io::Error,
    },
    /// Others would not know where it is.
    #[error("{bind} is no address by which others reach this machine; name one with --host")]
    Nameless {
        /// Where it is to listen.
        bind: IpAddr,
    },
    /// There is no place for rows.
    #[error("cannot make a directory for rows: {source}; name one with room by --work-dir")]
    WorkDir {
        /// Why not.
        source: std::io::Error,
    },
    /// Metrics cannot be told.
    #[error("the metrics of the executor cannot be told: {reason}")]
    Metrics {
        /// Why not.
        reason: String,
    },
    /// The scheduler is not there.
    #[error(
        "the scheduler {scheduler} does not answer within {seconds} s: {source}; is it running, and is the port right?"
    )]
    Unreachable {
        /// Host and port.
        scheduler: String,
        /// How long it was waited for.
        seconds: u64,
        /// What the last attempt to connect said.
        source: std::io::Error,
    },
    /// Ballista's part failed.
    #[error("the executor of {scheduler} stopped: {source}")]
    Stopped {
        /// Its scheduler.
        scheduler: String,
        /// Why.
        source: BallistaError,
    },
}

/// Why an executor ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to, by a signal.
    ToldToStop,
    /// The scheduler has told it to end, because it had been silent for too long, or does not answer any more.
    Discarded,
}

/// What can be chosen.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// Host name or address of the scheduler.
    pub scheduler_host: String,
    /// Its port.
    pub scheduler_port: u16,
    /// How long to wait for it, at the start and whenever it is away.
    pub scheduler_timeout: Duration,
    /// Where to listen.
    pub bind: IpAddr,
    /// How others call this machine; by default the address where it listens.
    pub host: Option<String>,
    /// The port for rows; a free one if there is none.
    pub port: Option<u16>,
    /// The port for tasks; a free one if there is none.
    pub grpc_port: Option<u16>,
    /// The name by which it registers, which no other executor has; by default one that it gives itself.
    pub name: Option<String>,
    /// Tasks that run at the same time.
    pub cores: usize,
    /// Bytes that sorts, joins and aggregations of all tasks may hold before they spill.
    pub memory: Option<u64>,
    /// The same as a share of the machine's or container's memory, if no number is given.
    pub memory_share: f64,
    /// Where the executor makes a directory for rows until others have fetched them; by default that for temporary files.
    pub work_dir: Option<PathBuf>,
    /// How often the scheduler is told that this executor lives.
    pub heartbeat: Duration,
    /// How long it may take to stop.
    pub drain_timeout: Duration,
    /// Where metrics can be asked for, if anywhere.
    pub metrics: Option<SocketAddr>,
}

impl ExecutorOptions {
    /// Host and port of the scheduler.
    fn scheduler(&self) -> String {
        format!("{}:{}", self.scheduler_host, self.scheduler_port)
    }
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self {
            scheduler_host: "127.0.0.1".to_string(),
            scheduler_port: 50050,
            scheduler_timeout: Duration::from_secs(60),
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            host: None,
            port: None,
            grpc_port: None,
            name: None,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: None,
            memory_share: 0.7,
            work_dir: None,
            heartbeat: Duration::from_secs(2),
            drain_timeout: Duration::from_secs(120),
            metrics: None,
        }
    }
}

/// Runs tasks until the scheduler or a signal stops it: then those that run are finished first.
///
/// # Errors
/// Where it cannot listen, or the scheduler does not answer.
pub async fn run(options: ExecutorOptions, stores: Stores) -> Result<Ended, Error> {
    if options.host.is_none() && options.bind.is_unspecified() {
        return Err(Error::Nameless { bind: options.bind });
    }
    let scheduler = options.scheduler();
    tokio::select! {
        there = wait_for(&scheduler, options.scheduler_timeout) => there?,
        () = signalled() => return Ok(Ended::ToldToStop),
    }
    let told = Arc::new(AtomicBool::new(false));
    let listening = {
        let told = Arc::clone(&told);
        tokio::spawn(async move {
            signalled().await;
            told.store(true, Ordering::Relaxed);
        })
    };
    let ended = serve(options, scheduler, stores).await;
    listening.abort();
    ended?;
    Ok(if told.load(Ordering::Relaxed) { Ended::ToldToStop } else { Ended::Discarded })
}

async fn serve(options: ExecutorOptions, scheduler: String, stores: Stores) -> Result<(), Error> {
    // Both are kept until both are known, so that they differ.
    let (rows, port) = port(options.bind, options.port)?;
    let (tasks, grpc_port) = self::port(options.bind, options.grpc_port)?;
    let scratch = Scratch::inside(options.work_dir.as_deref()).map_err(|source| Error::WorkDir { source })?;
    let work_dir = scratch.rows();
    let untold = |error: &dyn std::error::Error| Error::Metrics { reason: error.to_string() };
    let metrics = Metrics::new().map_err(|error| untold(&error))?;
    let telling = match options.metrics {
        Some(address) => {
            let listener = metrics::listen(address).await.map_err(|error| untold(&error))?;
            Some(tokio::spawn(metrics.clone().serve(listener, stores.clone())))
        }
        None => None,
    };
    // The scheduler answers to the word that it stops only when nobody needs its rows any more.
    let relay = Relay::to(&scheduler, options.drain_timeout.max(REQUEST), options.scheduler_timeout).await;
    let relay = relay.map_err(|source| Error::Listen { host: Ipv4Addr::LOCALHOST.into(), source })?;
    let host = options.host.unwrap_or_else(|| options.bind.to_string());
    let name = format!("{host}:{grpc_port}");
    let defaults = ExecutorProcessConfig::default();
    let config = ExecutorProcessConfig {
        executor_id: options.name.unwrap_or_else(|| defaults.executor_id.clone()),
        bind_host: options.bind.to_string(),
        external_host: Some(host),
        port,
        grpc_port,
        scheduler_host: options.scheduler_host,
        scheduler_port: options.scheduler_port,
        // Ballista's own way to wait for a scheduler never gives up (55.0).
        scheduler_connect_timeout_seconds: 0,
        vcores: options.cores.max(1),
        task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
        work_dir: Some(work_dir.display().to_string()),
        job_data_ttl_seconds: 6 * 3600,
        job_data_clean_up_interval_seconds: 600,
        grpc_max_decoding_message_size: MAX_MESSAGE_BYTES as u32,
        grpc_max_encoding_message_size: MAX_MESSAGE_BYTES as u32,
        executor_heartbeat_interval_seconds: options.heartbeat.as_secs().max(1),
        memory_pool_size: options.memory,
        memory_pool_fraction: options.memory_share.clamp(0.01, 1.0),
        override_execution_engine: Some(Arc::new(Stages::new(name, metrics))),
        override_function_registry: Some(setup::functions()),
        override_runtime_producer: Some(setup::runtime(&stores, &work_dir)),
        override_config_producer: Some(setup::config()),
        override_physical_codec: Some(setup::codec(&stores)),
        override_arrow_flight_service: Some(Arc::new(rows::serve)),
        override_create_grpc_client_endpoint: Some(Arc::new(move |_| Ok(relay.begin()?))),
        ..defaults
    };
    drop((rows, tasks));
    let tidying = tokio::spawn(tidy(format!("http://{scheduler}"), scratch.rows()));
    let result = start_executor_process(Arc::new(config)).await;
    tidying.abort();
    if let Some(telling) = telling {
        telling.abort();
    }
    result.map_err(|source| Error::Stopped { scheduler, source })
}

/// Removes rows that nobody wants any more. The scheduler tells executors once, and does not reach all of them then.
async fn tidy(scheduler: String, rows: PathBuf) {
    loop {
        tokio::time::sleep(TIDY).await;
        let jobs = scratch::jobs_in(&rows);
        if jobs.is_empty() {
            continue;
        }
        let unwanted = match Cluster::connect(&scheduler).await {
            Ok(cluster) => cluster.unwanted(&jobs).await,
            Err(error) => Err(error),
        };
        let removed = match unwanted {
            Ok(unwanted) => {
                let rows = rows.clone();
                tokio::task::spawn_blocking(move || scratch::remove_jobs(&rows, &unwanted)).await
            }
            Err(error) => {
                tracing::debug!("it is not known whose rows are wanted: {error}");
                continue;
            }
        };
        if let Err(error) = removed {
            tracing::warn!("rows that nobody wants stay: {error}");
        }
    }
}

/// Waits until somebody listens where the scheduler is to be.
async fn wait_for(scheduler: &str, time: Duration) -> Result<(), Error> {
    let since = Instant::now();
    loop {
        let connected = tokio::time::timeout(LOOK * 10, TcpStream::connect(scheduler)).await;
        let Err(source) = connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) else { return Ok(()) };
        if since.elapsed() < LOOK {
            tracing::info!("waits for the scheduler {scheduler}: {source}");
        }
        if since.elapsed() >= time {
            return Err(Error::Unreachable { scheduler: scheduler.to_string(), seconds: time.as_secs(), source });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A port, and who keeps it until it is used. Ballista tells others the number that it was given, so that it cannot ask for a
/// free one itself. It is none that the system gives to connections, which one could get in between.
fn port(host: IpAddr, wanted: Option<u16>) -> Result<(Option<TcpListener>, u16), Error> {
    if let Some(port) = wanted {
        return Ok((None, port));
    }
    let ports = PORTS.1 - PORTS.0;
    let mut refused = std::io::ErrorKind::AddrInUse.into();
    for _ in 0..ATTEMPTS {
        let random = (uuid::Uuid::new_v4().as_u128() % u128::from(ports)) as u16;
        match TcpListener::bind((host, PORTS.0 + random)) {
            Ok(listener) => return Ok((Some(listener), PORTS.0 + random)),
            Err(error) => refused = error,
        }
    }
    Err(Error::Listen { host, source: refused })
}
