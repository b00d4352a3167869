//! Entry points for the fuzz targets of `fuzz/`, only compiled for them: each takes a layer alone, with bytes from
//! outside. They may return errors; they must not panic, hang, or take more memory than the input or the request
//! justifies.

pub use crate::auth::fuzzing::auth;
pub use crate::connection::fuzzing::{login, receive};
use crate::endpoint::limits;
use crate::error::mask;
use crate::namespace::location;
use crate::route::follow;
use crate::url::XrootdUrl;
use crate::wire::codes::status;
use crate::wire::{Header, LoginAnswer, PageStatus, ProtocolAnswer, Response, Stat, listing, opened};

/// The body of an answer, of every kind.
pub fn response(body: &[u8]) {
    drop(Header::parse(body));
    let statuses = [
        status::OK,
        status::AUTH_MORE,
        status::ERROR,
        status::REDIRECT,
        status::WAIT,
        status::WAIT_RESP,
        status::STATUS,
        u16::MAX,
    ];
    for status in statuses {
        match Response::parse(status, body.to_vec()) {
            Ok(Response::Redirect(redirect)) => {
                for is_tls in [false, true] {
                    if let Ok(next) = follow(&XrootdUrl::server("h", 1094, is_tls), &redirect) {
                        assert!(!next.url.host.is_empty() && next.url.port > 0);
                        assert!(next.url.is_tls || !is_tls, "encryption is kept");
                    }
                }
            }
            Ok(Response::Error(error)) => drop(mask(&error.to_string())),
            _ => {}
        }
    }
    drop((opened(body), ProtocolAnswer::parse(body), LoginAnswer::parse(body)));
    if let Ok(entries) = listing(body) {
        for entry in entries {
            assert!(!entry.name.contains('/') && !matches!(entry.name.as_str(), "" | "." | ".."), "{:?}", entry.name);
        }
    }
    // No mutation finds a checksum.
    let sum = crc32c::crc32c(body.get(4..).unwrap_or_default());
    let mended = [&sum.to_be_bytes(), body.get(4..).unwrap_or_default()].concat();
    drop(PageStatus::parse([0, 0], &mended));
    let text = String::from_utf8_lossy(body);
    drop((Stat::parse(&text), limits(&text)));
    text.split_ascii_whitespace().filter_map(location).count();
}

/// What a user or a redirect writes as a URL.
pub fn url(text: &str) {
    let Ok((url, path)) = XrootdUrl::parse(text) else { return };
    assert!(!url.host.is_empty() && url.port > 0);
    assert!(path.starts_with('/') && !path.starts_with("//"), "{path:?}");
    let again = format!("{url}{path}");
    // Who logs in and what is secret are not shown; the rest means the same.
    if let Ok((shown, _)) = XrootdUrl::parse(&again) {
        assert_eq!((shown.host, shown.port, shown.is_tls), (url.host, url.port, url.is_tls), "{again:?}");
    }
}
