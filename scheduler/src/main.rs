//! `root-scheduler`: the scheduler of a cluster as a program.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use root_cluster::serving;
use root_kubernetes::ClusterSpec;
use root_scheduler::{
    AuthOptions, JwtOptions, PoolOptions, PoolPlace, PoolSize, ProcessOptions, Scheduler, SchedulerOptions, TlsFiles,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The share of the machine's memory that sorts, joins and aggregations of all executors on it may hold together.
const MEMORY_SHARE: f64 = 0.7;

/// The scheduler of a cluster that queries ROOT files.
///
/// Executors (`root-executor`) register with it, and clients (`root-query --cluster http://HOST:PORT`)
/// and programs that speak Arrow Flight SQL send it their queries.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 takes a free one. Without --token-file and --jwks anyone who can reach it can run queries.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:50050")]
    listen: SocketAddr,
    /// How executors and clients call this machine; by default the address where it listens.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Seconds after which an executor that says nothing is lost.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    executor_timeout: u64,
    /// Seconds that jobs wait for executors when there are none.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    no_executors_grace: u64,
    /// How often a task is tried before its job fails.
    #[arg(long, value_name = "N", default_value_t = 4)]
    task_attempts: usize,
    /// Seconds that a job may take before it is stopped; by default as many as it asks for.
    #[arg(long, value_name = "SECONDS")]
    max_job_time: Option<u64>,
    /// Seconds that the rows of a job are kept that has ended, for its client to fetch.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    keep_results: u64,
    /// Keep a log of each job in this directory.
    #[arg(long, value_name = "DIR")]
    event_log: Option<PathBuf>,
    /// Let in who shows a token of this file: lines NAME:TOKEN. It is read again when it changes.
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// Let in who shows a JSON Web Token that is signed (RS256, ES256, EdDSA) by a key of this JWK set: a file, or a URL.
    #[arg(long, value_name = "PATH|URL", requires_all = ["jwt_issuer", "jwt_audience"])]
    jwks: Option<String>,
    /// Who has to have issued such a token.
    #[arg(long, value_name = "ISSUER", requires = "jwks")]
    jwt_issuer: Option<String>,
    /// For whom it has to have been issued.
    #[arg(long, value_name = "AUDIENCE", requires = "jwks")]
    jwt_audience: Option<String>,
    /// Encrypt connections of users with this certificate (PEM, with those between it and an authority). It is read again
    /// when it changes.
    #[arg(long, value_name = "PATH", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM).
    #[arg(long, value_name = "PATH", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Where to listen to executors, apart from users. With tokens or a certificate they always have a port of their own, by
    /// default 127.0.0.1:50051. It is neither encrypted nor guarded: only executors may reach it.
    #[arg(long, value_name = "ADDRESS:PORT")]
    executors_listen: Option<SocketAddr>,
    /// Let SQL by other programs (Arrow Flight SQL) name files in this directory of this machine; without it, only files of
    /// servers (root://, https://, ...). May be repeated.
    #[arg(long, value_name = "DIR")]
    offer: Vec<PathBuf>,
    /// Start executors as pods of the cluster that this file describes (JSON), in the Kubernetes that this process runs in, or
    /// that KUBECONFIG says.
    #[arg(long, value_name = "PATH", conflicts_with = "start_executors")]
    kubernetes: Option<PathBuf>,
    /// Start executors as processes of this machine: N of them, or as many of MIN to MAX as jobs keep busy.
    #[arg(long, value_name = "N|MIN..MAX")]
    start_executors: Option<PoolSize>,
    /// Tasks that each of them runs at the same time; by default its part of the cores of this machine.
    #[arg(long, value_name = "N", requires = "start_executors")]
    executor_cores: Option<usize>,
    /// Seconds that one of them is without tasks before it ends, if there are more than MIN.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "start_executors")]
    executor_idle: u64,
    /// Seconds that one of them may take to start before another takes its place.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "start_executors")]
    executor_start: u64,
    /// The directory for the logs of these executors; by default they write where the scheduler does.
    #[arg(long, value_name = "DIR", requires = "start_executors")]
    executor_logs: Option<PathBuf>,
    /// The program that these executors are; by default root-executor beside this one.
    #[arg(long, value_name = "PATH", requires = "start_executors")]
    executor_program: Option<PathBuf>,
    /// What is common to the programs of a cluster.
    #[command(flatten)]
    serving: serving::ServingArgs,
    /// Arguments for these executors, behind --. They have the logs, the stores and the cache of the scheduler, and share the
    /// memory of the machine, unless something else is said here.
    #[arg(last = true, value_name = "ARGUMENT", requires = "start_executors")]
    executor_arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let jwt = match (args.jwks, args.jwt_issuer, args.jwt_audience) {
        (Some(jwks), Some(issuer), Some(audience)) => Some(JwtOptions { jwks, issuer, audience }),
        _ => None,
    };
    let tls = args.tls_cert.zip(args.tls_key).map(|(certificate, key)| TlsFiles { certificate, key });
    let pool = args.start_executors.map(|size| PoolOptions {
        size,
        cores: args.executor_cores.unwrap_or_else(|| cores_of_each(size)).max(1),
        idle: Duration::from_secs(args.executor_idle),
        start: Duration::from_secs(args.executor_start.max(1)),
        place: PoolPlace::Processes(ProcessOptions {
            program: args.executor_program,
            arguments: [common_arguments(&args.serving, size), args.executor_arguments].concat(),
            logs: args.executor_logs,
        }),
    });
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut options = SchedulerOptions {
        address: args.listen,
        host: args.host,
        executor_timeout: Duration::from_secs(args.executor_timeout),
        no_executors_grace: Duration::from_secs(args.no_executors_grace),
        task_attempts: args.task_attempts.max(1),
        max_job_time: args.max_job_time.map(Duration::from_secs),
        keep_results: Duration::from_secs(args.keep_results),
        event_log: args.event_log,
        auth: AuthOptions { token_file: args.token_file, jwt },
        tls,
        executors_address: args.executors_listen,
        offered: args.offer,
        pool,
    };
    let (serving, kubernetes) = (args.serving, args.kubernetes);
    serving::main("root-scheduler", serving.clone(), async move {
        if let Some(path) = kubernetes {
            options.pool = Some(PoolOptions::of_cluster(cluster(&path)?)?);
        }
        let scheduler = Scheduler::bind(options, serving.stores()?).await?;
        if scheduler.executors_address() != scheduler.address() {
            tracing::info!("listening to executors on http://{}", scheduler.executors_address());
        }
        serving.tell(&format!("{scheme}://{}", scheduler.address()));
        Ok(scheduler.run(async move { serving.stopped().await }).await?)
    })
}

/// The cluster that a file describes.
fn cluster(path: &Path) -> Result<ClusterSpec, String> {
    let bad = |reason: String| format!("{} describes no cluster: {reason}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| bad(error.to_string()))
}

/// The cores of this machine in equal parts for so many executors.
fn cores_of_each(size: PoolSize) -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) / size.most()
}

/// What executors of this machine have unless they are told otherwise: the settings of the scheduler, and a part of the memory.
fn common_arguments(serving: &serving::ServingArgs, size: PoolSize) -> Vec<OsString> {
    let share = (MEMORY_SHARE / size.most() as f64).to_string();
    let format = serving.log_format.to_string();
    let mut arguments: Vec<OsString> =
        ["--log", &serving.log, "--log-format", &format, "--memory-share", &share].map(OsString::from).into();
    if let Some(stores) = &serving.stores {
        arguments.extend(["--stores".into(), stores.into()]);
    }
    if let Some(cache) = &serving.cache {
        arguments.extend([
            "--cache".into(),
            cache.into(),
            "--cache-size".into(),
            serving.cache_size.to_string().into(),
        ]);
    }
    arguments
}
