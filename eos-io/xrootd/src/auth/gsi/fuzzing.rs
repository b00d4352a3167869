//! The messages and files of `gsi` for the fuzz target. `fuzz/identity` has an authority, and a user that it has signed.

use std::path::Path;
use std::time::SystemTime;

use super::rsa::PublicKey;
use super::*;
use crate::auth::fuzzing::peer;

const IDENTITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/identity");
const USER: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/identity/user.pem"));

fn authorities() -> Authorities {
    Authorities::load(IDENTITY.into()).unwrap_or_else(|error| panic!("{error}"))
}

/// The framing.
pub(in crate::auth) fn message(content: &[u8]) {
    let Some(message) = Message::parse(content) else { return };
    let encoded = message.encode().unwrap_or_default();
    assert!(content.starts_with(&encoded) && Message::parse(&encoded) == Some(message));
}

/// The server's part of the key.
pub(in crate::auth) fn agreement(content: &[u8]) {
    if let Ok(agreement) = Agreement::answer(content, &[7; SECRET_LENGTH]) {
        assert_eq!(agreement.key.encrypt([0; 16], b"a text of more than a block").len(), 48);
    }
}

/// The server's certificates.
pub(in crate::auth) fn certificates(content: &[u8]) {
    if let Ok(key) = authorities().verify(content, "eos.example.org") {
        assert!(key.bits() >= 2048);
    }
}

/// A key and what it has signed; two bytes tell the length of the key.
pub(in crate::auth) fn signature(content: &[u8]) {
    let Some((length, rest)) = content.split_first_chunk() else { return };
    let Some((key, signature)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { return };
    if let Some(key) = PublicKey::parse(key)
        && let Some(text) = key.recover(signature)
    {
        assert!(text.len() < signature.len());
    }
}

/// What a server answers to our first message.
pub(in crate::auth) fn challenge(content: &[u8]) {
    let environment = Environment::with(&[], 0, Path::new("/nowhere"));
    let mut gsi = Gsi::new("v:10600,c:ssl,ca:x", &peer(""), environment);
    let proxy = Proxy::parse(Path::new("user.pem"), USER, SystemTime::now()).unwrap_or_else(|error| panic!("{error}"));
    gsi.begun = Some(Begun { authorities: authorities(), proxy, tag: *b"abcdefgh" });
    match gsi.proceed(content) {
        Ok(_) => assert!(gsi.session_key().is_some()),
        Err(error) => drop(error.to_string()),
    }
}

/// A file of a user.
pub(in crate::auth) fn proxy(content: &[u8]) {
    drop(Proxy::parse(Path::new("x509up"), content, SystemTime::now()));
}
