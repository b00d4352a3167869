//! Repeats and clocks. The machine may be shared, so that CPU seconds count more than wall seconds.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::histogram::Histogram;

/// What one repeat did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Entries that were read.
    pub entries: u64,
    /// Bytes of column data that came out: values and list offsets.
    pub column_bytes: u64,
    /// Stored bytes that went in.
    pub stored_bytes: u64,
    /// The filled histogram, of contenders that fill one.
    pub histogram: Option<Histogram>,
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Runs `work` once to warm up and then `repeats` times, and tells as JSON how long each of them took.
pub fn repeat(repeats: usize, mut work: impl FnMut() -> Outcome) -> Value {
    let mut outcome = work();
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        // User and system seconds of all threads together.
        let (started, before) = (Instant::now(), cpu_seconds());
        outcome = work();
        cpu.push(cpu_seconds() - before);
        wall.push(started.elapsed().as_secs_f64());
    }
    json!({
        "wall": wall,
        "cpu": cpu,
        "entries": outcome.entries,
        "column_bytes": outcome.column_bytes,
        "stored_bytes": outcome.stored_bytes,
        "bins": outcome.histogram.map(|h| h.filled()),
    })
}
