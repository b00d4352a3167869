//! The container: header, keys, directories, the list of free space, and the record of class descriptions. Records are
//! appended one after the other; what can only be known at the end is put in place when the file is finished.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use xxhash_rust::xxh64::xxh64;

use crate::classes;
use crate::compression::Compression;
use crate::date::packed;
use crate::error::{Error, Place, Result};
use crate::histogram::{self, HistogramObject};
use crate::tree::{Tree, TreeOptions};
use crate::wire::{Record, string_length};
use crate::workers::Workers;

/// The version of ROOT that the format is of.
const ROOT_VERSION: u32 = 62_400;
/// Where the records begin.
const BEGIN: u64 = 100;
/// Files that are larger have 64-bit places in their header.
const BIG_FILE: u64 = 2_000_000_000;
/// Added to versions of what has 64-bit places.
const WIDE: u16 = 1000;
const WIDE_FILE: u32 = 1_000_000;
/// Bytes of the record of a directory.
const DIRECTORY_RECORD: usize = 60;
/// What ROOT's byte counts can express.
const MAX_RECORD: u64 = 1 << 30;

/// Settings of a file.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// Compression of all records, unless a tree has its own.
    pub compression: Compression,
    /// Threads that compress baskets. The file is the same whatever their number.
    pub threads: usize,
    /// The time that the file says it was made at: now, if it is absent. Files that are given the same time, name and
    /// content are the same byte for byte.
    pub created: Option<SystemTime>,
    /// Title of the file.
    pub title: String,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { compression: Compression::default(), threads: 1, created: None, title: String::new() }
    }
}

/// A tree of the file that is being written; see [`FileWriter::tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeId {
    file: u64,
    index: usize,
}

/// Writes a ROOT file: trees, batch by batch, and histograms, in any order and in any directory.
///
/// All records are appended; only [`FileWriter::finish`] goes back, to the header and to the records of the directories
/// (60 bytes each). So `W` is an empty file, or a staged one where the target can only be appended to. A file that was not
/// finished starts with zeros, and no reader takes it for a ROOT file.
pub struct FileWriter<W> {
    container: Container<W>,
    trees: Vec<Tree>,
    workers: Workers,
    compression: Compression,
    id: u64,
}

impl FileWriter<BufWriter<File>> {
    /// Makes a local file, in place of one that may be there.
    pub fn create(path: impl AsRef<Path>, options: FileOptions) -> Result<Self> {
        let name = path.as_ref().display().to_string();
        let file = File::create(path).map_err(|source| Error::Io { file: name.clone(), source })?;
        Self::new(BufWriter::with_capacity(1 << 20, file), name, options)
    }
}

impl<W: Write + Seek> FileWriter<W> {
    /// Starts a file in `sink`, which is empty. `name` is how messages call it, and its last part what the file does.
    pub fn new(sink: W, name: impl Into<String>, options: FileOptions) -> Result<Self> {
        static FILES: AtomicU64 = AtomicU64::new(0);
        let workers = Workers::new(options.threads);
        let id = FILES.fetch_add(1, Ordering::Relaxed);
        let container = Container::start(sink, name.into(), id, &options)?;
        Ok(Self { container, trees: Vec::new(), workers, compression: options.compression, id })
    }

    /// Starts a tree for batches of this schema. Its name may have directories in front, `dir/Events`; they are made if
    /// need be. Trees may be written in turn.
    pub fn tree(&mut self, name: &str, schema: &Schema, options: TreeOptions) -> Result<TreeId> {
        let compression = options.compression.unwrap_or(self.compression);
        let place = Place { tree: Some(name.into()), ..*Place::of_file(&self.container.name) };
        let tree = Tree::new(place, schema, options, compression)?;
        // Only now: a tree that cannot be leaves its name free.
        let (directory, base) = self.container.place_for(name)?;
        self.trees.push(tree.named(base, directory)?);
        Ok(TreeId { file: self.id, index: self.trees.len() - 1 })
    }

    /// Appends the rows of a batch to a tree. A batch that is refused for what is in it leaves the tree as it was; where the
    /// output fails, or a basket grows beyond what the format allows, the file cannot be finished any more.
    pub fn write(&mut self, tree: TreeId, batch: &RecordBatch) -> Result<()> {
        let known = self.trees.get_mut(tree.index).filter(|_| tree.file == self.id);
        let tree = known.ok_or_else(|| Error::ForeignTree { file: self.container.name.clone() })?;
        let written = tree.write(batch, &mut self.container, &mut self.workers);
        self.container.is_broken |= matches!(written, Err(Error::TooLarge { .. } | Error::Compression { .. }));
        written
    }

