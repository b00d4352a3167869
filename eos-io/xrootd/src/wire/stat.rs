//! What a server tells about a file: `id size flags mtime [ctime atime mode owner group]`, as text.

use super::cursor::WireError;

/// What is known of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// In bytes.
    pub(crate) size: u64,
    /// Bits: 1 executable, 2 directory, 4 other, 8 offline, 16 readable, 32 writable.
    pub(crate) flags: u32,
    /// Seconds since 1970.
    pub(crate) modified: i64,
}

impl Stat {
    pub(crate) fn parse(text: &str) -> Result<Self, WireError> {
        let invalid = || WireError(format!("'{text}' does not tell size and time of a file"));
        let mut fields = text.split_ascii_whitespace().skip(1);
        let mut field = || fields.next().ok_or_else(invalid);
        let size = field()?.parse().map_err(|_| invalid())?;
        let flags = field()?.parse().map_err(|_| invalid())?;
        let modified = field()?.parse().map_err(|_| invalid())?;
        Ok(Self { size, flags, modified })
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.flags & 2 != 0
    }

    /// Neither file nor directory.
    pub(crate) fn is_other(&self) -> bool {
        self.flags & 4 != 0
    }
}
