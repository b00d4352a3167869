//! A kept block: 1 MiB of a remote file, as one file that is written once and never changed. Its header says whose bytes
//! they are, which pages of the block are there and what their checksums are; nothing is believed that does not agree.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;

use bytes::Bytes;

use super::identity::Digest;

/// What is fetched at least: reads are widened to pages. Metadata is read in some KiB, and a basket has 4 to 100 KiB, so
/// that larger pages would multiply what comes over the network, and smaller ones would save nothing that a round trip
/// does not cost.
pub(crate) const PAGE: u64 = 16 << 10;
/// Pages of a block, one bit each in the header.
pub(crate) const PAGES: u64 = 64;
/// Bytes of a remote file that one file of the cache holds at most.
pub(crate) const BLOCK: u64 = PAGE * PAGES;

const MAGIC: [u8; 8] = *b"RQBLOCK\x01";
const HEADER: usize = 8 + 32 + 8 + 8 + 8 + 4 * PAGES as usize + 4;

/// Bytes of a remote file, and where they lie in it.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) bytes: Bytes,
}

impl Piece {
    pub(crate) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

/// Which block of which version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockId {
    pub(crate) object: Digest,
    /// Size of the remote file.
    pub(crate) size: u64,
    pub(crate) number: u64,
}

impl BlockId {
    /// The bytes of the remote file that a page of this block holds; empty behind the file's end.
    fn page(&self, index: u64) -> Range<u64> {
        let start = self.size.min(self.number.saturating_mul(BLOCK).saturating_add(index * PAGE));
        start..self.size.min(start.saturating_add(PAGE))
    }
}

/// Why a block cannot be used.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It could not be read, or there is none.
    Io(io::Error),
    /// It is not what it should be.
    Damaged,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged,
            _ => Self::Io(error),
        }
    }
}

/// The pages of a block that are there, as they lie in its file one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    id: BlockId,
    present: u64,
    checksums: [u32; PAGES as usize],
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(self.id.object.as_bytes());
        for number in [self.id.size, self.id.number, self.present] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for checksum in self.checksums {
            out.extend_from_slice(&checksum.to_le_bytes());
        }
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// The header of the block `id`; any other header is a fault.
    fn decode(bytes: &[u8; HEADER], id: BlockId) -> Result<Self, Fault> {
        let (body, checksum) = bytes.split_last_chunk::<4>().ok_or(Fault::Damaged)?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
            return Err(Fault::Damaged);
        }
        let expected = Self { id, present: 0, checksums: [0; PAGES as usize] }.encode();
        let (named, rest) = body.split_at_checked(8 + 32 + 16).ok_or(Fault::Damaged)?;
        let (present, checksums) = rest.split_first_chunk::<8>().ok_or(Fault::Damaged)?;
        if !expected.starts_with(named) {
            return Err(Fault::Damaged);
        }
        let mut header = Self { id, present: u64::from_le_bytes(*present), checksums: [0; PAGES as usize] };
        for (slot, chunk) in header.checksums.iter_mut().zip(checksums.as_chunks::<4>().0) {
            *slot = u32::from_le_bytes(*chunk);
        }
        Ok(header)
    }

    fn has(&self, page: u64) -> bool {
        self.present & (1 << page) != 0
    }

    fn checksum(&self, page: u64) -> Option<u32> {
        self.checksums.get(page as usize).copied()
    }

    /// Where a page lies in the block's file. All pages in front of it are whole: only a file's last one may be short.
    fn place(&self, page: u64) -> u64 {
        let before = self.present & ((1 << page) - 1);
        HEADER as u64 + u64::from(before.count_ones()) * PAGE
    }
}

/// A block that is open for reading; it stays readable when its file is removed or replaced.
#[derive(Debug)]
pub(crate) struct Block {
    file: File,
    header: Header,
}

impl Block {
    /// Reads the header.
    pub(crate) fn open(mut file: File, id: BlockId) -> Result<Self, Fault> {
        let mut bytes = [0; HEADER];
        file.read_exact(&mut bytes)?;
        Ok(Self { header: Header::decode(&bytes, id)?, file })
    }

    /// The file, for its times.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Reads those of some pages that are there, neighbours as one piece, and checks every one.
    pub(crate) fn read(&self, pages: Range<u64>) -> Result<Vec<Piece>, Fault> {
        let mut pieces = Vec::new();
        let mut page = pages.start;
        let last = pages.end.min(PAGES);
        while page < last {
            let first = page;
            while page < last && self.header.has(page) {
                page += 1;
            }
            if page > first {
                pieces.push(self.read_run(first..page)?);
            }
            page += 1;
        }
        Ok(pieces)
    }

    fn read_run(&self, run: Range<u64>) -> Result<Piece, Fault> {
        let id = self.header.id;
        let (start, end) = (id.page(run.start).start, id.page(run.end.saturating_sub(1)).end);
        let mut bytes = vec![0; end.saturating_sub(start) as usize];
        read_at(&self.file, &mut bytes, self.header.place(run.start))?;
        for (page, content) in run.zip(bytes.chunks(PAGE as usize)) {
            if self.header.checksum(page) != Some(crc32c::crc32c(content)) {
                return Err(Fault::Damaged);
            }
        }
        Ok(Piece { start, bytes: bytes.into() })
    }
}

