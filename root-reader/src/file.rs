//! Layer 3: the container. Header, keys, cycles, directories and the streamer-info record, for files below and beyond
//! 2 GB, and for files whose writer died before it closed them.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path as LocalPath;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::compression::Decompressor;
use crate::error::{Error, FormatError, Place, Result};
use crate::source::Source;
use crate::streamer::Streamers;
use crate::tree::Tree;
use crate::wire::Cursor;

/// Directories nest; a loop in a corrupt file must end.
const MAX_DIRECTORY_DEPTH: usize = 64;
/// The longest key header that recovery reads: class, name and title may have any length, real ones stay far below.
const RECOVERY_KEY: u64 = 1 << 10;
/// Bytes that recovery reads at once.
const RECOVERY_CHUNK: u64 = 64 << 10;
/// The shortest gap that ROOT leaves between records.
const LEAST_SEGMENT: u32 = 4;
/// Of a remote file, this share is read in front of the list of keys, where most writers put the tree's record, within
/// these bounds: a round trip takes as long as some 100 KiB. What is read of records of trees is bounded by the last one too.
const SHARE_AHEAD: u64 = 256;
const LEAST_AHEAD: u64 = 64 << 10;
const MOST_AHEAD: u64 = 1 << 20;
/// Lists of keys and class descriptions that are larger are not read ahead.
const LARGE_LIST: u64 = 16 << 20;
/// The largest record of metadata that is read; ROOT itself cannot write more than 1 GiB.
const MAX_RECORD: u64 = 1 << 30;

/// A named, cycle-numbered record of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Directory and name, `dir/sub/name`.
    pub path: String,
    /// Title that the writer gave.
    pub title: String,
    /// C++ class of the object.
    pub class: String,
    /// Number that tells apart objects of one name; the highest is the newest.
    pub cycle: u16,
    /// Size of the object as stored, its key included.
    pub stored_bytes: u32,
    /// Size of the object when decompressed.
    pub object_bytes: u32,
    pub(crate) key_length: u16,
    pub(crate) seek: u64,
    parent: u64,
}

impl Key {
    /// Parses a TKey at the cursor.
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let stored_bytes = cursor.i32()?;
        let version = cursor.u16()?;
        let object_bytes = cursor.i32()?;
        cursor.u32()?;
        let key_length = cursor.u16()?;
        let cycle = cursor.u16()?;
        let wide = version > 1000;
        let mut place = || {
            if wide { cursor.u64() } else { Ok(u64::from(cursor.u32()?)) }
        };
        let (seek, parent) = (place()?, place()?);
        let (class, path, title) = (cursor.string()?, cursor.string()?, cursor.string()?);
        match (u32::try_from(stored_bytes), u32::try_from(object_bytes)) {
            (Ok(stored_bytes), Ok(object_bytes)) if stored_bytes >= u32::from(key_length) => {
                // The upper 16 bits of the parent's place are used for other things in some files.
                let parent = if wide { parent & 0x0000_ffff_ffff_ffff } else { parent };
                Ok(Self { path, title, class, cycle, stored_bytes, object_bytes, key_length, seek, parent })
            }
            _ => Err(FormatError::invalid(format!(
                "key '{path}' has a length of {stored_bytes} bytes, of which the key takes {key_length}, and an object of \
                 {object_bytes}"
            ))),
        }
    }

    /// Whether the record is a tree that [`RootFile::tree`] opens.
    pub fn is_tree(&self) -> bool {
        matches!(self.class.as_str(), "TTree" | "TNtuple" | "TNtupleD" | "TTreeSQL")
    }

    fn is_directory(&self) -> bool {
        matches!(self.class.as_str(), "TDirectory" | "TDirectoryFile")
    }
}

/// Facts of the file's header.
#[derive(Debug, Clone)]
pub struct Header {
    /// Version of ROOT that wrote the file, 60806 for 6.08/06.
    pub version: u32,
    /// Compression setting: 100 × algorithm + level.
    pub compression: u32,
    begin: u64,
    end: u64,
    seek_info: u64,
    bytes_info: u64,
    bytes_name: u64,
}

impl Header {
    /// Where the record of the top directory starts.
    fn top_directory(&self) -> u64 {
        self.begin.saturating_add(self.bytes_name)
    }

    fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(bytes);
        cursor.skip(4)?;
        let raw = cursor.i32()?;
        let version = u32::try_from(raw).map_err(|_| FormatError::invalid(format!("file version {raw}")))?;
        let begin = u64::from(cursor.u32()?);
        let wide = version >= 1_000_000;
        let place = |cursor: &mut Cursor<'_>| {
            if wide { cursor.u64() } else { Ok(u64::from(cursor.u32()?)) }
        };
        let end = place(&mut cursor)?;
        let _free_list = place(&mut cursor)?;
        let _bytes_free = cursor.u32()?;
        let _free_count = cursor.u32()?;
        let bytes_name = u64::from(cursor.u32()?);
        let _units = cursor.u8()?;
        let compression = cursor.u32()?;
        let seek_info = place(&mut cursor)?;
        let bytes_info = u64::from(cursor.u32()?);
        Ok(Self { version: version % 1_000_000, compression, begin, end, seek_info, bytes_info, bytes_name })
    }
}

/// An open ROOT file: its header, all its keys and its class descriptions. Cheap to clone; the bytes are read when they
/// are needed.
///
/// ```
/// # fn main() -> Result<(), root_reader::Error> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
/// use root_reader::RootFile;
///
/// let file = RootFile::open_local(path)?;
/// for key in file.keys() {
///     println!("{};{} is a {}", key.path, key.cycle, key.class);
/// }
/// let tree = file.tree_blocking("Events")?;
/// assert_eq!(tree.entries(), 1000);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RootFile {
    source: Source,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    header: Header,
    keys: Vec<Key>,
    streamers: Arc<Streamers>,
    warnings: Vec<String>,
}

impl RootFile {
    /// Opens a file in an object store. `name` is how messages call it.
    ///
    /// A local file of the `fs` store is opened once and read directly from then on.
    ///
    /// ```
    /// # futures::executor::block_on(async {
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data");
    /// use std::sync::Arc;
    ///
    /// use futures::TryStreamExt;
    /// use object_store::local::LocalFileSystem;
    /// use root_reader::{RootFile, ScanOptions};
    ///
    /// let store = Arc::new(LocalFileSystem::new_with_prefix(folder).expect("a folder"));
    /// let name = "Run2012B_SingleMu_1000.root";
    /// let tree = RootFile::open(store, name.into(), name).await?.tree("Events").await?;
    /// let met = tree.schema().index_of("MET_pt").expect("a NanoAOD file");
    /// let batches: Vec<_> = tree.scan(&[met], 0..500, ScanOptions::default())?.into_stream().try_collect().await?;
    /// assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 500);
    /// # Ok::<(), root_reader::Error>(())
    /// # }).unwrap();
    /// ```
    pub async fn open(store: Arc<dyn ObjectStore>, path: Path, name: impl Into<Arc<str>>) -> Result<Self> {
        Self::from_source(Source::open(store, path, name).await?).await
    }

    /// Opens a local file; needs no asynchronous runtime.
    pub fn open_local(path: impl AsRef<LocalPath>) -> Result<Self> {
        futures::executor::block_on(Self::from_source(Source::local(path.as_ref())?))
    }

    /// Opens a file whose bytes are in memory; needs no asynchronous runtime.
    pub fn from_bytes(name: impl Into<Arc<str>>, bytes: impl Into<Bytes>) -> Result<Self> {
        futures::executor::block_on(Self::from_source(Source::memory(name, bytes.into())))
    }

    async fn from_source(source: Source) -> Result<Self> {
        let not_root = |why: String| Error::NotRoot { file: source.name().to_string(), why };
        if source.size() == 0 {
            return Err(not_root("it is empty".into()));
        }
        let head = source.read(0..source.size().min(1 << 10)).await?;
        if !head.starts_with(b"root") {
            let start = head.get(..head.len().min(8)).unwrap_or_default();
            return Err(not_root(format!("it starts with '{}'", start.escape_ascii())));
        }
        if [&b"root://"[..], b"roots://"].iter().any(|scheme| head.starts_with(scheme)) {
            return Err(not_root("it is a text that begins with a URL, like a list of files".into()));
        }
        let header = Header::parse(&head).map_err(|e| not_root(e.to_string()))?;
        let source = read_metadata_ahead(source, &header).await?;
        let mut opening =
            Opening { source: &source, header: &header, keys: Vec::new(), streamer_key: None, warnings: Vec::new() };
        if header.end > source.size() {
            opening.warnings.push(format!(
                "{}: the file has {} bytes but its header says {}: it is truncated",
                source.name(),
                source.size(),
                header.end
            ));
        }
        if header.end < source.size() && header.end > 0 {
            opening.warnings.push(format!(
                "{}: the file has {} bytes but its header counts {}: its writer did not close it, and what came after its \
                 last save is not read",
                source.name(),
                source.size(),
                header.end
            ));
        }
        if let Err(fault) = opening.top_directory().await {
            opening.recover(&fault).await?;
        }
        let streamers = read_streamers(&source, &header, opening.streamer_key.as_ref()).await;
        let (keys, mut warnings) = (opening.keys, opening.warnings);
        let streamers = match streamers {
            Ok(streamers) => streamers,
            Err(fault) => {
                warnings.push(format!("the file's class descriptions cannot be read ({fault})"));
                Streamers::default()
            }
        };
        Ok(Self { inner: Arc::new(Inner { header, keys, streamers: Arc::new(streamers), warnings }), source })
    }

