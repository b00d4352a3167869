//! Baskets without any reader: where they lie, and their bytes, decompressed with the best C libraries.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use libdeflater::DecompressionError;
use memchr::memmem;
use root_reader::{RootFile, Tree};

/// Whether a basket is deflated, so that stopping before its table of entry offsets saves time.
pub fn is_deflated(path: &Path, place: &Place) -> bool {
    let mut key = vec![0; place.size];
    File::open(path).unwrap().read_exact_at(&mut key, place.position).unwrap();
    key[usize::from(be16(&key, 14))..].starts_with(b"ZL")
}

/// Where a basket lies.
#[derive(Debug, Clone)]
pub struct Place {
    /// Entries that it holds.
    pub entries: Range<u64>,
    /// Position of its key in the file.
    pub position: u64,
    /// Bytes that it takes there.
    pub size: usize,
}

/// Opens the tree `Events` of a file.
pub fn events(path: &Path) -> Tree {
    RootFile::open_local(path).unwrap().tree_blocking("Events").unwrap()
}

/// The baskets of some branches of the tree `Events`, in entry order.
///
/// The reader does not tell where baskets lie, and the free space that writers leave makes a walk from key to key
/// impossible; but every key holds its own position, so that looking for its class name finds keys and nothing else.
/// Which of several baskets of the same size comes first is a guess if the branch is not in order in the file.
pub fn locate(path: &Path, branches: &[&str]) -> Vec<Vec<Place>> {
    const CHUNK: usize = 8 << 20;
    const OVERLAP: usize = 256;
    let needle = memmem::Finder::new(b"\x07TBasket");
    let file = File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let mut found: HashMap<String, HashMap<u64, Range<u64>>> = HashMap::new();
    let mut buffer = vec![0; CHUNK + 2 * OVERLAP];
    let mut start = 0;
    while start < size {
        let from = start.saturating_sub(OVERLAP as u64);
        let length = (size - from).min(buffer.len() as u64) as usize;
        let bytes = &mut buffer[..length];
        file.read_exact_at(bytes, from).unwrap();
        for at in needle.find_iter(bytes) {
            if let Some((name, position, size)) = basket_key(bytes, at, from) {
                found.entry(name).or_default().insert(position, position..position + size);
            }
        }
        start += CHUNK as u64;
    }
    let tree = events(path);
    let places = |name: &&str| {
        let branch = tree.branches().iter().find(|b| b.name == **name).unwrap_or_else(|| panic!("no branch {name}"));
        let mut found: Vec<Range<u64>> = found.remove(*name).unwrap_or_default().into_values().collect();
        found.sort_by_key(|r| r.start);
        assert_eq!(found.len(), branch.basket_count(), "baskets of {name}");
        // Mostly the baskets lie in the order of their entries, but writers also fill gaps with them: of the baskets with
        // the right size the first that is left.
        let take = |(entries, size): (Range<u64>, u64)| {
            let at = found.iter().position(|r| r.end - r.start == size).unwrap_or_else(|| panic!("baskets of {name}"));
            Place { entries, position: found.remove(at).start, size: size as usize }
        };
        branch.baskets().map(take).collect()
    };
    branches.iter().map(places).collect()
}

/// Branch, position and size of the basket whose class name was found at `at`; `None` if the bytes are no key.
fn basket_key(bytes: &[u8], at: usize, offset: u64) -> Option<(String, u64, u64)> {
    for (head, wide) in [(26, false), (34, true)] {
        let Some(key) = at.checked_sub(head).and_then(|start| bytes.get(start..)) else { continue };
        let position = if wide { u64::from_be_bytes(*key[18..].first_chunk()?) } else { be32(key, 18).into() };
        if (be16(key, 4) > 1000) != wide || position != offset + (at - head) as u64 {
            continue;
        }
        let name = key.get(head + 8..)?;
        let (length, name) = name.split_first()?;
        let name = String::from_utf8(name.get(..usize::from(*length))?.to_vec()).ok()?;
        return Some((name, position, be32(key, 0).into()));
    }
    None
}

/// Decompresses baskets into one buffer that is used again and again.
pub struct Unpacker {
    stored: Vec<u8>,
    content: Vec<u8>,
    deflate: libdeflater::Decompressor,
    zstd: zstd_safe::DCtx<'static>,
}

