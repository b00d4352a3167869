//! What the programs of a cluster have in common: logs, threads with room for deep plans, and when they end.

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::{fmt, fs};

use clap::ValueEnum;
use eos_io::{Cache, Settings, Stores};
use tracing_subscriber::EnvFilter;
use url::Url;

use crate::error::Error;

/// Plans are trees that functions walk by calling themselves.
const STACK_BYTES: usize = 32 << 20;

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl fmt::Display for LogFormat {
    /// As it is written on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Options of all programs of a cluster.
#[derive(Debug, Clone, clap::Args)]
pub struct ServingArgs {
    /// What is logged: error, warn, info, debug or trace, of single modules as well (info,ballista_core=warn).
    #[arg(long, value_name = "FILTER", default_value = "info", env = "ROOT_QUERY_LOG")]
    pub log: String,
    /// How logs look, which go to standard error.
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// How places of files are reached: a file with the sections that the configuration of root-query has for this (xrootd, eos,
    /// http, s3, hdfs, credentials). Tokens, tickets and keys are found where it or the environment says, and stay here.
    #[arg(long, value_name = "PATH", env = "ROOT_QUERY_STORES")]
    pub stores: Option<PathBuf>,
    /// Keep what is read of remote files in this directory; programs of the same user can share it.
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Bytes that it keeps at most.
    #[arg(long, value_name = "BYTES", default_value_t = 20 << 30)]
    pub cache_size: u64,
    /// Write the URL under which it can be reached into this file, once it can.
    #[arg(long, value_name = "PATH")]
    pub address_file: Option<PathBuf>,
    /// End when standard input is closed, as it is when the program that started this one has ended, however it did.
    #[arg(long)]
    pub until_stdin_closes: bool,
}

/// Runs a program to its end.
pub fn main(
    name: &str,
    args: ServingArgs,
    work: impl Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
) -> ExitCode {
    let filter = EnvFilter::try_new(&args.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_terminal);
    match args.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(async { tokio::spawn(work).await });
            // What still waits for somebody is not waited for.
            runtime.shutdown_background();
            result.unwrap_or_else(|panic| Err(panic.into()))
        }
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

impl ServingArgs {
    /// The places of files.
    ///
    /// # Errors
    /// Where the file that describes them cannot be read, or says what cannot be.
    pub fn stores(&self) -> Result<Stores, Error> {
        let mut stores = Stores::builder();
        if let Some(path) = &self.stores {
            let bad = |reason: String| Error::Settings { path: path.clone(), reason };
            let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
            let sections = text.parse::<toml::Table>().map_err(|error| bad(error.message().to_string()))?;
            stores = stores.settings(Settings::from_sections(sections).map_err(|error| bad(error.to_string()))?);
        }
        if let Some(directory) = &self.cache {
            stores = stores.cache(Cache::open(directory, self.cache_size));
        }
        Ok(stores.build())
    }

    /// Tells where the program can be reached.
    pub fn tell(&self, address: &str) {
        tracing::info!("listening on {address}");
        let Some(path) = &self.address_file else { return };
        // Whoever waits for the file reads it whole.
        let beside = path.with_extension("new");
        if let Err(error) = fs::write(&beside, address).and_then(|()| fs::rename(&beside, path)) {
            tracing::error!("{} cannot be written: {error}", path.display());
        }
    }

    /// Ends when the program is to stop: by a signal, or because nobody is left whom it serves.
    pub async fn stopped(&self) {
        tokio::select! {
            () = signalled() => {},
            () = self.orphaned() => {},
        }
    }

    /// Ends when standard input is closed, if that is wanted.
    pub async fn orphaned(&self) {
        if !self.until_stdin_closes {
            return std::future::pending().await;
        }
        let (told, closed) = tokio::sync::oneshot::channel();
        // A thread of its own: a read of standard input cannot be given up.
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            let mut stdin = std::io::stdin();
            while stdin.read(&mut buffer).is_ok_and(|read| read > 0) {}
            let _ = told.send(());
        });
        let _ = closed.await;
    }
}

/// Ends when the program is told to stop by a signal.
pub async fn signalled() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminated) => tokio::select! {
            _ = interrupted => {},
            _ = terminated.recv() => {},
        },
        Err(_) => drop(interrupted.await),
    }
    #[cfg(not(unix))]
    drop(interrupted.await);
}

/// Host and port of a scheduler's URL.
///
/// # Errors
/// Where it is none.
pub fn host_and_port(url: &str) -> Result<(String, u16), Error> {
    let bad = |reason: &str| Error::Address { given: url.to_string(), reason: reason.to_string() };
    let parsed = Url::parse(url).map_err(|error| bad(&error.to_string()))?;
    let host = parsed.host_str().filter(|_| parsed.scheme() == "http").ok_or_else(|| bad("its scheme is not http"))?;
    let port = parsed.port().ok_or_else(|| bad("it has no port"))?;
    Ok((host.to_string(), port))
}
