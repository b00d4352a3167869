//! Who a request says it comes from. A password goes to the server whose URL holds it. A bearer
//! token goes only over encrypted connections, only to servers that the user has named, and only
//! after such a server has refused a request without: a public file needs no token, and a server
//! that never asks never sees one. What a redirect leads to gets neither; such servers are given
//! what they need in the redirect's URL.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::header::HeaderValue;
use url::Url;
use xrootd_client::{BearerToken, bearer_token, bearer_token_in, may_see_token};

use crate::settings::Settings;

/// Where credentials for one server come from.
pub(super) struct Authorization {
    /// Of a user and password in the URL.
    basic: Option<HeaderValue>,
    token_file: Option<PathBuf>,
    may_have_token: bool,
    wants_token: AtomicBool,
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization").field("wants_token", &self.wants_token).finish_non_exhaustive()
    }
}

impl Authorization {
    /// Takes user and password out of the URL of a server.
    pub(super) fn new(root: &mut Url, settings: &Settings) -> Self {
        let basic = match (root.username(), root.password()) {
            ("", None) => None,
            (user, password) => {
                let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
                let pair = [decoded(user), b":".to_vec(), decoded(password.unwrap_or_default())].concat();
                let value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).ok();
                value.map(sensitive)
            }
        };
        // Only URLs without a host cannot have their user removed.
        let _ = root.set_username("").and_then(|()| root.set_password(None));
        let may_have_token = basic.is_none()
            && root.scheme() == "https"
            && root.host_str().is_some_and(|host| may_see_token(settings.http.token_hosts.as_deref(), host));
        Self {
            basic,
            token_file: settings.credentials.token_file.clone(),
            may_have_token,
            wants_token: AtomicBool::new(false),
        }
    }

    /// What a request to the server carries.
    pub(super) fn header(&self) -> Result<Option<HeaderValue>, String> {
        match &self.basic {
            Some(basic) => Ok(Some(basic.clone())),
            None if self.wants_token.load(Ordering::Relaxed) => self.token(),
            None => Ok(None),
        }
    }

    /// What to send to a server that has refused a request without credentials; `None` if there is nothing.
    pub(super) fn answer(&self) -> Result<Option<HeaderValue>, String> {
        if !self.may_have_token {
            return Ok(None);
        }
        let token = self.token()?;
        self.wants_token.store(token.is_some(), Ordering::Relaxed);
        Ok(token)
    }

    /// The token as it is now: it may have been renewed since the last request.
    fn token(&self) -> Result<Option<HeaderValue>, String> {
        let Some(token) = self.find_token()? else { return Ok(None) };
        let value =
            HeaderValue::try_from(format!("Bearer {}", token.secret())).map_err(|_| "the bearer token is no text")?;
        Ok(Some(sensitive(value)))
    }

    fn find_token(&self) -> Result<Option<BearerToken>, String> {
        let found = match &self.token_file {
            Some(path) => bearer_token_in(path),
            None => bearer_token(),
        };
        let token = found.map_err(|e| match e.hint {
            Some(hint) => format!("{}: {hint}", e.reason),
            None => e.reason,
        })?;
        match (&self.token_file, token) {
            (Some(path), None) => Err(format!("the token file {} is missing or empty", path.display())),
            (_, token) => Ok(token),
        }
    }
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorization(root: &str, token_hosts: Option<&[&str]>) -> (Authorization, Url, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "token\n").unwrap();
        let mut settings = Settings::default();
        settings.credentials.token_file = Some(file.path().into());
        settings.http.token_hosts = token_hosts.map(|hosts| hosts.iter().map(|host| (*host).to_owned()).collect());
        let mut root = Url::parse(root).unwrap();
        (Authorization::new(&mut root, &settings), root, file)
    }

    #[test]
    fn a_password_is_sent_at_once_and_leaves_the_url() {
        let (authorization, root, _file) = authorization("http://me:p%40ss@h/", None);
        // "me:p@ss"
        assert_eq!(authorization.header().unwrap().unwrap(), "Basic bWU6cEBzcw==");
        assert_eq!(root.as_str(), "http://h/");
        assert!(authorization.answer().unwrap().is_none());
    }

    #[test]
    fn a_token_is_sent_after_a_refusal_only() {
        let (authorization, _, _file) = authorization("https://h/", None);
        assert!(authorization.header().unwrap().is_none());
        assert_eq!(authorization.answer().unwrap().unwrap(), "Bearer token");
        assert_eq!(authorization.header().unwrap().unwrap(), "Bearer token");
    }

    #[test]
    fn a_token_file_that_others_can_read_or_that_is_missing_is_an_error() {
        use std::os::unix::fs::PermissionsExt;
        let (authorization, _, file) = authorization("https://h/", None);
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = authorization.answer().unwrap_err();
        assert!(error.contains("can be read or written by others") && error.contains("chmod 600"), "{error}");
        drop(file);
        assert!(authorization.answer().unwrap_err().contains("missing"));
    }

    #[test]
    fn a_token_is_kept_from_plain_connections_and_other_hosts() {
        for (root, hosts, sent) in [
            ("http://h.cern.ch/", None, false),
            ("https://h.cern.ch/", Some(&["*.cern.ch"][..]), true),
            ("https://h.CERN.ch/", Some(&["H.cern.ch"]), true),
            ("https://cern.ch/", Some(&["*.cern.ch"]), false),
            ("https://evilcern.ch/", Some(&["*.cern.ch"]), false),
            ("https://h.cern.ch/", Some(&[]), false),
        ] {
            let (authorization, _, _file) = authorization(root, hosts);
            assert_eq!(authorization.answer().unwrap().is_some(), sent, "{root} {hosts:?}");
        }
    }
}
