//! `root-scheduler`: the scheduler of a cluster as a program.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use root_cluster::serving;
use root_scheduler::{Scheduler, SchedulerOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The scheduler of a cluster that queries ROOT files.
///
/// Executors (`root-executor`) register with it, and clients (`root-query --cluster http://HOST:PORT`) send it their queries.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 takes a free one. Anyone who can reach it can run queries.
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
    /// What is common to the programs of a cluster.
    #[command(flatten)]
    serving: serving::ServingArgs,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let options = SchedulerOptions {
        address: args.listen,
        host: args.host,
        executor_timeout: Duration::from_secs(args.executor_timeout),
        no_executors_grace: Duration::from_secs(args.no_executors_grace),
        task_attempts: args.task_attempts.max(1),
        max_job_time: args.max_job_time.map(Duration::from_secs),
        keep_results: Duration::from_secs(args.keep_results),
        event_log: args.event_log,
    };
    let serving = args.serving;
    serving::main("root-scheduler", serving.clone(), async move {
        let scheduler = Scheduler::bind(options, serving.stores()?).await?;
        serving.tell(&format!("http://{}", scheduler.address()));
        Ok(scheduler.run(async move { serving.stopped().await }).await?)
    })
}