/// The content of a block's file: some whole pages, and with them those that an older file of the block has.
pub(crate) fn encode(id: BlockId, pages: &[Piece], older: Option<&Block>) -> Result<Vec<u8>, Fault> {
    let kept = match older {
        Some(block) => block.read(0..PAGES)?,
        None => Vec::new(),
    };
    let mut header = Header { id, present: 0, checksums: [0; PAGES as usize] };
    let mut body = Vec::new();
    for page in 0..PAGES {
        let range = id.page(page);
        if range.is_empty() {
            break;
        }
        let Some(content) = pages.iter().chain(&kept).find_map(|piece| cut(piece, &range)) else { continue };
        header.present |= 1 << page;
        if let Some(slot) = header.checksums.get_mut(page as usize) {
            *slot = crc32c::crc32c(content);
        }
        body.extend_from_slice(content);
    }
    let mut out = header.encode();
    out.append(&mut body);
    Ok(out)
}

/// A range that lies within a piece.
pub(crate) fn cut<'a>(piece: &'a Piece, range: &Range<u64>) -> Option<&'a [u8]> {
    let from = range.start.checked_sub(piece.start)?;
    let to = range.end.checked_sub(piece.start)?;
    piece.bytes.get(from as usize..to as usize)
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const SIZE: u64 = BLOCK + 3 * PAGE + 100;

    fn id(number: u64) -> BlockId {
        BlockId { object: Digest::of(&[b"an object"]), size: SIZE, number }
    }

    fn content(range: Range<u64>) -> Piece {
        Piece { start: range.start, bytes: range.map(|at| (at / 7 + at % 251) as u8).collect() }
    }

    fn on_disk(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file
    }

    #[test]
    fn a_block_gives_back_the_pages_it_was_given_and_no_others() {
        let given = [content(2 * PAGE..4 * PAGE), content(9 * PAGE..10 * PAGE)];
        let block = Block::open(on_disk(&encode(id(0), &given, None).unwrap()), id(0)).unwrap();
        let read = block.read(0..PAGES).unwrap();
        assert_eq!(read.len(), 2);
        for (given, read) in given.iter().zip(&read) {
            assert_eq!((given.start, &given.bytes), (read.start, &read.bytes));
        }
        assert_eq!(block.read(3..4).unwrap()[0].bytes, content(3 * PAGE..4 * PAGE).bytes);
        assert!(block.read(4..9).unwrap().is_empty());
    }

    #[test]
    fn the_last_page_of_a_file_may_be_short() {
        let given = [content(BLOCK + 2 * PAGE..SIZE)];
        let block = Block::open(on_disk(&encode(id(1), &given, None).unwrap()), id(1)).unwrap();
        let read = block.read(0..PAGES).unwrap();
        assert_eq!((read[0].start, read[0].end()), (BLOCK + 2 * PAGE, SIZE));
        assert_eq!(read[0].bytes, given[0].bytes);
    }

    #[test]
    fn pages_are_added_to_those_of_an_older_block() {
        let older = encode(id(0), &[content(0..PAGE), content(5 * PAGE..6 * PAGE)], None).unwrap();
        let older = Block::open(on_disk(&older), id(0)).unwrap();
        let merged = encode(id(0), &[content(PAGE..2 * PAGE)], Some(&older)).unwrap();
        let read = Block::open(on_disk(&merged), id(0)).unwrap().read(0..PAGES).unwrap();
        let ranges: Vec<_> = read.iter().map(|p| (p.start, p.end())).collect();
        assert_eq!(ranges, [(0, 2 * PAGE), (5 * PAGE, 6 * PAGE)]);
        assert_eq!(read[0].bytes, content(0..2 * PAGE).bytes);
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unnoticed() {
        let whole = encode(id(0), &[content(0..2 * PAGE)], None).unwrap();
        for at in (0..HEADER).chain((HEADER..whole.len()).step_by(997)) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            let read = Block::open(on_disk(&flipped), id(0)).and_then(|block| block.read(0..PAGES));
            assert!(matches!(read, Err(Fault::Damaged)), "byte {at}");
        }
        for length in [0, 1, HEADER - 1, HEADER, HEADER + 1, whole.len() - 1] {
            let read = Block::open(on_disk(&whole[..length]), id(0)).and_then(|block| block.read(0..PAGES));
            assert!(matches!(read, Err(Fault::Damaged)), "{length} bytes");
        }
    }

    #[test]
    fn a_block_of_another_file_version_or_number_is_not_taken() {
        let bytes = encode(id(0), &[content(0..PAGE)], None).unwrap();
        for other in [
            BlockId { object: Digest::of(&[b"another"]), ..id(0) },
            BlockId { size: SIZE + 1, ..id(0) },
            BlockId { number: 1, ..id(0) },
        ] {
            assert!(matches!(Block::open(on_disk(&bytes), other), Err(Fault::Damaged)));
        }
    }
}
