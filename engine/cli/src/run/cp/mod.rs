//! `cp`: copies files between any two places, and compares checksums on the way.

mod plan;
mod transfer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use futures::{StreamExt, stream};
use indicatif::HumanBytes;
use tokio::sync::Semaphore;

use super::Outcome;
use super::types::counted;
use crate::app::App;
use crate::args::CpArgs;
use crate::exit::{Exit, Failure};
use crate::progress::{Counts, Watch};
use plan::{Job, Plan};
use transfer::{Copied, Copier, QUESTIONS};

/// A file that was copied.
struct Line {
    /// Its place among the files.
    at: usize,
    job: Job,
    copied: Copied,
    took: Duration,
}

/// Copies what can be copied, tells what cannot as it happens, and lists the copies.
pub async fn cp(app: &App, args: &CpArgs) -> Outcome {
    let started = Instant::now();
    let Plan { jobs, failures: missing, to_stdout } = plan::make(app, args).await?;
    let mut failures = Vec::new();
    for (source, failure) in missing {
        app.console.error(&failure.to_string());
        app.record.add_file(&source, 0, Some(failure.to_string()));
        failures.push(failure);
    }
    let bytes = Arc::new(AtomicU64::new(0));
    let files_done = Arc::new(AtomicU64::new(0));
    let total = jobs.iter().map(|job| job.source.meta.size).sum();
    let mut bar = app.bar(watch(jobs.len() as u64, total, files_done.clone(), bytes.clone()));
    let copier = Copier {
        stores: app.stores.uncached(),
        shutdown: app.shutdown.clone(),
        kind: args.checksum.kind(),
        verify: !args.no_verify,
        force: args.force,
        bytes: bytes.clone(),
        questions: Arc::new(Semaphore::new(QUESTIONS)),
    };
    // Standard output takes one after the other.
    let parallel = if to_stdout { 1 } else { args.parallel.get() };
    let mut running = stream::iter(jobs.into_iter().enumerate())
        .map(|(at, job)| {
            let copier = copier.clone();
            let files_done = files_done.clone();
            async move {
                let started = Instant::now();
                let copied = copier.copy(&job).await;
                files_done.fetch_add(1, Ordering::Relaxed);
                (at, job, copied, started.elapsed())
            }
        })
        .buffer_unordered(parallel);
    let mut lines = Vec::new();
    while let Some((at, job, copied, took)) = running.next().await {
        let source = job.source.location.display.clone();
        match copied {
            Ok(copied) => {
                for warning in &copied.warnings {
                    app.record.slot().clear();
                    app.console.warning(warning);
                }
                app.record.add_file(&source, job.source.meta.size, None);
                lines.push(Line { at, job, copied, took });
            }
            Err(Failure::BrokenPipe) => return Err(Failure::BrokenPipe),
            Err(failure) => {
                app.record.slot().clear();
                app.console.error(&failure.to_string());
                app.record.add_file(&source, job.source.meta.size, Some(failure.to_string()));
                failures.push(failure);
            }
        }
    }
    drop(running);
    bar.stop();
    lines.sort_by_key(|line| line.at);
    let has_result = !lines.is_empty() || failures.is_empty();
    if (has_result && !to_stdout) || app.settings.output.is_some() {
        app.emit(&batch(&lines).map_err(|e| Failure::new(Exit::Query, e.to_string()))?)?;
    }
    app.console.plain(&summary(&lines, &failures, started.elapsed()));
    Ok(worst(&failures).unwrap_or_else(|| app.conclude()))
}

fn watch(files: u64, bytes_total: u64, files_done: Arc<AtomicU64>, bytes: Arc<AtomicU64>) -> Watch {
    Arc::new(move || Counts {
        files,
        files_done: files_done.load(Ordering::Relaxed),
        bytes_total,
        bytes: bytes.load(Ordering::Relaxed),
        ..Counts::default()
    })
}

fn batch(lines: &[Line]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let text = |of: fn(&Line) -> Option<String>| Arc::new(lines.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let bytes: UInt64Array = lines.iter().map(|line| Some(line.job.source.meta.size)).collect();
    let seconds: Float64Array = lines.iter().map(|line| Some((line.took.as_secs_f64() * 1e3).round() / 1e3)).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("source", text(|line| Some(line.job.source.location.display.clone())), false),
        ("copy", text(|line| Some(line.job.to.name())), false),
        ("bytes", Arc::new(bytes) as ArrayRef, false),
        ("checksum", text(|line| line.copied.checksum.map(|sum| sum.to_string())), true),
        ("compared", text(|line| line.copied.compared()), true),
        ("seconds", Arc::new(seconds) as ArrayRef, false),
    ])
}

fn summary(lines: &[Line], failures: &[Failure], took: Duration) -> String {
    let bytes: u64 = lines.iter().map(|line| line.job.source.meta.size).sum();
    let rate = HumanBytes((bytes as f64 / took.as_secs_f64().max(1e-3)) as u64);
    let failed = match failures.len() {
        0 => String::new(),
        n => format!("; {n} failed"),
    };
    let files = counted(lines.len() as u64, "file");
    format!("{files}, {}, {:.1} s, {rate}/s{failed}", HumanBytes(bytes), took.as_secs_f64())
}

/// How a run ends in which some files failed: what the user can do something about comes first.
fn worst(failures: &[Failure]) -> Option<Exit> {
    let exits = failures.iter().filter_map(|failure| match failure {
        Failure::Error { exit, .. } => Some(*exit),
        Failure::BrokenPipe => None,
    });
    const ORDER: [Exit; 4] = [Exit::Usage, Exit::Query, Exit::Input, Exit::Authentication];
    exits.max_by_key(|exit| ORDER.iter().position(|known| known == exit))
}
