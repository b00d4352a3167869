//! Layer 2: ROOT's compressed frames. A record is a run of frames of at most 16 MiB - 1 of content each; every frame
//! has a 9-byte header: two letters for the codec, a method byte, and two 24-bit little-endian lengths.

use libdeflater::DecompressionError;

use crate::error::FormatError;

type Result<T> = std::result::Result<T, FormatError>;

const FRAME_HEADER: usize = 9;

/// The codec of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// `ZL`: zlib stream.
    Zlib,
    /// `CS`: deflate stream without the zlib wrapper, as ROOT 2 and 3 wrote it.
    OldDeflate,
    /// `XZ`: xz stream.
    Lzma,
    /// `L4`: lz4 block behind a 64-bit XXH64 checksum of the compressed bytes.
    Lz4,
    /// `ZS`: zstd frame.
    Zstd,
}

impl Codec {
    /// The usual name of the codec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zlib => "zlib",
            Self::OldDeflate => "CS",
            Self::Lzma => "lzma",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// One frame of a compressed record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub codec: Codec,
    pub content: &'a [u8],
    pub uncompressed: usize,
}

/// Splits the first frame off `input`.
pub(crate) fn split_frame(input: &[u8]) -> Result<(Frame<'_>, &[u8])> {
    let Some((header, rest)) = input.split_first_chunk::<FRAME_HEADER>() else {
        return Err(FormatError::Compression(format!(
            "a compressed frame needs a {FRAME_HEADER}-byte header, but only {} bytes are left",
            input.len()
        )));
    };
    let [a, b, _method, c0, c1, c2, u0, u1, u2] = *header;
    let codec = match &[a, b] {
        b"ZL" => Codec::Zlib,
        b"CS" => Codec::OldDeflate,
        b"XZ" => Codec::Lzma,
        b"L4" => Codec::Lz4,
        b"ZS" => Codec::Zstd,
        other => {
            return Err(FormatError::Compression(format!(
                "unknown compression '{}' (bytes {:02x} {:02x})",
                other.escape_ascii(),
                a,
                b
            )));
        }
    };
    let compressed = u32::from_le_bytes([c0, c1, c2, 0]) as usize;
    let uncompressed = u32::from_le_bytes([u0, u1, u2, 0]) as usize;
    let Some((content, rest)) = rest.split_at_checked(compressed) else {
        return Err(FormatError::Compression(format!(
            "a {} frame of {compressed} bytes is cut off after {}",
            codec.name(),
            rest.len()
        )));
    };
    Ok((Frame { codec, content, uncompressed }, rest))
}

/// Room behind a wanted prefix so that libdeflate, which stops before the first match that does not fit, has
/// certainly filled the prefix: a match is at most 258 bytes.
const PREFIX_SLACK: usize = SENTINEL_GAP + SENTINEL.len() + 258;
/// Distance of the sentinel from the prefix: more than libdeflate's word-wise copies write beyond their match.
const SENTINEL_GAP: usize = 64;
/// Bytes that inflated data are most unlikely to hold; if they are still there after a stop, the stream stopped early
/// (a stored block that does not fit is not copied at all) and the frame has to be inflated whole.
const SENTINEL: [u8; 16] = *b"\xd1\x6e\x0b\xa7\x95\x3c\xe8\x42\x1f\x8d\xb6\x59\x74\xca\x2d\x93";

/// Decompression contexts, reused from basket to basket.
pub(crate) struct Decompressor {
    deflate: libdeflater::Decompressor,
    zstd: zstd_safe::DCtx<'static>,
}

impl Default for Decompressor {
    fn default() -> Self {
        Self { deflate: libdeflater::Decompressor::new(), zstd: zstd_safe::DCtx::create() }
    }
}

