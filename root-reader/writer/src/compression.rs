//! ROOT's compressed frames: content cut into pieces of at most 16 MiB - 1, each behind a 9-byte header of two letters
//! for the codec, a method byte, and two 24-bit little-endian lengths.

use std::fmt;
use std::str::FromStr;

use libdeflater::CompressionLvl;
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status, Stream};
use lz4::block::CompressionMode;

use crate::error::{Error, Result};

const FRAME_HEADER: usize = 9;
const MAX_FRAME: usize = 0xff_ffff;
/// Shorter content is not compressed: the header of the frame would take most of what is saved.
const WORTH_COMPRESSING: usize = 32;

/// How records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// Read by every version of ROOT.
    Zlib,
    /// The fastest to read, and the largest.
    Lz4,
    /// Small and fast to read.
    Zstd,
    /// The smallest, and slow to write and to read.
    Lzma,
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zlib => "zlib",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
            Self::Lzma => "lzma",
        }
    }

    /// The number that ROOT has for the algorithm.
    fn number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Zlib => 1,
            Self::Lzma => 2,
            Self::Lz4 => 4,
            Self::Zstd => 5,
        }
    }

    /// The letters and the method byte of a frame's header.
    fn letters(self) -> [u8; 3] {
        match self {
            Self::None => [0; 3],
            Self::Zlib => *b"ZL\x08",
            Self::Lz4 => *b"L4\x01",
            Self::Zstd => *b"ZS\x01",
            Self::Lzma => *b"XZ\0",
        }
    }

    /// The level that ROOT has for it if nobody says otherwise.
    fn usual_level(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Zlib => 1,
            Self::Lz4 => 4,
            Self::Zstd => 5,
            Self::Lzma => 7,
        }
    }
}

/// A codec and its level, from 1 (fast) to 9 (small), as ROOT counts them. Text such as `zstd:5` or `lz4` parses.
///
/// ```
/// use root_writer::{Codec, Compression};
///
/// let compression: Compression = "zlib:6".parse()?;
/// assert_eq!(compression, Compression::new(Codec::Zlib, 6)?);
/// assert_eq!(compression.setting(), 106);
/// # Ok::<(), root_writer::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Compression {
    codec: Codec,
    level: u8,
}

impl Compression {
    /// A codec with a level; without compression there is none but 0.
    pub fn new(codec: Codec, level: u8) -> Result<Self> {
        let levels = if codec == Codec::None { 0..=0 } else { 1..=9 };
        if levels.contains(&level) {
            Ok(Self { codec, level })
        } else {
            Err(Error::BadCompression { setting: format!("{}:{level}", codec.name()) })
        }
    }

    /// The codec.
    pub fn codec(self) -> Codec {
        self.codec
    }

    /// The level.
    pub fn level(self) -> u8 {
        self.level
    }

    /// ROOT's number for it: 100 × algorithm + level.
    pub fn setting(self) -> u32 {
        100 * self.codec.number() + u32::from(self.level)
    }
}

impl From<Codec> for Compression {
    /// The codec with ROOT's usual level.
    fn from(codec: Codec) -> Self {
        Self { codec, level: codec.usual_level() }
    }
}

impl Default for Compression {
    /// Zstandard at level 5, which ROOT recommends for analysis.
    fn default() -> Self {
        Codec::Zstd.into()
    }
}

/// As [`FromStr`] reads it: the codec, and the level behind a colon.
impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.codec.name(), self.level)
    }
}

impl FromStr for Compression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::BadCompression { setting: text.to_string() };
        let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
        let codecs = [Codec::None, Codec::Zlib, Codec::Lz4, Codec::Zstd, Codec::Lzma];
        let codec = codecs.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name)).ok_or_else(bad)?;
        match level {
            Some(level) => Self::new(codec, level.parse().map_err(|_| bad())?).map_err(|_| bad()),
            None => Ok(codec.into()),
        }
    }
}

/// What is compressed, which decides how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Anything, with the effort that the level says.
    Any,
    /// Numbers of 32 bits that grow, where entries begin. Tables repeat all but the last byte of a number in the next one,
    /// which is found by some methods and not by others, with little regard to the level.
    Table,
}

/// Frames one behind the other, in memory that is used again without being cleared.
#[derive(Default)]
pub(crate) struct Frames {
    memory: Vec<u8>,
    length: usize,
}

impl Frames {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory.get(..self.length).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// The next so many bytes, with anything in them.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.length + bytes;
        if self.memory.len() < end {
            self.memory.resize(end, 0);
        }
        self.memory.get_mut(self.length..end).unwrap_or_default()
    }
}

