//! Proving to a server who we are. The answer to a login lists the methods that the server accepts, strongest first; they
//! are tried in that order until one is accepted. The exchange is driven by the connection; a method only makes blobs.

use std::net::SocketAddr;

/// What a method may use of the connection that it is for.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// The server's host name, as in the URL or the redirect.
    pub(crate) host: String,
    /// Our end of the socket.
    pub(crate) local: SocketAddr,
    /// Whether everything on the connection is encrypted.
    pub(crate) is_encrypted: bool,
    /// The name under which we logged in.
    pub(crate) user: String,
    /// The opaque part of the URL, for `xrd.k5ccname`, `xrd.ztn` and the like.
    pub(crate) opaque: String,
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

/// The method that a server calls by this name, with the arguments that it gave; `None` for a name that is not known.
pub(crate) fn method(name: &str, arguments: &str, peer: &Peer) -> Option<Box<dyn Method>> {
    let _ = arguments;
    match name {
        "unix" => Some(Box::new(Unix(peer.user.clone()))),
        _ => None,
    }
}

struct Unix(String);

impl Method for Unix {
    fn begin(&mut self) -> Result<Vec<u8>, AuthError> {
        Ok(format!("unix\0{}\0", self.0).into_bytes())
    }
}

/// The methods of a list `&P=name,arguments&P=…`, in its order.
pub(crate) fn offered(list: &str, _peer: &Peer) -> Vec<(String, String)> {
    let entries = list.split('&').filter_map(|entry| entry.strip_prefix("P="));
    let parts = entries.map(|entry| entry.split_once(',').unwrap_or((entry, "")));
    parts.map(|(name, arguments)| (name.to_owned(), arguments.to_owned())).collect()
}

/// The names of the methods of a list, for messages.
pub(crate) fn names(list: &str) -> String {
    let entries = list.split('&').filter_map(|entry| entry.strip_prefix("P="));
    let names: Vec<_> = entries.map(|entry| entry.split(',').next().unwrap_or_default()).collect();
    names.join(", ")
}
