//! Signing requests, where the server demands it: before each such request goes its hash, together with a number that
//! never falls, so that nobody on the way can change or repeat it.
//!
//! Which requests are signed follows from the server's level: 1 what changes files, 2 and 3 also what opens and looks,
//! 4 everything.

use sha2::{Digest, Sha256};

use super::send::Outgoing;
use crate::auth::SessionKey;
use crate::wire::codes::request;
use crate::wire::{Request, Security};

pub(super) struct Signer {
    security: Security,
    key: Option<SessionKey>,
    number: u64,
}

impl Signer {
    /// `None` where nothing has to be signed: the level is 0, or there is no key and the server does not insist.
    pub(super) fn new(security: &Security, key: Option<SessionKey>) -> Option<Self> {
        const ALSO_WITHOUT_KEY: u8 = 2;
        let is_forced = security.options & ALSO_WITHOUT_KEY != 0;
        let is_wanted = security.level > 0 && (key.is_some() || is_forced);
        is_wanted.then(|| Self { security: security.clone(), key, number: 0 })
    }

    /// The request, behind its signature if it needs one.
    pub(super) fn sign(&mut self, request: &Request, id: u16) -> Outgoing {
        let mut outgoing = Outgoing::new(request, id);
        if !self.is_signed(request) {
            return outgoing;
        }
        const DATA_TOO: u8 = 1;
        let is_payload_hashed = request.id != request::WRITE || self.security.options & DATA_TOO != 0;
        self.number += 1;
        let mut hash = Sha256::new();
        hash.update(self.number.to_be_bytes());
        hash.update(&outgoing.head);
        if is_payload_hashed {
            hash.update(&request.payload);
        }
        let hash = hash.finalize();
        let hash = match &self.key {
            Some(encrypt) => encrypt(&hash),
            None => hash.to_vec(),
        };
        let signature = Request::signature(request.id, self.number, hash, is_payload_hashed);
        let mut head = signature.header(id.to_be_bytes()).to_vec();
        head.extend_from_slice(&signature.payload);
        head.extend_from_slice(&outgoing.head);
        outgoing.head = head;
        outgoing
    }

    fn is_signed(&self, request: &Request) -> bool {
        const NEEDED: u8 = 2;
        const LIKELY: u8 = 1;
        let index = u8::try_from(request.id - request::AUTH).unwrap_or(u8::MAX);
        let of_request = self.security.overrides.iter().find(|(at, _)| *at == index).map(|(_, level)| *level);
        let level = of_request.unwrap_or_else(|| default_level(self.security.level, request.id));
        match level {
            NEEDED => true,
            // Only what would change something.
            LIKELY => is_change(request),
            _ => false,
        }
    }
}

/// 0 not signed, 1 signed if it changes something, 2 signed.
fn default_level(level: u8, id: u16) -> u8 {
    use request::{
        CLOSE, DIRLIST, ENDSESS, LOCATE, MKDIR, MV, OPEN, PGREAD, QUERY, READ, READV, RM, RMDIR, STAT, SYNC, TRUNCATE,
        WRITE,
    };
    const PEDANTIC: u8 = 4;
    const INTENSE: u8 = 3;
    const STANDARD: u8 = 2;
    match id {
        MV | RM | RMDIR | TRUNCATE => 2,
        OPEN if level < STANDARD => 1,
        OPEN => 2,
        MKDIR if level >= STANDARD => 2,
        CLOSE | WRITE | ENDSESS if level >= INTENSE => 2,
        QUERY if level == INTENSE => 1,
        DIRLIST | LOCATE | PGREAD | QUERY | READ | READV | STAT | SYNC if level >= PEDANTIC => 2,
        _ => 0,
    }
}

fn is_change(request: &Request) -> bool {
    use crate::wire::codes::open;
    const CHANGES: u16 = open::DELETE | open::NEW | open::UPDATE;
    let [_, _, high, low, ..] = request.parameters;
    request.id != request::OPEN || u16::from_be_bytes([high, low]) & CHANGES != 0
}
