//! Who may enter: users by the tokens that they show, and the scheduler itself.

mod jwt;
mod tokens;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use root_cluster::ACTING_FOR_HEADER;
use subtle::ConstantTimeEq;

use jwt::Jwt;
pub use jwt::JwtOptions;
use tokens::TokenFile;

/// Who is let in. Without any of them everybody is.
#[derive(Debug, Clone, Default)]
pub struct AuthOptions {
    /// A file of names and tokens.
    pub token_file: Option<PathBuf>,
    /// Whose signed tokens are believed.
    pub jwt: Option<JwtOptions>,
}

/// What tokens are compared with cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{place} cannot be used for tokens: {reason}")]
pub struct Error {
    /// The file or URL.
    pub place: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct User(Arc<str>);

impl User {
    /// Everybody, where nobody is asked who they are.
    pub(crate) fn anyone() -> Self {
        Self::named("anyone")
    }

    pub(crate) fn named(name: &str) -> Self {
        Self(name.into())
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

/// Why somebody is not let in, as they are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Denied(pub &'static str);

/// Looks at who wants to enter.
pub(crate) enum Guard {
    /// Lets everybody in.
    Open,
    /// Wants a token.
    Closed { tokens: Option<TokenFile>, jwt: Option<Arc<Jwt>> },
    /// Lets the scheduler itself in, for the user that it names.
    Own(Arc<str>),
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Closed { .. } => "Closed",
            Self::Own(_) => "Own",
        })
    }
}

impl Guard {
    pub(crate) async fn new(options: &AuthOptions) -> Result<Self, Error> {
        if options.token_file.is_none() && options.jwt.is_none() {
            return Ok(Self::Open);
        }
        let tokens = options.token_file.as_deref().map(TokenFile::open).transpose()?;
        let jwt = match &options.jwt {
            Some(options) => Some(Arc::new(Jwt::new(options).await?)),
            None => None,
        };
        Ok(Self::Closed { tokens, jwt })
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Who sends a request with these headers.
    pub(crate) async fn admit(&self, headers: &HeaderMap) -> Result<User, Denied> {
        const MISSING: Denied = Denied("a token is needed: authorization: Bearer TOKEN");
        match self {
            Self::Open => Ok(User::anyone()),
            Self::Own(secret) => {
                let token = token_of(headers).ok_or(MISSING)?;
                if !bool::from(token.as_bytes().ct_eq(secret.as_bytes())) {
                    return Err(Denied("this door is the scheduler's own"));
                }
                let user = headers.get(ACTING_FOR_HEADER).and_then(|name| name.to_str().ok()).unwrap_or_default();
                let user = percent_encoding::percent_decode_str(user).decode_utf8();
                user.map(|name| User::named(&name)).map_err(|_| Denied("the name of the user is not text"))
            }
            Self::Closed { tokens, jwt } => {
                let token = token_of(headers).ok_or(MISSING)?;
                if let Some(user) = tokens.as_ref().and_then(|tokens| tokens.owner(&token)) {
                    return Ok(user);
                }
                match jwt {
                    Some(jwt) => jwt.owner(&token).await,
                    None => Err(Denied("the token is not known")),
                }
            }
        }
    }
}

/// The token that headers show: a bearer token, or the password of programs that know names and passwords only.
pub(crate) fn token_of(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => rest.to_string(),
        "basic" => {
            let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
            pair.split_once(':')?.1.to_string()
        }
        _ => return None,
    };
    Some(token).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn a_token_is_what_stands_behind_bearer_or_as_a_password() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc", Some("abc")),
            ("Basic YWxpY2U6YTpi", Some("a:b")),
            ("Basic YWxpY2U=", None),
            ("Bearer ", None),
            ("Digest abc", None),
            ("abc", None),
        ] {
            assert_eq!(token_of(&headers(value)).as_deref(), token, "{value}");
        }
    }

    #[tokio::test]
    async fn the_door_of_the_scheduler_knows_its_secret_and_for_whom_it_acts() {
        let guard = Guard::Own("secret".into());
        let mut own = headers("Bearer secret");
        own.insert(ACTING_FOR_HEADER, "al%20ice".parse().unwrap());
        assert_eq!(guard.admit(&own).await.unwrap().name(), "al ice");
        assert!(guard.admit(&headers("Bearer secre")).await.is_err());
        assert!(guard.admit(&HeaderMap::new()).await.is_err());
    }
}
