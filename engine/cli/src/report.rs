//! The record of a run, and the JSON report that `--report` makes of it, also of a run that fails or is interrupted.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use eos_io::{CacheStats, Statistics, Stores};
use root_engine::{FilledColumn, Ledger, MaskCounts, Outcome};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::attention::Attention;
use crate::exit::{Exit, Failure};
use crate::output::{Destination, Target};
use crate::progress::{Slot, Watch};
use crate::shutdown::Shutdown;

/// What is known of the run so far. Clones share it.
#[derive(Clone)]
pub struct Record {
    started: Instant,
    path: Option<PathBuf>,
    stores: Stores,
    command: Arc<Vec<String>>,
    slot: Slot,
    attention: Attention,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    query: Option<String>,
    ledger: Ledger,
    watch: Option<Watch>,
    rows: u64,
    bytes: u64,
    copies: Vec<FileLine>,
}

#[derive(Serialize)]
struct Report<'a> {
    version: &'static str,
    libraries: Libraries,
    command: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    files: Vec<FileLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_sha256: Option<String>,
    events: u64,
    bytes_read: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<CacheLine>,
    rows: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lumi_masks: Vec<MaskLine>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    defaults: Vec<DefaultLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servers: Option<Servers>,
    seconds: f64,
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    exit_code: u8,
}

/// Versions of what computes.
#[derive(Serialize)]
struct Libraries {
    datafusion: &'static str,
    arrow: &'static str,
}

const LIBRARIES: Libraries = Libraries { datafusion: datafusion::DATAFUSION_VERSION, arrow: arrow::ARROW_VERSION };

/// Whether there is nothing to tell.
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// Tells whether two runs have read the same: the SHA-256 of a line for each file that was read, in the order of their
/// names, with name, bytes and entries, and tabs between them. `None` where nothing was read.
fn dataset_hash(files: &[FileLine]) -> Option<String> {
    let mut lines: Vec<String> = files
        .iter()
        .filter(|file| matches!(file.outcome, "ok" | "retried"))
        .map(|file| format!("{}\t{}\t{}\n", file.file, file.bytes, file.entries))
        .collect();
    lines.sort_unstable();
    let digest = Sha256::digest(lines.concat());
    (!lines.is_empty()).then(|| digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What servers were asked.
#[derive(Serialize)]
struct Servers {
    connections: u64,
    requests: u64,
    bytes_read: u64,
    bytes_written: u64,
    retries: u64,
    failovers: u64,
    hedged_reads: u64,
    waits: u64,
    seconds_waited: f64,
}

impl Servers {
    /// `None` where none were asked anything.
    fn of(statistics: &Statistics) -> Option<Self> {
        (*statistics != Statistics::default()).then(|| Self {
            connections: statistics.connections,
            requests: statistics.requests,
            bytes_read: statistics.bytes_read,
            bytes_written: statistics.bytes_written,
            retries: statistics.retries,
            failovers: statistics.failovers,
            hedged_reads: statistics.hedged_reads,
            waits: statistics.waits,
            seconds_waited: rounded(statistics.waited.as_secs_f64()),
        })
    }
}

/// To milliseconds.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[derive(Clone, Serialize)]
struct FileLine {
    file: String,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "is_none")]
    retries: u64,
    entries: u64,
    bytes: u64,
}

/// Events that a luminosity mask took and left.
#[derive(Serialize)]
struct MaskLine {
    file: String,
    events_read: u64,
    events_certified: u64,
}

impl MaskLine {
    fn of(mask: &MaskCounts) -> Self {
        Self { file: mask.file().to_string(), events_read: mask.events(), events_certified: mask.certified() }
    }
}

/// A default, and in how many files it was needed.
#[derive(Serialize)]
struct DefaultLine {
    column: String,
    value: String,
    files: usize,
}

impl DefaultLine {
    fn of(FilledColumn { column, value, files, .. }: FilledColumn) -> Self {
        Self { column, value, files }
    }
}

/// What the cache of remote files did.
#[derive(Serialize)]
struct CacheLine {
    hits: u64,
    misses: u64,
    bytes_from_cache: u64,
    bytes_fetched: u64,
    bytes_evicted: u64,
    damaged_blocks: u64,
}

