//! The progress bar: drawn on a terminal, for what takes longer than two seconds, by a thread of its own that polls
//! counters.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount};
use root_engine::RootSession;

use crate::attention::Attention;
use crate::console::printable;

/// What takes no longer gets no bar.
const PATIENCE: Duration = Duration::from_secs(2);
/// Terminals of so many columns have room for a bar beside the numbers.
const PICTURE_FROM: usize = 100;
const PICTURE: usize = 20;
/// Clears what is left of the line, and all of it.
const REST: &str = "\x1b[K";
const CLEAR: &str = "\r\x1b[K";
const REDRAW: Duration = Duration::from_millis(100);

/// How far something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files to read.
    pub files: u64,
    /// Files that were opened, where that is what takes time.
    pub files_done: u64,
    /// Entries to read; 0 as long as it is not known.
    pub entries_total: u64,
    /// Entries that were read.
    pub entries_done: u64,
    /// Stored bytes that were read.
    pub bytes: u64,
    /// Bytes to copy, where that is what takes time.
    pub bytes_total: u64,
}

/// Where the counters are read.
pub type Watch = Arc<dyn Fn() -> Counts + Send + Sync>;

/// The counters of a session.
pub fn of_session(session: &RootSession) -> Watch {
    let progress = session.progress();
    Arc::new(move || {
        let now = progress.snapshot();
        Counts {
            files: now.files_total,
            files_done: 0,
            entries_total: now.entries_total,
            entries_done: now.entries_done,
            bytes: now.bytes_read,
            bytes_total: 0,
        }
    })
}

/// Whether a bar is on the screen. Clones share it.
#[derive(Clone, Default)]
pub struct Slot {
    drawn: Arc<Mutex<bool>>,
}

impl Slot {
    /// Takes the bar off the screen.
    pub fn clear(&self) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut *drawn) {
            put(CLEAR);
        }
    }

    fn draw(&self, counts: Counts, elapsed: Duration, waiting: Option<&str>) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        *drawn = true;
        let width = terminal_size::terminal_size_of(std::io::stderr()).map_or(80, |(width, _)| usize::from(width.0));
        put(&format!("\r{}{REST}", line(counts, elapsed, waiting, width)));
    }
}

