//! Requests: what each one's 16 bytes of parameters and its payload hold.

use bytes::Bytes;

use super::codes::{able, open, query, request};

/// The first 20 bytes on a connection: `0, 0, 0, 4, 2012`.
pub(crate) const HANDSHAKE: [u8; 20] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0x07, 0xdc];

/// The version of the protocol that this client speaks, 5.1.1.
const VERSION: u32 = 0x511;

/// The server's name for an open file. It means something on the connection that opened the file only.
pub(crate) type FileHandle = [u8; 4];

/// A request without its stream id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: u16,
    pub(crate) parameters: [u8; 16],
    pub(crate) payload: Bytes,
}

/// Length of a request without its payload.
pub(crate) const HEADER: usize = 24;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Open {
    /// Permission bits of a new file.
    pub(crate) mode: u16,
    /// Bits out of [`super::codes::open`].
    pub(crate) options: u16,
}

/// A range within a vector read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

impl Segment {
    /// Length of what precedes a segment's data in an answer, and describes it in a request.
    pub(crate) const HEADER: usize = 16;
}

impl Request {
    fn new(id: u16, parameters: [u8; 16], payload: impl Into<Bytes>) -> Self {
        Self { id, parameters, payload: payload.into() }
    }

    fn of_path(id: u16, path: &str) -> Self {
        Self::new(id, [0; 16], path.as_bytes().to_vec())
    }

    /// The request's first 24 bytes.
    pub(crate) fn header(&self, stream: [u8; 2]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        // A payload is never longer than the caller's chunk of some megabytes.
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        let parts: [&[u8]; 4] = [&stream, &self.id.to_be_bytes(), &self.parameters, &length.to_be_bytes()];
        fill(&mut header, &parts);
        header
    }

    /// Whether it is an open that makes a file.
    pub(crate) fn makes_a_file(&self) -> bool {
        let [_, _, high, low, ..] = self.parameters;
        self.id == request::OPEN && u16::from_be_bytes([high, low]) & (open::NEW | open::DELETE) != 0
    }

    pub(crate) fn open(path: &str, how: Open) -> Self {
        let parameters = parameters(&[&how.mode.to_be_bytes(), &how.options.to_be_bytes()]);
        Self::new(request::OPEN, parameters, path.as_bytes().to_vec())
    }

    pub(crate) fn close(file: FileHandle) -> Self {
        Self::new(request::CLOSE, parameters(&[&file]), Bytes::new())
    }

    pub(crate) fn read(file: FileHandle, offset: u64, length: u32) -> Self {
        let parameters = parameters(&[&file, &offset.to_be_bytes(), &length.to_be_bytes()]);
        Self::new(request::READ, parameters, Bytes::new())
    }

    pub(crate) fn read_vector(file: FileHandle, segments: &[Segment]) -> Self {
        let mut payload = Vec::with_capacity(segments.len() * Segment::HEADER);
        for segment in segments {
            payload.extend_from_slice(&file);
            payload.extend_from_slice(&segment.length.to_be_bytes());
            payload.extend_from_slice(&segment.offset.to_be_bytes());
        }
        Self::new(request::READV, [0; 16], payload)
    }

    /// A read in pages of 4096 bytes, each with its checksum.
    pub(crate) fn read_pages(file: FileHandle, offset: u64, length: u32, is_retry: bool) -> Self {
        let parameters = parameters(&[&file, &offset.to_be_bytes(), &length.to_be_bytes()]);
        // A path (connection) of 0 and the flags of the request.
        let payload = if is_retry { vec![0, 1] } else { Vec::new() };
        Self::new(request::PGREAD, parameters, payload)
    }

    pub(crate) fn write(file: FileHandle, offset: u64, data: Bytes) -> Self {
        Self::new(request::WRITE, parameters(&[&file, &offset.to_be_bytes()]), data)
    }

    pub(crate) fn truncate(path: &str, size: u64) -> Self {
        let parameters = parameters(&[&[0; 4], &size.to_be_bytes()]);
        Self::new(request::TRUNCATE, parameters, path.as_bytes().to_vec())
    }

    pub(crate) fn stat(path: &str) -> Self {
        Self::of_path(request::STAT, path)
    }

    /// A listing of a directory with what is known of each entry.
    pub(crate) fn list(path: &str) -> Self {
        let mut parameters = [0; 16];
        parameters[15] = 2;
        Self::new(request::DIRLIST, parameters, path.as_bytes().to_vec())
    }

    pub(crate) fn locate(path: &str) -> Self {
        Self::of_path(request::LOCATE, path)
    }

    pub(crate) fn make_directory(path: &str, mode: u16) -> Self {
        let mut parameters = [0; 16];
        // Also the directories above it.
        parameters[0] = 1;
        let [high, low] = mode.to_be_bytes();
        parameters[14] = high;
        parameters[15] = low;
        Self::new(request::MKDIR, parameters, path.as_bytes().to_vec())
    }

