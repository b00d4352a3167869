//! The ledger: what became of every file. Nothing is dropped without a line in it.

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
    files: Arc<Mutex<Vec<FileRecord>>>,
    warnings: Arc<Mutex<Vec<String>>>,
}

impl Ledger {
    /// Adds a file, or replaces what was known of it. A file that was skipped once stays so.
    pub fn record(&self, record: FileRecord) {
        let mut files = self.files.lock();
        match files.iter_mut().find(|known| known.file == record.file) {
            Some(known) if known.outcome == Outcome::Ok => *known = record,
            Some(_) => {}
            None => files.push(record),
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
        self.files.lock().clone()
    }

    /// All warnings so far, in order.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().clone()
    }

    /// Number of files that were left out, whole or in part.
    pub fn skipped(&self) -> usize {
        self.files.lock().iter().filter(|f| f.outcome != Outcome::Ok).count()
    }
}
