//! Answers: the header, and the bodies that every request can be answered with.

use super::codes::{error, status};
use super::cursor::{Cursor, WireError, text};
use super::request::FileHandle;
use super::stat::Stat;

/// The first 8 bytes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) stream: [u8; 2],
    pub(crate) status: u16,
    pub(crate) length: usize,
}

impl Header {
    pub(crate) const LENGTH: usize = 8;

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(bytes);
        let (stream, status, length) = (cursor.array()?, cursor.u16()?, cursor.u32()?);
        let length = i32::try_from(length).ok().and_then(|n| usize::try_from(n).ok());
        let length = length.ok_or_else(|| WireError::new("an answer has a negative length"))?;
        Ok(Self { stream, status, length })
    }
}

/// What a server says went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerError {
    pub(crate) code: u32,
    pub(crate) message: String,
}

/// Where to ask instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// Whether all further requests are meant, not only this one.
    pub(crate) is_lasting: bool,
    pub(crate) target: Target,
}

/// The target of a redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// The same path at another host. `opaque` is to be handed on as it is.
    Host { host: String, port: u16, opaque: String },
    /// Another URL.
    Url(String),
}

/// An answer that is complete, unless it is data: that is received where it is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Response {
    Ok(Vec<u8>),
    /// A further question of the authentication.
    AuthMore(Vec<u8>),
    Error(ServerError),
    Redirect(Redirect),
    /// Ask again in so many seconds.
    Wait {
        seconds: u32,
        message: String,
    },
    /// The answer comes later by itself, perhaps in so many seconds.
    Later {
        seconds: u32,
    },
}

impl Response {
    /// Reads a body that came with one of the statuses that hold no data.
    pub(crate) fn parse(status: u16, body: Vec<u8>) -> Result<Self, WireError> {
        let mut cursor = Cursor::new(&body);
        Ok(match status {
            status::OK => Self::Ok(body),
            status::AUTH_MORE => Self::AuthMore(body),
            status::ERROR => Self::Error(ServerError { code: cursor.u32()?, message: text(cursor.rest()) }),
            status::REDIRECT => Self::Redirect(redirect(&mut cursor)?),
            status::WAIT => Self::Wait { seconds: cursor.u32()?, message: text(cursor.rest()) },
            status::WAIT_RESP => Self::Later { seconds: cursor.u32()? },
            other => {
                return Err(WireError(format!("an answer has the status {other}, which the protocol does not have")));
            }
        })
    }
}

/// `port[4] host[?opaque[?token]]`. Where the port is negative the host is a URL, and the complement of a port below -1
/// holds flags.
fn redirect(cursor: &mut Cursor<'_>) -> Result<Redirect, WireError> {
    const COLLAPSE: u32 = 0x2000;
    let port = cursor.u32()?;
    let target = text(cursor.rest());
    if i32::try_from(port).is_err() {
        return Ok(Redirect { is_lasting: !port & COLLAPSE != 0, target: Target::Url(target) });
    }
    let (host, opaque) = target.split_once('?').unwrap_or((&target, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match u16::try_from(port) {
        Ok(port) if !host.is_empty() => {
            let target = Target::Host { host: host.to_owned(), port, opaque: opaque.to_owned() };
            Ok(Redirect { is_lasting: false, target })
        }
        _ => Err(WireError(format!("a redirect names no host that could be asked: port {port}, host '{host}'"))),
    }
}

/// The answer to an open: the handle and, if it was asked for, what is known of the file.
pub(crate) fn opened(body: &[u8]) -> Result<(FileHandle, Option<Stat>), WireError> {
    let mut cursor = Cursor::new(body);
    let handle = cursor.array()?;
    // Sizes and kind of a compression on the server's side.
    let stat = match cursor.take(8) {
        Ok(_) if !cursor.rest().is_empty() => Some(Stat::parse(&text(cursor.rest()))?),
        _ => None,
    };
    Ok((handle, stat))
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.message.trim() {
            "" => write!(f, "{} (error {})", error::name(self.code), self.code),
            message => write!(f, "{message} ({}, error {})", error::name(self.code), self.code),
        }
    }
}
