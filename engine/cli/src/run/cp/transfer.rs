//! One file: read in large pieces, written as they come, summed up, and compared with what the servers on both sides say.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use eos_io::{Checksum, ChecksumKind, Error, Location, Stores, Summing, Upload};
use futures::channel::mpsc;
use futures::{Stream, StreamExt};
use tokio::sync::Semaphore;

use super::plan::{Job, To};
use crate::exit::{Exit, Failure};
use crate::output::{Opened, PartFile};
use crate::shutdown::Shutdown;

/// What a copy that is read back is read in.
const READ_BACK: usize = 1 << 20;

/// How files are copied.
#[derive(Clone)]
pub(super) struct Copier {
    /// Without a cache: what is read once need not be kept, and what is read back must come from where it was written.
    pub(super) stores: Stores,
    pub(super) shutdown: Shutdown,
    /// The checksum, if any is wanted.
    pub(super) kind: Option<ChecksumKind>,
    /// Whether a copy is read back where nobody tells its checksum.
    pub(super) verify: bool,
    /// Whether a file that is there already is replaced.
    pub(super) force: bool,
    /// Bytes written so far, of all files.
    pub(super) bytes: Arc<AtomicU64>,
    /// Checksums that servers are asked for at the same time.
    pub(super) questions: Arc<Semaphore>,
}

/// Servers that have to compute checksums do so for few files at a time, and make those who ask for more wait long.
pub(super) const QUESTIONS: usize = 2;

/// What became of a file.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// Of the bytes that were read.
    pub(super) checksum: Option<Checksum>,
    /// Whether the source's server has the same checksum.
    with_source: bool,
    /// Whether the copy has it, by its server or by reading it again.
    with_copy: bool,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
}

impl Copied {
    /// What the checksum was compared with.
    pub(super) fn compared(&self) -> Option<String> {
        match (self.with_source, self.with_copy) {
            (true, true) => Some("source and copy".into()),
            (true, false) => Some("source".into()),
            (false, true) => Some("copy".into()),
            (false, false) => None,
        }
    }
}

type Pieces = mpsc::Receiver<Result<Bytes, Error>>;

impl Copier {
    /// Copies a file. What fails leaves no copy.
    pub(super) async fn copy(&self, job: &Job) -> Result<Copied, Failure> {
        self.may_write(job).await?;
        // A task of its own, so that pieces come while others are written.
        let (sender, mut pieces) = mpsc::channel(1);
        let source = self.stores.reach(&job.source.location)?;
        tokio::spawn(source.download(job.source.meta.size).map(Ok).forward(sender));
        match &job.to {
            To::Stdout => self.to_stdout(&mut pieces).await,
            To::Local { path, make_parents } => self.to_local(job, path, *make_parents, &mut pieces).await,
            To::Remote(location) => self.to_remote(job, location, &mut pieces).await,
        }
    }

    /// Refuses to copy a file onto itself, or onto another one that was not meant to be replaced.
    async fn may_write(&self, job: &Job) -> Result<(), Failure> {
        let source = &job.source.location;
        let (is_same, exists) = match &job.to {
            To::Stdout => return Ok(()),
            To::Local { path, .. } => {
                let real = |path: &Path| std::fs::canonicalize(path).ok();
                let written = real(path);
                let is_same = written.is_some() && source.local_path().and_then(|path| real(&path)) == written;
                (is_same, path.is_file())
            }
            To::Remote(location) => {
                let is_same = location.url == source.url && location.path == source.path;
                (is_same, !self.force && location.is_file().await?)
            }
        };
        if is_same {
            return Err(Failure::usage(format!("'{source}' and '{}' are the same file", job.to.name())));
        }
        if exists && !self.force {
            return Err(Failure::new(Exit::Query, format!("'{}' exists; --force replaces it", job.to.name())));
        }
        Ok(())
    }

