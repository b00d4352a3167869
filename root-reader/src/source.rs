//! Where the bytes of a file come from: memory, a local file, or ranges of an object store. A local file that is
//! reached through an object store is read with plain positioned reads on the handle that opening gave. Of a remote one,
//! where each request costs a round trip, parts can be read ahead.

use std::fs::File;
use std::ops::Range;
use std::path::Path as LocalPath;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt};

use crate::error::{Error, FormatError, Place, Result};
use crate::local::LocalFile;

/// What opening reads at once: the header, the top directory's record, and often its keys as well.
const HEAD: u64 = 16 << 10;
/// Ranges that lie closer together than this are fetched as one.
const COALESCE_GAP: u64 = 128 << 10;
/// A coalesced fetch does not grow beyond this, so that several can be in flight.
const COALESCE_MAX: u64 = 8 << 20;

/// The bytes of one file. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    name: Arc<str>,
    size: u64,
    bytes: Where,
}

#[derive(Debug, Clone)]
enum Where {
    Memory(Bytes),
    Local(Arc<LocalFile>),
    Store { store: Arc<dyn ObjectStore>, path: Path, ahead: Ahead },
}

/// Parts of a remote file that are at hand, the head first.
#[derive(Debug, Clone, Default)]
struct Ahead(Arc<[(u64, Bytes)]>);

impl Ahead {
    /// The part that some place of the file lies in, and where that part starts.
    fn part(&self, place: u64) -> Option<(u64, &Bytes)> {
        let holds = |(start, bytes): &&(u64, Bytes)| *start <= place && place - start < bytes.len() as u64;
        self.0.iter().find(holds).map(|(start, bytes)| (*start, bytes))
    }

    fn get(&self, range: &Range<u64>) -> Option<Bytes> {
        let (start, bytes) = self.part(range.start)?;
        let end = range.end - start;
        (range.start <= range.end && end <= bytes.len() as u64)
            .then(|| bytes.slice((range.start - start) as usize..end as usize))
    }

    /// What is missing of a range that is at hand in part: what lies between the part that holds its start and the part
    /// that holds its end.
    fn gap(&self, range: &Range<u64>) -> Range<u64> {
        let start = self.part(range.start).map_or(range.start, |(start, bytes)| start + bytes.len() as u64);
        let end = range.end.checked_sub(1).and_then(|last| self.part(last)).map_or(range.end, |(start, _)| start);
        start..end.max(start)
    }
}

impl Source {
    pub(crate) fn memory(name: impl Into<Arc<str>>, bytes: Bytes) -> Self {
        Self { name: name.into(), size: bytes.len() as u64, bytes: Where::Memory(bytes) }
    }