    pub(crate) fn remove(path: &str) -> Self {
        Self::of_path(request::RM, path)
    }

    pub(crate) fn remove_directory(path: &str) -> Self {
        Self::of_path(request::RMDIR, path)
    }

    pub(crate) fn rename(from: &str, to: &str) -> Self {
        // The length of the first path with its opaque part, so that it may hold spaces. A length that is wrong, since the
        // path is too long, is refused.
        let length = u16::try_from(from.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut parameters = [0; 16];
        parameters[14] = length[0];
        parameters[15] = length[1];
        Self::new(request::MV, parameters, format!("{from} {to}").into_bytes())
    }

    pub(crate) fn checksum(path: &str) -> Self {
        Self::query(query::CHECKSUM, path)
    }

    pub(crate) fn configuration(names: &str) -> Self {
        Self::query(query::CONFIG, names)
    }

    fn query(kind: u16, payload: &str) -> Self {
        Self::new(request::QUERY, parameters(&[&kind.to_be_bytes()]), payload.as_bytes().to_vec())
    }

    pub(crate) fn ping() -> Self {
        Self::new(request::PING, [0; 16], Bytes::new())
    }

    pub(crate) fn authenticate(method: &str, credentials: Vec<u8>) -> Self {
        let mut parameters = [0; 16];
        for (slot, byte) in parameters.iter_mut().skip(12).zip(method.bytes()) {
            *slot = byte;
        }
        Self::new(request::AUTH, parameters, credentials)
    }

    /// The signature that goes before a request where a server wants one: the hash of the number, the request's header
    /// and, if it counts, the payload.
    pub(crate) fn signature(signed: u16, number: u64, hash: Vec<u8>, is_payload_hashed: bool) -> Self {
        const SHA256: u8 = 1;
        let flags = u8::from(!is_payload_hashed);
        let parameters = parameters(&[&signed.to_be_bytes(), &[0, flags], &number.to_be_bytes(), &[SHA256]]);
        Self::new(request::SIGVER, parameters, hash)
    }
}

/// The question which protocol the server speaks; `is_able` holds bits out of [`able`].
pub(crate) fn protocol(is_able: u8) -> Request {
    // What follows is a login.
    const EXPECT_LOGIN: u8 = 3;
    let parameters = parameters(&[&VERSION.to_be_bytes(), &[is_able | able::SECURITY_REQUIREMENTS, EXPECT_LOGIN]]);
    Request::new(request::PROTOCOL, parameters, Bytes::new())
}

/// A login as `user`, of which eight bytes count.
pub(crate) fn login(process: u32, user: &str, about: &str) -> Request {
    // The client follows redirects to whole URLs and to IPv6 addresses, and understands asynchronous answers.
    const FULL_URL: u8 = 1;
    const HAS_IPV64: u8 = 8;
    const REDIRECT_FLAGS: u8 = 0x80;
    const ASYNCHRONOUS_VERSION_5: u8 = 0x85;
    let mut name = [0; 8];
    for (slot, byte) in name.iter_mut().zip(user.bytes()) {
        *slot = byte;
    }
    let abilities = [0, FULL_URL | HAS_IPV64 | REDIRECT_FLAGS, ASYNCHRONOUS_VERSION_5, 0];
    let parameters = parameters(&[&process.to_be_bytes(), &name, &abilities]);
    Request::new(request::LOGIN, parameters, about.as_bytes().to_vec())
}

fn parameters(parts: &[&[u8]]) -> [u8; 16] {
    let mut all = [0; 16];
    fill(&mut all, parts);
    all
}

/// Writes the parts one after the other; what does not fit is left out, and the rest stays zero.
fn fill(into: &mut [u8], parts: &[&[u8]]) {
    let bytes = parts.iter().flat_map(|part| part.iter());
    for (slot, byte) in into.iter_mut().zip(bytes) {
        *slot = *byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_laid_out_as_the_specification_says() {
        let request = Request::read([1, 2, 3, 4], 0x0102_0304_0506_0708, 0x1000);
        let header = request.header([0xab, 0xcd]);
        assert_eq!(header, [0xab, 0xcd, 0x0b, 0xc5, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x10, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_vector_read_lists_handle_length_and_offset() {
        let request = Request::read_vector([9, 9, 9, 9], &[Segment { offset: 7, length: 5 }]);
        assert_eq!(&request.payload[..], [9, 9, 9, 9, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn a_rename_tells_the_length_of_the_first_path() {
        let request = Request::rename("/a b", "/c");
        assert_eq!(request.parameters[14..], [0, 4]);
        assert_eq!(&request.payload[..], b"/a b /c");
    }

    #[test]
    fn a_long_user_name_is_cut_to_eight_bytes() {
        let request = login(1, "administrator", "");
        assert_eq!(&request.parameters[4..12], b"administ");
    }
}