    async fn to_stdout(&self, pieces: &mut Pieces) -> Result<Copied, Failure> {
        let mut sum = self.kind.map(Summing::new);
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            let bytes = piece.clone();
            let written = blocking(move || {
                let mut out = io::stdout().lock();
                out.write_all(&bytes).and_then(|()| out.flush())
            });
            written.await?.map_err(|e| Failure::output("standard output", &e))?;
            self.count(&mut sum, &piece);
        }
        Ok(Copied { checksum: sum.map(|sum| sum.checksum()), ..Copied::default() })
    }

    async fn to_local(
        &self,
        job: &Job,
        path: &Path,
        make_parents: bool,
        pieces: &mut Pieces,
    ) -> Result<Copied, Failure> {
        let failed = |error: io::Error| Failure::output(&job.to.name(), &error);
        if let Some(parent) = path.parent().filter(|_| make_parents) {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        let mut sum = self.kind.map(Summing::new);
        let mut file = PartFile::open(path, &self.shutdown).map_err(failed)?;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            let bytes = piece.clone();
            let (back, written) = blocking(move || {
                let written = match &mut file {
                    Opened::Special(file) => file.write_all(&bytes),
                    Opened::Part(file) => file.write_all(&bytes),
                };
                (file, written)
            })
            .await?;
            file = back;
            written.map_err(failed)?;
            self.count(&mut sum, &piece);
        }
        let mut copied = self.compare_source(job, sum).await?;
        let Opened::Part(mut file) = file else { return Ok(copied) };
        if let Some(expected) = copied.checksum.filter(|_| self.verify) {
            let (back, found) = blocking(move || {
                let found = read_back(file.file(), expected.kind);
                (file, found)
            })
            .await?;
            file = back;
            same_copy(&job.to.name(), expected, found.map_err(failed)?)?;
            copied.with_copy = true;
        }
        blocking(move || file.commit()).await?.map_err(failed)?;
        Ok(copied)
    }

    async fn to_remote(&self, job: &Job, location: &Location, pieces: &mut Pieces) -> Result<Copied, Failure> {
        let mut uploading = self.shutdown.uploading();
        let mut sum = self.kind.map(Summing::new);
        let mut upload = Upload::start(location, Some(job.source.meta.size)).await?;
        let send = async {
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                upload.write(piece.clone()).await?;
                self.count(&mut sum, &piece);
            }
            upload.finish().await
        };
        let sent = tokio::select! {
            sent = send => sent,
            () = uploading.interrupted() => {
                upload.abort().await;
                return Err(Failure::new(Exit::Interrupted, "interrupted"));
            }
        };
        if let Err(error) = sent {
            upload.abort().await;
            return Err(error.into());
        }
        let compared = async {
            let mut copied = self.compare_source(job, sum).await?;
            if let Some(expected) = copied.checksum.filter(|_| self.verify) {
                self.compare_copy(job, location, expected).await?;
                copied.with_copy = true;
            }
            Ok(copied)
        };
        let compared: Result<Copied, Failure> = tokio::select! {
            compared = compared => compared,
            () = uploading.interrupted() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        };
        let Err(failure) = compared else { return compared };
        // What cannot be trusted must not stay.
        Err(match location.remove().await {
            Ok(()) => failure,
            Err(error) => failure.and(&format!("the bad copy could not be removed: {error}")),
        })
    }

    fn count(&self, sum: &mut Option<Summing>, piece: &Bytes) {
        if let Some(sum) = sum {
            sum.add(piece);
        }
        self.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }

    /// Compares what was read with what the source's server says of the file.
    async fn compare_source(&self, job: &Job, sum: Option<Summing>) -> Result<Copied, Failure> {
        let mut copied = Copied { checksum: sum.map(|sum| sum.checksum()), ..Copied::default() };
        let Some(read) = copied.checksum else { return Ok(copied) };
        let source = &job.source.location;
        match self.told(source, read.kind).await {
            Ok(Some(told)) => {
                if told != read {
                    let message = format!("'{source}' has {told}, says its server, and what was read has {read}");
                    return Err(Failure::new(Exit::Input, message));
                }
                copied.with_source = true;
            }
            Ok(None) => {}
            Err(error) => copied.warnings.push(format!("the checksum of '{source}' cannot be asked for: {error}")),
        }
        Ok(copied)
    }

    /// What a server says of a file.
    async fn told(&self, location: &Location, kind: ChecksumKind) -> Result<Option<Checksum>, Error> {
        // It is never closed; without a permit the server would only be asked more at a time.
        let _permit = self.questions.acquire().await.ok();
        self.stores.checksum(location, kind).await
    }

    /// Compares what was written with what the server has.
    async fn compare_copy(&self, job: &Job, location: &Location, expected: Checksum) -> Result<(), Failure> {
        // Where the server cannot be asked the copy can be read.
        let found = match self.told(location, expected.kind).await {
            Ok(Some(told)) => told,
            _ => {
                let at_server = self.stores.reach(location)?;
                sum_of(at_server.download(job.source.meta.size), expected.kind).await?
            }
        };
        same_copy(&location.display, expected, found)
    }
}

/// The copy must have the checksum of what was read.
fn same_copy(name: &str, expected: Checksum, found: Checksum) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    let message = format!("the copy '{name}' has {found}, and what was read has {expected}; it is removed");
    Err(Failure::new(Exit::Query, message))
}

async fn sum_of(pieces: impl Stream<Item = Result<Bytes, Error>>, kind: ChecksumKind) -> Result<Checksum, Error> {
    let mut sum = Summing::new(kind);
    let mut pieces = std::pin::pin!(pieces);
    while let Some(piece) = pieces.next().await {
        sum.add(&piece?);
    }
    Ok(sum.checksum())
}

fn read_back(file: &mut (impl Read + Seek), kind: ChecksumKind) -> io::Result<Checksum> {
    let mut sum = Summing::new(kind);
    let mut buffer = vec![0; READ_BACK];
    file.seek(SeekFrom::Start(0))?;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sum.checksum()),
            read => sum.add(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// Runs what may wait for a disk where that holds nobody up.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Failure::new(Exit::Query, e.to_string()))
}
