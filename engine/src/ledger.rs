//! The ledger: what became of every file. Nothing is dropped without a line in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::Error;

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was opened, and as far as it was needed it was read.
    Ok,
    /// It was left out, whole or from some entry on.
    Skipped {
        /// Why.
        reason: String,
    },
    /// It has no tree of the wanted name and was left out.
    NoTree,
    /// It may not be read, which ends the run: such a file is never left out.
    Denied {
        /// What the server or the system said.
        reason: String,
    },
}

/// One file's line in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// The file as the user named it.
    pub file: String,
    /// Entries of its tree.
    pub entries: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// A default that stands in for a column in the files that lack it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilledColumn {
    /// The column.
    pub column: String,
    /// The default.
    pub value: String,
    /// How many files lack the column.
    pub files: usize,
    /// How many files the table has.
    pub of: usize,
}

/// How many events a luminosity mask was asked about, and how many of them it certifies. Clones share the counts.
#[derive(Debug, Clone)]
pub struct MaskCounts {
    inner: Arc<MaskCountsInner>,
}

#[derive(Debug)]
struct MaskCountsInner {
    file: String,
    events: AtomicU64,
    certified: AtomicU64,
}

impl MaskCounts {
    /// Nothing was looked at yet.
    pub(crate) fn new(file: &str) -> Self {
        let (events, certified) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { inner: Arc::new(MaskCountsInner { file: file.to_string(), events, certified }) }
    }

    /// The mask.
    pub fn file(&self) -> &str {
        &self.inner.file
    }

    /// Events that were looked at.
    pub fn events(&self) -> u64 {
        self.inner.events.load(Ordering::Relaxed)
    }

    /// Those that are certified.
    pub fn certified(&self) -> u64 {
        self.inner.certified.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, events: u64, certified: u64) {
        self.inner.events.fetch_add(events, Ordering::Relaxed);
        self.inner.certified.fetch_add(certified, Ordering::Relaxed);
    }
}

/// The record of all files that a session touched. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    files: Arc<Mutex<Files>>,
    warnings: Arc<Mutex<Vec<String>>>,
    masks: Arc<Mutex<Vec<MaskCounts>>>,
    filled: Arc<Mutex<Vec<FilledColumn>>>,
}

#[derive(Debug, Default)]
struct Files {
    /// In the order in which they were met.
    records: Vec<FileRecord>,
    /// Their places by name.
    places: HashMap<String, usize>,
}

impl Ledger {
    /// Adds a file, or replaces what was known of it. A file that was skipped once stays so.
    pub fn record(&self, record: FileRecord) {
        let mut files = self.files.lock();
        let Files { records, places } = &mut *files;
        match places.get(&record.file).and_then(|place| records.get_mut(*place)) {
            Some(known) if known.outcome == Outcome::Ok => *known = record,
            Some(_) => {}
            None => {
                places.insert(record.file.clone(), records.len());
                records.push(record);
            }
        }
    }

    /// Notes the place that an error says may not be read, if that is what it says.
    pub fn denied(&self, error: &Error) {
        let source = match error {
            Error::Location(source) => source,
            Error::Sample { source, .. } => source.as_ref(),
            _ => return,
        };
        let (eos_io::Error::PermissionDenied { path: file, .. } | eos_io::Error::Unauthenticated { spec: file, .. }) =
            source
        else {
            return;
        };
        let outcome = Outcome::Denied { reason: source.to_string() };
        self.record(FileRecord { file: file.clone(), entries: 0, bytes: 0, outcome });
    }

    /// Adds a warning unless it is there already; `true` if it is new.
    pub fn warn(&self, warning: impl Into<String>) -> bool {
        let warning = warning.into();
        let mut warnings = self.warnings.lock();
        let new = !warnings.contains(&warning);
        if new {
            warnings.push(warning);
        }
        new
    }

    /// The counts of a mask that tables are read through, under the name that it was given by.
    pub(crate) fn mask(&self, file: &str) -> MaskCounts {
        let mut masks = self.masks.lock();
        if let Some(known) = masks.iter().find(|known| known.file() == file) {
            return known.clone();
        }
        let counts = MaskCounts::new(file);
        masks.push(counts.clone());
        counts
    }

    /// The luminosity masks that tables are read through.
    pub fn masks(&self) -> Vec<MaskCounts> {
        self.masks.lock().clone()
    }

    /// Notes that a default stands in for a column.
    pub(crate) fn fill(&self, filled: FilledColumn) {
        let mut known = self.filled.lock();
        if !known.contains(&filled) {
            known.push(filled);
        }
    }

    /// The defaults that stand in for columns.
    pub fn filled(&self) -> Vec<FilledColumn> {
        self.filled.lock().clone()
    }

    /// All files so far.
    pub fn files(&self) -> Vec<FileRecord> {
        self.files.lock().records.clone()
    }

    /// All warnings so far, in order.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().clone()
    }

    /// Number of files that were left out, whole or in part.
    pub fn skipped(&self) -> usize {
        let is_left_out = |outcome: &Outcome| matches!(outcome, Outcome::Skipped { .. } | Outcome::NoTree);
        self.files.lock().records.iter().filter(|f| is_left_out(&f.outcome)).count()
    }
}
