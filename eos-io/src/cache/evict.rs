//! Keeping the directory's size. No process knows what the others wrote, so whoever has written a little looks at all of
//! it and removes what was not used for longest. Only one does so at a time; blocks that others are reading stay readable
//! for them, as removing a name takes nothing from those who have the file open.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Drafts so old were left behind by a process that died.
const ABANDONED: Duration = Duration::from_secs(600);
/// What a file takes on the disk is a multiple of this.
const DISK_BLOCK: u64 = 4 << 10;

/// Bytes that a process writes between two looks at the size.
pub(crate) fn step(limit: u64) -> u64 {
    (limit / 64).max(1)
}

struct Found {
    used: SystemTime,
    bytes: u64,
    path: PathBuf,
}

/// Removes the blocks that were not used for longest where there is more than the limit, less some room for what other
/// processes write meanwhile; answers how many bytes it removed.
pub(crate) fn evict(root: &Path, limit: u64) -> io::Result<u64> {
    let lock = File::options().write(true).create(true).truncate(false).open(root.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => {}
        // Another process does it.
        Err(TryLockError::WouldBlock) => return Ok(0),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let drafts = clear_drafts(&root.join("tmp"))?;
    let mut blocks = Vec::new();
    collect(&root.join("blocks"), 2, &mut blocks)?;
    let mut total = drafts + blocks.iter().map(|found| found.bytes).sum::<u64>();
    let mut removed = 0;
    if total <= limit - limit / 16 {
        return Ok(removed);
    }
    blocks.sort_unstable_by_key(|found| found.used);
    for found in blocks {
        if total <= limit - limit / 8 {
            break;
        }
        if fs::remove_file(&found.path).is_ok() {
            removed += found.bytes;
            // The directories of the file go with their last block; others refuse to.
            let parents = found.path.ancestors().skip(1).take(2);
            let _ = parents.map(fs::remove_dir).take_while(Result::is_ok).count();
        }
        total = total.saturating_sub(found.bytes);
    }
    Ok(removed)
}

/// The blocks, so many directories down. What goes while this looks is not there any more.
fn collect(directory: &Path, depth: usize, found: &mut Vec<Found>) -> io::Result<()> {
    for entry in entries(directory)? {
        let entry = entry?;
        let Some(meta) = present(entry.metadata())? else { continue };
        if meta.is_dir() && depth > 0 {
            collect(&entry.path(), depth - 1, found)?;
        } else if meta.is_file() {
            found.push(Found { used: meta.modified()?, bytes: on_disk(meta.len()), path: entry.path() });
        }
    }
    Ok(())
}

/// Removes drafts that nobody will finish; answers how many bytes the others have.
fn clear_drafts(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in entries(directory)? {
        let entry = entry?;
        let Some(meta) = present(entry.metadata())? else { continue };
        let age = meta.modified()?.elapsed().unwrap_or_default();
        if age < ABANDONED || fs::remove_file(entry.path()).is_err() {
            bytes += on_disk(meta.len());
        }
    }
    Ok(bytes)
}

fn entries(directory: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    Ok(present(fs::read_dir(directory))?.into_iter().flatten())
}

fn present<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn on_disk(length: u64) -> u64 {
    length.next_multiple_of(DISK_BLOCK)
}
