//! A file of users and their tokens: `name:token`, one per line. It is read again when it has changed, and as long as it
//! cannot be read or understood, nobody is known.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::{Error, User};

/// Tokens shorter than that can be guessed.
const SHORTEST: usize = 16;

/// The file.
pub(crate) struct TokenFile {
    path: PathBuf,
    read: Mutex<Read>,
}

/// What it said when it was read.
struct Read {
    /// What tells that it has changed.
    version: Option<(SystemTime, u64)>,
    /// Tokens are kept as their digests, which have one length.
    tokens: Vec<(User, [u8; 32])>,
}

impl TokenFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it cannot be read, or a line is not `name:token`.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let version = version(path);
        let tokens = read(path)?;
        Ok(Self { path: path.to_path_buf(), read: Mutex::new(Read { version, tokens }) })
    }

    /// Whose token it is.
    pub(crate) fn owner(&self, token: &str) -> Option<User> {
        let mut known = self.read.lock();
        let now = version(&self.path);
        if now.is_none() || now != known.version {
            *known = match read(&self.path) {
                Ok(tokens) => Read { version: now, tokens },
                Err(error) => {
                    if known.version != now {
                        tracing::error!("nobody is known by a token: {error}");
                    }
                    Read { version: now, tokens: Vec::new() }
                }
            };
        }
        let shown: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        // All are compared, so that the time says nothing about which of them it is.
        let mut found = 0_u32;
        for (number, (_, digest)) in (1_u32..).zip(&known.tokens) {
            let same: Choice = shown.ct_eq(digest);
            found = u32::conditional_select(&found, &number, same);
        }
        let at = usize::try_from(found.checked_sub(1)?).ok()?;
        known.tokens.get(at).map(|(user, _)| user.clone())
    }
}

fn version(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> Result<Vec<(User, [u8; 32])>, Error> {
    let bad = |reason: String| Error { place: path.display().to_string(), reason };
    let text = fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    let mut tokens = Vec::new();
    for (line, number) in lines {
        // What stands in the line is not repeated: it may be a token.
        let (name, token) = line
            .split_once(':')
            .map(|(name, token)| (name.trim(), token.trim()))
            .filter(|(name, token)| !name.is_empty() && !token.is_empty())
            .ok_or_else(|| bad(format!("line {number} is not NAME:TOKEN")))?;
        if token.len() < SHORTEST {
            return Err(bad(format!("the token of line {number} has less than {SHORTEST} characters")));
        }
        tokens.push((User::named(name), Sha256::digest(token.as_bytes()).into()));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "alice-0123456789abcdef";
    const BOB: &str = "bob-0123456789abcdef";

    #[test]
    fn a_token_has_the_owner_that_the_file_names_at_that_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, format!("# users\nalice:{ALICE}\n\n bob : {BOB}\n")).unwrap();
        let file = TokenFile::open(&path).unwrap();
        let owner = |token: &str| file.owner(token).map(|user| user.name().to_string());
        assert_eq!(owner(ALICE).as_deref(), Some("alice"));
        assert_eq!(owner(BOB).as_deref(), Some("bob"));
        for wrong in ["", "alice", &ALICE[1..], &format!("{ALICE}0"), &format!("alice:{ALICE}")] {
            assert_eq!(owner(wrong), None, "{wrong}");
        }
        fs::write(&path, format!("alice:{ALICE}\n")).unwrap();
        assert_eq!((owner(ALICE).as_deref(), owner(BOB)), (Some("alice"), None));
        fs::write(&path, "alice\n").unwrap();
        assert_eq!(owner(ALICE), None);
        fs::remove_file(&path).unwrap();
        assert_eq!(owner(ALICE), None);
    }

    #[test]
    fn a_mistake_in_the_file_is_told_without_what_stands_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        for (text, said) in [("alice:short", "line 1"), (ALICE, "line 1"), ("\n:0123456789abcdef", "line 2")] {
            fs::write(&path, text).unwrap();
            let error = TokenFile::open(&path).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("short") && !error.contains(ALICE), "{error}");
        }
        assert!(TokenFile::open(&folder.path().join("none")).is_err());
    }
}
