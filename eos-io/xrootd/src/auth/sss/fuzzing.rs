//! The files and arguments of `sss` for the fuzz target.

use super::*;
use crate::auth::fuzzing::peer;

/// Two lines: the server's arguments and, up to the end, a keytab.
pub(in crate::auth) fn keytab(content: &[u8]) {
    let end = content.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (arguments, content) = content.split_at(end);
    drop(Arguments::parse(&String::from_utf8_lossy(arguments)));
    let Ok(keytab) = Keytab::parse(Path::new("/keytab"), content) else { return };
    drop(format!("{keytab:?}"));
    for now in [0, EPOCH + 1, u64::MAX] {
        let Ok(key) = keytab.usable(now) else { continue };
        for named_keys in [false, true] {
            if let Some(blob) = seal(key, named_keys, &peer(""), now, &[7; SHORTEST]) {
                assert!(blob.len() >= 16 + SHORTEST + 4 && blob.len() <= 16 + 255 + SHORTEST + 4);
            }
        }
    }
}
