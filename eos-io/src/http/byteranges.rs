//! Several ranges in one answer: `Content-Range` and `multipart/byteranges`, read with distrust.
//! What an answer may hold is bounded by what was asked for, and every part must lie where its
//! header says, within that.

use std::ops::Range;

use bytes::{Buf, BytesMut};

use crate::ranges::Part;

/// The headers of one part are not longer than this.
const MAX_PART_HEADER: usize = 4 << 10;

/// What a `Content-Range` header says: the bytes, and the size of the file if it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) range: Range<u64>,
    pub(super) size: Option<u64>,
}

impl ContentRange {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, size) = rest.trim().split_once('/')?;
        let (first, last) = range.trim().split_once('-')?;
        let (first, last): (u64, u64) = (number(first)?, number(last)?);
        let size = match size.trim() {
            "*" => None,
            size => Some(number(size)?),
        };
        let end = last.checked_add(1)?;
        let is_sound = unit.eq_ignore_ascii_case("bytes") && first < end && size.is_none_or(|size| end <= size);
        is_sound.then_some(Self { range: first..end, size })
    }

    /// The size of the file in a header that makes no sense otherwise.
    pub(super) fn size_in(text: &str) -> Option<u64> {
        text.rsplit_once('/').and_then(|(_, size)| number(size.trim()))
    }
}

/// Digits only: `parse` would take a sign as well.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The boundary in `multipart/byteranges; boundary=...`.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/byteranges") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    (!value.is_empty() && value.len() <= 200).then(|| value.to_owned())
}

/// Takes a multipart answer apart as it comes.
#[derive(Debug)]
pub(super) struct Parts {
    delimiter: Vec<u8>,
    /// What is allowed: the ranges asked for, sorted, and what parts may take together.
    wanted: Vec<Range<u64>>,
    left: u64,
    buffer: BytesMut,
    state: State,
    done: Vec<Part>,
}

#[derive(Debug)]
enum State {
    /// Before a delimiter and the headers behind it.
    Header,
    /// In the body of a part.
    Body(Range<u64>),
    End,
}

impl Parts {
    pub(super) fn new(boundary: &str, ranges: &[Range<u64>]) -> Self {
        let mut wanted = ranges.to_vec();
        wanted.sort_unstable_by_key(|range| range.start);
        // A server may send ranges that lie close together as one, with what is between them.
        let asked: u64 = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        let left = asked.saturating_add((ranges.len() as u64).saturating_mul(MAX_PART_HEADER as u64));
        let delimiter = format!("--{boundary}").into_bytes();
        Self { delimiter, wanted, left, buffer: BytesMut::new(), state: State::Header, done: Vec::new() }
    }

