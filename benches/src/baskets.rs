//! Baskets without any reader: where they lie, and their bytes, decompressed with the best C libraries.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use libdeflater::DecompressionError;
use memchr::memmem;
use root_reader::{RootFile, Tree};

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
        let pair = |((entries, size), range): ((Range<u64>, u64), Range<u64>)| {
            assert_eq!(size, range.end - range.start, "size of a basket of {name}");
            Place { entries, position: range.start, size: size as usize }
        };
        branch.baskets().zip(found).map(pair).collect()
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
            return &self.stored[key..key + wanted];
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
        &self.content[..wanted]
    }
}

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
        // libdeflate fills the room that it has before it says that there is too little.
        b"ZL" => match deflate.zlib_decompress(frame, &mut out[..wanted]) {
            Ok(n) => assert_eq!(n, wanted),
            Err(DecompressionError::InsufficientSpace) if wanted < out.len() => {}
            Err(error) => panic!("{error:?}"),
        },
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
