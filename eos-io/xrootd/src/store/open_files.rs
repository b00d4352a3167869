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
    entries: Mutex<HashMap<Path, Entry>>,
    idle: Duration,
}

struct Entry {
    file: Arc<OnceCell<Arc<File>>>,
    used: Instant,
}

impl OpenFiles {
    pub(super) fn new(idle: Duration) -> Arc<Self> {
        Arc::new(Self { entries: Mutex::default(), idle })
    }

    /// The open file of that path, opened if it is not.
    pub(super) async fn get<F, W>(self: &Arc<Self>, path: &Path, open: F) -> Result<Arc<File>, Error>
    where
        F: FnOnce() -> W,
        W: Future<Output = Result<File, Error>>,
    {
        let cell = {
            let mut entries = self.entries.lock();
            let is_first = entries.is_empty();
            let now = Instant::now();
            let entry = entries.entry(path.clone()).or_insert_with(|| Entry { file: Arc::default(), used: now });
            entry.used = now;
            let cell = Arc::clone(&entry.file);
            make_room(&mut entries);
            if is_first {
                self.sweep();
            }
            cell
        };
        let file = cell.get_or_try_init(|| async { open().await.map(Arc::new) }).await;
        if file.is_err() {
            self.entries.lock().retain(|_, entry| !Arc::ptr_eq(&entry.file, &cell) || entry.file.initialized());
        }
        file.cloned()
    }

    /// Closes a file that is about to change, once its readers are done.
    pub(super) fn forget(&self, path: &Path) {
        self.entries.lock().remove(path);
    }

    /// Closes what is idle, as long as there is anything.
    fn sweep(self: &Arc<Self>) {
        let (files, idle) = (Arc::downgrade(self), self.idle);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(idle / 2).await;
                let Some(files) = files.upgrade() else {
                    return;
                };
                let mut entries = files.entries.lock();
                entries.retain(|_, entry| entry.used.elapsed() < idle || is_read(entry));
                if entries.is_empty() {
                    return;
                }
            }
        });
    }
}

/// Whether somebody is opening or reading the file.
fn is_read(entry: &Entry) -> bool {
    match entry.file.get() {
        Some(file) => Arc::strong_count(file) > 1,
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