    pub(crate) fn local(path: &LocalPath) -> Result<Self> {
        let name: Arc<str> = path.to_string_lossy().into();
        let io = |source| Error::Io { file: name.to_string(), source };
        let file = File::open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        if meta.is_dir() {
            return Err(io(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
        }
        // The working directory may change.
        let local = LocalFile::opened(file, std::path::absolute(path).map_err(io)?).map_err(io)?;
        Ok(Self { name: name.clone(), size: meta.len(), bytes: Where::Local(local) })
    }

    pub(crate) async fn open(store: Arc<dyn ObjectStore>, path: Path, name: impl Into<Arc<str>>) -> Result<Self> {
        let name = name.into();
        let options = GetOptions { range: Some(GetRange::Bounded(0..HEAD)), ..GetOptions::default() };
        let fault = |source| Error::Store { file: name.to_string(), source };
        let answer = match store.get_opts(&path, options).await {
            Ok(answer) => answer,
            // Stores refuse a range of an empty file in words of their own.
            Err(error) => match store.head(&path).await {
                Ok(meta) if meta.size == 0 => return Ok(Self::memory(name, Bytes::new())),
                _ => return Err(fault(error)),
            },
        };
        let size = answer.meta.size;
        let bytes = match answer.payload {
            GetResultPayload::File(file, path) => {
                let local = LocalFile::opened(file, path);
                Where::Local(local.map_err(|source| Error::Io { file: name.to_string(), source })?)
            }
            GetResultPayload::Stream(body) => {
                let chunks: Vec<Bytes> = body.try_collect().await.map_err(fault)?;
                Where::Store { store, path, ahead: Ahead(Arc::new([(0, concat(chunks))])) }
            }
        };
        Ok(Self { name: name.clone(), size, bytes })
    }

    /// The file as the user named it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether reading needs no waiting, so that fetching ahead gains nothing.
    pub(crate) fn is_immediate(&self) -> bool {
        !matches!(self.bytes, Where::Store { .. })
    }

    /// The length of a range that lies within the file.
    pub(crate) fn check(&self, range: &Range<u64>) -> Result<usize> {
        let length = range.end.checked_sub(range.start).and_then(|n| usize::try_from(n).ok());
        match length {
            Some(length) if range.end <= self.size => Ok(length),
            _ => Err(Error::corrupt(
                Place { file: self.name.to_string(), ..Place::default() },
                FormatError::invalid(format!(
                    "bytes {}..{} lie beyond the end of the file, which has {} bytes: it is truncated or corrupt",
                    range.start, range.end, self.size
                )),
            )),
        }
    }

    /// Reads one range of a local file without waiting, into a buffer that grows to hold it; `None` for other files.
    pub(crate) fn read_now<'a>(&'a self, range: Range<u64>, scratch: &'a mut Vec<u8>) -> Option<Result<&'a [u8]>> {
        let length = match self.check(&range) {
            Ok(length) => length,
            Err(error) => return Some(Err(error)),
        };
        match &self.bytes {
            Where::Local(file) => {
                if scratch.len() < length {
                    scratch.resize(length, 0);
                }
                let slot = scratch.get_mut(..length).unwrap_or_default();
                Some(match file.read_at(slot, range.start) {
                    Ok(()) => Ok(slot),
                    Err(source) => Err(Error::Io { file: self.name.to_string(), source }),
                })
            }
            Where::Memory(_) | Where::Store { .. } => None,
        }
    }

    /// A slice of a file that is in memory; `None` where the bytes have to be read.
    pub(crate) fn read_shared(&self, range: Range<u64>) -> Option<Result<Bytes>> {
        let Where::Memory(bytes) = &self.bytes else {
            return None;
        };
        let start = range.start as usize;
        Some(self.check(&range).map(|length| bytes.slice(start..start + length)))
    }

    pub(crate) async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let length = self.check(&range)?;
        match &self.bytes {
            Where::Memory(bytes) => {
                let start = range.start as usize;
                Ok(bytes.slice(start..start + length))
            }
            Where::Local(file) => {
                let mut buffer = BytesMut::zeroed(length);
                file.read_at(&mut buffer, range.start)
                    .map_err(|source| Error::Io { file: self.name.to_string(), source })?;
                Ok(buffer.freeze())
            }
            Where::Store { ahead, .. } => {
                if let Some(bytes) = ahead.get(&range) {
                    return Ok(bytes);
                }
                let gap = ahead.gap(&range);
                let (front, back) = (ahead.get(&(range.start..gap.start)), ahead.get(&(gap.end..range.end)));
                let middle = if gap.is_empty() { Vec::new() } else { self.fetch(&[gap]).await? };
                Ok(concat(front.into_iter().chain(middle).chain(back).filter(|part| !part.is_empty()).collect()))
            }
        }
    }

    /// Fetches ranges of a remote file, all with one request to its store.
    async fn fetch(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let Where::Store { store, path, .. } = &self.bytes else { return Ok(Vec::new()) };
        let fault = |source| Error::Store { file: self.name.to_string(), source };
        let answers = match ranges {
            [] => return Ok(Vec::new()),
            [one] => vec![store.get_range(path, one.clone()).await.map_err(fault)?],
            several => store.get_ranges(path, several).await.map_err(fault)?,
        };
        for (n, range) in ranges.iter().enumerate() {
            let length = answers.get(n).map_or(0, Bytes::len);
            if length as u64 != range.end.saturating_sub(range.start) {
                return Err(Error::corrupt(
                    Place { file: self.name.to_string(), ..Place::default() },
                    FormatError::invalid(format!(
                        "the store answered {length} bytes for range {}..{}",
                        range.start, range.end
                    )),
                ));
            }
        }
        Ok(answers)
    }

    /// Whether a range can be read without a request.
    pub(crate) fn is_at_hand(&self, range: &Range<u64>) -> bool {
        match &self.bytes {
            Where::Store { ahead, .. } => ahead.get(range).is_some(),
            Where::Memory(_) | Where::Local(_) => true,
        }
    }

    /// The same file, with some ranges of it at hand if it is remote; they may overlap and reach beyond its end.
    pub(crate) async fn read_ahead(&self, ranges: &[Range<u64>]) -> Result<Self> {
        let Where::Store { store, path, ahead } = &self.bytes else { return Ok(self.clone()) };
        let within = ranges.iter().map(|range| range.start..range.end.min(self.size));
        let missing = within.filter(|range| range.start < range.end && ahead.get(range).is_none());
        let missing = coalesce(&missing.map(|range| ahead.gap(&range)).collect::<Vec<_>>());
        let fetched = self.fetch(&missing).await?;
        let starts = missing.iter().map(|range| range.start);
        let parts = ahead.0.iter().cloned().chain(starts.zip(fetched)).collect();
        let bytes = Where::Store { store: store.clone(), path: path.clone(), ahead: Ahead(parts) };
        Ok(Self { bytes, ..self.clone() })
    }

    /// The same file without what was read ahead, but for its head.
    pub(crate) fn settled(&self) -> Self {
        match &self.bytes {
            Where::Store { store, path, ahead } => {
                let ahead = Ahead(ahead.0.iter().take(1).cloned().collect());
                let bytes = Where::Store { store: store.clone(), path: path.clone(), ahead };
                Self { bytes, ..self.clone() }
            }
            Where::Memory(_) | Where::Local(_) => self.clone(),
        }
    }

    /// Reads several ranges, neighbours as one; the answers are in the order of `ranges`.
    pub(crate) async fn read_ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        for range in ranges {
            self.check(range)?;
        }
        let ahead = |range: &Range<u64>| match &self.bytes {
            Where::Store { ahead, .. } => ahead.get(range),
            Where::Memory(_) | Where::Local(_) => None,
        };
        let missing: Vec<_> = ranges.iter().filter(|range| ahead(range).is_none()).cloned().collect();
        let merged = coalesce(&missing);
        let fetched = match &self.bytes {
            Where::Store { .. } => self.fetch(&merged).await?,
            Where::Memory(_) | Where::Local(_) => {
                let mut read = Vec::with_capacity(merged.len());
                for range in &merged {
                    read.push(self.read(range.clone()).await?);
                }
                read
            }
        };
        let fetched: Vec<(u64, Bytes)> = merged.iter().map(|range| range.start).zip(fetched).collect();
        let cut = |range: &Range<u64>| {
            let at = fetched.partition_point(|(start, _)| *start <= range.start).checked_sub(1)?;
            let (start, bytes) = fetched.get(at)?;
            let (from, to) = ((range.start - start) as usize, (range.end.checked_sub(*start)?) as usize);
            (to <= bytes.len() && from <= to).then(|| bytes.slice(from..to))
        };
        ranges
            .iter()
            .map(|range| match ahead(range).or_else(|| cut(range)) {
                Some(bytes) => Ok(bytes),
                None => self.check(range).map(|_| Bytes::new()),
            })
            .collect()
    }
}

