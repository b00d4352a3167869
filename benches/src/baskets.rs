//! Baskets with as little around them as possible: where they lie, and their bytes, decompressed with the best C libraries.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use libdeflater::DecompressionError;
use root_reader::{BasketInfo, RootFile, Tree};

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

/// Opens a tree of a file.
pub fn open(path: &Path, tree: &str) -> Tree {
    RootFile::open_local(path).unwrap().tree_blocking(tree).unwrap()
}

/// The baskets of some branches of a tree, in entry order.
pub fn locate(path: &Path, tree: &str, branches: &[&str]) -> Vec<Vec<Place>> {
    let tree = open(path, tree);
    let places = |name: &&str| {
        let branch = tree.branches().iter().find(|b| b.name == **name).unwrap_or_else(|| panic!("no branch {name}"));
        let place = |basket: BasketInfo| {
            let bytes = basket.bytes.unwrap_or_else(|| panic!("a basket of {name} is not in the file"));
            Place { entries: basket.entries, position: bytes.start, size: (bytes.end - bytes.start) as usize }
        };
        branch.baskets().map(place).collect()
    };
    branches.iter().map(places).collect()
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
