//! Proving to a server who we are. The answer to a login lists the methods that the server accepts, strongest first; they
//! are tried in that order until one is accepted. The exchange is driven by the connection; a method only makes blobs.

mod blowfish_cfb;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod gsi;
mod krb5;
mod offer;
mod plain;
mod sss;
mod ztn;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::environment::Environment;
use crate::options::Credentials;

pub(crate) use offer::{Offer, names, offered};

/// What a method may use of the connection that it is for.
#[derive(Clone)]
pub(crate) struct Peer {
    /// The server's host name, as in the URL or the redirect.
    pub(crate) host: String,
    /// Our end of the socket.
    pub(crate) local: SocketAddr,
    /// Whether everything on the connection is encrypted.
    pub(crate) is_encrypted: bool,
    /// Whether it is the host of a URL, or was reached from there over encrypted connections only. Whoever sits on a plain
    /// connection can redirect to a server of his own.
    pub(crate) is_trusted: bool,
    /// The name under which we logged in.
    pub(crate) user: String,
    /// The opaque part of the URL, for `xrd.k5ccname`, `xrd.ztn` and the like.
    pub(crate) opaque: String,
    /// Where credentials are that are not where they are usually looked for.
    pub(crate) credentials: Credentials,
}

impl Peer {
    /// The value of a parameter in the opaque part of the URL.
    fn parameter(&self, name: &str) -> Option<&str> {
        parameter(&self.opaque, name)
    }
}

/// Without the opaque part, which may hold a token.
impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("host", &self.host)
            .field("local", &self.local)
            .field("is_encrypted", &self.is_encrypted)
            .field("is_trusted", &self.is_trusted)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// One method, for one login. Calls may block (on a file, or on a key distribution centre): the connection makes them
/// where blocking is allowed.
pub(crate) trait Method: Send {
    /// The credentials to begin with: all that follows the credential type in the request, which mostly begins with the
    /// method's name again.
    fn begin(&mut self) -> Result<Vec<u8>, AuthError>;

    /// The answer to what the server asks for further.
    fn proceed(&mut self, _challenge: &[u8]) -> Result<Vec<u8>, AuthError> {
        Err(AuthError {
            reason: "the server asks a further question, which this method does not have".into(),
            hint: None,
        })
    }

    /// What the user can do when the server does not believe the credentials.
    fn hint_when_refused(&self) -> Option<String> {
        None
    }

    /// Encrypts with the key that the exchange has yielded, for signing requests.
    fn session_key(&mut self) -> Option<SessionKey> {
        None
    }
}

/// Encrypts the hash of a request with the key of a session.
pub(crate) type SessionKey = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// Why a method has no credentials to offer. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct AuthError {
    /// What is missing or wrong.
    pub(crate) reason: String,
    /// What the user can do: a command or a variable.
    pub(crate) hint: Option<String>,
}

impl AuthError {
    fn new(reason: impl Into<String>) -> Self {
        AuthError { reason: reason.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The method that a server calls by this name, with the arguments that it gave; `None` for a name that is not known.
pub(crate) fn method(name: &str, arguments: &str, peer: &Peer) -> Option<Box<dyn Method>> {
    method_in(Environment::of_process(), name, arguments, peer)
}

fn method_in(environment: Environment, name: &str, arguments: &str, peer: &Peer) -> Option<Box<dyn Method>> {
    let method: Box<dyn Method> = match name {
        "host" => Box::new(plain::Host),
        "unix" => Box::new(plain::Unix::new(peer)),
        "ztn" => Box::new(ztn::Ztn::new(arguments, peer, environment)),
        "sss" => Box::new(sss::Sss::new(arguments, peer, environment)),
        "gsi" => Box::new(gsi::Gsi::new(arguments, peer, environment)),
        "krb5" => Box::new(krb5::Krb5::new(arguments, peer, environment)),
        _ => return None,
    };
    Some(method)
}

/// The value of a parameter in the opaque part of a URL, unless it is empty.
fn parameter<'a>(opaque: &'a str, name: &str) -> Option<&'a str> {
    opaque
        .split(['&', '?'])
        .filter_map(|part| part.split_once('='))
        .find_map(|(key, value)| (key == name && !value.is_empty()).then_some(value))
}

/// Bytes that nobody can guess.
fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], AuthError> {
    let mut bytes = [0; LENGTH];
    let source = rustls::crypto::ring::default_provider().secure_random;
    source.fill(&mut bytes).map_err(|_| AuthError::new("the system gives no random numbers"))?;
    Ok(bytes)
}

/// A duration in its largest unit, for messages.
fn coarse(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (number, unit) = match seconds {
        0..120 => (seconds, "seconds"),
        120..7200 => (seconds / 60, "minutes"),
        7200..172_800 => (seconds / 3600, "hours"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection to a server on this machine.
    pub(super) fn peer(opaque: &str, is_encrypted: bool) -> Peer {
        Peer {
            host: "eos.example.org".into(),
            local: "127.0.0.1:40001".parse().expect("an address"),
            is_encrypted,
            is_trusted: true,
            user: "tester".into(),
            opaque: opaque.into(),
            credentials: Credentials::default(),
        }
    }

    #[test]
    fn the_methods_that_a_server_may_name_are_found_by_their_names() {
        let peer = peer("", false);
        for name in ["host", "unix", "ztn", "sss", "krb5", "gsi"] {
            assert!(method(name, "", &peer).is_some(), "{name}");
        }
        assert!(method("pwd", "", &peer).is_none());
    }

    #[test]
    fn debug_output_of_a_connection_does_not_show_its_opaque_part() {
        let debug = format!("{:?}", peer("authz=hush", true));
        assert!(!debug.contains("hush"), "{debug}");
    }

    #[test]
    fn a_parameter_is_found_by_its_whole_name() {
        assert_eq!(parameter("eos.app=a&xrd.ztn=/t&x=", "xrd.ztn"), Some("/t"));
        assert_eq!(parameter("?xrd.ztn=/t", "xrd.ztn"), Some("/t"));
        assert_eq!(parameter("axrd.ztn=/t&x=", "xrd.ztn"), None);
        assert_eq!(parameter("x=", "x"), None);
        assert_eq!(parameter("k=a=b", "k"), Some("a=b"));
    }
}
