//! Where a result goes: standard output, a local file, or a file at a server. Files appear under their names when they are
//! complete.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use eos_io::{Location, Stores};
use root_engine::RootOptions;

use super::part_file::{Opened, PartFile};
use super::remote::RemoteFile;
use crate::exit::{Exit, Failure};
use crate::shutdown::Shutdown;

const BUFFER: usize = 256 << 10;

/// What the user named as output.
#[derive(Debug, Clone)]
pub enum Target {
    /// Standard output, with its width if it is a terminal.
    Stdout {
        /// Columns of the terminal.
        terminal: Option<usize>,
    },
    /// A local file.
    File(PathBuf),
    /// A file at a server.
    Remote(Location),
}

impl Target {
    /// The target that the settings ask for: a path, or a URL.
    pub fn new(output: Option<&Path>, stores: &Stores) -> Result<Self, Failure> {
        match output {
            Some(path) => Self::named(path, stores),
            None => Ok(Self::Stdout { terminal: std::io::stdout().is_terminal().then(terminal_width) }),
        }
    }

    /// The file of that name.
    pub fn named(path: &Path, stores: &Stores) -> Result<Self, Failure> {
        let Some(url) = path.to_str().filter(|name| eos_io::is_url(name)) else {
            return Ok(Self::File(path.to_path_buf()));
        };
        // The connections belong to the thread that writes the file.
        let location = stores.separate().resolve(url)?;
        Ok(match location.local_path() {
            Some(path) => Self::File(path),
            None => Self::Remote(location),
        })
    }

