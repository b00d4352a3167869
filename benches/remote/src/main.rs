//! Reading over the network, measured against what the machine can do and beside other clients, with servers that the
//! program starts itself on loopback. Each figure is a ratio within one run, since machines and their moods differ.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has failed, and its figures go to standard output"
)]

mod latency;
mod process;
mod query;
mod sequential;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// As in the command line, so that buffers cost what they cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(version, about = "Measures reading from servers on loopback")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A large file from its beginning to its end, beside raw TCP and xrdcp
    Sequential(sequential::Args),
    /// Small reads and first bytes over a long way
    Latency(latency::Args),
    /// A query over root:// beside the same over the local file
    Query(query::Args),
    /// Part of the others: reads first bytes and tells the round trips
    #[command(hide = true)]
    FirstByte(latency::FirstByteArgs),
    /// Part of the others: reads a file once and tells the cost
    #[command(hide = true)]
    Read(process::ReadArgs),
    /// Part of the others: sends a file to whoever connects
    #[command(hide = true)]
    Serve(process::ServeArgs),
    /// Part of the others: receives from a port and tells the cost
    #[command(hide = true)]
    Receive(process::ReceiveArgs),
}

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Sequential(args) => sequential::run(&args),
        Command::Latency(args) => latency::run(&args),
        Command::Query(args) => query::run(&args),
        Command::FirstByte(args) => latency::first_bytes(&args),
        Command::Read(args) => process::read(&args),
        Command::Serve(args) => process::serve(&args),
        Command::Receive(args) => process::receive(&args),
    }
    ExitCode::SUCCESS
}
