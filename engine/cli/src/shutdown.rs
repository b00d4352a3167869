//! Ctrl-C. A thread of its own waits for signals, because the others may be deep in a computation that does not pause;
//! it removes what is half written, and ends the program at once.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Notify, watch};

use crate::exit::Exit;

type LastWords = Box<dyn Fn(Exit) + Send>;
type Scratch = Box<dyn Fn() -> Vec<PathBuf> + Send>;

/// How long an early end waits for servers: to take back what is half written, and to take the report.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a scratch directory is tried to be removed, into which another thread may still be writing.
const SCRATCH_TRIES: usize = 5;

/// What has to happen before the program may end, and who wants to hear of Ctrl-C first. Clones share it.
#[derive(Clone, Default)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    unfinished: Mutex<Vec<PathBuf>>,
    /// Set to the end of those who wait for it: each upload holds a receiver.
    leaving: watch::Sender<bool>,
    scratch: Mutex<Option<Scratch>>,
    last_words: Mutex<Option<LastWords>>,
    /// Set while a prompt has a query running: the first Ctrl-C then stops the query, not the program.
    cancellable: AtomicBool,
    cancel: Notify,
}

impl Shutdown {
    /// Starts to listen.
    pub fn listen(&self) {
        let own = self.clone();
        let thread = std::thread::Builder::new().name("signals".into()).stack_size(256 << 10);
        // Without the thread a signal still ends the program, only less tidily.
        let _ = thread.spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(own.serve());
        });
    }

    async fn serve(&self) {
        #[cfg(unix)]
        let terminated = async {
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(mut signal) => drop(signal.recv().await),
                Err(_) => std::future::pending().await,
            }
        };
        #[cfg(not(unix))]
        let terminated = std::future::pending::<()>();
        tokio::pin!(terminated);
        loop {
            tokio::select! {
                pressed = tokio::signal::ctrl_c() => {
                    if pressed.is_err() {
                        return;
                    }
                    if self.inner.cancellable.swap(false, Ordering::SeqCst) {
                        self.inner.cancel.notify_one();
                    } else {
                        self.end(Exit::Interrupted).await;
                    }
                }
                () = &mut terminated => self.end(Exit::Terminated).await,
            }
        }
    }

    /// Ends the program. Servers get a moment, which a second Ctrl-C cuts short.
    async fn end(&self, exit: Exit) {
        self.remove_unfinished();
        self.remove_scratch();
        tokio::select! {
            () = self.leave(exit) => {}
            () = tokio::time::sleep(PATIENCE) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        let _ = std::io::stderr().flush();
        std::process::exit(i32::from(exit.code()));
    }

    /// Has uploads taken back, and says the last words.
    async fn leave(&self, exit: Exit) {
        let leaving = &self.inner.leaving;
        leaving.send_replace(true);
        leaving.closed().await;
        // The report may be an upload itself.
        leaving.send_replace(false);
        let last_words = self.inner.last_words.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(say) = last_words {
            // A task of its own, as the report may go to a server that does not answer.
            let _ = tokio::task::spawn_blocking(move || say(exit)).await;
        }
    }

    /// Removes all files that are half written.
    pub fn remove_unfinished(&self) {
        let paths = std::mem::take(&mut *self.inner.unfinished.lock().unwrap_or_else(PoisonError::into_inner));
        for path in paths {
            let _ = std::fs::remove_file(path);
        }
    }

    fn remove_scratch(&self) {
        let Some(scratch) = self.inner.scratch.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        for directory in scratch() {
            (0..SCRATCH_TRIES).any(|_| std::fs::remove_dir_all(&directory).is_ok() || !directory.exists());
        }
    }

    /// Where the directories are found to which sorts, joins and groups spill.
    pub fn set_scratch(&self, directories: impl Fn() -> Vec<PathBuf> + Send + 'static) {
        *self.inner.scratch.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(directories));
    }

    /// A file that must not outlive an early end.
    pub fn unfinished(&self, path: &Path) {
        self.inner.unfinished.lock().unwrap_or_else(PoisonError::into_inner).push(path.to_path_buf());
    }

    /// Renames a file that is complete now; from then on it stays.
    pub fn finished(&self, path: &Path, name: &Path) -> std::io::Result<()> {
        // Under the lock, so that a signal finds either the unfinished file or the finished one.
        let mut unfinished = self.inner.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        std::fs::rename(path, name)?;
        unfinished.retain(|known| known != path);
        Ok(())
    }

    /// Announces an upload. An early end waits until it is dropped.
    pub fn uploading(&self) -> Uploading {
        Uploading { leaving: self.inner.leaving.subscribe() }
    }

    /// What is done at the very end of an interrupted run.
    pub fn set_last_words(&self, say: impl Fn(Exit) + Send + 'static) {
        *self.inner.last_words.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(say));
    }

    /// Runs a query of the prompt until it is done, or until Ctrl-C: then the answer is `None`.
    pub async fn cancellable<T>(&self, query: impl Future<Output = T>) -> Option<T> {
        // A Ctrl-C that came just as the query before ended is not meant for this one.
        let _ = self.inner.cancel.notified().now_or_never();
        self.inner.cancellable.store(true, Ordering::SeqCst);
        let done = tokio::select! {
            done = query => Some(done),
            () = self.inner.cancel.notified() => None,
        };
        self.inner.cancellable.store(false, Ordering::SeqCst);
        done
    }
}

/// A file on its way to a server, which an early end has taken back.
pub struct Uploading {
    leaving: watch::Receiver<bool>,
}

impl Uploading {
    /// Waits for the early end, if there is one.
    pub async fn interrupted(&mut self) {
        if self.leaving.wait_for(|leaving| *leaving).await.is_err() {
            std::future::pending().await
        }
    }
}
