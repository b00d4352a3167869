//! Checksums of whole files: computed over bytes as they pass, and compared with what a server says of its file.

use std::fmt;

/// How a file is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChecksumKind {
    /// What EOS, dCache and most of the grid keep for each file.
    Adler32,
    /// CRC-32C (Castagnoli).
    Crc32c,
}

impl ChecksumKind {
    /// The name that servers know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adler32 => "adler32",
            Self::Crc32c => "crc32c",
        }
    }
}

impl fmt::Display for ChecksumKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The checksum of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum {
    /// How it was computed.
    pub kind: ChecksumKind,
    /// The value.
    pub value: u32,
}

impl Checksum {
    /// Reads what a server answers: hexadecimal digits, of which some servers leave out zeros at the front. `None` if it
    /// is no such number.
    ///
    /// ```
    /// use eos_io::{Checksum, ChecksumKind};
    ///
    /// let told = Checksum::parse(ChecksumKind::Adler32, "62c0215");
    /// assert_eq!(told, Some(Checksum { kind: ChecksumKind::Adler32, value: 0x062c_0215 }));
    /// assert_eq!(told.unwrap().to_string(), "adler32:062c0215");
    /// ```
    pub fn parse(kind: ChecksumKind, digits: &str) -> Option<Self> {
        let digits = digits.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        // The parser would take a sign as well.
        let value = digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())??;
        Some(Self { kind, value })
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:08x}", self.kind, self.value)
    }
}

/// A checksum in the making.
#[derive(Clone)]
pub struct Summing {
    kind: ChecksumKind,
    adler: simd_adler32::Adler32,
    crc: u32,
}

impl Summing {
    /// The checksum of nothing.
    pub fn new(kind: ChecksumKind) -> Self {
        Self { kind, adler: simd_adler32::Adler32::new(), crc: 0 }
    }

    /// Adds the bytes that follow.
    pub fn add(&mut self, bytes: &[u8]) {
        match self.kind {
            ChecksumKind::Adler32 => self.adler.write(bytes),
            ChecksumKind::Crc32c => self.crc = crc32c::crc32c_append(self.crc, bytes),
        }
    }

    /// The checksum of all bytes so far.
    pub fn checksum(&self) -> Checksum {
        let value = match self.kind {
            ChecksumKind::Adler32 => self.adler.finish(),
            ChecksumKind::Crc32c => self.crc,
        };
        Checksum { kind: self.kind, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_published_examples_however_the_bytes_are_cut() {
        // RFC 1950 has the algorithm; "Wikipedia" is its usual example. RFC 3720, B.4, has the CRC of 32 zeros.
        let zeros = [0; 32];
        for (kind, bytes, value) in [
            (ChecksumKind::Adler32, &b"Wikipedia"[..], 0x11E6_0398),
            (ChecksumKind::Adler32, b"", 1),
            (ChecksumKind::Crc32c, &zeros, 0x8A91_36AA),
            (ChecksumKind::Crc32c, b"", 0),
        ] {
            for cut in 0..=bytes.len() {
                let mut sum = Summing::new(kind);
                sum.add(&bytes[..cut]);
                sum.add(&bytes[cut..]);
                assert_eq!(sum.checksum(), Checksum { kind, value });
            }
        }
    }

    #[test]
    fn answers_are_compared_as_numbers() {
        let parse = |text| Checksum::parse(ChecksumKind::Adler32, text).map(|sum| sum.value);
        for (text, value) in [
            ("0000002a", Some(42)),
            ("2a", Some(42)),
            ("2A\0", Some(42)),
            (" 2a\n", Some(42)),
            ("ffffffff", Some(u32::MAX)),
        ] {
            assert_eq!(parse(text), value, "{text:?}");
        }
        for text in ["", "x", "+1", "-1", "1 2", "123456789", "é"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