    /// Whether it is a terminal.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Stdout { terminal: Some(_) })
    }

    /// What the name of a file ends in, in lower case; `None` for standard output.
    pub fn extension(&self) -> Option<String> {
        let extension =
            |path: &Path| path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        match self {
            Self::Stdout { .. } => None,
            Self::File(path) => Some(extension(path)),
            Self::Remote(location) => Some(extension(Path::new(location.path.as_ref()))),
        }
    }

    /// How messages call it.
    pub fn name(&self) -> String {
        match self {
            Self::Stdout { .. } => "standard output".into(),
            Self::File(path) => path.display().to_string(),
            Self::Remote(location) => location.display.clone(),
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
    out: Option<BufWriter<Sink>>,
    fault: Arc<Mutex<Option<io::Error>>>,
    used: bool,
    position: u64,
    bytes: u64,
    root: RootOptions,
}

enum Sink {
    Stdout(io::Stdout),
    Special(File),
    File(PartFile),
    Remote(RemoteFile),
}

impl Destination {
    /// Opens a target. A file appears under its name only when [`Destination::commit`] is called.
    pub fn open(target: Target, shutdown: &Shutdown) -> Result<Self, Failure> {
        let name = target.name();
        let sink = match &target {
            Target::Stdout { .. } => Sink::Stdout(io::stdout()),
            Target::File(path) => match PartFile::open(path, shutdown).map_err(|e| Failure::output(&name, &e))? {
                Opened::Special(file) => Sink::Special(file),
                Opened::Part(file) => Sink::File(file),
            },
            Target::Remote(location) => Sink::Remote(RemoteFile::open(location.clone(), shutdown)?),
        };
        let out = Some(BufWriter::with_capacity(BUFFER, sink));
        Ok(Self {
            name,
            target,
            out,
            fault: Arc::default(),
            used: false,
            position: 0,
            bytes: 0,
            root: RootOptions::default(),
        })
    }

    /// The same, with what was chosen about ROOT files.
    pub fn with_root(mut self, root: RootOptions) -> Self {
        self.root = root;
        self
    }

    /// What was chosen about ROOT files.
    pub fn root(&self) -> &RootOptions {
        &self.root
    }

    /// How long it is so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it is possible to go back to what was written.
    pub fn is_seekable(&self) -> bool {
        self.out.as_ref().is_some_and(|out| matches!(out.get_ref(), Sink::File(_)))
    }

    /// What the user named.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether a file is being written, which holds one result.
    pub fn is_file(&self) -> bool {
        !matches!(self.target, Target::Stdout { .. })
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

    /// The result is complete: sees to it that it is on the disk. A quota that is full shows at the latest here, before
    /// any of several files has its name.
    pub fn settle(&mut self) -> Result<(), Failure> {
        self.pass_on()?;
        match self.out.as_mut().map(|out| out.get_mut()) {
            Some(Sink::File(file)) => file.settle().map_err(|e| Failure::output(&self.name, &e)),
            _ => Ok(()),
        }
    }

    /// The result is complete: gives the file its name.
    pub fn commit(mut self) -> Result<(), Failure> {
        self.pass_on()?;
        let Some(out) = self.out.take() else { return Ok(()) };
        match out.into_parts().0 {
            Sink::Stdout(_) | Sink::Special(_) => Ok(()),
            Sink::File(file) => file.commit().map_err(|e| Failure::output(&self.name, &e)),
            Sink::Remote(file) => file.commit(),
        }
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
        let count = self.noted(result)?;
        self.position += count as u64;
        self.bytes = self.bytes.max(self.position);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = match &mut self.out {
            Some(out) => out.flush(),
            None => Ok(()),
        };
        self.noted(result)
    }
}

impl Seek for Destination {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let result = match &mut self.out {
            Some(out) => out.seek(to),
            None => Err(io::ErrorKind::NotSeekable.into()),
        };
        self.position = self.noted(result)?;
        Ok(self.position)
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Some(out) = self.out.take() {
            // Not flushed again: either it was, or the run failed.
            let _ = out.into_parts();
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::Special(file) => file.write(bytes),
            Self::File(file) => file.write(bytes),
            Self::Remote(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::Special(file) => file.flush(),
            Self::File(file) => file.flush(),
            Self::Remote(file) => file.flush(),
        }
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.file().seek(to),
            Self::Stdout(_) | Self::Special(_) | Self::Remote(_) => Err(io::ErrorKind::NotSeekable.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::local::LocalFileSystem;
    use object_store::memory::InMemory;
    use object_store::path::Path as ObjectPath;
    use object_store::{ObjectStore, ObjectStoreExt};

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

    /// A place in a store that stands for a server.
    fn place(store: impl ObjectStore) -> Location {
        Location::new(url::Url::parse("mem:///").unwrap(), Arc::new(store), ObjectPath::from("d/x.csv"))
    }

    fn stored(location: &Location) -> Option<Vec<u8>> {
        let read = async { location.store.get(&location.path).await.ok()?.bytes().await.ok() };
        futures::executor::block_on(read).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn a_remote_file_appears_when_it_is_complete_and_not_before() {
        let location = place(InMemory::new());
        let mut out = Destination::open(Target::Remote(location.clone()), &Shutdown::default()).unwrap();
        let line = [b'x'; 1 << 20];
        for _ in 0..40 {
            out.put(&line).unwrap();
        }
        out.pass_on().unwrap();
        assert_eq!(stored(&location), None);
        out.commit().unwrap();
        assert_eq!(stored(&location).unwrap().len(), 40 << 20);
    }

    #[test]
    fn a_remote_file_can_be_written_where_others_run_already() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let location = place(InMemory::new());
        runtime.block_on(async {
            let mut out = Destination::open(Target::Remote(location.clone()), &Shutdown::default()).unwrap();
            out.put(b"new").unwrap();
            out.commit().unwrap();
        });
        assert_eq!(stored(&location).unwrap(), b"new");
    }

    #[test]
    fn a_remote_file_that_is_not_completed_leaves_the_old_one() {
        let location = place(InMemory::new());
        futures::executor::block_on(location.store.put(&location.path, "old".into())).unwrap();
        let mut out = Destination::open(Target::Remote(location.clone()), &Shutdown::default()).unwrap();
        out.put(b"new").unwrap();
        out.pass_on().unwrap();
        drop(out);
        assert_eq!(stored(&location).unwrap(), b"old");
    }

    #[test]
    fn a_server_that_refuses_says_so_before_anything_is_computed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("d"), "a file where a directory is needed").unwrap();
        let store = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
        let opened = Destination::open(Target::Remote(place(store)), &Shutdown::default());
        let Err(Failure::Error { exit, message }) = opened else { panic!("it was opened") };
        assert_eq!(exit, Exit::Query);
        assert!(message.starts_with("cannot write 'mem:///d/x.csv': "), "{message}");
    }

    #[test]
    fn a_server_that_fails_half_way_is_the_reason_that_is_told() {
        // It keeps parts below `d`, which is taken away in the meantime.
        let dir = tempfile::tempdir().unwrap();
        let store = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
        let mut out = Destination::open(Target::Remote(place(store)), &Shutdown::default()).unwrap();
        out.put(b"new").unwrap();
        std::fs::remove_dir_all(dir.path().join("d")).unwrap();
        let Err(Failure::Error { message, .. }) = out.commit() else { panic!("it was written") };
        assert!(message.starts_with("cannot write 'mem:///d/x.csv': "), "{message}");
    }
}
