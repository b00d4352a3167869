//! Bearer tokens over TLS (`ztn`).

use std::path::Path;
use std::time::Duration;

use super::{AuthError, Method, Peer, coarse};
use crate::bearer_token::{self, BearerToken, BearerTokenError, may_see_token};
use crate::environment::Environment;

/// What servers accept that do not say.
const LONGEST_BY_DEFAULT: usize = 4096;

/// The server's clock decides whether a token is valid; ours may be ahead of it by this much.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

pub(super) struct Ztn {
    longest: usize,
    peer: Peer,
    environment: Environment,
}

impl Ztn {
    /// The arguments are `version:longest token:`.
    pub(super) fn new(arguments: &str, peer: &Peer, environment: Environment) -> Self {
        let longest = arguments.split(':').nth(1).and_then(|number| number.parse().ok());
        Ztn { longest: longest.unwrap_or(LONGEST_BY_DEFAULT), peer: peer.clone(), environment }
    }

    fn token(&self) -> Result<BearerToken, AuthError> {
        let of_url = self.peer.parameter("xrd.ztn").map(Path::new);
        if let Some(path) = of_url.or(self.peer.credentials.token_file.as_deref()) {
            let token = bearer_token::in_file(path, &self.environment)?;
            return token
                .ok_or_else(|| AuthError::new(format!("the token file {} is missing or empty", path.display())));
        }
        bearer_token::discover(&self.environment)?.ok_or_else(|| {
            AuthError::new("there is no bearer token").hint(format!(
                "set BEARER_TOKEN or BEARER_TOKEN_FILE, or get a token into {}/bt_u{} (with oidc-agent or htgettoken)",
                self.environment.temporary().display(),
                self.environment.user_id()
            ))
        })
    }
}

impl Method for Ztn {
    fn begin(&mut self) -> Result<Vec<u8>, AuthError> {
        if !self.peer.is_encrypted {
            return Err(AuthError::new("a token is not sent over a connection that is not encrypted")
                .hint("use roots:// instead of root://"));
        }
        let host = &self.peer.host;
        if !self.peer.is_trusted {
            return Err(AuthError::new(format!(
                "a token is not sent to {host}, since a server on the way there redirected over a connection that is not \
                 encrypted"
            ))
            .hint("use roots:// instead of root://"));
        }
        if !may_see_token(self.peer.credentials.token_hosts.as_deref(), host) {
            return Err(AuthError::new(format!(
                "a token is not sent to {host}, which is not among the hosts that may see it"
            ))
            .hint("add it to token_hosts if it may"));
        }
        let token = self.token()?;
        if let Some(since) = token.expired_since().filter(|since| *since > CLOCK_DIFFERENCE) {
            return Err(AuthError::new(format!("the token in {} expired {} ago", token.source(), coarse(since)))
                .hint("get a new token"));
        }
        let length = token.secret().len();
        if length > self.longest {
            return Err(AuthError::new(format!(
                "the token in {} has {length} bytes, and {} accepts at most {}",
                token.source(),
                self.peer.host,
                self.longest
            ))
            .hint("get a token with fewer scopes or groups"));
        }
        let Ok(with_nul) = u16::try_from(length + 1) else {
            return Err(AuthError::new(format!("the token in {} has {length} bytes", token.source())));
        };
        let mut blob = Vec::with_capacity(12 + length);
        // Version 0, operation 'T' for token, two bytes of flags.
        blob.extend_from_slice(b"ztn\0\0T\0\0");
        blob.extend_from_slice(&with_nul.to_be_bytes());
        blob.extend_from_slice(token.secret().as_bytes());
        blob.push(0);
        Ok(blob)
    }

    fn hint_when_refused(&self) -> Option<String> {
        Some("check that the token is for this server: its issuer, audience and scope".to_owned())
    }
}

