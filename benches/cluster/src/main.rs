//! Queries on a cluster beside the same in one process, many short tasks, and a scheduler with a thousand executors that do
//! nothing but answer. The programs of the cluster are those beside this one: build them first.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has failed, and its figures go to standard output"
)]

mod idle;
mod process;
mod queries;
mod simulation;
mod tasks;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// As in the command line, so that buffers cost what they cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(version, about = "Measures clusters of processes on this machine")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A small query, in this process and on a cluster
    Latency(queries::LatencyArgs),
    /// Query files, in this process with so many threads and on as many executors of one core
    Queries(queries::QueriesArgs),
    /// Many short tasks on executors of this machine
    Tasks(tasks::Args),
    /// A scheduler with many executors that compute nothing
    Simulate(simulation::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    match Args::parse().command {
        Command::Latency(args) => queries::latency(&args).await,
        Command::Queries(args) => queries::run(&args).await,
        Command::Tasks(args) => tasks::run(&args).await,
        Command::Simulate(args) => simulation::run(&args).await,
    }
    ExitCode::SUCCESS
}
