//! Where an executor keeps rows and what it spills: a directory of its own, so that executors can share a disk, and none
//! leaves anything behind. One that was killed could not clean up; the next that starts does it, as the lock of a directory
//! ends with the process that held it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What the directories of executors are called.
const PREFIX: &str = "root-executor-";
/// The directory in it for what Ballista keeps.
const ROWS: &str = "rows";
/// The file in it that is locked as long as its executor lives.
const LOCK: &str = "lock";

/// The directory of an executor, removed with all that is in it when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one in a directory, which is made too if there is none, and removes those of executors that are gone.
    pub(crate) fn inside(parent: Option<&Path>) -> io::Result<Self> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        fs::create_dir_all(&parent)?;
        remove_abandoned(&parent);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent)?;
        fs::create_dir(folder.path().join(ROWS))?;
        // It is locked before it has the name that others look for.
        let unnamed = folder.path().join("lock.new");
        let lock = File::create(&unnamed)?;
        lock.try_lock()?;
        fs::rename(unnamed, folder.path().join(LOCK))?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where rows go, and what is spilled.
    pub(crate) fn rows(&self) -> PathBuf {
        self.folder.path().join(ROWS)
    }
}

/// The jobs of which there are rows.
pub(crate) fn jobs_in(rows: &Path) -> Vec<String> {
    let entries = fs::read_dir(rows).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_job(name)).collect()
}

/// Whether a directory is called like a job; there are others, where something is spilled.
fn is_job(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Removes the rows of jobs, of those that there are: what others call a job may be any path.
pub(crate) fn remove_jobs(rows: &Path, jobs: &[String]) {
    for job in jobs_in(rows).iter().filter(|job| jobs.contains(job)) {
        match fs::remove_dir_all(rows.join(job)) {
            Ok(()) => tracing::info!(job, "removed its rows, which nobody wants any more"),
            // The scheduler may have had them removed in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(job, "its rows stay: {error}"),
        }
    }
}

/// Removes the directories of executors that were killed. Those of other users stay, as do those that are in use.
fn remove_abandoned(parent: &Path) {
    for folder in fs::read_dir(parent).into_iter().flatten().flatten() {
        let named = folder.file_name().to_string_lossy().starts_with(PREFIX);
        if named && folder.file_type().is_ok_and(|kind| kind.is_dir()) && is_abandoned(&folder.path()) {
            match fs::remove_dir_all(folder.path()) {
                Ok(()) => tracing::info!("removed {}, which an executor left behind", folder.path().display()),
                Err(error) => tracing::warn!("{} stays: {error}", folder.path().display()),
            }
        }
    }
}

fn is_abandoned(folder: &Path) -> bool {
    let lock: PathBuf = folder.join(LOCK);
    // Not through a link, which another user could have put there.
    if !fs::symlink_metadata(&lock).is_ok_and(|file| file.is_file()) {
        return false;
    }
    let Ok(lock) = File::options().write(true).open(lock) else { return false };
    !matches!(lock.try_lock(), Err(TryLockError::WouldBlock | TryLockError::Error(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_directory_is_gone_with_its_executor() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::inside(Some(&parent.path().join("new"))).unwrap();
        fs::write(scratch.rows().join("1.arrow"), "r").unwrap();
        drop(scratch);
        assert!(names(&parent.path().join("new")).is_empty());
    }

    #[test]
    fn what_a_killed_executor_left_is_removed_by_the_next_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let alive = Scratch::inside(Some(parent.path())).unwrap();
        let killed = parent.path().join("root-executor-killed");
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(LOCK), "").unwrap();
        let others = parent.path().join("results");
        fs::create_dir(&others).unwrap();
        let next = Scratch::inside(Some(parent.path())).unwrap();
        let mut left = names(parent.path());
        left.sort();
        let mut expected = [alive.folder.path().to_path_buf(), next.folder.path().to_path_buf(), others];
        expected.sort();
        assert_eq!(left, expected);
    }
}