/// Compression contexts, reused from record to record. Each thread has its own.
#[derive(Default)]
pub(crate) struct Compressor {
    /// Of the level that was last used.
    deflate: Option<(u8, libdeflater::Compressor)>,
    /// Of the level for tables.
    deflate_tables: Option<(u8, libdeflater::Compressor)>,
    zstd: Option<zstd_safe::CCtx<'static>>,
}

impl Compressor {
    /// Puts the frames of `content` into `frames`, in place of what is there. Says whether they are smaller; otherwise the
    /// content is to be stored as it is.
    pub(crate) fn compress(&mut self, compression: Compression, content: &[u8], frames: &mut Frames) -> Result<bool> {
        if compression.codec == Codec::None || content.len() < WORTH_COMPRESSING {
            return Ok(false);
        }
        frames.clear();
        Ok(self.append(compression, Content::Any, content, frames)? && frames.length < content.len())
    }

    /// Appends the frames of `content`, smaller or not. Says whether there can be any: content that grows may be too large
    /// for them.
    pub(crate) fn append(
        &mut self,
        compression: Compression,
        kind: Content,
        content: &[u8],
        frames: &mut Frames,
    ) -> Result<bool> {
        for piece in content.chunks(MAX_FRAME) {
            let room = frames.room(FRAME_HEADER + bound(compression.codec, piece.len()));
            let (header, slot) = room.split_at_mut(FRAME_HEADER);
            let compressed = self.frame(compression, kind, piece, slot)?;
            if compressed > MAX_FRAME {
                return Ok(false);
            }
            let [a, b, method] = compression.codec.letters();
            let [c0, c1, c2, _] = (compressed as u32).to_le_bytes();
            let [u0, u1, u2, _] = (piece.len() as u32).to_le_bytes();
            header.copy_from_slice(&[a, b, method, c0, c1, c2, u0, u1, u2]);
            frames.length += FRAME_HEADER + compressed;
        }
        Ok(true)
    }

    /// Compresses a piece into `slot`, and says how long it is there.
    fn frame(&mut self, compression: Compression, kind: Content, piece: &[u8], slot: &mut [u8]) -> Result<usize> {
        let fault = |why: String| Error::Compression { codec: compression.codec.name(), why };
        let is_table = kind == Content::Table;
        match compression.codec {
            Codec::None => Ok(0),
            Codec::Zlib => {
                // From this level on libdeflate sees what repeats in a table, in hardly more time.
                const OF_TABLES: u8 = 6;
                let deflate = match is_table {
                    true => deflate(&mut self.deflate_tables, compression.level.max(OF_TABLES))?,
                    false => deflate(&mut self.deflate, compression.level)?,
                };
                deflate.zlib_compress(piece, slot).map_err(|e| fault(e.to_string()))
            }
            Codec::Lz4 => {
                let no_room = || fault("there is no room for a checksum".into());
                let (checksum, block) = slot.split_first_chunk_mut::<CHECKSUM>().ok_or_else(no_room)?;
                // ROOT takes the fast method below level 4. The other one makes no table smaller.
                let mode = match compression.level {
                    level @ 4.. if !is_table => CompressionMode::HIGHCOMPRESSION(level.into()),
                    _ => CompressionMode::DEFAULT,
                };
                let length = lz4::block::compress_to_buffer(piece, Some(mode), false, block)
                    .map_err(|e| fault(e.to_string()))?;
                let block = block.get(..length).unwrap_or_default();
                *checksum = xxhash_rust::xxh64::xxh64(block, 0).to_be_bytes();
                Ok(CHECKSUM + length)
            }
            Codec::Zstd => {
                let context = match &mut self.zstd {
                    Some(context) => context,
                    none => none.insert(zstd_safe::CCtx::try_create().ok_or_else(|| fault("no memory".into()))?),
                };
                let done = match compression.level {
                    // The fast methods do not find repetitions of three bytes: more effort with them changes nothing.
                    ..=2 if is_table => context.compress(slot, piece, 1),
                    _ if is_table => zstd_table(context, slot, piece),
                    // ROOT's nine levels are every other of zstd's.
                    level => context.compress(slot, piece, 2 * i32::from(level)),
                };
                done.map_err(|code| fault(zstd_safe::get_error_name(code).into()))
            }
            Codec::Lzma => xz(compression.level, piece, slot).map_err(fault),
        }
    }
}

/// Bytes of the checksum in front of LZ4's.
const CHECKSUM: usize = 8;

/// The most bytes that content of this length is compressed to.
fn bound(codec: Codec, length: usize) -> usize {
    match codec {
        Codec::None => 0,
        // Blocks that are stored have at most 5 bytes more, and are at least 5,000 bytes long but for the last.
        Codec::Zlib => length + 5 * (length / 5000 + 2) + 16,
        Codec::Lz4 => CHECKSUM + length + length / 255 + 16,
        Codec::Zstd => zstd_safe::compress_bound(length),
        Codec::Lzma => length + length / 8 + 1024,
    }
}

