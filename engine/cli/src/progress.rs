//! The progress bar: drawn on a terminal, for what takes longer than two seconds, by a thread of its own that polls
//! counters.

use std::io::IsTerminal;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use root_engine::RootSession;

/// What takes no longer gets no bar.
const PATIENCE: Duration = Duration::from_secs(2);
const REDRAW: Duration = Duration::from_millis(100);

/// How far something is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files to read.
    pub files: u64,
    /// Entries to read; 0 as long as it is not known.
    pub entries_total: u64,
    /// Entries that were read.
    pub entries_done: u64,
    /// Stored bytes that were read.
    pub bytes: u64,
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
            entries_total: now.entries_total,
            entries_done: now.entries_done,
            bytes: now.bytes_read,
        }
    })
}

/// The bar that is on the screen, if one is. Clones share it.
#[derive(Clone, Default)]
pub struct Slot {
    bar: Arc<Mutex<Option<ProgressBar>>>,
}

impl Slot {
    /// Takes the bar off the screen.
    pub fn clear(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }

    fn draw(&self, message: String, done: u64, total: u64) {
        let mut slot = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = slot.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {percent:>3}%  {wide_msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        bar.set_length(total.max(1));
        bar.set_position(done);
        bar.set_message(message);
        bar.tick();
    }
}

/// A running progress bar; it goes when this is dropped.
pub struct Bar {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Bar {
    /// Starts to watch, if it is wanted and standard error is a terminal.
    pub fn start(watch: Watch, wanted: bool, slot: Slot) -> Self {
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
                    slot.draw(message(counts, started.elapsed()), counts.entries_done, counts.entries_total);
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

/// Files, events, bytes, rate, and the time that is left.
fn message(counts: Counts, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let files = match counts.files {
        1 => "1 file".to_string(),
        n => format!("{} files", HumanCount(n)),
    };
    if counts.entries_total == 0 {
        return format!("{files}, {:.0} s", seconds);
    }
    let rate = HumanBytes((counts.bytes as f64 / seconds) as u64);
    let left = match counts.entries_done {
        0 => "?".to_string(),
        done => {
            let remaining = counts.entries_total.saturating_sub(done) as f64 / done as f64 * seconds;
            clock(remaining)
        }
    };
    format!(
        "{files}, {} of {} events, {}, {rate}/s, ETA {left}",
        HumanCount(counts.entries_done),
        HumanCount(counts.entries_total),
        HumanBytes(counts.bytes)
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
        let counts = Counts { files: 2, entries_total: 4_000_000, entries_done: 1_000_000, bytes: 50 << 20 };
        assert_eq!(
            message(counts, Duration::from_secs(10)),
            "2 files, 1,000,000 of 4,000,000 events, 50.00 MiB, 5.00 MiB/s, ETA 0:30"
        );
        assert_eq!(message(Counts::default(), Duration::from_secs(3)), "0 files, 3 s");
        assert_eq!(clock(3723.4), "1:02:03");
    }
}
