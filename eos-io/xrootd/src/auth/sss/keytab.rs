//! Keytabs of shared secrets: one key on each line, as `0 u:user g:group n:name N:number c:created e:expiry f:0 k:hex`.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::super::AuthError;

/// The keys of a file, in its order.
#[derive(Debug)]
pub(super) struct Keytab {
    path: PathBuf,
    keys: Vec<Key>,
}

/// One key. Its secret does not show in debug output.
pub(super) struct Key {
    pub(super) name: String,
    pub(super) id: u64,
    /// Seconds since 1970; 0 means never.
    expiry: u64,
    pub(super) secret: Zeroizing<Vec<u8>>,
}

impl Keytab {
    pub(super) fn parse(path: &Path, content: &[u8]) -> Result<Self, AuthError> {
        let wrong = |line: usize, what: &str| {
            AuthError::new(format!("line {} of the keytab {} {what}", line + 1, path.display()))
        };
        let mut keys = Vec::new();
        for (number, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let line = std::str::from_utf8(line).map_err(|_| wrong(number, "is not text"))?.trim();
            if !line.is_empty() && !line.starts_with('#') {
                keys.push(Key::parse(line).map_err(|what| wrong(number, what))?);
            }
        }
        Ok(Keytab { path: path.to_path_buf(), keys })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The first key that is still valid: administrators put the newest first.
    pub(super) fn usable(&self, now: u64) -> Result<&Key, AuthError> {
        self.keys.iter().find(|key| key.expiry == 0 || key.expiry > now).ok_or_else(|| {
            let what = if self.keys.is_empty() { "holds no key" } else { "holds expired keys only" };
            AuthError::new(format!("the keytab {} {what}", self.path.display()))
                .hint("ask the server's administrator for a new keytab")
        })
    }
}

impl Key {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut fields = line.split_ascii_whitespace();
        if !matches!(fields.next(), Some("0" | "1")) {
            return Err("does not begin with a version that is known");
        }
        let (mut name, mut id, mut expiry, mut secret) = (None, None, 0, None);
        for field in fields {
            match field.split_once(':') {
                Some(("n", value)) => name = Some(value.to_owned()),
                Some(("N", value)) => id = Some(value.parse().map_err(|_| "has a wrong key number (N:)")?),
                Some(("e", value)) => expiry = value.parse().map_err(|_| "has a wrong time of expiry (e:)")?,
                Some(("k", value)) => secret = Some(from_hex(value).ok_or("has a wrong key (k:)")?),
                // User, group, time of creation and flags are the server's concern.
                _ => {}
            }
        }
        let name = name.ok_or("has no key name (n:)")?;
        let id = id.ok_or("has no key number (N:)")?;
        let secret = secret.filter(|secret| !secret.is_empty()).ok_or("has no key (k:)")?;
        Ok(Key { name, id, expiry, secret })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.as_bytes().chunks(2) {
        let digit = |at: usize| pair.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        bytes.push(u8::try_from(digit(0)? << 4 | digit(1)?).ok()?);
    }
    Some(bytes)
}
