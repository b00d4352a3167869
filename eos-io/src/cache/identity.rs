//! Which version of which file bytes belong to. Whatever is kept is kept under its digest, so that a file that changes is
//! another one.

use std::fmt;
use std::time::{Duration, SystemTime};

use object_store::ObjectMeta;
use object_store::path::Path;
use sha2::{Digest as _, Sha256};

use crate::redact::redact;

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// The digest of several parts, each with its length, so that no two lists of parts are the same bytes.
    pub(crate) fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A name for a file.
    pub(crate) fn name(&self) -> String {
        self.0.iter().take(20).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// The digest of a file's URL: of what its store is called and of the path. Secrets are masked: they change, and the file
/// stays the same.
pub(crate) fn url_digest(store: &str, path: &Path) -> Digest {
    Digest::of(&[redact(store).as_bytes(), path.as_ref().as_bytes()])
}

/// The digest of a version of a file: what its store says of it.
pub(crate) fn object_digest(url: &Digest, meta: &ObjectMeta) -> Digest {
    let text = |text: &Option<String>| text.as_ref().map_or_else(String::new, |text| format!("={text}"));
    Digest::of(&[
        url.as_bytes(),
        &meta.size.to_le_bytes(),
        &meta.last_modified.timestamp().to_le_bytes(),
        &meta.last_modified.timestamp_subsec_nanos().to_le_bytes(),
        text(&meta.e_tag).as_bytes(),
        text(&meta.version).as_bytes(),
    ])
}

/// Whether what a store says of a file tells all of its versions apart. Times are often whole seconds: a file that was
/// changed so lately could be changed again without another time. And a file of which nothing but the size is known could
/// be any.
pub(crate) fn is_telling(meta: &ObjectMeta, settled_after: Duration) -> bool {
    let modified = SystemTime::from(meta.last_modified);
    if modified <= SystemTime::UNIX_EPOCH {
        return meta.e_tag.is_some() || meta.version.is_some();
    }
    SystemTime::now().duration_since(modified).is_ok_and(|age| age >= settled_after)
}

/// Whether two listings may speak of one version. They may differ in how exact a time is and in what an entity tag is
/// made of.
pub(crate) fn may_be_same(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    a.size == b.size && a.last_modified.timestamp() == b.last_modified.timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(size: u64, seconds: u64, e_tag: Option<&str>) -> ObjectMeta {
        ObjectMeta {
            location: Path::from("x.root"),
            last_modified: (SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).into(),
            size,
            e_tag: e_tag.map(str::to_string),
            version: None,
        }
    }

    #[test]
    fn every_difference_makes_another_object() {
        let url = url_digest("root://h/", &Path::from("x.root"));
        let base = object_digest(&url, &meta(1, 2, Some("a")));
        for other in [meta(2, 2, Some("a")), meta(1, 3, Some("a")), meta(1, 2, Some("b")), meta(1, 2, None)] {
            assert_ne!(base, object_digest(&url, &other));
        }
        let elsewhere = url_digest("root://other/", &Path::from("x.root"));
        assert_ne!(base, object_digest(&elsewhere, &meta(1, 2, Some("a"))));
        assert_eq!(base, object_digest(&url, &meta(1, 2, Some("a"))));
    }

    #[test]
    fn another_token_or_password_leads_to_the_same_file() {
        let digest = |store: &str| url_digest(store, &Path::from("x.root"));
        assert_eq!(digest("https://u:one@h/?authz=aaa"), digest("https://u:two@h/?authz=bbb"));
        assert_ne!(digest("https://u:one@h/"), digest("https://v:one@h/"));
    }

    #[test]
    fn a_file_that_changed_just_now_or_has_no_time_could_be_another() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let settled = Duration::from_secs(10);
        assert!(is_telling(&meta(1, now - 60, None), settled));
        assert!(!is_telling(&meta(1, now - 1, Some("a")), settled));
        assert!(!is_telling(&meta(1, now + 60, None), settled));
        assert!(!is_telling(&meta(1, 0, None), settled));
        assert!(is_telling(&meta(1, 0, Some("a")), settled));
    }
}
