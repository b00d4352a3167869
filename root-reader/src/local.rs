//! Local files that stay usable in any number: a process may have some hundred files open, and a table have thousands. The
//! handles of those that were opened longest ago are closed, and opened again when they are read.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Handles that are open at the same time. Systems allow 256 and more to a process, for all that it opens.
const MOST: usize = 128;

/// The files whose handles are open, from that opened longest ago to the last one.
static OPEN: Mutex<VecDeque<Weak<LocalFile>>> = Mutex::new(VecDeque::new());

/// A local file. It is the same file as long as it exists: one that takes its place is not read.
#[derive(Debug)]
pub(crate) struct LocalFile {
    path: PathBuf,
    identity: Identity,
    handle: Mutex<Option<Arc<File>>>,
}

/// What no two files have in common.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = (u64, Option<std::time::SystemTime>);

impl LocalFile {
    /// The file that was opened at a path.
    pub(crate) fn opened(file: File, path: PathBuf) -> io::Result<Arc<Self>> {
        let identity = identity(&file)?;
        let opened = Arc::new(Self { path, identity, handle: Mutex::new(Some(Arc::new(file))) });
        opened.remember();
        Ok(opened)
    }

    /// Fills a buffer with the bytes from some place on.
    pub(crate) fn read_at(self: &Arc<Self>, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        read_at(&*self.handle()?, buffer, offset)
    }

    fn handle(self: &Arc<Self>) -> io::Result<Arc<File>> {
        let mut handle = lock(&self.handle);
        if let Some(file) = &*handle {
            return Ok(file.clone());
        }
        let file = File::open(&self.path)?;
        if identity(&file)? != self.identity {
            return Err(io::Error::other("another file has taken its place since it was opened; run the query again"));
        }
        let file = Arc::new(file);
        *handle = Some(file.clone());
        drop(handle);
        self.remember();
        Ok(file)
    }

    /// Has others closed if too many are open.
    fn remember(self: &Arc<Self>) {
        let mut open = lock(&OPEN);
        open.push_back(Arc::downgrade(self));
        if open.len() > MOST {
            open.retain(|file| file.strong_count() > 0);
        }
        while open.len() > MOST {
            if let Some(oldest) = open.pop_front().and_then(|file| file.upgrade()) {
                *lock(&oldest.handle) = None;
            }
        }
    }
}

/// What is behind these locks is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(unix)]
fn identity(file: &File) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;
    file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(file: &File) -> io::Result<Identity> {
    file.metadata().map(|metadata| (metadata.len(), metadata.modified().ok()))
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !buffer.is_empty() {
        match file.seek_read(buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                buffer = buffer.split_at_mut(n).1;
                offset += n as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &tempfile::TempDir, number: usize) -> Arc<LocalFile> {
        let path = folder.path().join(number.to_string());
        std::fs::write(&path, format!("{number:8}")).unwrap();
        LocalFile::opened(File::open(&path).unwrap(), path).unwrap()
    }

    fn read(file: &Arc<LocalFile>) -> io::Result<String> {
        let mut buffer = [0; 8];
        file.read_at(&mut buffer, 0)?;
        Ok(String::from_utf8_lossy(&buffer).trim().to_string())
    }

    #[test]
    fn many_files_are_read_through_few_handles() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..3 * MOST).map(|number| open(&folder, number)).collect();
        for round in 0..2 {
            for (number, file) in files.iter().enumerate() {
                assert_eq!(read(file).unwrap(), number.to_string(), "round {round}");
            }
            assert!(files.iter().filter(|file| lock(&file.handle).is_some()).count() <= MOST);
        }
    }

    #[test]
    fn a_file_that_took_the_place_of_another_is_not_read_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(&folder, 0);
        let later: Vec<_> = (1..2 * MOST).map(|number| open(&folder, number)).collect();
        assert_eq!(later.len(), 2 * MOST - 1);
        std::fs::write(folder.path().join("new"), "changed!").unwrap();
        std::fs::rename(folder.path().join("new"), folder.path().join("0")).unwrap();
        assert!(read(&first).unwrap_err().to_string().contains("taken its place"));
    }
}
