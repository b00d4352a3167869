//! The cache's directory, which any number of processes use at the same time without asking one another. Blocks are
//! written under a name of their own and then renamed, so that each is there whole or not at all; and whatever a crash, a
//! full disk or a stranger leaves behind is found out by its checksums when it is read.
//!
//! ```text
//! DIR/CACHEDIR.TAG                 tells backups to leave it out
//! DIR/lock                         held by the process that evicts
//! DIR/tmp/PID-TIME-N               blocks that are being written
//! DIR/blocks/URL/VERSION/NUMBER    digests of the URL and of the file's version, number of the block
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::block::{self, Block, BlockId, Fault, PAGES, Piece};
use super::evict;
use super::identity::Digest;
use super::pieces::pages_of;
use super::stats::Counters;

/// A block that is read is marked as used, but not more often than this.
const MARK_AFTER: Duration = Duration::from_secs(60);
/// Blocks that are written at the same time are told apart by so many locks.
const STRIPES: usize = 16;
/// See <https://bford.info/cachedir/>.
const TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# This directory holds parts of remote files and can be deleted.\n";

/// A version of a file, as the shelf names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) url: Digest,
    pub(crate) object: Digest,
    pub(crate) size: u64,
}

/// The directory. All of its methods block.
#[derive(Debug)]
pub(crate) struct Shelf {
    root: PathBuf,
    limit: u64,
    counters: Arc<Counters>,
    /// Whether nothing more is written.
    read_only: AtomicBool,
    /// Whether nothing is read either.
    closed: AtomicBool,
    serial: AtomicU64,
    /// Bytes written since the size was last looked at.
    unmeasured: AtomicU64,
    stripes: [Mutex<()>; STRIPES],
}

impl Shelf {
    /// Opens a directory, which is made if it is not there. One that cannot be used, or that others could read or write,
    /// is not, and the counters say why.
    pub(crate) fn open(root: PathBuf, limit: u64, counters: Arc<Counters>) -> Self {
        let fault = prepare(&root).err();
        let shelf = Self {
            limit,
            counters,
            read_only: AtomicBool::new(fault.is_some()),
            closed: AtomicBool::new(fault.is_some()),
            serial: AtomicU64::new(0),
            // Many short runs write little each. So that one of them looks at the size now and then, each begins somewhere
            // between two looks.
            unmeasured: AtomicU64::new(RandomState::new().hash_one(0) % evict::step(limit)),
            stripes: Default::default(),
            root,
        };
        if let Some(why) = fault {
            shelf.warn(&format!("cannot be used: {why}"));
        }
        shelf
    }

    /// Whether nothing is to be found here.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Whether anything of a file may be kept.
    pub(crate) fn knows(&self, url: &Digest) -> bool {
        !self.is_closed() && self.of_url(url).exists()
    }

    /// Reads those of some pages that are kept.
    pub(crate) fn read(&self, kept: &Kept, pages: Range<u64>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (number, pages) in by_block(pages) {
            if self.is_closed() {
                break;
            }
            let id = BlockId { object: kept.object, size: kept.size, number };
            let path = self.of_block(kept, number);
            let read = File::open(&path).map_err(Fault::from).and_then(|file| {
                let block = Block::open(file, id)?;
                let pieces = block.read(pages)?;
                mark_used(block.file());
                Ok(pieces)
            });
            match read {
                Ok(mut read) => pieces.append(&mut read),
                Err(Fault::Damaged) => self.drop_damaged(&path),
                Err(Fault::Io(error)) if is_absent(&error) => {}
                Err(Fault::Io(error)) => {
                    self.warn(&format!("cannot be read: {error}"));
                    self.closed.store(true, Relaxed);
                }
            }
        }
        Counters::add(&self.counters.bytes_cached, pieces.iter().map(|p| p.bytes.len() as u64).sum());
        pieces
    }

    /// Keeps bytes: whole pages of a file, sorted.
    pub(crate) fn write(&self, kept: &Kept, pieces: &[Piece]) {
        let mut done = None;
        for piece in pieces {
            for (number, _) in by_block(pages_of(&(piece.start..piece.end()))) {
                if done == Some(number) {
                    continue;
                }
                if self.read_only.load(Relaxed) {
                    return;
                }
                if let Err(error) = self.write_block(kept, number, pieces) {
                    self.read_only.store(true, Relaxed);
                    self.warn(&format!("is not written any more: {error}"));
                    return;
                }
                done = Some(number);
            }
        }
        if self.unmeasured.load(Relaxed) >= evict::step(self.limit) {
            self.unmeasured.store(0, Relaxed);
            match evict::evict(&self.root, self.limit) {
                Ok(bytes) => Counters::add(&self.counters.bytes_evicted, bytes),
                Err(error) => {
                    self.read_only.store(true, Relaxed);
                    self.warn(&format!("is not written any more, as its size cannot be kept: {error}"));
                }
            }
        }
    }

    /// Removes everything of a file.
    pub(crate) fn forget(&self, url: &Digest) {
        // What cannot be removed is of a version that the file no longer has, and goes in time.
        let _ = fs::remove_dir_all(self.of_url(url));
    }

