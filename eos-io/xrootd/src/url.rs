//! `root://` URLs: `root://[user@]host[:port]//path[?opaque]`. The opaque part is handed to the server as it was written.

use std::fmt;

/// The port of a URL that names none.
pub const DEFAULT_PORT: u16 = 1094;

/// A server, and the place on it below which paths lie.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct XrootdUrl {
    /// Whether everything has to be encrypted: `roots://`.
    pub is_tls: bool,
    /// The name to log in with, if one is written.
    pub user: Option<String>,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// 1094 where none is written.
    pub port: u16,
    /// What precedes paths on the wire: empty, or as `/root://origin:1094/` on a proxy that fetches from elsewhere.
    pub prefix: String,
    /// What follows the `?`, which may hold secrets: it is never shown.
    pub opaque: String,
}

impl XrootdUrl {
    /// The server `host:port` without a prefix or opaque part.
    pub fn server(host: impl Into<String>, port: u16, is_tls: bool) -> Self {
        let (prefix, opaque) = (String::new(), String::new());
        Self { is_tls, user: None, host: host.into(), port, prefix, opaque }
    }

    /// `host:port`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Takes a URL apart into the server and the path on it, which begins with one `/`.
    ///
    /// ```
    /// let (server, path) = xrootd_client::XrootdUrl::parse("root://eos.cern.ch//eos/x.root?eos.app=me").unwrap();
    /// assert_eq!((server.host.as_str(), server.port), ("eos.cern.ch", 1094));
    /// assert_eq!((path.as_str(), server.opaque.as_str()), ("/eos/x.root", "eos.app=me"));
    /// ```
    pub fn parse(url: &str) -> Result<(Self, String), InvalidUrl> {
        let invalid = |reason: &str| InvalidUrl { reason: reason.to_owned() };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("it has no '://'"))?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "root" | "xroot" => false,
            "roots" | "xroots" => true,
            _ => return Err(invalid("its scheme is neither root nor roots")),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user.to_owned()).filter(|user| !user.is_empty()), address),
            None => (None, authority),
        };
        let (host, port) = host_and_port(address).ok_or_else(|| invalid("its host or port cannot be read"))?;
        if host.is_empty() {
            return Err(invalid("it names no host"));
        }
        let (path, opaque) = rest.split_once('?').unwrap_or((rest, ""));
        let path = path.trim_start_matches('/');
        let (prefix, path) = match nested(path) {
            Some(at) => path.split_at_checked(at).unwrap_or(("", path)),
            None => ("", path),
        };
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        let path = format!("/{}", path.trim_start_matches('/'));
        Ok((Self { is_tls, user, host, port, prefix, opaque: opaque.to_owned() }, path))
    }
}

/// Where in the path of a proxy's URL the path at the origin begins: behind `root://origin:1094/`.
fn nested(path: &str) -> Option<usize> {
    let (scheme, _) = path.split_once("://")?;
    let is_scheme =
        matches!(scheme.to_ascii_lowercase().as_str(), "root" | "roots" | "xroot" | "xroots" | "http" | "https");
    let authority = scheme.len() + 3;
    let slash = path.get(authority..)?.find('/')?;
    is_scheme.then_some(authority + slash + 1)
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(crate) fn host_and_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':').or(after.is_empty().then_some(""))?)
        }
        None => match address.split_once(':') {
            Some((_, port)) if port.contains(':') => return None,
            Some((host, port)) => (host, port),
            None => (address, ""),
        },
    };
    let port = if port.is_empty() { DEFAULT_PORT } else { port.parse().ok().filter(|&port| port != 0)? };
    Some((host.to_owned(), port))
}

/// Why a text is no URL of this protocol. It does not repeat the text, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no root:// URL: {reason}")]
pub struct InvalidUrl {
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for XrootdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "roots" } else { "root" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

impl fmt::Debug for XrootdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XrootdUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, host, port, prefix, path, opaque) in [
            ("root://h//a/b.root", "h", 1094, "", "/a/b.root", ""),
            ("root://h/a/b.root", "h", 1094, "", "/a/b.root", ""),
            ("roots://u@h:1095//a?x=1&y=a/b+c=", "h", 1095, "", "/a", "x=1&y=a/b+c="),
            ("root://[2001:db8::1]:1096//a", "2001:db8::1", 1096, "", "/a", ""),
            ("root://cache//root://origin:1094//a/b", "cache", 1094, "/root://origin:1094/", "/a/b", ""),
            ("root://h", "h", 1094, "", "/", ""),
            ("XROOT://h//x", "h", 1094, "", "/x", ""),
        ] {
            let (server, rest) = XrootdUrl::parse(url).unwrap();
            assert_eq!((server.host.as_str(), server.port, server.prefix.as_str()), (host, port, prefix), "{url}");
            assert_eq!((rest.as_str(), server.opaque.as_str()), (path, opaque), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_being_repeated() {
        for url in
            ["h//a", "http://h//a", "root:///a", "root://h:x//a", "root://a:b:c//x", "root://h:0//x", "root://[::1//x"]
        {
            let error = XrootdUrl::parse(url).unwrap_err().to_string();
            assert!(!error.contains(url), "{error}");
        }
    }

    #[test]
    fn the_opaque_part_is_never_shown() {
        let (server, _) = XrootdUrl::parse("root://h//a?authz=secret").unwrap();
        assert!(!format!("{server} {server:?}").contains("secret"));
    }
}