    /// Writes a histogram. Its name may have directories in front, `dir/h_mass`.
    pub fn histogram(&mut self, histogram: &HistogramObject) -> Result<()> {
        let fault = |why| Error::Histogram { file: self.container.name.clone(), name: histogram.name.clone(), why };
        let class = histogram.class().map_err(fault)?;
        let (directory, name) = self.container.place_for(&histogram.name)?;
        let key_length = key_length(class, &name, &histogram.title);
        let content = histogram::encode(histogram, &name, key_length);
        self.object(directory, class, &name, &histogram.title, &content)
    }

    /// Writes what is left of the trees, the directories and the header, and gives the sink back, flushed.
    pub fn finish(mut self) -> Result<W> {
        if self.container.is_broken {
            return Err(Error::Broken { file: self.container.name });
        }
        for mut tree in std::mem::take(&mut self.trees) {
            tree.finish(&mut self.container, &mut self.workers)?;
            let (directory, name, title) = (tree.directory(), tree.name().to_string(), tree.title().to_string());
            let content = tree.encode(key_length("TTree", &name, &title));
            self.container.use_classes(tree.classes());
            self.object(directory, "TTree", &name, &title, &content)?;
        }
        let streamers = classes::describe(&self.container.classes, key_length("TList", STREAMERS.0, STREAMERS.1));
        let frames = self.workers.compress(self.compression, &streamers)?;
        self.container.finish(&streamers, frames.as_deref(), self.compression)
    }

    fn object(&mut self, directory: usize, class: &'static str, name: &str, title: &str, content: &[u8]) -> Result<()> {
        let frames = self.workers.compress(self.compression, content)?;
        self.container.use_classes(vec![class]);
        self.container.object(directory, class, name, title, content, frames.as_deref())
    }
}

/// Name and title of the record of class descriptions.
const STREAMERS: (&str, &str) = ("StreamerInfo", "Doubly linked list");

/// Length of a key with 64-bit places, which all of ours have.
pub(crate) fn key_length(class: &str, name: &str, title: &str) -> usize {
    34 + string_length(class) + string_length(name) + string_length(title)
}

/// What stands in front of every record, and again in the list of keys of its directory.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    /// Bytes of the record with its key.
    pub stored: u32,
    /// Bytes of the object when decompressed.
    pub object_bytes: u32,
    pub date: u32,
    /// Length of the key, with what a class adds to it.
    pub length: u16,
    pub cycle: u16,
    pub seek: u64,
    /// Where the record of its directory's key lies.
    pub parent: u64,
    pub class: &'static str,
    pub name: String,
    pub title: String,
}

impl Key {
    pub(crate) fn put(&self, r: &mut Record) {
        r.u32(self.stored);
        r.u16(4 + WIDE);
        r.u32(self.object_bytes);
        r.u32(self.date);
        r.u16(self.length);
        r.u16(self.cycle);
        r.u64(self.seek);
        r.u64(self.parent);
        r.string(self.class);
        r.string(&self.name);
        r.string(&self.title);
    }
}

#[derive(Debug)]
struct Directory {
    name: String,
    title: String,
    parent: usize,
    /// Where its key lies.
    seek: u64,
    /// Bytes from there to its record.
    name_bytes: u32,
    keys: Vec<Key>,
    /// Names of what is in it, or will be when its tree is finished.
    taken: HashSet<String>,
}

/// The sink and what is in it so far.
#[derive(Debug)]
pub(crate) struct Container<W> {
    sink: W,
    pub(crate) name: String,
    position: u64,
    directories: Vec<Directory>,
    /// Classes of the objects in the file.
    classes: Vec<&'static str>,
    date: u32,
    uuid: [u8; 16],
    /// Whether writing failed half-way, so that the file cannot be finished.
    is_broken: bool,
}