    /// The file as the user named it.
    pub fn name(&self) -> &str {
        self.source.name()
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.source.size()
    }

    /// Facts of the header.
    pub fn header(&self) -> &Header {
        &self.inner.header
    }

    /// All keys of all directories, in file order.
    pub fn keys(&self) -> &[Key] {
        &self.inner.keys
    }

    /// What was wrong with the file without making it unreadable: a truncated end, a writer that died.
    pub fn warnings(&self) -> &[String] {
        &self.inner.warnings
    }

    /// Keys of the trees; of several cycles of one tree only the newest.
    pub fn trees(&self) -> Vec<&Key> {
        let mut newest: Vec<&Key> = Vec::new();
        for key in self.keys().iter().filter(|k| k.is_tree()) {
            match newest.iter_mut().find(|k| k.path == key.path) {
                Some(known) if known.cycle < key.cycle => *known = key,
                Some(_) => {}
                None => newest.push(key),
            }
        }
        newest
    }

    /// Finds a tree: `name`, `dir/name` or either with `;cycle`; the newest cycle unless one is given. A bare name that
    /// is not in the top directory is looked for in the others.
    pub fn find_tree(&self, name: &str) -> Result<&Key> {
        let wanted = name.trim_start_matches('/');
        let (path, cycle) = match wanted.rsplit_once(';') {
            Some((path, cycle)) if cycle.parse::<u16>().is_ok() => (path, cycle.parse::<u16>().ok()),
            _ => (wanted, None),
        };
        let matching = |same: &dyn Fn(&Key) -> bool| {
            let found = self.keys().iter().filter(|k| k.is_tree() && same(k));
            found.filter(|k| cycle.is_none_or(|c| k.cycle == c)).max_by_key(|k| k.cycle)
        };
        if let Some(key) = matching(&|k| k.path == path) {
            return Ok(key);
        }
        let elsewhere = |k: &Key| k.path.rsplit_once('/').is_some_and(|(_, last)| last == path);
        let places: HashSet<&str> =
            self.keys().iter().filter(|k| k.is_tree() && elsewhere(k)).map(|k| k.path.as_str()).collect();
        match matching(&elsewhere) {
            Some(key) if places.len() == 1 => Ok(key),
            _ => Err(Error::NoSuchTree {
                file: self.name().to_string(),
                wanted: name.to_string(),
                available: self.trees().iter().map(|k| k.path.clone()).collect(),
            }),
        }
    }

    /// The only tree of the file; an error that lists the trees if there is not exactly one.
    pub fn only_tree(&self) -> Result<&Key> {
        match self.trees().as_slice() {
            [only] => Ok(only),
            several => Err(Error::WhichTree {
                file: self.name().to_string(),
                available: several.iter().map(|k| k.path.clone()).collect(),
            }),
        }
    }

    /// Reads the metadata of a tree, named as [`RootFile::find_tree`] takes it.
    pub async fn tree(&self, name: &str) -> Result<Tree> {
        self.tree_of(self.find_tree(name)?).await
    }

    /// [`RootFile::tree`] for plain synchronous code over local files or bytes.
    pub fn tree_blocking(&self, name: &str) -> Result<Tree> {
        futures::executor::block_on(self.tree(name))
    }

    /// Reads the metadata of the tree behind one of this file's keys.
    pub async fn tree_of(&self, key: &Key) -> Result<Tree> {
        let content = read_object(&self.source, key).await?;
        Tree::parse(self.source.settled(), key, content, &self.inner.streamers, self.inner.header.compression)
    }
}

