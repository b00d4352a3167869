//! A URL taken apart as text, the same way for all protocols: nothing is decoded, and a path keeps
//! its wildcards.

use url::Host;

use crate::error::Error;
use crate::spec;

/// The pieces of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) user: Option<&'a str>,
    pub(crate) password: Option<&'a str>,
    /// With brackets if it is an IPv6 address; may be empty.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
    /// Everything up to the query, with the slashes it begins with.
    pub(crate) path: &'a str,
    /// Everything behind the first `?`.
    pub(crate) query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(spec: &'a str) -> Result<Self, Error> {
        let invalid = |reason: &str| Error::invalid(spec, reason);
        let scheme = spec::scheme(spec).ok_or_else(|| invalid("it is no URL"))?;
        if spec.contains(|c: char| c.is_control()) {
            return Err(invalid("it holds a control character"));
        }
        let start = spec::path_start(spec);
        let authority = spec.get(scheme.len() + 3..start).unwrap_or_default();
        let rest = spec.get(start..).unwrap_or_default();
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let (user_info, place) = match authority.rsplit_once('@') {
            Some((user_info, place)) => (Some(user_info), place),
            None => (None, authority),
        };
        let (user, password) = match user_info.map(|info| info.split_once(':').ok_or(info)) {
            Some(Ok((user, password))) => (Some(user), Some(password)),
            Some(Err(user)) => (Some(user), None),
            None => (None, None),
        };
        // The colons of an IPv6 address stand in brackets.
        let after_address = place.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match place.get(after_address..).and_then(|tail| tail.rfind(':')) {
            Some(colon) => {
                let at = after_address + colon;
                (place.get(..at).unwrap_or_default(), place.get(at + 1..))
            }
            None => (place, None),
        };
        let port = match port {
            None | Some("") => None,
            Some(text) => match text.parse() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(invalid(&format!("'{text}' is not the number of a port"))),
            },
        };
        if !host.is_empty() {
            Host::parse(host).map_err(|e| invalid(&format!("'{host}' is not the name of a server: {e}")))?;
        }
        Ok(Self { scheme, user, password, host, port, path, query })
    }

    /// The name of the server, without which the URL means nothing.
    pub(crate) fn server(&self, spec: &str) -> Result<&'a str, Error> {
        match self.host {
            "" => Err(Error::invalid(spec, format!("the server is missing: {}://server/path", self.scheme))),
            host => Ok(host),
        }
    }

    /// The part of the URL before the path, as it was written.
    pub(crate) fn before(&self, spec: &'a str) -> &'a str {
        spec.get(..spec::path_start(spec)).unwrap_or(spec)
    }

    /// The query with its `?`, or nothing.
    pub(crate) fn after(&self) -> String {
        self.query.filter(|query| !query.is_empty()).map(|query| format!("?{query}")).unwrap_or_default()
    }
}

/// A path with single slashes and without `.` and `..`, as stores want it.
pub(crate) fn normalized(spec: &str, path: &str) -> Result<String, Error> {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => match names.pop() {
                None => return Err(Error::invalid(spec, "'..' leads out of the server")),
                Some(above) if above.contains(['*', '?', '[', '{']) => {
                    return Err(Error::invalid(spec, "'..' cannot follow a wildcard"));
                }
                Some(_) => {}
            },
            name => names.push(name),
        }
    }
    Ok(names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_user_address_port_path_and_query_apart() {
        let of = |spec| {
            let Parts { user, password, host, port, path, query, .. } = Parts::of(spec).unwrap();
            (user, password, host, port, path, query)
        };
        for (spec, expected) in [
            ("root://h//a", (None, None, "h", None, "//a", None)),
            ("root://u@h:1/a?b?c", (Some("u"), None, "h", Some(1), "/a", Some("b?c"))),
            ("root://u:p:q@[::1]:1094//a", (Some("u"), Some("p:q"), "[::1]", Some(1094), "//a", None)),
            ("root://[::1]", (None, None, "[::1]", None, "", None)),
            ("http://h?q", (None, None, "h", None, "", Some("q"))),
            ("http://h:/x", (None, None, "h", None, "/x", None)),
            ("hdfs:///x", (None, None, "", None, "/x", None)),
            ("root://x//root://o:1//f?q", (None, None, "x", None, "//root://o:1//f", Some("q"))),
        ] {
            assert_eq!(of(spec), expected, "{spec}");
        }
    }

    #[test]
    fn a_path_is_freed_of_what_means_nothing() {
        for (path, expected) in [("//a/./b//c/", "a/b/c"), ("/a/../b/c/..", "b"), ("/a/b*/c/../d", "a/b*/d"), ("", "")]
        {
            assert_eq!(normalized("s", path).unwrap(), expected, "{path}");
        }
        for path in ["/..", "/a/../../b", "/a*/../b"] {
            assert!(normalized("s", path).is_err(), "{path}");
        }
    }

    #[test]
    fn what_can_be_no_server_is_an_invalid_spec() {
        for spec in ["http://h:x/", "http://h:0/", "http://h:70000/", "http://[::1/x", "http://a b/x", "http://h/\n"] {
            assert_eq!(Parts::of(spec).unwrap_err().kind(), crate::ErrorKind::InvalidSpec, "{spec}");
        }
        assert!(Parts::of("http:///x").unwrap().server("http:///x").is_err());
    }
}