/// Writes to the terminal, if it is still there.
fn put(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// A running progress bar; it goes when this is dropped.
pub struct Bar {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Bar {
    /// Starts to watch, if it is wanted and standard error is a terminal.
    pub fn start(watch: Watch, attention: Attention, wanted: bool, slot: Slot) -> Self {
        let stop: Arc<(Mutex<bool>, Condvar)> = Arc::default();
        if !wanted || !std::io::stderr().is_terminal() {
            return Self { stop, thread: None };
        }
        let (own, started) = (stop.clone(), Instant::now());
        let thread = std::thread::Builder::new().name("progress".into()).spawn(move || {
            let (stopped, change) = own.as_ref();
            let mut wait = PATIENCE;
            let mut guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
            while !*guard {
                let (next, timeout) = change.wait_timeout(guard, wait).unwrap_or_else(PoisonError::into_inner);
                guard = next;
                if timeout.timed_out() && !*guard {
                    let counts = watch();
                    slot.draw(counts, started.elapsed(), attention.waiting().as_deref());
                    wait = REDRAW;
                }
            }
            slot.clear();
        });
        Self { stop, thread: thread.ok() }
    }

    /// Takes the bar off the screen for good.
    pub fn stop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The bar on a terminal of so many columns. The numbers matter more than the picture. The last column stays free, as some
/// terminals go on in the next line behind it.
fn line(counts: Counts, elapsed: Duration, waiting: Option<&str>, width: usize) -> String {
    let (done, total) = match (counts.entries_total, counts.bytes_total) {
        (0, 0) => (counts.files_done, counts.files),
        (0, total) => (counts.bytes, total),
        (total, _) => (counts.entries_done, total),
    };
    let share = if total > 0 { done as f64 / total as f64 } else { 0.0 };
    let share = share.clamp(0.0, 1.0);
    let picture = if width >= PICTURE_FROM {
        let filled = (share * PICTURE as f64) as usize;
        format!("[{}{}] ", "=".repeat(filled), " ".repeat(PICTURE.saturating_sub(filled)))
    } else {
        String::new()
    };
    // Rounded down, so that 100 % means done.
    let message = match waiting {
        // What holds everything up matters more than how fast it was.
        Some(waiting) => printable(waiting),
        None => message(counts, elapsed),
    };
    let line = format!("{:>3}% {picture}{message}", (share * 100.0) as u64);
    line.chars().take(width.saturating_sub(1)).collect()
}

/// Files, events, bytes, rate, and the time that is left.
fn message(counts: Counts, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = HumanBytes((counts.bytes as f64 / seconds) as u64);
    let left = |done: u64, total: u64| match done {
        0 => "?".to_string(),
        done => clock(total.saturating_sub(done) as f64 / done as f64 * seconds),
    };
    if counts.bytes_total > 0 {
        return format!(
            "{}/{} files, {}/{}, {rate}/s, ETA {}",
            HumanCount(counts.files_done),
            HumanCount(counts.files),
            HumanBytes(counts.bytes),
            HumanBytes(counts.bytes_total),
            left(counts.bytes, counts.bytes_total)
        );
    }
    if counts.entries_total == 0 {
        return match counts.files {
            0 => format!("opening, {seconds:.0} s"),
            files => format!("{}/{} files opened, {seconds:.0} s", HumanCount(counts.files_done), HumanCount(files)),
        };
    }
    let files = match counts.files {
        1 => "1 file".to_string(),
        n => format!("{} files", HumanCount(n)),
    };
    format!(
        "{files}, {}/{} events, {}, {rate}/s, ETA {}",
        HumanCount(counts.entries_done),
        HumanCount(counts.entries_total),
        HumanBytes(counts.bytes),
        left(counts.entries_done, counts.entries_total)
    )
}

/// `1:02:03`, `2:03`.
fn clock(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_tells_files_events_bytes_rate_and_time_left() {
        let counts = Counts {
            files: 2,
            entries_total: 4_000_000,
            entries_done: 1_000_000,
            bytes: 50 << 20,
            ..Counts::default()
        };
        assert_eq!(
            message(counts, Duration::from_secs(10)),
            "2 files, 1,000,000/4,000,000 events, 50.00 MiB, 5.00 MiB/s, ETA 0:30"
        );
        let opening = Counts { files: 2000, files_done: 100, ..Counts::default() };
        assert_eq!(message(opening, Duration::from_secs(3)), "100/2,000 files opened, 3 s");
        let copying = Counts { files: 3, files_done: 1, bytes: 50 << 20, bytes_total: 200 << 20, ..Counts::default() };
        assert_eq!(message(copying, Duration::from_secs(10)), "1/3 files, 50.00 MiB/200.00 MiB, 5.00 MiB/s, ETA 0:30");
        assert!(line(copying, Duration::from_secs(10), None, 200).starts_with(" 25%"));
        assert_eq!(clock(3723.4), "1:02:03");
    }

    #[test]
    fn the_bar_stays_within_its_line() {
        let counts = Counts { files: 2, entries_total: 400, entries_done: 399, bytes: 50 << 20, ..Counts::default() };
        let wide = line(counts, Duration::from_secs(10), None, 200);
        let waiting = line(counts, Duration::from_secs(10), Some("waiting for h (staging), 40 s"), 90);
        assert_eq!(waiting, " 99% waiting for h (staging), 40 s");
        assert!(wide.starts_with(" 99% [=================== ] 2 files"), "{wide}");
        for width in [0, 1, 40, 80, 100] {
            assert!(line(counts, Duration::from_secs(10), None, width).len() <= width.saturating_sub(1));
        }
    }
}