/// What is known while a file is being opened.
struct Opening<'a> {
    source: &'a Source,
    header: &'a Header,
    keys: Vec<Key>,
    /// The class descriptions' record, as recovery found it.
    streamer_key: Option<Key>,
    warnings: Vec<String>,
}

impl Opening<'_> {
    fn place(&self) -> Place {
        Place { file: self.source.name().to_string(), ..Place::default() }
    }

    async fn top_directory(&mut self) -> Result<()> {
        let header = self.header;
        self.directory(header.top_directory(), String::new()).await
    }

    /// Collects the keys of the directory whose record starts at `place`, and those of the directories in it.
    async fn directory(&mut self, place: u64, prefix: String) -> Result<()> {
        let mut todo = vec![(place, prefix, 0)];
        let mut seen = HashSet::new();
        while let Some((place, prefix, depth)) = todo.pop() {
            if depth > MAX_DIRECTORY_DEPTH || !seen.insert(place) {
                return Err(Error::corrupt(self.place(), FormatError::invalid("the directories form a loop")));
            }
            let keys = self.directory_keys(place).await?;
            for mut key in keys {
                key.path = format!("{prefix}{}", key.path);
                if key.is_directory() {
                    todo.push((key.seek + u64::from(key.key_length), format!("{}/", key.path), depth + 1));
                }
                self.keys.push(key);
            }
        }
        Ok(())
    }

    async fn directory_keys(&self, place: u64) -> Result<Vec<Key>> {
        let list = self.source.read(list_of_keys(self.source, place).await?).await?;
        parse_keys(&list).map_err(|e| Error::corrupt(self.place(), e))
    }

    /// Walks over the records one by one, as ROOT's own recovery does, and takes every key it meets.
    async fn recover(&mut self, fault: &Error) -> Result<()> {
        self.keys.clear();
        let mut records: Vec<Key> = Vec::new();
        let size = self.source.size();
        let (mut pos, mut chunk, mut chunk_start) = (self.header.begin, Bytes::new(), 0);
        while pos + 26 <= size {
            // Records can be small and many: their heads are taken from larger reads.
            let wanted = pos..size.min(pos + RECOVERY_KEY);
            if wanted.start < chunk_start || wanted.end > chunk_start + chunk.len() as u64 {
                chunk_start = pos;
                chunk = self.source.read(pos..size.min(pos + RECOVERY_CHUNK)).await?;
            }
            let head = chunk.get((pos - chunk_start) as usize..).unwrap_or_default();
            let head = head.get(..head.len().min(RECOVERY_KEY as usize)).unwrap_or_default();
            let Ok(length) = Cursor::new(head).i32() else {
                break;
            };
            if length.unsigned_abs() < LEAST_SEGMENT {
                break;
            }
            if length > 0 {
                let Ok(key) = Key::parse(&mut Cursor::new(head)) else {
                    break;
                };
                // A record that does not say its own place, or that is cut off, was not written whole.
                if key.seek != pos || pos + u64::from(key.stored_bytes) > size {
                    break;
                }
                records.push(key);
            }
            pos += u64::from(length.unsigned_abs());
        }
        let directories: HashMap<u64, &Key> =
            records.iter().filter(|k| k.is_directory()).map(|k| (k.seek, k)).collect();
        for key in &records {
            if key.path == "StreamerInfo" && key.class == "TList" {
                self.streamer_key = Some(key.clone());
                continue;
            }
            if matches!(key.class.as_str(), "TBasket" | "TFile" | "") {
                continue;
            }
            let mut path = key.path.clone();
            let mut parent = key.parent;
            for _ in 0..MAX_DIRECTORY_DEPTH {
                let Some(directory) = directories.get(&parent) else {
                    break;
                };
                path = format!("{}/{path}", directory.path);
                parent = directory.parent;
            }
            self.keys.push(Key { path, ..key.clone() });
        }
        if !self.keys.iter().any(Key::is_tree) {
            return Err(Error::corrupt(
                self.place(),
                FormatError::invalid(format!(
                    "the file was not closed or is damaged ({fault}), and no tree could be recovered from its {} records",
                    records.len()
                )),
            ));
        }
        self.warnings.push(format!(
            "{}: the file was not closed or is damaged; recovered {} objects from its records: entries that were not \
             saved before the writer stopped are lost",
            self.source.name(),
            self.keys.len()
        ));
        Ok(())
    }
}

