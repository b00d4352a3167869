//! Files that are open, by path. Who asks while a file is being opened waits for that one open. A file that nobody has
//! read for a while is closed.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::path::Path;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::error::Error;
use crate::file::File;

/// Beyond this many the ones that were used longest ago are closed first.
const MOST: usize = 256;

pub(super) struct OpenFiles {
    state: Mutex<State>,
    idle: Duration,
}

#[derive(Default)]
struct State {
    entries: HashMap<Path, Entry>,
    is_swept: bool,
}

struct Entry {
    /// The file, or why it could not be opened: who waits for the same open is told the same.
    file: Arc<OnceCell<Result<Arc<File>, Error>>>,
    used: Instant,
}

impl OpenFiles {
    pub(super) fn new(idle: Duration) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), idle })
    }

    /// The open file of that path, opened if it is not.
    pub(super) async fn get<F, W>(self: &Arc<Self>, path: &Path, open: F) -> Result<Arc<File>, Error>
    where
        F: FnOnce() -> W,
        W: Future<Output = Result<File, Error>>,
    {
        let cell = {
            let mut state = self.state.lock();
            let now = Instant::now();
            let entry = state.entries.entry(path.clone()).or_insert_with(|| Entry { file: Arc::default(), used: now });
            entry.used = now;
            let cell = Arc::clone(&entry.file);
            make_room(&mut state.entries);
            if !std::mem::replace(&mut state.is_swept, true) {
                self.sweep();
            }
            cell
        };
        let opened = cell.get_or_init(|| async { open().await.map(Arc::new) }).await.clone();
        if opened.is_err() {
            self.state.lock().entries.retain(|_, entry| !Arc::ptr_eq(&entry.file, &cell));
        }
        opened
    }

    /// Closes a file that is about to change, once its readers are done.
    pub(super) fn forget(&self, path: &Path) {
        self.state.lock().entries.remove(path);
    }

    /// Closes what is idle, as long as there is anything.
    fn sweep(self: &Arc<Self>) {
        const SHORTEST: Duration = Duration::from_millis(20);
        let (files, idle) = (Arc::downgrade(self), self.idle);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep((idle / 2).max(SHORTEST)).await;
                let Some(files) = files.upgrade() else {
                    return;
                };
                let mut state = files.state.lock();
                state.entries.retain(|_, entry| entry.used.elapsed() < idle || is_read(entry));
                if state.entries.is_empty() {
                    state.is_swept = false;
                    return;
                }
            }
        });
    }
}

/// Whether somebody is opening or reading the file.
fn is_read(entry: &Entry) -> bool {
    match entry.file.get() {
        Some(Ok(file)) => Arc::strong_count(file) > 1,
        Some(Err(_)) => false,
        None => Arc::strong_count(&entry.file) > 1,
    }
}

fn make_room(entries: &mut HashMap<Path, Entry>) {
    if entries.len() <= MOST {
        return;
    }
    let idle = entries.iter().filter(|(_, entry)| !is_read(entry));
    let oldest = idle.min_by_key(|(_, entry)| entry.used).map(|(path, _)| path.clone());
    if let Some(path) = oldest {
        entries.remove(&path);
    }
}
