//! Layer 1: a bounds-checked big-endian cursor over the bytes of one record, and the headers that ROOT's buffers put
//! before objects. It never panics and never allocates more than the input justifies.

use crate::error::FormatError;

type Result<T> = std::result::Result<T, FormatError>;

/// Marks a 32-bit word as a byte count (TBuffer's `kByteCountMask`).
pub(crate) const BYTE_COUNT_MASK: u32 = 0x4000_0000;
/// Marks a 16-bit version word as "streamed member-wise" (TBufferFile's `kStreamedMemberWise`).
pub(crate) const MEMBERWISE_MASK: u16 = 0x4000;

/// Version and extent that precede a streamed object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VersionHeader {
    /// Class version, without the member-wise mark.
    pub version: u16,
    /// Whether the members follow column by column.
    pub memberwise: bool,
    /// Offset just behind the object, where the writer recorded a byte count.
    pub end: Option<usize>,
}

/// What a TKey says about the record that it starts, as far as it concerns the record's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyHead {
    /// Size of the whole record in the file; 0 in a basket that was never written to a place of its own.
    pub stored: i32,
    /// Size of the content when decompressed.
    pub length: i32,
    pub key_length: usize,
}

impl KeyHead {
    /// Parses a TKey with its names.
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        let stored = cursor.i32()?;
        let version = cursor.u16()?;
        let length = cursor.i32()?;
        cursor.skip(4)?;
        let key_length = usize::from(cursor.u16()?);
        // Cycle, then the record's and its directory's places.
        cursor.skip(2 + if version > 1000 { 16 } else { 8 })?;
        for _ in 0..3 {
            cursor.string_bytes()?;
        }
        Ok(Self { stored, length, key_length })
    }
}

/// A position in the bytes of one record.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
}

