//! `check`: reads everything, verifies every checksum, and lists what is bad. It goes on behind a bad basket, so that one
//! run shows all of the damage.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use futures::{StreamExt, stream};
use indicatif::HumanBytes;
use root_reader::{Error, Place, RootFile, ScanMetrics, ScanOptions, Tree};

use super::Outcome;
use super::types::counted;
use crate::app::App;
use crate::args::InputArgs;
use crate::exit::{Exit, Failure};
use crate::inputs::{self, Wanted, tree_option};
use crate::progress::{Counts, Watch};

/// Something that is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    place: Place,
    reason: String,
}

/// What was read so far; shared with the progress bar.
#[derive(Default)]
struct Tally {
    files: AtomicU64,
    values_total: AtomicU64,
    values_done: AtomicU64,
    scans: Arc<ScanMetrics>,
    branches: AtomicU64,
    /// Each once, although a branch that counts others is read with each of them.
    baskets: AtomicU64,
    unchecked: AtomicU64,
}

/// Checks all trees of all files, or the trees that were named.
pub async fn check(app: &App, input: &InputArgs) -> Outcome {
    let files = inputs::find(app, &input.files, tree_option(app, input)).await?;
    let tally = Arc::new(Tally::default());
    tally.files.store(files.len() as u64, Ordering::Relaxed);
    let watched = tally.clone();
    let watch: Watch = Arc::new(move || Counts {
        files: watched.files.load(Ordering::Relaxed),
        files_done: 0,
        entries_total: watched.values_total.load(Ordering::Relaxed),
        entries_done: watched.values_done.load(Ordering::Relaxed),
        bytes: watched.scans.bytes_read(),
        bytes_total: 0,
    });
    let mut bar = app.bar(watch);
    let mut faults = Vec::new();
    let (mut trees, mut denied) = (0u64, None);
    for wanted in &files {
        let opened = wanted.open().await;
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                if let Some(exit) = authentication(&error) {
                    denied = Some(exit);
                    inputs::note(app, wanted, root_engine::Outcome::Denied { reason: error.to_string() });
                }
                faults.push(fault(wanted, error));
                continue;
            }
        };
        faults.extend(file.warnings().iter().map(|warning| Fault {
            place: Place { file: wanted.name().to_string(), ..Place::default() },
            reason: warning.strip_prefix(&format!("{}: ", wanted.name())).unwrap_or(warning).to_string(),
        }));
        let mut entries = 0;
        for tree in open_trees(wanted, &file, &mut faults).await {
            trees += 1;
            entries += tree.entries();
            faults.extend(check_tree(app, &tree, &tally).await);
        }
        inputs::record(app, wanted, entries, Vec::new());
    }
    bar.stop();
    let batch = batch(&faults).map_err(|e| Failure::new(Exit::Query, e.to_string()))?;
    app.emit(&batch)?;
    let (branches, unchecked) = (tally.branches.load(Ordering::Relaxed), tally.unchecked.load(Ordering::Relaxed));
    if unchecked > 0 {
        app.console.warning(&format!(
            "{} could not be checked, as the type is not supported; `root-query schema` lists what cannot be read",
            counted(unchecked, "branch")
        ));
    }
    app.console.plain(&format!(
        "{}, {}, {}, {}, {}: {}",
        counted(files.len() as u64, "file"),
        counted(trees, "tree"),
        counted(branches, "branch"),
        counted(tally.baskets.load(Ordering::Relaxed), "basket"),
        HumanBytes(tally.scans.bytes_read()),
        match faults.len() {
            0 => "no fault found".to_string(),
            n => counted(n as u64, "fault"),
        }
    ));
    let ended = app.conclude();
    Ok(match (denied, faults.is_empty()) {
        (Some(exit), _) => exit,
        (None, true) => ended,
        (None, false) => Exit::Input,
    })
}

fn authentication(error: &Error) -> Option<Exit> {
    (error.kind() == root_reader::ErrorKind::Denied).then_some(Exit::Authentication)
}

/// The trees to check. One that cannot be opened is a fault.
async fn open_trees(wanted: &Wanted, file: &RootFile, faults: &mut Vec<Fault>) -> Vec<Tree> {
    let keys = match wanted.object.as_deref().map(|name| file.find_tree(name)) {
        Some(Ok(key)) => vec![key],
        Some(Err(error)) => {
            faults.push(fault(wanted, error));
            return Vec::new();
        }
        None => file.trees(),
    };
    let mut trees = Vec::new();
    for key in keys {
        match file.tree_of(key).await {
            Ok(tree) => trees.push(tree),
            Err(error) => {
                let mut fault = fault(wanted, error);
                fault.place.tree.get_or_insert_with(|| key.path.clone());
                faults.push(fault);
            }
        }
    }
    trees
}

