//! The methods of authentication for their fuzz target: what a server sends, and the files that they read.

use std::path::Path;

use super::{Method, Peer, gsi, method_in, names, offered, sss};
use crate::bearer_token::discover;
use crate::environment::Environment;
use crate::options::Credentials;

/// The first byte chooses what the others are.
pub fn auth(data: &[u8]) {
    let Some((choice, content)) = data.split_first() else { return };
    match choice % 9 {
        0 => offers(content),
        1 => gsi::fuzzing::message(content),
        2 => gsi::fuzzing::agreement(content),
        3 => gsi::fuzzing::certificates(content),
        4 => gsi::fuzzing::signature(content),
        5 => gsi::fuzzing::challenge(content),
        6 => gsi::fuzzing::proxy(content),
        7 => sss::fuzzing::keytab(content),
        _ => token(content),
    }
}

/// A connection that is encrypted, as far as methods know.
pub(super) fn peer(opaque: &str) -> Peer {
    Peer {
        host: "eos.example.org".to_owned(),
        local: ([127, 0, 0, 1], 40001).into(),
        is_encrypted: true,
        is_trusted: true,
        user: "tester".to_owned(),
        opaque: opaque.to_owned(),
        credentials: Credentials::default(),
    }
}

/// Two lines: what the user wants, and what the server offers.
fn offers(content: &[u8]) {
    let text = String::from_utf8_lossy(content);
    let (opaque, list) = text.split_once('\n').unwrap_or(("", &text));
    let count = names(list).split(", ").count();
    assert!(offered(list, opaque).methods.len() <= count);
}

/// Two lines: the server's arguments, and a token.
fn token(content: &[u8]) {
    let text = String::from_utf8_lossy(content);
    let (arguments, token) = text.split_once('\n').unwrap_or(("", &text));
    let environment = Environment::with(&[("BEARER_TOKEN", token)], 0, Path::new("/nowhere"));
    if let Ok(Some(token)) = discover(&environment) {
        drop(format!("{token:?}, {:?}", token.expired_since()));
    }
    let method: Option<Box<dyn Method>> = method_in(environment, "ztn", arguments, &peer(""));
    let blob = method.and_then(|mut method| method.begin().ok());
    assert!(blob.is_none_or(|blob| blob.len() <= 11 + token.len()));
}