/// Sorts and merges ranges that overlap or nearly touch, and leaves out empty ones. The result is sorted and covers every
/// input.
fn coalesce(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
    sorted.sort_unstable_by_key(|r| (r.start, r.end));
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last)
                if range.start <= last.end
                    || (range.start - last.end <= COALESCE_GAP && range.end - last.start <= COALESCE_MAX) =>
            {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged
}

fn concat(chunks: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(chunks) {
        Ok([one]) => one,
        Err(many) => many.concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn ranges_come_back_in_the_order_asked_whatever_was_merged() {
        let data: Vec<u8> = (0..200u8).collect();
        let source = Source::memory("m", Bytes::from(data.clone()));
        let ranges = [150..160u64, 0..10, 5..20, 199..200, 30..30];
        let answers = block_on(source.read_ranges(&ranges)).unwrap();
        for (range, bytes) in ranges.iter().zip(answers) {
            assert_eq!(bytes, data[range.start as usize..range.end as usize]);
        }
    }

    #[test]
    fn a_range_beyond_the_end_names_the_file() {
        let source = Source::memory("short.root", Bytes::from_static(b"abc"));
        let error = block_on(source.read(1..9)).unwrap_err().to_string();
        assert!(error.contains("short.root") && error.contains("3 bytes"), "{error}");
        assert!(block_on(source.read_ranges(&[0..2, 2..9])).is_err());
    }

    #[test]
    fn near_ranges_are_one_request_and_far_ones_are_not() {
        let far = COALESCE_GAP * 3;
        assert_eq!(coalesce(&[10..20, 0..5, far..far + 1]), vec![0..20, far..far + 1]);
        let big = COALESCE_MAX;
        assert_eq!(coalesce(&[0..big, big + 1..big + 2]).len(), 2);
    }
}