impl Decompressor {
    /// Decompresses the frames of `input` into the front of `out`, which grows frame by frame (and never shrinks, so
    /// that a reused buffer is not cleared again) until `length` bytes are there.
    ///
    /// With `wanted < length` only the first `wanted` bytes have to be right: what follows may be left compressed.
    pub(crate) fn decompress(&mut self, input: &[u8], length: usize, wanted: usize, out: &mut Vec<u8>) -> Result<()> {
        let mut rest = input;
        let mut done = 0;
        let target = wanted.min(length);
        while done < target {
            let (frame, behind) = split_frame(rest)?;
            rest = behind;
            let end = done + frame.uncompressed;
            if frame.uncompressed == 0 || end > length {
                return Err(FormatError::Compression(format!(
                    "{} frames hold {end} bytes where the record has {length}",
                    frame.codec.name()
                )));
            }
            check_ratio(&frame)?;
            if out.len() < end {
                out.resize(end, 0);
            }
            let stop = end.min(target);
            let slot = out.get_mut(done..end).unwrap_or_default();
            self.frame(&frame, slot, stop - done)?;
            done = end;
        }
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>, out: &mut [u8], wanted: usize) -> Result<()> {
        let written = match frame.codec {
            Codec::Zlib => {
                if self.inflate_prefix(frame, out, wanted) {
                    return Ok(());
                }
                self.deflate.zlib_decompress(frame.content, out).map_err(|e| bad_frame(frame, &format!("{e}")))?
            }
            Codec::OldDeflate => {
                self.deflate.deflate_decompress(frame.content, out).map_err(|e| bad_frame(frame, &format!("{e}")))?
            }
            Codec::Lz4 => {
                let Some((checksum, block)) = frame.content.split_first_chunk::<8>() else {
                    return Err(bad_frame(frame, "no room for its checksum"));
                };
                if xxhash_rust::xxh64::xxh64(block, 0) != u64::from_be_bytes(*checksum) {
                    return Err(bad_frame(frame, "its checksum does not match: the bytes are damaged"));
                }
                let size = i32::try_from(out.len()).ok();
                lz4::block::decompress_to_buffer(block, size, out).map_err(|e| bad_frame(frame, &format!("{e}")))?
            }
            Codec::Zstd => self
                .zstd
                .decompress(out, frame.content)
                .map_err(|code| bad_frame(frame, zstd_safe::get_error_name(code)))?,
            Codec::Lzma => unxz(frame, out)?,
        };
        if written != out.len() {
            return Err(bad_frame(frame, &format!("it holds {written} bytes, not the {} it announces", out.len())));
        }
        Ok(())
    }

    /// Tries to inflate no more than the first `wanted` bytes; `false` if that cannot be done or cannot be vouched for.
    fn inflate_prefix(&mut self, frame: &Frame<'_>, out: &mut [u8], wanted: usize) -> bool {
        let Some(slot) = out.get_mut(..wanted + PREFIX_SLACK) else {
            return false;
        };
        let guard = wanted + SENTINEL_GAP..wanted + SENTINEL_GAP + SENTINEL.len();
        if let Some(place) = slot.get_mut(guard.clone()) {
            place.copy_from_slice(&SENTINEL);
        }
        matches!(self.deflate.zlib_decompress(frame.content, slot), Err(DecompressionError::InsufficientSpace))
            && slot.get(guard).is_some_and(|place| place != SENTINEL)
    }
}

/// Refuses frames that announce more content than their codec can pack into so few bytes.
fn check_ratio(frame: &Frame<'_>) -> Result<()> {
    let ratio = match frame.codec {
        Codec::Zlib | Codec::OldDeflate => 1032,
        Codec::Lz4 => 255,
        // Both store long runs in a few bytes; the 16 MiB limit of a frame is the bound.
        Codec::Lzma | Codec::Zstd => return Ok(()),
    };
    if frame.uncompressed > (frame.content.len() + 16).saturating_mul(ratio) {
        return Err(bad_frame(frame, &format!("it cannot hold the {} bytes it announces", frame.uncompressed)));
    }
    Ok(())
}

fn unxz(frame: &Frame<'_>, out: &mut [u8]) -> Result<usize> {
    use liblzma::stream::{Action, Status, Stream};
    // ROOT's largest preset uses a 64 MiB dictionary; the limit keeps hostile headers from asking for more.
    const MEMORY_LIMIT: u64 = 128 << 20;
    let fault = |why: &dyn std::fmt::Display| bad_frame(frame, &why.to_string());
    let mut stream = Stream::new_stream_decoder(MEMORY_LIMIT, 0).map_err(|e| fault(&e))?;
    loop {
        let (read, written) = (stream.total_in() as usize, stream.total_out() as usize);
        let input = frame.content.get(read..).unwrap_or_default();
        let slot = out.get_mut(written..).unwrap_or_default();
        let status = stream.process(input, slot, Action::Finish).map_err(|e| fault(&e))?;
        let progressed = stream.total_in() as usize > read || stream.total_out() as usize > written;
        match status {
            Status::StreamEnd => return Ok(stream.total_out() as usize),
            Status::MemNeeded => return Err(fault(&"it asks for too much memory")),
            _ if !progressed => {
                return Err(fault(&"it is cut off, or holds more than it announces"));
            }
            _ => {}
        }
    }
}