/// How much of a basket is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything, the table of entry offsets included.
    Whole,
    /// The values only.
    Values,
}

impl Default for Unpacker {
    fn default() -> Self {
        Self {
            stored: Vec::new(),
            content: Vec::new(),
            deflate: libdeflater::Decompressor::new(),
            zstd: zstd_safe::DCtx::create(),
        }
    }
}

impl Unpacker {
    /// Reads and decompresses a basket; the answer holds the values, and behind them what else was asked for.
    pub fn unpack(&mut self, file: &File, place: &Place, part: Part) -> &[u8] {
        self.split(file, place, part).0
    }

    /// The same, with the length of the values and of the key, from which the table counts its offsets.
    pub fn split(&mut self, file: &File, place: &Place, part: Part) -> (&[u8], usize, usize) {
        if self.stored.len() < place.size {
            self.stored.resize(place.size, 0);
        }
        let stored = &mut self.stored[..place.size];
        file.read_exact_at(stored, place.position).unwrap();
        let (length, key) = (be32(stored, 6) as usize, usize::from(be16(stored, 14)));
        // The last number of the basket's header tells where the values end, counted from its key.
        let values = (be32(stored, key - 5) as usize - key).min(length);
        let wanted = if part == Part::Whole { length } else { values };
        if stored.len() - key == length {
            // Stored as it is: a copy would only make the floor slower.
            return (&self.stored[key..key + wanted], values, key);
        }
        if self.content.len() < length {
            self.content.resize(length, 0);
        }
        let (mut rest, mut done) = (&stored[key..], 0);
        while done < wanted {
            let compressed = u32::from_le_bytes([rest[3], rest[4], rest[5], 0]) as usize;
            let size = u32::from_le_bytes([rest[6], rest[7], rest[8], 0]) as usize;
            let (frame, behind) = rest[9..].split_at(compressed);
            let take = size.min(wanted - done);
            let codec = [rest[0], rest[1]];
            frame_into(&mut self.deflate, &mut self.zstd, codec, frame, &mut self.content[done..done + size], take);
            done += take;
            rest = behind;
        }
        (&self.content[..wanted], values, key)
    }
}

/// Room behind what is wanted of a zlib stream: twice the longest match, and more than what copies write beyond one.
const SLACK: usize = 640;
/// Bytes that data do not hold.
const MARK: [u8; 16] = *b"\x8e\x31\xf4\x5a\xc7\x0b\x92\xed\x66\x1d\xb8\x43\xfa\x27\xd9\x70";

/// Decompresses one frame; only the first `wanted` bytes have to be right.
pub fn frame_into(
    deflate: &mut libdeflater::Decompressor,
    zstd: &mut zstd_safe::DCtx<'_>,
    codec: [u8; 2],
    frame: &[u8],
    out: &mut [u8],
    wanted: usize,
) {
    match &codec {
        b"ZL" if wanted + SLACK <= out.len() => {
            // libdeflate stops before the first match that does not fit into the room that it has. A stored block that
            // does not fit is not copied at all: then the mark is still there.
            let mark = wanted + SLACK / 2..wanted + SLACK / 2 + MARK.len();
            out[mark.clone()].copy_from_slice(&MARK);
            let answer = deflate.zlib_decompress(frame, &mut out[..wanted + SLACK]);
            if !matches!(answer, Err(DecompressionError::InsufficientSpace)) || out[mark] == MARK {
                assert_eq!(deflate.zlib_decompress(frame, out), Ok(out.len()));
            }
        }
        b"ZL" => assert_eq!(deflate.zlib_decompress(frame, out), Ok(out.len())),
        // A checksum of 8 bytes comes first. Stopping early gains nothing with lz4 and zstd.
        b"L4" => {
            let n = lz4::block::decompress_to_buffer(&frame[8..], Some(out.len() as i32), out).unwrap();
            assert_eq!(n, out.len());
        }
        b"ZS" => {
            let n = zstd.decompress(out, frame).unwrap();
            assert_eq!(n, out.len());
        }
        other => panic!("codec {}", other.escape_ascii()),
    }
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(*bytes[at..].first_chunk().unwrap())
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(*bytes[at..].first_chunk().unwrap())
}
