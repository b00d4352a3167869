//! The framing of `gsi`: a message is the method's name, a step, and buckets of bytes, each with a kind.

const NAME: &[u8] = b"gsi\0";
const END: u32 = 0;

/// What we ask for first, and what the server answers; then our certificates.
pub(super) const ASK_FOR_CERTIFICATE: u32 = 1000;
pub(super) const OUR_CERTIFICATE: u32 = 1001;
pub(super) const SERVER_CERTIFICATE: u32 = 2001;
pub(super) const ASK_FOR_DELEGATION: u32 = 2002;

/// The kinds of buckets.
pub(super) const CRYPTO_MODULE: u32 = 3000;
pub(super) const MAIN: u32 = 3001;
pub(super) const PUBLIC_KEY: u32 = 3004;
pub(super) const AGREEMENT: u32 = 3005;
pub(super) const RANDOM_TAG: u32 = 3006;
pub(super) const SIGNED_TAG: u32 = 3007;
pub(super) const USER: u32 = 3008;
pub(super) const VERSION: u32 = 3014;
pub(super) const OPTIONS: u32 = 3019;
pub(super) const CERTIFICATES: u32 = 3022;
pub(super) const ISSUER_HASH: u32 = 3023;
pub(super) const CIPHERS: u32 = 3025;
pub(super) const DIGESTS: u32 = 3026;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) step: u32,
    buckets: Vec<(u32, Vec<u8>)>,
}

impl Message {
    pub(super) fn new(step: u32) -> Self {
        Message { step, buckets: Vec::new() }
    }

    pub(super) fn with(mut self, kind: u32, content: impl Into<Vec<u8>>) -> Self {
        self.buckets.push((kind, content.into()));
        self
    }

    /// The first bucket of a kind.
    pub(super) fn get(&self, kind: u32) -> Option<&[u8]> {
        self.buckets.iter().find_map(|(its_kind, content)| (*its_kind == kind).then_some(content.as_slice()))
    }

    /// `None` if a bucket is longer than the message, which no message of a sane server comes near to.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(NAME)?;
        let mut message = Message::new(number(&mut rest)?);
        loop {
            let kind = number(&mut rest)?;
            if kind == END {
                return Some(message);
            }
            let length = usize::try_from(number(&mut rest)?).ok()?;
            let (content, after) = rest.split_at_checked(length)?;
            message.buckets.push((kind, content.to_vec()));
            rest = after;
        }
    }

    /// `None` if a bucket is longer than a message can say.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = NAME.to_vec();
        bytes.extend_from_slice(&self.step.to_be_bytes());
        for (kind, content) in &self.buckets {
            bytes.extend_from_slice(&kind.to_be_bytes());
            bytes.extend_from_slice(&u32::try_from(content.len()).ok()?.to_be_bytes());
            bytes.extend_from_slice(content);
        }
        bytes.extend_from_slice(&END.to_be_bytes());
        Some(bytes)
    }
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: &[u8] = b"gsi\0\0\0\x03\xe8\0\0\x0b\xb8\0\0\0\x03ssl\0\0\x0b\xc6\0\0\0\x04\0\0\x29\x68\0\0\0\0";

    #[test]
    fn a_message_has_the_layout_of_the_protocol() {
        let message =
            Message::new(ASK_FOR_CERTIFICATE).with(CRYPTO_MODULE, "ssl").with(VERSION, 10600_u32.to_be_bytes());
        assert_eq!(message.encode().as_deref(), Some(BYTES));
        assert_eq!(Message::parse(BYTES), Some(message));
    }

    #[test]
    fn a_cut_message_is_refused_wherever_it_is_cut() {
        for length in 0..BYTES.len() {
            assert_eq!(Message::parse(&BYTES[..length]), None, "cut to {length}");
        }
    }

    #[test]
    fn a_bucket_longer_than_the_message_is_refused() {
        assert_eq!(Message::parse(b"gsi\0\0\0\0\x01\0\0\x0b\xb8\xff\xff\xff\xffssl\0\0\0\0"), None);
    }
}
