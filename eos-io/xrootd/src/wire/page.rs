//! Answers to page reads. The header of such an answer counts 24 bytes; the pages that follow them are counted within.
//! Each page is 4096 bytes of the file, aligned to multiples of that, behind its CRC32C.

use super::codes::{request, status};
use super::cursor::{Cursor, WireError};

/// Length of a page.
pub(crate) const PAGE: usize = 4096;

/// What comes before the pages of a partial or final answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageStatus {
    pub(crate) is_final: bool,
    /// Bytes that follow: pages and their checksums.
    pub(crate) length: usize,
    /// Where in the file the first page lies.
    pub(crate) offset: u64,
}

impl PageStatus {
    /// Length of the body that the answer's header counts.
    pub(crate) const LENGTH: usize = 24;

    /// Reads and checks the 24 bytes: a checksum, the stream, the request, the kind, and what follows.
    pub(crate) fn parse(stream: [u8; 2], body: &[u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(body);
        let expected = cursor.u32()?;
        if crc32c::crc32c(cursor.rest()) != expected {
            return Err(WireError::new("the head of a page read has a wrong checksum"));
        }
        let answered: [u8; 2] = cursor.array()?;
        let (number, kind) = (cursor.u8()?, cursor.u8()?);
        let _reserved: [u8; 4] = cursor.array()?;
        let (length, offset) = (cursor.u32()?, cursor.u64()?);
        // The request is told by its distance from the first one.
        if answered != stream || u16::from(number) + request::AUTH != request::PGREAD || kind > 1 {
            return Err(WireError(format!("an answer of status {} is not one to a page read", status::STATUS)));
        }
        let length = usize::try_from(length).map_err(|_| WireError::new("a page read is too long"))?;
        Ok(Self { is_final: kind == 0, length, offset })
    }
}

/// Length of the first page of a read at `offset`: up to the next multiple of a page.
pub(crate) fn first_page_length(offset: u64) -> usize {
    PAGE - (offset % PAGE as u64) as usize
}
