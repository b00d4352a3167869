//! A local file in the making. It is written under another name beside the final one and renamed at the end, so that a
//! run that is killed leaves nothing that looks finished.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::shutdown::Shutdown;

/// What a local name leads to.
pub enum Opened {
    /// A device or pipe, which is written as it is.
    Special(File),
    /// A regular file, or none yet.
    Part(PartFile),
}

/// A file that appears under its name with [`PartFile::commit`]; one that is dropped leaves nothing.
pub struct PartFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    shutdown: Shutdown,
}

impl PartFile {
    /// Opens a file to be written, which replaces one of that name when it is complete.
    pub fn open(path: &Path, shutdown: &Shutdown) -> io::Result<Opened> {
        let Some(path) = final_name(path)? else {
            return Ok(Opened::Special(OpenOptions::new().write(true).open(path)?));
        };
        let (temporary, file) = create_beside(&path)?;
        shutdown.unfinished(&temporary);
        Ok(Opened::Part(Self { file, temporary, path, shutdown: shutdown.clone() }))
    }

    /// The file as it is so far.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// The file is complete: sees to it that it is on the disk. Network file systems report a full quota only now.
    pub fn settle(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// The file is complete: gives it its name.
    pub fn commit(self) -> io::Result<()> {
        self.settle()?;
        self.shutdown.finished(&self.temporary, &self.path)
    }
}

impl Write for PartFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // After a commit there is no file of that name any more.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// The name of the regular file that a name leads to; `None` for a device or pipe.
fn final_name(path: &Path) -> io::Result<Option<PathBuf>> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(path.to_path_buf())),
        Err(error) => return Err(error),
    };
    if meta.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !meta.is_file() {
        return Ok(None);
    }
    // A rename would replace a file that may not be written to, and a link instead of what it leads to.
    OpenOptions::new().append(true).open(path)?;
    std::fs::canonicalize(path).map(Some)
}

/// Makes a file of a new name in the same directory. Process ids are not enough to tell names apart: in containers, and
/// on disks that several hosts share, what another run has left may have the same.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut attempts = 1_u32..=1000;
    loop {
        let attempt = attempts.next();
        let temporary = temporary_name(path, attempt.unwrap_or_default());
        match OpenOptions::new().read(true).write(true).create_new(true).open(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt.is_some() => {}
            Err(error) => return Err(error),
            Ok(file) => return Ok((temporary, file)),
        }
    }
}

fn temporary_name(path: &Path, attempt: u32) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{attempt}.part", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_of_the_same_process_id_has_left_is_not_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.csv");
        std::fs::write(temporary_name(&path, 1), "left over").unwrap();

        let Ok(Opened::Part(mut part)) = PartFile::open(&path, &Shutdown::default()) else { panic!("no file") };
        part.write_all(b"whole").unwrap();
        part.commit().unwrap();

        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(std::fs::read_to_string(temporary_name(&path, 1)).unwrap(), "left over");
    }
}