/// The compressor of a level, kept from one record to the next.
fn deflate(kept: &mut Option<(u8, libdeflater::Compressor)>, level: u8) -> Result<&mut libdeflater::Compressor> {
    let slot = kept.take().filter(|(known, _)| *known == level);
    let made = match slot {
        Some((_, known)) => known,
        None => {
            let level = CompressionLvl::new(level.into())
                .map_err(|_| Error::BadCompression { setting: format!("zlib:{level}") })?;
            libdeflater::Compressor::new(level)
        }
    };
    Ok(&mut kept.insert((level, made)).1)
}

/// Compresses a table: looks for repetitions of three bytes, but only close by. That halves what the levels give, and the
/// levels that look for them do so for four times as long.
fn zstd_table(context: &mut zstd_safe::CCtx<'static>, slot: &mut [u8], table: &[u8]) -> zstd_safe::SafeResult {
    use zstd_safe::CParameter;
    for parameter in [
        CParameter::WindowLog(12),
        CParameter::ChainLog(6),
        CParameter::HashLog(6),
        CParameter::SearchLog(1),
        CParameter::MinMatch(3),
        CParameter::TargetLength(4),
        CParameter::Strategy(zstd_safe::Strategy::ZSTD_btopt),
    ] {
        context.set_parameter(parameter)?;
    }
    context.compress2(slot, table)
}

/// One xz stream, with a dictionary no larger than the content.
fn xz(level: u8, piece: &[u8], out: &mut [u8]) -> Result<usize, String> {
    const LEAST_DICTIONARY: u32 = 4096;
    let mut options = LzmaOptions::new_preset(level.into()).map_err(|e| e.to_string())?;
    let preset = match level {
        1 => 1 << 20,
        2 => 2 << 20,
        3 | 4 => 4 << 20,
        5 | 6 => 8 << 20,
        7 => 16 << 20,
        8 => 32 << 20,
        _ => 64 << 20,
    };
    options.dict_size((piece.len() as u32).clamp(LEAST_DICTIONARY, preset));
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut stream = Stream::new_stream_encoder(&filters, Check::Crc32).map_err(|e| e.to_string())?;
    loop {
        let (read, written) = (stream.total_in() as usize, stream.total_out() as usize);
        let input = piece.get(read..).unwrap_or_default();
        let slot = out.get_mut(written..).unwrap_or_default();
        if slot.is_empty() {
            return Err("the content grows".into());
        }
        match stream.process(input, slot, Action::Finish).map_err(|e| e.to_string())? {
            Status::StreamEnd => return Ok(stream.total_out() as usize),
            _ if stream.total_in() as usize == read && stream.total_out() as usize == written => {
                return Err("no progress".into());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_of_root() {
        let setting = |text: &str| text.parse::<Compression>().map(Compression::setting).ok();
        assert_eq!(setting("none"), Some(0));
        assert_eq!(setting("zlib"), Some(101));
        assert_eq!(setting("LZMA:7"), Some(207));
        assert_eq!(setting("lz4:4"), Some(404));
        assert_eq!(setting("zstd"), Some(505));
        for wrong in ["", "gzip", "zlib:0", "zlib:10", "none:1", "zstd:", "zstd:x"] {
            assert_eq!(setting(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn content_beyond_16_mib_is_several_frames() {
        let content = vec![7; MAX_FRAME + 1000];
        let mut frames = Frames::default();
        assert!(Compressor::default().compress(Codec::Lz4.into(), &content, &mut frames).is_ok_and(|smaller| smaller));
        let frames = frames.bytes();
        let first = frames.get(..FRAME_HEADER).unwrap_or_default();
        assert_eq!(first.get(..3), Some(&b"L4\x01"[..]));
        assert_eq!(first.get(6..), Some(&[0xff, 0xff, 0xff][..]));
        let length = first.get(3..6).map_or(0, |b| b.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b)));
        let second = frames.get(FRAME_HEADER + length..).unwrap_or_default();
        assert_eq!(second.get(6..9), Some(&[0xe8, 3, 0][..]), "1000 bytes are left for the second");
    }

    #[test]
    fn what_does_not_become_smaller_is_stored_as_it_is() {
        let noise: Vec<u8> = (0..200u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        for codec in [Codec::Zlib, Codec::Lz4, Codec::Zstd, Codec::Lzma] {
            let done = Compressor::default().compress(codec.into(), &noise, &mut Frames::default());
            assert!(done.is_ok_and(|is_smaller| !is_smaller), "{codec:?}");
        }
    }
}