/// Reads all columns of a tree, several at a time, and answers with the faults in the order of the branches.
async fn check_tree(app: &App, tree: &Tree, tally: &Arc<Tally>) -> Vec<Fault> {
    let columns = tree.schema().fields().len();
    let unreadable = tree.columns().len() - columns;
    let readable = tree.columns().iter().filter(|column| column.field().is_ok());
    let baskets = readable.filter_map(|column| tree.branches().get(column.branch)).map(|b| b.basket_count() as u64);
    tally.baskets.fetch_add(baskets.sum(), Ordering::Relaxed);
    tally.branches.fetch_add(columns as u64, Ordering::Relaxed);
    tally.unchecked.fetch_add(unreadable as u64, Ordering::Relaxed);
    tally.values_total.fetch_add(tree.entries() * columns as u64, Ordering::Relaxed);
    let checks = stream::iter(0..columns).map(|column| {
        let (tree, tally) = (tree.clone(), tally.clone());
        let task = tokio::spawn(async move { check_column(&tree, column, &tally).await });
        async move {
            task.await.unwrap_or_else(|error| {
                vec![Fault { place: Place::default(), reason: format!("the check itself failed: {error}") }]
            })
        }
    });
    let found: Vec<Vec<Fault>> = checks.buffered(app.settings.threads.get()).collect().await;
    // Columns that share a counter meet the same bad basket of it.
    let mut seen = HashSet::new();
    let new = |fault: &Fault| seen.insert((fault.place.branch.clone(), fault.place.basket, fault.reason.clone()));
    found.into_iter().flatten().filter(new).collect()
}

/// Reads one column from end to end.
async fn check_column(tree: &Tree, column: usize, tally: &Tally) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    let mut next = 0;
    let end = tree.entries();
    while next < end {
        let from = next;
        match check_range(tree, column, from..end, tally, &mut next).await {
            Ok(()) => break,
            Err(error) => {
                let (place, reason) = parts(error);
                // Behind the bad basket, or, where the fault is not in one, nowhere.
                next = place.entries.as_ref().map_or(end, |entries| entries.end).clamp(next + 1, end.max(next + 1));
                faults.push(Fault { place, reason });
            }
        }
        let passed = next.min(end).saturating_sub(from);
        tally.values_done.fetch_add(passed, Ordering::Relaxed);
    }
    faults
}

/// Reads some entries of a column; `next` is the first that was not read.
async fn check_range(
    tree: &Tree,
    column: usize,
    entries: Range<u64>,
    tally: &Tally,
    next: &mut u64,
) -> Result<(), Error> {
    let options = ScanOptions { verify: true, metrics: tally.scans.clone(), ..ScanOptions::default() };
    let mut scan = tree.scan(&[column], entries.clone(), options)?;
    while let Some(batch) = scan.next_batch().await? {
        *next += batch.num_rows() as u64;
        // Other branches want to run as well.
        tokio::task::yield_now().await;
    }
    tally.values_done.fetch_add(entries.end - entries.start, Ordering::Relaxed);
    *next = entries.end;
    Ok(())
}

fn fault(wanted: &Wanted, error: Error) -> Fault {
    let (mut place, reason) = parts(error);
    if place.file.is_empty() {
        place.file = wanted.name().to_string();
    }
    Fault { place, reason }
}

/// Where an error is, and what it is.
fn parts(error: Error) -> (Place, String) {
    let in_file = |file: String| Place { file, ..Place::default() };
    match error {
        Error::Corrupt { place, source } => (*place, source.to_string()),
        Error::Unreadable { place, reason } => (*place, reason),
        Error::Arrow { place, source } => (*place, source.to_string()),
        Error::Store { file, source } => (in_file(file), source.to_string()),
        Error::Io { file, source } => (in_file(file), source.to_string()),
        Error::NotRoot { file, why } => (in_file(file), format!("not a ROOT file: {why}")),
        other => {
            let text = other.to_string();
            match &other {
                Error::NoSuchTree { file, .. } | Error::WhichTree { file, .. } => {
                    let reason = text.strip_prefix(&format!("{file}: ")).unwrap_or(&text).to_string();
                    (in_file(file.clone()), reason)
                }
                _ => (Place::default(), text),
            }
        }
    }
}

fn batch(faults: &[Fault]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let text = |of: fn(&Fault) -> Option<&str>| Arc::new(faults.iter().map(of).collect::<StringArray>()) as ArrayRef;
    let baskets: UInt64Array = faults.iter().map(|f| f.place.basket.map(|b| b as u64)).collect();
    let entry = |of: fn(&Range<u64>) -> u64| {
        Arc::new(faults.iter().map(|f| f.place.entries.as_ref().map(of)).collect::<UInt64Array>()) as ArrayRef
    };
    RecordBatch::try_from_iter_with_nullable([
        ("file", text(|f| Some(&f.place.file)), false),
        ("tree", text(|f| f.place.tree.as_deref()), true),
        ("branch", text(|f| f.place.branch.as_deref()), true),
        ("basket", Arc::new(baskets), true),
        ("first_entry", entry(|e| e.start), true),
        ("end_entry", entry(|e| e.end), true),
        ("reason", text(|f| Some(&f.reason)), false),
    ])
}