impl<W: Write + Seek> Container<W> {
    fn start(sink: W, name: String, id: u64, options: &FileOptions) -> Result<Self> {
        let created = options.created.unwrap_or_else(SystemTime::now);
        let (seconds, date) = packed(created);
        // Files that are made at the same time by several processes differ in their identity.
        let own = if options.created.is_none() { (std::process::id(), id) } else { (0, 0) };
        let nanoseconds = created.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.subsec_nanos());
        let seed = format!("{name} {seconds} {nanoseconds} {own:?}");
        let identity = [xxh64(seed.as_bytes(), 0).to_be_bytes(), xxh64(seed.as_bytes(), 1).to_be_bytes()].concat();
        let mut uuid: [u8; 16] = std::array::from_fn(|i| identity.get(i).copied().unwrap_or(0));
        // The bits that say what kind of UUID it is: one by a hash of the maker's own.
        let [.., kind, _, variant, _, _, _, _, _, _, _] = &mut uuid;
        *kind = *kind & 0x0f | 0x80;
        *variant = *variant & 0x3f | 0x80;
        let base = name.rsplit(['/', '\\']).next().unwrap_or_default().to_string();
        let mut new = Self {
            sink,
            name,
            position: 0,
            directories: Vec::new(),
            classes: Vec::new(),
            date,
            uuid,
            is_broken: false,
        };
        new.append(&[0; BEGIN as usize])?;
        let mut names = Record::default();
        names.string(&base);
        names.string(&options.title);
        let names = names.into_bytes();
        let name_bytes = key_length("TFile", &base, &options.title) + names.len();
        new.directories.push(Directory {
            name: base.clone(),
            title: options.title.clone(),
            parent: 0,
            seek: BEGIN,
            name_bytes: name_bytes as u32,
            keys: Vec::new(),
            taken: HashSet::new(),
        });
        let content = [&names[..], &[0; DIRECTORY_RECORD]].concat();
        new.record(0, "TFile", &base, &options.title, content.len(), &content)?;
        Ok(new)
    }

    pub(crate) fn date(&self) -> u32 {
        self.date
    }

    /// Where the next record will lie.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Where the key of a directory lies.
    pub(crate) fn seek_of(&self, directory: usize) -> u64 {
        self.directories.get(directory).map_or(BEGIN, |d| d.seek)
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if let Err(source) = self.sink.write_all(bytes) {
            self.is_broken = true;
            return Err(Error::Io { file: self.name.clone(), source });
        }
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn use_classes(&mut self, classes: Vec<&'static str>) {
        for class in classes {
            if !self.classes.contains(&class) {
                self.classes.push(class);
            }
        }
    }

    fn bad_name(&self, name: &str, why: &'static str) -> Error {
        let place = Place::of_file(&self.name);
        Error::BadName { place, name: name.into(), why }
    }

    /// Splits `dir/name` and finds the directory, or makes it. The name must be free.
    fn place_for(&mut self, path: &str) -> Result<(usize, String)> {
        let mut directory = 0;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if part.is_empty() {
                return Err(self.bad_name(path, "a part of it is empty"));
            }
            if part.contains([';', '\0']) {
                return Err(self.bad_name(path, "';' and NUL have other meanings in ROOT files"));
            }
            let below = |(index, d): (usize, &Directory)| {
                (index > 0 && d.parent == directory && d.name == part).then_some(index)
            };
            let known = self.directories.iter().enumerate().find_map(below);
            match (parts.peek(), known) {
                (Some(_), Some(known)) => directory = known,
                _ if !self.take(directory, part) => return Err(self.duplicate(path)),
                (Some(_), None) => directory = self.make_directory(directory, part)?,
                (None, _) => return Ok((directory, part.to_string())),
            }
        }
        Err(self.bad_name(path, "it is empty"))
    }

    /// Reserves a name in a directory; whether it was free.
    fn take(&mut self, directory: usize, name: &str) -> bool {
        self.directories.get_mut(directory).is_some_and(|d| d.taken.insert(name.to_string()))
    }

    fn duplicate(&self, path: &str) -> Error {
        let place = Place::of_file(&self.name);
        Error::Duplicate { place, what: "object", name: path.into() }
    }

    fn make_directory(&mut self, parent: usize, name: &str) -> Result<usize> {
        let content = [0; DIRECTORY_RECORD];
        let key = self.record(parent, "TDirectory", name, name, content.len(), &content)?;
        self.directories.push(Directory {
            name: name.into(),
            title: name.into(),
            parent,
            seek: key.seek,
            name_bytes: key.length.into(),
            keys: Vec::new(),
            taken: HashSet::new(),
        });
        if let Some(parent) = self.directories.get_mut(parent) {
            parent.keys.push(key);
        }
        Ok(self.directories.len() - 1)
    }

    /// Writes an object and lists it in its directory.
    fn object(
        &mut self,
        directory: usize,
        class: &'static str,
        name: &str,
        title: &str,
        content: &[u8],
        frames: Option<&[u8]>,
    ) -> Result<()> {
        let key = self.record(directory, class, name, title, content.len(), frames.unwrap_or(content))?;
        if let Some(directory) = self.directories.get_mut(directory) {
            directory.keys.push(key);
        }
        Ok(())
    }

    /// Writes a record: a key and what is stored behind it.
    fn record(
        &mut self,
        directory: usize,
        class: &'static str,
        name: &str,
        title: &str,
        object_bytes: usize,
        stored: &[u8],
    ) -> Result<Key> {
        let length = key_length(class, name, title);
        let bytes = (length + object_bytes.max(stored.len())) as u64;
        let (Ok(short), false) = (u16::try_from(length), bytes > MAX_RECORD) else {
            let place = Box::new(Place { tree: Some(name.into()), ..*Place::of_file(&self.name) });
            let advice = "write fewer or shorter names, fewer columns, or several files";
            return Err(Error::TooLarge { place, what: "the object", bytes, advice });
        };
        let key = Key {
            stored: (length + stored.len()) as u32,
            object_bytes: object_bytes as u32,
            date: self.date,
            length: short,
            cycle: 1,
            seek: self.position,
            parent: self.seek_of(directory),
            class,
            name: name.into(),
            title: title.into(),
        };
        let mut head = Record::default();
        key.put(&mut head);
        self.append(&head.into_bytes())?;
        self.append(stored)?;
        Ok(key)
    }

    /// Writes the lists of keys, the class descriptions and the list of free space, and then what could not be known
    /// before: the records of the directories, and the header.
    fn finish(mut self, streamers: &[u8], frames: Option<&[u8]>, compression: Compression) -> Result<W> {
        let mut patches = Vec::new();
        for index in 0..self.directories.len() {
            patches.push(self.list_keys(index)?);
        }
        let stored = frames.unwrap_or(streamers);
        let info = self.record(0, "TList", STREAMERS.0, STREAMERS.1, streamers.len(), stored)?;
        let (base, title) = self.directories.first().map(|d| (d.name.clone(), d.title.clone())).unwrap_or_default();
        // The free space behind the end is the one there is. Its record is always as long as this one.
        let free_length = key_length("TFile", &base, &title) as u64 + 18;
        let end = self.position + free_length;
        let mut free = Record::default();
        free.u16(1 + WIDE);
        free.u64(end);
        free.u64(if end < BIG_FILE { BIG_FILE } else { end.next_multiple_of(1_000_000_000) + 1_000_000_000 });
        let free = self.record(0, "TFile", &base, &title, 18, &free.into_bytes())?;
        patches.push((0, self.header(end, &free, &info, compression)));
        for (place, bytes) in patches {
            self.sink
                .seek(SeekFrom::Start(place))
                .and_then(|_| self.sink.write_all(&bytes))
                .map_err(|source| Error::Io { file: self.name.clone(), source })?;
        }
        let end = self.sink.seek(SeekFrom::End(0)).and_then(|_| self.sink.flush());
        end.map_err(|source| Error::Io { file: self.name.clone(), source })?;
        Ok(self.sink)
    }

    /// Writes the list of a directory's keys; gives the place and the content of its record.
    fn list_keys(&mut self, index: usize) -> Result<(u64, Vec<u8>)> {
        let Some(directory) = self.directories.get(index) else {
            return Ok((self.position, Vec::new()));
        };
        let mut list = Record::default();
        list.u32(directory.keys.len() as u32);
        directory.keys.iter().for_each(|key| key.put(&mut list));
        let list = list.into_bytes();
        let class = if index == 0 { "TFile" } else { "TDirectory" };
        let (name, title) = (directory.name.clone(), directory.title.clone());
        let (seek, name_bytes) = (directory.seek, directory.name_bytes);
        let parent = if index == 0 { 0 } else { self.seek_of(directory.parent) };
        let key = self.record(index, class, &name, &title, list.len(), &list)?;
        let mut record = Record::default();
        record.u16(5 + WIDE);
        record.u32(self.date);
        record.u32(self.date);
        record.u32(key.stored);
        record.u32(name_bytes);
        record.u64(seek);
        record.u64(parent);
        record.u64(key.seek);
        record.u16(1);
        record.raw(&self.uuid);
        Ok((seek + u64::from(name_bytes), record.into_bytes()))
    }

    fn header(&self, end: u64, free: &Key, info: &Key, compression: Compression) -> Vec<u8> {
        let wide = end > BIG_FILE;
        let place = |r: &mut Record, place: u64| if wide { r.u64(place) } else { r.u32(place as u32) };
        let mut r = Record::default();
        r.raw(b"root");
        r.u32(ROOT_VERSION + if wide { WIDE_FILE } else { 0 });
        r.u32(BEGIN as u32);
        place(&mut r, end);
        place(&mut r, free.seek);
        r.u32(free.stored);
        r.u32(1);
        r.u32(self.directories.first().map_or(0, |d| d.name_bytes));
        r.u8(if wide { 8 } else { 4 });
        r.u32(compression.setting());
        place(&mut r, info.seek);
        r.u32(info.stored);
        r.u16(1);
        r.raw(&self.uuid);
        r.into_bytes()
    }
}