fn bad_frame(frame: &Frame<'_>, why: &str) -> FormatError {
    FormatError::Compression(format!("bad {} frame of {} bytes: {why}", frame.codec.name(), frame.content.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(letters: &[u8; 2], content: &[u8], uncompressed: usize) -> Vec<u8> {
        let c = (content.len() as u32).to_le_bytes();
        let u = (uncompressed as u32).to_le_bytes();
        [&letters[..], &[8], &c[..3], &u[..3], content].concat()
    }

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut out = vec![0; compressor.zlib_compress_bound(data.len())];
        let n = compressor.zlib_compress(data, &mut out).unwrap();
        out.truncate(n);
        out
    }

    /// Floats of which neighbours share leading bytes, followed by a ramp: like a basket with its offset table.
    fn basket_like() -> Vec<u8> {
        let values =
            (0..20_000u32).flat_map(|i| (20.0 + (i.wrapping_mul(2654435761) >> 12) as f32 * 1e-5).to_be_bytes());
        let table = (0..20_000u32).flat_map(|i| (77 + 4 * i).to_be_bytes());
        values.chain(table).collect()
    }

    fn whole(input: &[u8], length: usize) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        Decompressor::default().decompress(input, length, length, &mut out)?;
        out.truncate(length);
        Ok(out)
    }

    #[test]
    fn several_frames_make_one_record() {
        let data = basket_like();
        let (a, b) = data.split_at(50_000);
        let record = [frame(b"ZL", &zlib(a), a.len()), frame(b"ZL", &zlib(b), b.len())].concat();
        assert_eq!(whole(&record, data.len()).unwrap(), data);
    }

    #[test]
    fn a_prefix_of_a_zlib_frame_is_right_wherever_it_stops() {
        let data = basket_like();
        let record = frame(b"ZL", &zlib(&data), data.len());
        let mut decompressor = Decompressor::default();
        for wanted in [1, 7, 4_096, 32_768, 65_535, 80_000, 80_001, 99_999, 159_999, 160_000] {
            let mut out = vec![0xa5; 10];
            decompressor.decompress(&record, data.len(), wanted, &mut out).unwrap();
            assert_eq!(out[..wanted], data[..wanted], "first {wanted} bytes");
        }
    }

    #[test]
    fn a_prefix_that_ends_in_a_stored_block_is_right() {
        let noise: Vec<u8> = (0..200_000u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(0).unwrap());
        let mut stored = vec![0; compressor.zlib_compress_bound(noise.len())];
        let n = compressor.zlib_compress(&noise, &mut stored).unwrap();
        let record = frame(b"ZL", &stored[..n], noise.len());
        for wanted in [1, 60_000, 65_534, 65_535, 65_536, 131_000, 199_000] {
            let mut out = Vec::new();
            Decompressor::default().decompress(&record, noise.len(), wanted, &mut out).unwrap();
            assert_eq!(out[..wanted], noise[..wanted], "first {wanted} bytes");
        }
    }

    #[test]
    fn old_deflate_frames_have_no_zlib_wrapper() {
        let data = basket_like();
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
        let mut packed = vec![0; compressor.deflate_compress_bound(data.len())];
        let n = compressor.deflate_compress(&data, &mut packed).unwrap();
        assert_eq!(whole(&frame(b"CS", &packed[..n], data.len()), data.len()).unwrap(), data);
    }

    #[test]
    fn a_flipped_bit_in_an_lz4_frame_fails_its_checksum() {
        let data = basket_like();
        let block = lz4::block::compress(&data, None, false).unwrap();
        let content = [&xxhash_rust::xxh64::xxh64(&block, 0).to_be_bytes()[..], &block].concat();
        assert_eq!(whole(&frame(b"L4", &content, data.len()), data.len()).unwrap(), data);
        let mut damaged = frame(b"L4", &content, data.len());
        damaged[5000] ^= 1;
        let error = whole(&damaged, data.len()).unwrap_err().to_string();
        assert!(error.contains("checksum"), "{error}");
    }

    #[test]
    fn hostile_frames_are_errors() {
        let data = basket_like();
        let good = frame(b"ZL", &zlib(&data), data.len());
        assert!(whole(&good[..good.len() - 10], data.len()).is_err(), "cut off");
        assert!(whole(&good, data.len() - 1).is_err(), "more than the record has");
        assert!(whole(&good, data.len() + 1).is_err(), "less than the record has");
        assert!(whole(&frame(b"??", b"abc", 3), 3).is_err(), "unknown codec");
        assert!(whole(&frame(b"ZL", b"abc", 16_000_000), 16_000_000).is_err(), "impossible ratio");
        assert!(whole(&frame(b"ZL", b"", 0), 10).is_err(), "a frame of nothing must not loop");
        assert!(whole(&frame(b"XZ", b"\xfd7zXZ\0garbage", 10), 10).is_err(), "bad xz");
        assert!(whole(&frame(b"ZS", b"garbage", 10), 10).is_err(), "bad zstd");
    }
}