macro_rules! read_numbers {
    ($($name:ident: $type:ty),* $(,)?) => {
        $(
            #[inline]
            pub(crate) fn $name(&mut self) -> Result<$type> {
                Ok(<$type>::from_be_bytes(self.array(stringify!($type))?))
            }
        )*
    };
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0 }
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// The bytes that are left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.pos..).unwrap_or_default()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.pos)
    }

    pub(crate) fn seek(&mut self, pos: usize) -> Result<()> {
        if pos > self.bytes.len() {
            return Err(self.truncated("a jump", pos.saturating_sub(self.pos)));
        }
        self.pos = pos;
        Ok(())
    }

    pub(crate) fn skip(&mut self, count: usize) -> Result<()> {
        self.bytes(count, "skipped bytes").map(|_| ())
    }

    #[inline]
    pub(crate) fn bytes(&mut self, count: usize, what: &'static str) -> Result<&'a [u8]> {
        let end = self.pos.checked_add(count).ok_or_else(|| self.truncated(what, count))?;
        let slice = self.bytes.get(self.pos..end).ok_or_else(|| self.truncated(what, count))?;
        self.pos = end;
        Ok(slice)
    }

    #[inline]
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        let head = rest.first_chunk::<N>().ok_or_else(|| self.truncated(what, N))?;
        self.pos += N;
        Ok(*head)
    }

    #[cold]
    fn truncated(&self, what: &'static str, need: usize) -> FormatError {
        FormatError::Truncated { what, offset: self.pos, need, have: self.remaining() }
    }

    read_numbers! {
        u8: u8, u16: u16, u32: u32, i32: i32, u64: u64, f64: f64,
    }

    /// The next 32 bits, left in place.
    pub(crate) fn peek_u32(&self) -> Option<u32> {
        let rest = self.bytes.get(self.pos..)?;
        rest.first_chunk::<4>().map(|b| u32::from_be_bytes(*b))
    }

    /// A 32-bit count of things that take at least `min_size` bytes each: more than fit into the rest is an error, so
    /// that nobody allocates on the word of a corrupt file.
    pub(crate) fn count(&mut self, min_size: usize, what: &'static str) -> Result<usize> {
        let offset = self.pos;
        let raw = self.i32()?;
        let count =
            usize::try_from(raw).map_err(|_| FormatError::invalid(format!("negative count {raw} of {what}")))?;
        if count.saturating_mul(min_size) > self.remaining() {
            return Err(FormatError::invalid(format!(
                "count {count} of {what} at offset {offset} does not fit into the {} bytes that follow",
                self.remaining()
            )));
        }
        Ok(count)
    }

    /// The bytes of a `TString` or `std::string`: a length byte, or 255 and a 32-bit length.
    #[inline]
    pub(crate) fn string_bytes(&mut self) -> Result<&'a [u8]> {
        let length = match self.u8()? {
            255 => self.count(1, "string bytes")?,
            short => usize::from(short),
        };
        self.bytes(length, "string")
    }

    /// A `TString` as text; bytes that are not UTF-8 become replacement characters (names and titles only).
    pub(crate) fn string(&mut self) -> Result<String> {
        Ok(String::from_utf8_lossy(self.string_bytes()?).into_owned())
    }

    /// A class name as object tags carry it: bytes up to a zero.
    pub(crate) fn c_string(&mut self) -> Result<String> {
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        let length = rest.iter().position(|b| *b == 0).ok_or_else(|| self.truncated("zero-terminated string", 1))?;
        let text = self.bytes(length, "zero-terminated string")?;
        self.skip(1)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// Version header: 32-bit byte count with its mark and 16-bit version, or, from writers that omit the count, the
    /// version alone.
    pub(crate) fn version(&mut self) -> Result<VersionHeader> {
        let start = self.pos;
        let end = match self.peek_u32() {
            Some(word) if word & BYTE_COUNT_MASK != 0 && word & 0x8000_0000 == 0 => {
                self.skip(4)?;
                let count = (word & !BYTE_COUNT_MASK) as usize;
                let end = start + 4 + count;
                if count < 2 || end > self.bytes.len() {
                    return Err(FormatError::invalid(format!(
                        "byte count {count} at offset {start} reaches beyond the {} bytes of the record",
                        self.bytes.len()
                    )));
                }
                Some(end)
            }
            _ => None,
        };
        let word = self.u16()?;
        // Old files without byte counts have no member-wise streaming either; there the bit belongs to the version.
        let memberwise = end.is_some() && word & MEMBERWISE_MASK != 0;
        let version = if memberwise { word & !MEMBERWISE_MASK } else { word };
        Ok(VersionHeader { version, memberwise, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_big_endian() {
        let mut cursor = Cursor::new(&[0x12, 0x34, 0xff, 0xff, 0xff, 0xfe, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(cursor.u16(), Ok(0x1234));
        assert_eq!(cursor.i32(), Ok(-2));
        assert_eq!(cursor.f64(), Ok(1.0));
        assert_eq!(cursor.remaining(), 0);
    }

    #[test]
    fn a_value_beyond_the_end_says_what_and_where() {
        let mut cursor = Cursor::new(&[0, 0, 0]);
        cursor.skip(1).unwrap();
        let error = cursor.u32().unwrap_err();
        assert_eq!(error, FormatError::Truncated { what: "u32", offset: 1, need: 4, have: 2 });
    }

    #[test]
    fn a_count_that_cannot_fit_is_refused_before_anything_is_allocated() {
        let mut cursor = Cursor::new(&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        assert!(matches!(cursor.count(4, "offsets"), Err(FormatError::Invalid(_))));
        let mut negative = Cursor::new(&[0xff, 0xff, 0xff, 0xff]);
        assert!(matches!(negative.count(0, "offsets"), Err(FormatError::Invalid(_))));
    }

    #[test]
    fn strings_of_255_bytes_and_more_have_a_long_length() {
        let long = vec![b'x'; 300];
        let bytes = [&[255, 0, 0, 1, 44][..], &long].concat();
        assert_eq!(Cursor::new(&bytes).string_bytes(), Ok(&long[..]));
        assert_eq!(Cursor::new(&[2, b'h', b'i']).string(), Ok("hi".to_string()));
    }

    #[test]
    fn a_version_header_knows_where_its_object_ends() {
        let mut cursor = Cursor::new(&[0x40, 0, 0, 4, 0x40, 9, 1, 2]);
        let header = cursor.version().unwrap();
        assert_eq!(header, VersionHeader { version: 9, memberwise: true, end: Some(8) });
        let mut bare = Cursor::new(&[0, 5, 1, 2]);
        assert_eq!(bare.version().unwrap(), VersionHeader { version: 5, memberwise: false, end: None });
        let mut hostile = Cursor::new(&[0x7f, 0xff, 0xff, 0xff, 0, 1]);
        assert!(hostile.version().is_err());
    }
}