    /// Takes the next bytes of the answer; the error says what is wrong with them.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.buffer.extend_from_slice(bytes);
        loop {
            match &self.state {
                State::Header => match self.header()? {
                    Some(State::Body(range)) => {
                        let length = range.end - range.start;
                        self.left = self.left.checked_sub(length).ok_or("it holds more than was asked for")?;
                        self.buffer.reserve(usize::try_from(length).map_err(|e| e.to_string())?);
                        self.state = State::Body(range);
                    }
                    Some(other) => self.state = other,
                    None => return Ok(()),
                },
                State::Body(range) => {
                    let length = usize::try_from(range.end - range.start).map_err(|e| e.to_string())?;
                    if self.buffer.len() < length {
                        return Ok(());
                    }
                    let start = range.start;
                    let bytes = self.buffer.split_to(length).freeze();
                    self.done.push(Part { start, bytes });
                    self.state = State::Header;
                }
                State::End => {
                    self.buffer.clear();
                    return Ok(());
                }
            }
        }
    }

    /// The parts, if the answer was complete.
    pub(super) fn finish(self) -> Result<Vec<Part>, String> {
        match self.state {
            State::End => Ok(self.done),
            _ => Err("it ends early".to_owned()),
        }
    }

    /// Reads a delimiter and the headers behind it; `None` if more bytes are needed.
    fn header(&mut self) -> Result<Option<State>, String> {
        let too_long =
            |length: usize| if length > MAX_PART_HEADER { Err("its headers are too long") } else { Ok(None) };
        let Some(at) = find(&self.buffer, &self.delimiter) else {
            return Ok(too_long(self.buffer.len())?);
        };
        if at > 2 {
            return Err("there are bytes between its parts".to_owned());
        }
        let behind = self.buffer.get(at + self.delimiter.len()..).unwrap_or_default();
        if behind.starts_with(b"--") {
            return Ok(Some(State::End));
        }
        let Some(end) = find(behind, b"\r\n\r\n") else {
            return Ok(too_long(behind.len())?);
        };
        let text = behind.get(..end).and_then(|text| str::from_utf8(text).ok()).ok_or("its headers are no text")?;
        let header = text.lines().filter_map(|line| line.split_once(':'));
        let range = header
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-range"))
            .find_map(|(_, value)| ContentRange::parse(value))
            .ok_or("a part does not say where it belongs")?
            .range;
        if !self.is_wanted(&range) {
            return Err(format!("bytes {}-{} were not asked for", range.start, range.end - 1));
        }
        self.buffer.advance(at + self.delimiter.len() + end + 4);
        Ok(Some(State::Body(range)))
    }

    /// A part begins where a range begins and does not reach beyond the last one.
    fn is_wanted(&self, part: &Range<u64>) -> bool {
        let end = self.wanted.iter().map(|range| range.end).max().unwrap_or(0);
        self.wanted.binary_search_by_key(&part.start, |range| range.start).is_ok() && part.end <= end
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ranges::pick;

    fn body(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut text = String::new();
        for (range, bytes) in parts {
            text += &format!("\r\n--B\r\nContent-Type: x\r\ncontent-range: bytes {range}\r\n\r\n{bytes}");
        }
        (text + "\r\n--B--\r\n").into_bytes()
    }

    fn parse(ranges: &[Range<u64>], body: &[u8], chunk: usize) -> Result<Vec<Option<Bytes>>, String> {
        let mut parts = Parts::new("B", ranges);
        for piece in body.chunks(chunk) {
            parts.push(piece)?;
        }
        Ok(pick(ranges, &parts.finish()?))
    }

    #[test]
    fn parts_are_found_however_the_answer_is_cut() {
        let body = body(&[("0-2/20", "abc"), ("8-12/*", "\r\n--B")]);
        for chunk in 1..body.len() {
            let found = parse(&[8..13, 0..3], &body, chunk).unwrap();
            assert_eq!(found, [Some(Bytes::from_static(b"\r\n--B")), Some(Bytes::from_static(b"abc"))], "{chunk}");
        }
    }

    #[test]
    fn a_part_may_cover_several_ranges_and_parts_may_be_missing() {
        let found = parse(&[0..2, 4..6, 10..11], &body(&[("0-5/20", "abcdef")]), 7).unwrap();
        assert_eq!(found, [Some(Bytes::from_static(b"ab")), Some(Bytes::from_static(b"ef")), None]);
    }

    #[test]
    fn an_answer_that_was_not_asked_for_is_refused() {
        let header = |n: usize| [b"--B\r\nx: ", vec![b'x'; n].as_slice()].concat();
        for (bad, why) in [
            (body(&[("1-3/20", "bcd")]), "not asked"),
            (body(&[("0-30/40", "a")]), "not asked"),
            (body(&[("0-2/20", "abc"); 3000]), "more than"),
            (body(&[("2-0/20", "")]), "does not say"),
            (body(&[("0-18446744073709551615/*", "")]), "does not say"),
            (body(&[("0-2/2", "abc")]), "does not say"),
            (b"--B\r\nContent-Type: x\r\n\r\nabc\r\n--B--".to_vec(), "does not say"),
            (body(&[("0-2/20", "abcd")]), "between its parts"),
            (body(&[("0-2/20", "abc")])[..60].to_vec(), "ends early"),
            (header(5000), "too long"),
            (vec![b'x'; 5000], "too long"),
            (b"".to_vec(), "ends early"),
            (b"--B\r\n\xff\r\n\r\n".to_vec(), "no text"),
        ] {
            let error = parse(&[0..3, 10..12], &bad, 16).unwrap_err();
            assert!(error.contains(why), "{why}: {error}");
        }
    }

    #[test]
    fn a_content_range_has_to_make_sense() {
        let parsed = ContentRange::parse("bytes 0-9/100").unwrap();
        assert_eq!(parsed, ContentRange { range: 0..10, size: Some(100) });
        assert_eq!(ContentRange::parse(" BYTES 5-5/* ").unwrap(), ContentRange { range: 5..6, size: None });
        for bad in ["", "bytes", "bytes */10", "bytes 5-4/10", "bytes 0-10/10", "lines 0-1/2", "bytes +0-1/2", "0-1/2"]
        {
            assert_eq!(ContentRange::parse(bad), None, "{bad}");
        }
        assert_eq!(ContentRange::size_in("bytes 2--1/13"), Some(13));
        assert_eq!(ContentRange::size_in("bytes 0-1/*"), None);
    }

    #[test]
    fn the_boundary_may_be_quoted() {
        assert_eq!(boundary("multipart/byteranges; boundary=abc").unwrap(), "abc");
        assert_eq!(boundary("Multipart/ByteRanges; charset=x; Boundary=\"a b\"").unwrap(), "a b");
        for other in ["multipart/byteranges", "multipart/byteranges; boundary=", "text/html; boundary=abc"] {
            assert_eq!(boundary(other), None, "{other}");
        }
    }
}