/// Where the list of keys is of the directory whose record starts at `place`.
async fn list_of_keys(source: &Source, place: u64) -> Result<Range<u64>> {
    let end = source.size().min(place.saturating_add(64));
    let record = source.read(place.min(end)..end).await?;
    let mut cursor = Cursor::new(&record);
    (|| {
        let version = cursor.u16()?;
        cursor.skip(8)?;
        let length = cursor.u32()?;
        cursor.skip(4)?;
        let wide = version > 1000;
        let mut seek = 0;
        for _ in 0..3 {
            seek = if wide { cursor.u64()? } else { u64::from(cursor.u32()?) };
        }
        if seek == 0 {
            return Err(FormatError::invalid("the directory has no list of keys: its writer did not close it"));
        }
        Ok(seek..seek.saturating_add(u64::from(length)))
    })()
    .map_err(|e| Error::corrupt(Place { file: source.name().to_string(), ..Place::default() }, e))
}

fn parse_keys(list: &[u8]) -> Result<Vec<Key>, FormatError> {
    let mut cursor = Cursor::new(list);
    let own = Key::parse(&mut cursor)?;
    cursor.seek(usize::from(own.key_length))?;
    // The smallest key has 26 bytes.
    let count = cursor.count(26, "keys")?;
    (0..count).map(|_| Key::parse(&mut cursor)).collect()
}

/// Of a remote file, reads all the metadata with one request: the list of keys, the class descriptions, and the records of
/// the trees. Where the list is not in the head, what lies in front of it is taken for these, which mostly it is.
async fn read_metadata_ahead(source: Source, header: &Header) -> Result<Source> {
    if source.is_immediate() {
        return Ok(source);
    }
    // What is wrong with a record is said by whoever needs it.
    let keys = list_of_keys(&source, header.top_directory()).await.unwrap_or(0..0);
    let mut wanted = Vec::new();
    if source.is_at_hand(&keys) {
        let records = parse_keys(&source.read(keys).await?).unwrap_or_default();
        let mut left = MOST_AHEAD;
        for tree in records.iter().filter(|key| key.is_tree()) {
            let stored = u64::from(tree.stored_bytes);
            if let Some(rest) = left.checked_sub(stored) {
                wanted.push(tree.seek..tree.seek.saturating_add(stored));
                left = rest;
            }
        }
    } else {
        let share = (source.size() / SHARE_AHEAD).clamp(LEAST_AHEAD, MOST_AHEAD);
        wanted.push(keys.start.saturating_sub(share)..keys.start);
        wanted.push(keys);
    }
    wanted.push(header.seek_info..header.seek_info.saturating_add(header.bytes_info));
    wanted.retain(|range| range.end - range.start <= LARGE_LIST);
    source.read_ahead(&wanted).await
}

async fn read_streamers(source: &Source, header: &Header, recovered: Option<&Key>) -> Result<Streamers> {
    let place = || Place { file: source.name().to_string(), ..Place::default() };
    let key = match recovered {
        Some(recovered) => recovered.clone(),
        None if header.seek_info == 0 || header.bytes_info == 0 => return Ok(Streamers::default()),
        None => {
            let end = header.seek_info.saturating_add(header.bytes_info.min(RECOVERY_KEY));
            let head = source.read(header.seek_info..end).await?;
            let mut key = Key::parse(&mut Cursor::new(&head)).map_err(|e| Error::corrupt(place(), e))?;
            key.seek = header.seek_info;
            key
        }
    };
    let content = read_object(source, &key).await?;
    Streamers::parse(&content, usize::from(key.key_length)).map_err(|e| Error::corrupt(place(), e))
}

/// Reads and decompresses the object behind a key.
async fn read_object(source: &Source, key: &Key) -> Result<Bytes> {
    let place = || Place { file: source.name().to_string(), tree: Some(key.path.clone()), ..Place::default() };
    let stored = u64::from(key.stored_bytes);
    if stored > MAX_RECORD || u64::from(key.object_bytes) > MAX_RECORD {
        return Err(Error::corrupt(place(), FormatError::invalid(format!("a record of {stored} bytes"))));
    }
    let record = source.read(key.seek..key.seek.saturating_add(stored)).await?;
    let start = usize::from(key.key_length).min(record.len());
    let content = record.slice(start..);
    let length = key.object_bytes as usize;
    if content.len() == length {
        return Ok(content);
    }
    let mut out = Vec::new();
    Decompressor::default().decompress(&content, length, length, &mut out).map_err(|e| Error::corrupt(place(), e))?;
    out.truncate(length);
    Ok(out.into())
}