impl From<BearerTokenError> for AuthError {
    fn from(error: BearerTokenError) -> Self {
        AuthError { reason: error.reason, hint: error.hint }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::peer;
    use super::*;
    use crate::options::Credentials;

    fn ztn(arguments: &str, peer: &Peer, variables: &[(&str, &str)]) -> Ztn {
        let nothing_here = Path::new("/nowhere/at/all");
        Ztn::new(arguments, peer, Environment::with(variables, rustix::process::geteuid().as_raw(), nothing_here))
    }

    #[test]
    fn the_blob_has_the_layout_that_a_server_reads() {
        let blob = ztn("0:4096:", &peer("", true), &[("BEARER_TOKEN", "abc")]).begin();
        assert_eq!(blob, Ok(b"ztn\0\0T\0\0\0\x04abc\0".to_vec()));
    }

    #[test]
    fn nothing_is_sent_in_the_clear() {
        let error = ztn("0:4096:", &peer("", false), &[("BEARER_TOKEN", "abc")]).begin().expect_err("not encrypted");
        assert!(error.reason.contains("not encrypted"), "{error}");
        assert!(error.hint.expect("a hint").contains("roots://"));
    }

    #[test]
    fn nothing_is_sent_to_where_a_plain_connection_has_led() {
        let peer = Peer { is_trusted: false, ..peer("", true) };
        let error = ztn("0:4096:", &peer, &[("BEARER_TOKEN", "abc")]).begin().expect_err("redirected");
        assert!(error.reason.contains("not sent to eos.example.org"), "{error}");
        assert!(error.hint.expect("a hint").contains("roots://"));
    }

    #[test]
    fn only_the_servers_of_a_list_see_the_token_where_there_is_one() {
        for (hosts, is_sent) in [(&["*.example.org"][..], true), (&["*.cern.ch"], false), (&[], false)] {
            let token_hosts = Some(hosts.iter().map(|&host| host.to_owned()).collect());
            let peer = Peer { credentials: Credentials { token_hosts, ..Credentials::default() }, ..peer("", true) };
            assert_eq!(ztn("0:4096:", &peer, &[("BEARER_TOKEN", "abc")]).begin().is_ok(), is_sent, "{hosts:?}");
        }
    }

    #[test]
    fn without_a_token_the_hint_names_the_places() {
        let error = ztn("0:4096:", &peer("", true), &[]).begin().expect_err("no token");
        let hint = error.hint.expect("a hint");
        assert!(hint.contains("BEARER_TOKEN_FILE") && hint.contains("/bt_u"), "{hint}");
    }

    #[test]
    fn an_expired_token_is_not_sent() {
        // The example of RFC 7519, which expired in 2011.
        let token =
            "e30.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.x";
        let error = ztn("0:4096:", &peer("", true), &[("BEARER_TOKEN", token)]).begin().expect_err("expired");
        assert!(error.reason.contains("BEARER_TOKEN expired") && error.reason.contains("days ago"), "{error}");
        assert!(!error.reason.contains(token), "{error}");
    }

    #[test]
    fn the_servers_limit_is_kept() {
        let variables = [("BEARER_TOKEN", "12345")];
        assert!(ztn("0:5:", &peer("", true), &variables).begin().is_ok());
        let error = ztn("0:4:", &peer("", true), &variables).begin().expect_err("too long");
        assert!(error.reason.contains("5 bytes") && error.reason.contains("at most 4"), "{error}");
    }

    #[test]
    fn the_url_names_a_file_before_the_settings_and_these_before_the_environment() {
        let (of_url, of_settings) = (tempfile::NamedTempFile::new(), tempfile::NamedTempFile::new());
        let (of_url, of_settings) = (of_url.expect("a file"), of_settings.expect("a file"));
        std::fs::write(of_url.path(), "from-url\n").expect("written");
        std::fs::write(of_settings.path(), "from-settings\n").expect("written");
        let variables = [("BEARER_TOKEN", "from-variable")];
        let set = Credentials { token_file: Some(of_settings.path().into()), ..Credentials::default() };
        let opaque = format!("xrd.ztn={}", of_url.path().display());
        for (opaque, credentials, expected) in [
            (opaque.as_str(), set.clone(), "from-url\0"),
            ("", set, "from-settings\0"),
            ("", Credentials::default(), "from-variable\0"),
        ] {
            let peer = Peer { credentials, ..peer(opaque, true) };
            let blob = ztn("0:4096:", &peer, &variables).begin().expect("a blob");
            assert!(blob.ends_with(expected.as_bytes()), "{expected}");
        }
        let error = ztn("0:4096:", &peer("xrd.ztn=/nowhere/at/all", true), &variables).begin().expect_err("missing");
        assert!(error.reason.contains("/nowhere/at/all"), "{error}");
    }

    #[test]
    fn a_renewed_token_is_sent_at_the_next_login() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().display().to_string();
        let mut ztn = ztn("0:4096:", &peer("", true), &[("BEARER_TOKEN_FILE", &path)]);
        for token in ["first", "second"] {
            std::fs::write(file.path(), token).expect("written");
            assert!(ztn.begin().expect("a blob").ends_with(format!("{token}\0").as_bytes()));
        }
    }
}
