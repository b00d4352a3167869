//! What a task tells besides its rows: how much it read, and what it found out. It goes with the counters of the task, as the
//! name of one of them, because that is what executors tell the scheduler of finished tasks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use root_engine::wire::TaskReport;
use serde::{Deserialize, Serialize};

/// What the name of such a counter begins with.
const PREFIX: &str = "root-query-note:";

/// What a finished task tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskNote {
    /// The partitions of its stage that it computed.
    pub partitions: Vec<usize>,
    /// Entries that its scans have passed.
    pub entries: u64,
    /// Stored bytes of the baskets that they have read.
    pub bytes: u64,
    /// What they have found out.
    #[serde(default, skip_serializing_if = "TaskReport::is_empty")]
    pub report: TaskReport,
}

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgress {
    /// Tasks that are done.
    pub tasks: usize,
    /// Entries that they have passed.
    pub entries: u64,
    /// Stored bytes that they have read.
    pub bytes: u64,
    /// What they have found out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<TaskReport>,
}

impl TaskNote {
    /// The name of a counter that says it.
    pub fn to_name(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(serde_json::to_vec(self).unwrap_or_default()))
    }

    /// What the name of a counter says, if it is such a note.
    pub fn from_name(name: &str) -> Option<Self> {
        serde_json::from_slice(&STANDARD.decode(name.strip_prefix(PREFIX)?).ok()?).ok()
    }
}

impl JobProgress {
    /// What the tasks of a job have told so far.
    pub fn of<'a>(notes: impl IntoIterator<Item = &'a TaskNote>) -> Self {
        let mut progress = Self::default();
        for note in notes {
            progress.tasks += 1;
            progress.entries += note.entries;
            progress.bytes += note.bytes;
            if !note.report.is_empty() {
                progress.reports.push(note.report.clone());
            }
        }
        progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_what_the_name_of_its_counter_says() {
        let note = TaskNote { partitions: vec![3, 4], entries: 5, bytes: 6, ..TaskNote::default() };
        assert_eq!(TaskNote::from_name(&note.to_name()), Some(note));
        assert_eq!(TaskNote::from_name("output_rows"), None);
    }
}
