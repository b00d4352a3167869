//! `root-executor`: an executor of a cluster as a program.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use root_cluster::serving;
use root_executor::{Ended, ExecutorOptions, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An executor of a cluster that queries ROOT files.
///
/// It registers with a scheduler (`root-scheduler`) and runs the tasks that it is given. When it is told to stop (SIGTERM), it
/// finishes those that run and takes no others.
#[derive(Debug, Parser)]
// Whoever starts it by a list of arguments may put others behind them.
#[command(version, args_override_self = true)]
struct Args {
    /// The scheduler.
    #[arg(long, value_name = "http://HOST:PORT", default_value = "http://127.0.0.1:50050")]
    scheduler: String,
    /// Seconds to wait for the scheduler, at the start and whenever it is away.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    scheduler_timeout: u64,
    /// Where to listen for tasks, and for others who fetch rows. Anyone who can reach it can run tasks.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    listen: IpAddr,
    /// How others call this machine; by default the address where it listens, which must not be 0.0.0.0 then.
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// The port where rows are fetched; by default a free one.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The port where tasks are taken; by default a free one.
    #[arg(long, value_name = "PORT")]
    task_port: Option<u16>,
    /// The name by which it registers, which no other executor has; by default one that it gives itself. It waits until the
    /// scheduler has given up one of the same name that died.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Tasks that run at the same time; by default as many as there are cores.
    #[arg(long, value_name = "N")]
    cores: Option<usize>,
    /// Bytes that sorts, joins and aggregations may hold before they spill to disk; by default a share of the memory there is.
    #[arg(long, value_name = "BYTES", overrides_with = "memory_share")]
    memory: Option<u64>,
    /// The share of the machine's or container's memory that they may hold.
    #[arg(long, value_name = "SHARE", default_value_t = 0.7)]
    memory_share: f64,
    /// Where it makes a directory for rows until others have fetched them, and for what is spilled; by default that for
    /// temporary files.
    #[arg(long, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// Seconds that it may take to stop: for tasks that run, and until others have fetched the rows of those that have run.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    drain_timeout: u64,
    /// Seconds between signs of life.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    heartbeat: u64,
    /// Where Prometheus can ask for metrics (GET /metrics); by default nowhere. Anyone who can reach it can read them.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics_listen: Option<SocketAddr>,
    /// What is common to the programs of a cluster.
    #[command(flatten)]
    serving: serving::ServingArgs,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let serving = args.serving.clone();
    serving::main("root-executor", serving.clone(), async move {
        let (scheduler_host, scheduler_port) = serving::host_and_port(&args.scheduler)?;
        let drain_timeout = Duration::from_secs(args.drain_timeout);
        let is_named = args.name.is_some();
        let defaults = ExecutorOptions::default();
        let options = ExecutorOptions {
            scheduler_host,
            scheduler_port,
            scheduler_timeout: Duration::from_secs(args.scheduler_timeout),
            bind: args.listen,
            host: args.host,
            port: args.port,
            grpc_port: args.task_port,
            name: args.name,
            cores: args.cores.unwrap_or(defaults.cores),
            memory: args.memory,
            memory_share: args.memory_share,
            work_dir: args.work_dir,
            heartbeat: Duration::from_secs(args.heartbeat),
            drain_timeout,
            metrics: args.metrics_listen,
        };
        let told_to_stop = async {
            serving::signalled().await;
            tracing::info!("stops as soon as nobody needs it, in {} s at the latest", drain_timeout.as_secs());
            tokio::time::sleep(drain_timeout).await;
        };
        let stores = serving.stores()?;
        tokio::select! {
            ended = run(options, stores) => match ended? {
                Ended::ToldToStop => Ok(()),
                // Whoever has named it starts another one.
                Ended::Discarded if is_named => Err(GIVEN_UP.into()),
                Ended::Discarded => begin_anew(),
            },
            () = told_to_stop => Ok(()),
            () = serving.orphaned() => Ok(()),
        }
    })
}

/// What becomes of an executor that was silent for too long.
const GIVEN_UP: &str = "the scheduler has given this executor up";

/// Becomes an executor that the scheduler does not know yet. Ballista keeps what it knows of an end for the whole process.
#[cfg(unix)]
fn begin_anew() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use std::os::unix::process::CommandExt;
    tracing::warn!("the scheduler has given this executor up, it begins anew");
    let mut program = std::process::Command::new(std::env::current_exe()?);
    Err(program.args(std::env::args_os().skip(1)).exec().into())
}

#[cfg(not(unix))]
fn begin_anew() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Err(GIVEN_UP.into())
}
