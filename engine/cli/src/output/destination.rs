//! Where a result goes. A file is written under another name beside the final one and renamed at the end, so that a run
//! that is killed leaves nothing that looks finished.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::exit::{Exit, Failure};
use crate::shutdown::Shutdown;

const BUFFER: usize = 256 << 10;

/// What the user named as output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output, with its width if it is a terminal.
    Stdout {
        /// Columns of the terminal.
        terminal: Option<usize>,
    },
    /// A file.
    File(PathBuf),
}

impl Target {
    /// The target that the settings ask for.
    pub fn new(output: Option<&Path>) -> Self {
        match output {
            Some(path) => Self::File(path.to_path_buf()),
            None => Self::Stdout { terminal: std::io::stdout().is_terminal().then(terminal_width) },
        }
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Stdout { terminal: Some(_) })
    }

    fn name(&self) -> String {
        match self {
            Self::Stdout { .. } => "standard output".into(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

fn terminal_width() -> usize {
    const UNKNOWN: usize = 80;
    terminal_size::terminal_size_of(io::stdout()).map_or(UNKNOWN, |(width, _)| usize::from(width.0).max(20))
}

/// An open output.
pub struct Destination {
    name: String,
    target: Target,
    out: Option<BufWriter<Box<dyn Write + Send>>>,
    /// Temporary and final path.
    rename: Option<(PathBuf, PathBuf)>,
    file: Option<File>,
    shutdown: Shutdown,
    fault: Arc<Mutex<Option<io::Error>>>,
    used: bool,
}

impl Destination {
    /// Opens a target. A file appears under its name only when [`Destination::commit`] is called.
    pub fn open(target: Target, shutdown: &Shutdown) -> Result<Self, Failure> {
        let name = target.name();
        let fault = |error: io::Error| Failure::output(&name, &error);
        let (out, rename, file): (Box<dyn Write + Send>, _, _) = match &target {
            Target::Stdout { .. } => (Box::new(io::stdout()), None, None),
            Target::File(path) => match final_place(path).map_err(fault)? {
                Place::Special => (Box::new(OpenOptions::new().write(true).open(path).map_err(fault)?), None, None),
                Place::File(path) => {
                    let temporary = temporary_name(&path);
                    shutdown.unfinished(&temporary);
                    let file = OpenOptions::new().write(true).create_new(true).open(&temporary).map_err(fault)?;
                    let handle = file.try_clone().map_err(fault)?;
                    (Box::new(file), Some((temporary, path)), Some(handle))
                }
            },
        };
        Ok(Self {
            name,
            target,
            out: Some(BufWriter::with_capacity(BUFFER, out)),
            rename,
            file,
            shutdown: shutdown.clone(),
            fault: Arc::default(),
            used: false,
        })
    }

    /// What the user named.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether a file is being written, which holds one result.
    pub fn is_file(&self) -> bool {
        matches!(self.target, Target::File(_))
    }

    /// Marks the output as taken by a result; `false` if it was already.
    pub fn take(&mut self) -> bool {
        !std::mem::replace(&mut self.used, true)
    }

    /// The failure behind an error of a format's writer: what the system said, or else what the writer says.
    pub fn failure(&self, error: &dyn std::fmt::Display) -> Failure {
        match self.fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(fault) => Failure::output(&self.name, &fault),
            None => Failure::new(Exit::Query, format!("cannot write {}: {error}", self.name)),
        }
    }

    /// Writes bytes.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write_all(bytes).map_err(|e| self.failure(&e))
    }

    /// Passes on what is buffered, so that a reader sees it.
    pub fn pass_on(&mut self) -> Result<(), Failure> {
        self.flush().map_err(|e| self.failure(&e))
    }

    /// The result is complete: gives the file its name.
    pub fn commit(mut self) -> Result<(), Failure> {
        self.pass_on()?;
        if let (Some((temporary, path)), Some(file)) = (self.rename.take(), self.file.take()) {
            // Network file systems report a full quota only now.
            let done = file.sync_all().and_then(|()| self.shutdown.finished(&temporary, &path));
            if let Err(error) = done {
                let _ = std::fs::remove_file(&temporary);
                return Err(Failure::output(&self.name, &error));
            }
        }
        Ok(())
    }

    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let copy = match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.to_string()),
            };
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            copy
        })
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = match &mut self.out {
            Some(out) => out.write(bytes),
            None => Ok(bytes.len()),
        };
        self.noted(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = match &mut self.out {
            Some(out) => out.flush(),
            None => Ok(()),
        };
        self.noted(result)
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Some((temporary, _)) = self.rename.take() {
            let _ = std::fs::remove_file(temporary);
        }
        if let Some(out) = self.out.take() {
            // Not flushed again: either it was, or the run failed.
            let _ = out.into_parts();
        }
    }
}

enum Place {
    /// A device or pipe, which is written as it is.
    Special,
    /// A regular file, or none yet.
    File(PathBuf),
}

fn final_place(path: &Path) -> io::Result<Place> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Place::File(path.to_path_buf())),
        Err(error) => return Err(error),
    };
    if meta.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if !meta.is_file() {
        return Ok(Place::Special);
    }
    // A rename would replace a file that may not be written to, and a link instead of what it leads to.
    OpenOptions::new().append(true).open(path)?;
    Ok(Place::File(std::fs::canonicalize(path)?))
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_complete_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.csv");
        let shutdown = Shutdown::default();
        let mut out = Destination::open(Target::File(path.clone()), &shutdown).unwrap();
        out.put(b"a,b\n").unwrap();
        out.pass_on().unwrap();
        assert!(!path.exists());
        out.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"a,b\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_fails_or_is_interrupted_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.csv");
        std::fs::write(&path, "old").unwrap();
        let shutdown = Shutdown::default();
        let mut dropped = Destination::open(Target::File(path.clone()), &shutdown).unwrap();
        dropped.put(b"new").unwrap();
        drop(dropped);
        let interrupted = Destination::open(Target::File(path.clone()), &shutdown).unwrap();
        shutdown.remove_unfinished();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(interrupted);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_keeps_leading_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("x.csv"), dir.path().join("l.csv"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut out = Destination::open(Target::File(link.clone()), &Shutdown::default()).unwrap();
        out.put(b"new").unwrap();
        out.commit().unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert!(link.symlink_metadata().unwrap().file_type().is_symlink());
    }
}
