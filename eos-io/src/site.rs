//! The place that one store serves: what tells it from every other, and how its files are called
//! in full.

use std::fmt;

use object_store::path::Path;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use sha2::{Digest, Sha256};
use url::Url;

use crate::error::Error;
use crate::redact::redact;

/// What cannot stand in the path of a URL as it is. `+` is among them because some servers take it for a space.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'+')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A path as it stands in a URL.
pub(crate) fn encode(path: &Path) -> String {
    utf8_percent_encode(path.as_ref(), RESERVED).to_string()
}

/// How a site writes the paths of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As they are.
    Plain,
    /// Percent-encoded.
    Encoded,
}

/// The place that one store serves.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Site {
    /// What tells this site from every other: a URL of scheme, host and port only, because that is what DataFusion
    /// keeps stores by.
    pub(crate) identity: Url,
    /// A file's URL up to its path, secrets included.
    pub(crate) before: String,
    /// What follows the path: the query.
    pub(crate) after: String,
    spelling: Spelling,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Site({})", self.name(&Path::default()))
    }
}

impl Site {
    pub(crate) fn new(identity: Url, before: String, after: String, spelling: Spelling) -> Self {
        Self { identity, before, after, spelling }
    }

    /// The name of a file for messages, secrets masked.
    pub(crate) fn name(&self, path: &Path) -> String {
        // The name of a local file may look as if it held a secret.
        match self.before.as_str() {
            "/" => format!("/{path}"),
            before => redact(&format!("{before}{}{}", self.spelled(path), self.after)),
        }
    }

    /// The URL of a file, secrets included.
    pub(crate) fn url(&self, path: &Path) -> String {
        format!("{}{}{}", self.before, self.spelled(path), self.after)
    }

    /// The URL of what lies beside a file under a name, which may be a pattern.
    pub(crate) fn beside(&self, path: &Path, name: &str) -> String {
        let folder = path.parent().filter(|folder| !folder.is_root());
        let folder = folder.map(|folder| format!("{}/", self.spelled(&folder))).unwrap_or_default();
        format!("{}{folder}{name}{}", self.before, self.after)
    }

    fn spelled(&self, path: &Path) -> String {
        match self.spelling {
            Spelling::Plain => path.to_string(),
            Spelling::Encoded => encode(path),
        }
    }
}

/// The identity of a site that has more to it than scheme, host and port: the rest (users,
/// passwords, queries, prefixes) goes into the host as a digest, which gives nothing away.
pub(crate) fn identity(spec: &str, scheme: &str, host: &str, port: Option<u16>, rest: &[&str]) -> Result<Url, Error> {
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let text = if rest.iter().all(|part| part.is_empty()) {
        format!("{scheme}://{host}{port}/")
    } else {
        let mut digest = Sha256::new();
        for part in [&[host], rest].concat() {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let digest: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        // An address in brackets can have nothing beside it; the digest tells such hosts apart.
        let host = host.trim_matches(['[', ']']).replace([':', '%'], "-");
        format!("{scheme}://{host};{digest}{port}/")
    };
    Url::parse(&text).map_err(|e| Error::invalid(spec, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_follows_the_host_becomes_a_digest_in_it() {
        let plain = identity("s", "root", "h", Some(1094), &["", ""]).unwrap();
        assert_eq!(plain.as_str(), "root://h:1094/");
        let mut seen = vec![plain];
        for (scheme, host, rest) in [
            ("root", "h", ["me", ""]),
            ("root", "h", ["", "me"]),
            ("root", "[::1]", ["", "me"]),
            ("root", "[::1:0]", ["", "me"]),
            ("https", "h", ["", "authz=secret"]),
            ("https", "[::1]", ["", "authz=secret"]),
        ] {
            let url = identity("s", scheme, host, Some(1094), &rest).unwrap();
            assert!(!url.as_str().contains("secret") && url.username().is_empty(), "{url}");
            assert_eq!((url.path(), url.port(), url.scheme()), ("/", Some(1094), scheme));
            assert!(url.host_str().unwrap().contains(';'), "{url}");
            assert_eq!(Url::parse(url.as_str()).unwrap(), url);
            assert!(!seen.contains(&url), "{url}");
            seen.push(url);
        }
    }

    #[test]
    fn a_name_masks_secrets_and_an_address_keeps_them() {
        let identity = Url::parse("https://h;1/").unwrap();
        let site = Site::new(identity, "https://u:pw@h/".into(), "?token=pw&a=b".into(), Spelling::Encoded);
        let path = Path::parse("d/a b+c%.root").unwrap();
        assert_eq!(site.name(&path), "https://u:***@h/d/a%20b%2Bc%25.root?token=***&a=b");
        assert_eq!(site.url(&path), "https://u:pw@h/d/a%20b%2Bc%25.root?token=pw&a=b");
        assert!(!format!("{site:?}").contains("pw"));
    }
}
