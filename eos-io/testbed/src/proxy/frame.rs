//! Requests and answers of the XRootD protocol, as far as they have to be told apart.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::rule::Request;

/// The first bytes of a connection, before any request.
pub(super) const HANDSHAKE: usize = 20;
const REQUEST: usize = 24;
const ANSWER: usize = 8;

pub(super) const OK: u16 = 0;
pub(super) const OKSOFAR: u16 = 4000;
const ATTN: u16 = 4001;
pub(super) const ERROR: u16 = 4003;
pub(super) const REDIRECT: u16 = 4004;
pub(super) const WAIT: u16 = 4005;
pub(super) const WAITRESP: u16 = 4006;
const STATUS: u16 = 4007;
const ASYNRESP: u32 = 5008;

pub(super) type StreamId = [u8; 2];

/// What comes from a client.
pub(super) enum FromClient {
    Request {
        kind: Request,
        id: StreamId,
        frame: Vec<u8>,
    },
    /// No request: the client began to encrypt.
    Other(Vec<u8>),
}

/// Reads a request with all that belongs to it.
pub(super) async fn read_request(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<FromClient> {
    let mut frame = vec![0; REQUEST];
    reader.read_exact(&mut frame).await?;
    let len = u32_at(&frame, 20) as usize;
    let Some(kind) = Request::from_code(u16_at(&frame, 2)).filter(|_| i32::try_from(len).is_ok()) else {
        return Ok(FromClient::Other(frame));
    };
    extend(reader, &mut frame, len).await?;
    if kind == Request::Writev {
        // The lengths of its parts are counted, the parts are not.
        let parts: usize = frame[REQUEST..].chunks_exact(16).map(|part| u32_at(part, 4) as usize).sum();
        extend(reader, &mut frame, parts).await?;
    }
    Ok(FromClient::Request { kind, id: [frame[0], frame[1]], frame })
}

/// The part of a request behind its header.
pub(super) fn payload(frame: &[u8]) -> &[u8] {
    frame.get(REQUEST..).unwrap_or_default()
}

/// An answer, or a part of one.
pub(super) struct Answer {
    pub id: StreamId,
    pub status: u16,
    /// Whether no more follows.
    pub last: bool,
    /// What was read of it so far.
    pub frame: Vec<u8>,
    /// How much is still to be read.
    pub rest: usize,
    /// Where its content begins: data, or whatever it is.
    content: usize,
}

pub(super) async fn read_answer_header(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut header = vec![0; ANSWER];
    reader.read_exact(&mut header).await?;
    Ok(header)
}

/// Reads as much of an answer as tells what it is and how long.
pub(super) async fn read_answer(reader: &mut (impl AsyncRead + Unpin), header: Vec<u8>) -> io::Result<Answer> {
    let (status, len) = (u16_at(&header, 2), u32_at(&header, 4) as usize);
    let id = [header[0], header[1]];
    let mut answer = Answer { id, status, last: true, frame: header, rest: len, content: ANSWER };
    if status == STATUS {
        // Pages and their checksums are not counted in the length; the second part of the header tells it.
        extend(reader, &mut answer.frame, len).await?;
        answer.last = answer.frame[ANSWER + 7] != 1;
        answer.rest = u32_at(&answer.frame, ANSWER + 12) as usize;
        if answer.rest > 0 {
            answer.content = answer.frame.len();
        }
    } else if status == OKSOFAR || status == WAITRESP {
        answer.last = false;
    }
    Ok(answer)
}

impl Answer {
    /// Reads what is still missing.
    pub async fn complete(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        extend(reader, &mut self.frame, rest).await
    }

    fn content(&self) -> &[u8] {
        &self.frame[self.content..]
    }

    /// Flips a bit in the middle of the content.
    pub fn corrupt(mut self) -> Vec<u8> {
        let middle = self.content + self.content().len() / 2;
        if let Some(byte) = self.frame.get_mut(middle) {
            *byte ^= 1;
        }
        self.frame
    }

    /// The first bytes of the content, as if that were all.
    pub fn shorten(self, len: usize) -> Vec<u8> {
        let content = self.content();
        answer(self.id, OK, &content[..len.min(content.len())])
    }

    /// The content in pieces.
    pub fn split(self, len: usize) -> Vec<u8> {
        let mut pieces = self.content().chunks(len.max(1)).peekable();
        let mut frames = Vec::with_capacity(self.frame.len() * 2);
        while let Some(piece) = pieces.next() {
            let status = if pieces.peek().is_some() { OKSOFAR } else { OK };
            frames.extend(answer(self.id, status, piece));
        }
        if frames.is_empty() { self.frame } else { frames }
    }

    /// The answer inside of a message that the server sends by itself.
    pub fn announce(self) -> Vec<u8> {
        let mut message = ASYNRESP.to_be_bytes().to_vec();
        message.extend([0; 4]);
        message.extend(self.frame);
        answer([0, 0], ATTN, &message)
    }
}

pub(super) fn answer(id: StreamId, status: u16, content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).expect("less than a frame can hold");
    [&id[..], &status.to_be_bytes(), &len.to_be_bytes(), content].concat()
}

async fn extend(reader: &mut (impl AsyncRead + Unpin), frame: &mut Vec<u8>, len: usize) -> io::Result<()> {
    let start = frame.len();
    frame.resize(start + len, 0);
    reader.read_exact(&mut frame[start..]).await?;
    Ok(())
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