impl From<CacheStats> for CacheLine {
    fn from(stats: CacheStats) -> Self {
        Self {
            hits: stats.hits,
            misses: stats.misses,
            bytes_from_cache: stats.bytes_cached,
            bytes_fetched: stats.bytes_fetched,
            bytes_evicted: stats.bytes_evicted,
            damaged_blocks: stats.damaged,
        }
    }
}

impl Record {
    /// A record that starts now, of a run that was called like this.
    pub fn new(path: Option<PathBuf>, command: Vec<String>, stores: Stores, slot: Slot, attention: Attention) -> Self {
        // A command line can hold a token in a URL, and reports are passed around.
        let command = command.iter().map(|word| eos_io::redact(word)).collect();
        Self {
            started: Instant::now(),
            path,
            stores,
            command: Arc::new(command),
            slot,
            attention,
            inner: Arc::default(),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The SQL.
    pub fn set_query(&self, sql: &str) {
        self.inner().query = Some(eos_io::redact(sql));
    }

    /// Takes over the ledger of a session.
    pub fn set_ledger(&self, ledger: Ledger) {
        self.inner().ledger = ledger;
    }

    /// The ledger.
    pub fn ledger(&self) -> Ledger {
        self.inner().ledger.clone()
    }

    /// Where the counters are.
    pub fn set_watch(&self, watch: Watch) {
        self.inner().watch = Some(watch);
    }

    /// Counts rows of the result.
    pub fn add_rows(&self, rows: u64) {
        self.inner().rows += rows;
    }

    /// Counts bytes that no watch counts.
    pub fn add_bytes(&self, bytes: u64) {
        self.inner().bytes += bytes;
    }

    /// Notes a file that was copied, or why it was not.
    pub fn add_file(&self, file: &str, bytes: u64, failure: Option<String>) {
        let outcome = if failure.is_some() { "failed" } else { "ok" };
        let line = FileLine { file: file.to_string(), outcome, reason: failure, retries: 0, entries: 0, bytes };
        self.inner().copies.push(line);
    }

    /// The place of the progress bar.
    pub fn slot(&self) -> Slot {
        self.slot.clone()
    }

    /// Writes the report, if one is wanted.
    pub fn write(&self, exit: Exit, error: Option<&str>, shutdown: &Shutdown) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        let report = self.report(exit, error);
        let mut text = serde_json::to_vec_pretty(&report)
            .map_err(|e| Failure::new(Exit::Query, format!("cannot write {}: {e}", path.display())))?;
        text.push(b'\n');
        if path.as_os_str() == "-" {
            return Err(Failure::usage("the report needs a file, as standard output is for the result"));
        }
        let mut to = Destination::open(Target::named(path, &self.stores)?, shutdown)?;
        to.put(&text)?;
        to.commit()
    }

    fn report<'a>(&'a self, exit: Exit, error: Option<&str>) -> Report<'a> {
        let inner = self.inner();
        let counts = inner.watch.as_ref().map(|watch| watch()).unwrap_or_default();
        let files = inner.ledger.files().into_iter().map(|file| {
            let retries = self.attention.retries(&file.file);
            let (outcome, reason) = match file.outcome {
                Outcome::Ok if retries > 0 => ("retried", None),
                Outcome::Ok => ("ok", None),
                Outcome::Skipped { reason } => ("skipped", Some(reason)),
                Outcome::NoTree => ("no_tree", None),
                Outcome::Denied { reason } => ("auth", Some(reason)),
            };
            FileLine { file: file.file, outcome, reason, retries, entries: file.entries, bytes: file.bytes }
        });
        let files: Vec<FileLine> = files.chain(inner.copies.iter().cloned()).collect();
        Report {
            version: env!("CARGO_PKG_VERSION"),
            libraries: LIBRARIES,
            command: &self.command,
            query: inner.query.clone(),
            dataset_sha256: dataset_hash(&files),
            files,
            events: counts.entries_done,
            bytes_read: counts.bytes + inner.bytes,
            cache: self.stores.cache().map(|cache| cache.stats().into()),
            rows: inner.rows,
            lumi_masks: inner.ledger.masks().iter().map(MaskLine::of).collect(),
            defaults: inner.ledger.filled().into_iter().map(DefaultLine::of).collect(),
            servers: Servers::of(&self.stores.statistics()),
            seconds: rounded(self.started.elapsed().as_secs_f64()),
            warnings: inner.ledger.warnings(),
            error: error.map(str::to_string),
            exit_code: exit.code(),
        }
    }
}
