//! The ledger: what became of every file. Nothing is dropped without a line in it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

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

/// The record of all files that a session touched. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    files: Arc<Mutex<Files>>,
    warnings: Arc<Mutex<Vec<String>>>,
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
        self.files.lock().records.iter().filter(|f| f.outcome != Outcome::Ok).count()
    }
}
