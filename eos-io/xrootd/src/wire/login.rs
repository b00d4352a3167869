//! The answers that a connection begins with: about the protocol, and to the login.

use super::codes::flags;
use super::cursor::{Cursor, WireError, text};

/// What a server is and demands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProtocolAnswer {
    pub(crate) version: u32,
    pub(crate) flags: u32,
    pub(crate) security: Security,
}

/// Which requests have to be signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Security {
    /// Bits: 1 the data of writes too, 2 also where the authentication yields no key.
    pub(crate) options: u8,
    /// 0 none, 1 compatible, 2 standard, 3 intense, 4 pedantic.
    pub(crate) level: u8,
    /// What differs from the level: the request, counted from 3000, and 0 ignored, 1 likely, 2 needed.
    pub(crate) overrides: Vec<(u8, u8)>,
}

impl ProtocolAnswer {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, WireError> {
        const SECURITY: u8 = b'S';
        const BIND: u8 = b'B';
        let mut cursor = Cursor::new(body);
        let (version, flags) = (cursor.u32()?, cursor.u32()?);
        let mut security = Security::default();
        while let Some(&tag) = cursor.rest().first() {
            match tag {
                SECURITY => {
                    let [_, _, _, options, level, count] = cursor.array()?;
                    let overrides = (0..count).map(|_| Ok((cursor.u8()?, cursor.u8()?)));
                    security = Security { options, level, overrides: overrides.collect::<Result<_, WireError>>()? };
                }
                BIND => {
                    // Preferences for further connections, each 8 bytes; this client does not bind connections.
                    let [_, _, _, count] = cursor.array()?;
                    cursor.take(usize::from(count) * 8)?;
                }
                _ => break,
            }
        }
        Ok(Self { version, flags, security })
    }

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether the server wants at least the login to be encrypted.
    pub(crate) fn demands_tls(&self) -> bool {
        self.has(flags::TLS_LOGIN | flags::TLS_SESSION | flags::TLS_DATA | flags::GO_TO_TLS)
    }
}

/// How to prove who we are, if that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoginAnswer {
    /// `&P=name,arguments&P=…`, empty where nothing has to be proven.
    pub(crate) methods: String,
}

impl LoginAnswer {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, WireError> {
        // Very old servers answer with nothing.
        if body.is_empty() {
            return Ok(Self { methods: String::new() });
        }
        let mut cursor = Cursor::new(body);
        let _session: [u8; 16] = cursor.array()?;
        Ok(Self { methods: text(cursor.rest()) })
    }
}