    /// Removes a version of a file.
    pub(crate) fn forget_version(&self, kept: &Kept) {
        let _ = fs::remove_dir_all(self.of_version(kept));
    }

    fn write_block(&self, kept: &Kept, number: u64, pieces: &[Piece]) -> io::Result<()> {
        let id = BlockId { object: kept.object, size: kept.size, number };
        let path = self.of_block(kept, number);
        let stripe = self.stripes.get(number as usize % STRIPES);
        let _turn = stripe.map(|stripe| stripe.lock().unwrap_or_else(PoisonError::into_inner));
        // Another process may do the same at this moment; then pages of one of the two are fetched again some day.
        let older = File::open(&path).map_err(Fault::from).and_then(|file| Block::open(file, id));
        let merged = older.and_then(|older| {
            let length = older.file().metadata()?.len();
            Ok((block::encode(id, pieces, Some(&older))?, length))
        });
        let (content, replaced) = match merged {
            Ok(merged) => merged,
            Err(fault) => {
                if matches!(fault, Fault::Damaged) {
                    self.drop_damaged(&path);
                }
                let alone = block::encode(id, pieces, None);
                (alone.map_err(|_| io::Error::other("a block has no bytes"))?, 0)
            }
        };
        let draft = self.root.join("tmp").join(self.draft_name());
        let written = create(&draft).and_then(|mut file| file.write_all(&content));
        let placed = written.and_then(|()| self.place(&draft, &path));
        if placed.is_err() {
            let _ = fs::remove_file(&draft);
        }
        placed?;
        self.unmeasured.fetch_add((content.len() as u64).saturating_sub(replaced), Relaxed);
        Ok(())
    }

    /// Gives a draft its name. The directory for it is made when it is first needed, and again if it was just evicted.
    fn place(&self, draft: &Path, path: &Path) -> io::Result<()> {
        for _ in 0..8 {
            match fs::rename(draft, path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent() {
                    Some(parent) => make_directory(parent, true)?,
                    None => return Err(error),
                },
                renamed => return renamed,
            }
        }
        fs::rename(draft, path)
    }

    fn drop_damaged(&self, path: &Path) {
        Counters::add(&self.counters.damaged, 1);
        let _ = fs::remove_file(path);
    }

    fn warn(&self, what: &str) {
        self.counters.warn(format!("the cache directory '{}' {what}", self.root.display()));
    }

    /// A name that no other process has, not even one in another container with the same process number.
    fn draft_name(&self) -> String {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.as_nanos());
        format!("{}-{time:x}-{}", std::process::id(), self.serial.fetch_add(1, Relaxed))
    }

    fn of_url(&self, url: &Digest) -> PathBuf {
        self.root.join("blocks").join(url.name())
    }

    fn of_version(&self, kept: &Kept) -> PathBuf {
        self.of_url(&kept.url).join(kept.object.name())
    }

    fn of_block(&self, kept: &Kept, number: u64) -> PathBuf {
        self.of_version(kept).join(format!("{number:x}"))
    }
}

/// Splits pages of a file into those of each block, counted from the block's start.
fn by_block(pages: Range<u64>) -> impl Iterator<Item = (u64, Range<u64>)> {
    let blocks = pages.start / PAGES..pages.end.div_ceil(PAGES);
    blocks.map(move |number| {
        let first = number * PAGES;
        (number, pages.start.saturating_sub(first)..(pages.end - first).min(PAGES))
    })
}

fn mark_used(file: &File) {
    let now = SystemTime::now();
    let is_recent = |modified: SystemTime| now.duration_since(modified).is_ok_and(|age| age < MARK_AFTER);
    if !file.metadata().and_then(|meta| meta.modified()).is_ok_and(is_recent) {
        // It is only less likely to stay if this fails.
        let _ = file.set_modified(now);
    }
}

/// A block that was never written, or that was just evicted.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn prepare(root: &Path) -> io::Result<()> {
    make_directory(root, true)?;
    check_owner(root, WRITE_BY_OTHERS)?;
    for below in ["blocks", "tmp"] {
        let below = root.join(below);
        make_directory(&below, false)?;
        check_owner(&below, ANYTHING_BY_OTHERS)?;
    }
    let tag = root.join("CACHEDIR.TAG");
    if !tag.exists() {
        let _ = create(&tag).and_then(|mut file| file.write_all(TAG.as_bytes()));
    }
    Ok(())
}

fn make_directory(path: &Path, with_parents: bool) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.recursive(with_parents).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

const WRITE_BY_OTHERS: u32 = 0o022;
const ANYTHING_BY_OTHERS: u32 = 0o077;

/// Makes sure that a directory is ours, and that nobody else may do in it what the mode bits `refused` stand for.
fn check_owner(path: &Path, refused: u32) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(path)?;
    let why = if !meta.is_dir() {
        "it is not a directory"
    } else if meta.uid() != rustix::process::geteuid().as_raw() {
        "it belongs to another user; name a directory of your own"
    } else if meta.mode() & refused != 0 {
        "others may use it; take that from them with `chmod go-rwx`"
    } else {
        return Ok(());
    };
    Err(io::Error::other(format!("{}: {why}", path.display())))
}
