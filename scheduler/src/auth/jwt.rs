//! Tokens that somebody else has signed: JSON Web Tokens, by keys that are published as a JWK set. Which algorithm a token is
//! verified with is a matter of the key alone, never of what the token says.

mod keys;

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::sync::{Mutex, RwLock};
use url::Url;

use super::{Denied, Error, User};
use keys::Key;

/// How long fetched keys are believed to be all there are.
const FRESH: Duration = Duration::from_secs(600);
/// How soon keys are fetched again because a token names one that is not known.
const SOON: Duration = Duration::from_secs(30);
/// How long fetching them may take.
const FETCH: Duration = Duration::from_secs(10);
/// Bytes of a set of keys.
const LARGEST: usize = 1 << 20;
/// Seconds that clocks may differ by.
const LEEWAY: f64 = 30.0;

/// Whose signed tokens are believed.
#[derive(Debug, Clone)]
pub struct JwtOptions {
    /// The file or URL of the keys.
    pub jwks: String,
    /// Who has to have issued a token.
    pub issuer: String,
    /// For whom it has to have been issued.
    pub audience: String,
}

/// Verifies tokens.
pub(crate) struct Jwt {
    place: Place,
    issuer: String,
    audience: String,
    keys: RwLock<Keys>,
    /// Held by the one that reads the keys again.
    reading: Mutex<()>,
}

enum Place {
    File(PathBuf),
    Url(Url, reqwest::Client),
}

struct Keys {
    known: Vec<Key>,
    /// The version of the file.
    version: Option<SystemTime>,
    read: Instant,
}

/// What a token says of its signature.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that have to be understood; there are none here.
    crit: Option<serde::de::IgnoredAny>,
}

/// What is read of a token. A claim of another type than this is as if the token were none.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: String,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Jwt {
    pub(crate) async fn new(options: &JwtOptions) -> Result<Self, Error> {
        let bad = |reason: String| Error { place: options.jwks.clone(), reason };
        let place = match Url::parse(&options.jwks) {
            Ok(url) if url.scheme() == "https" || url.scheme() == "http" => {
                let is_here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
                if url.scheme() == "http" && !is_here {
                    return Err(bad("anybody on the way could replace the keys; it has to be https".to_string()));
                }
                // Nor may a server send us to where it is not.
                let client = reqwest::Client::builder().timeout(FETCH).https_only(!is_here).build();
                Place::Url(url, client.map_err(|error| bad(error.to_string()))?)
            }
            _ => Place::File(PathBuf::from(&options.jwks)),
        };
        let (issuer, audience) = (options.issuer.clone(), options.audience.clone());
        let keys = place.read().await.map_err(bad)?;
        Ok(Self { place, issuer, audience, keys: RwLock::new(keys), reading: Mutex::default() })
    }

    /// Whose token it is.
    pub(crate) async fn owner(&self, token: &str) -> Result<User, Denied> {
        const NONE: Denied = Denied("the token is not known");
        let (signed, signature) = token.rsplit_once('.').ok_or(NONE)?;
        let (header, claims) = signed.split_once('.').ok_or(NONE)?;
        let header: Header = part(header).ok_or(NONE)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| NONE)?;
        if header.crit.is_some() {
            return Err(Denied("the token wants more than is understood here"));
        }
        let id = header.kid.as_deref();
        self.refresh(id).await;
        let keys = self.keys.read().await;
        let key = keys.of(id).ok_or(Denied("the token is signed with a key that is not known"))?;
        if header.alg != key.algorithm() || !key.verifies(signed.as_bytes(), &signature) {
            return Err(Denied("the signature of the token is not valid"));
        }
        let claims: Claims =
            part(claims).ok_or(Denied("the token lacks one of exp, iss, aud and sub, or a claim is none"))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.check(&claims, now)?;
        Ok(User::named(&claims.sub))
    }

    /// Reads the keys again if they may be others by now. Meanwhile tokens are verified with those that there are, unless they
    /// name one that is missing.
    async fn refresh(&self, id: Option<&str>) {
        if self.is_fresh(id).await {
            return;
        }
        let _reading = match self.keys.read().await.of(id) {
            Some(_) => match self.reading.try_lock() {
                Ok(reading) => reading,
                Err(_) => return,
            },
            None => self.reading.lock().await,
        };
        // Who was waited for may have read them.
        if self.is_fresh(id).await {
            return;
        }
        match self.place.read().await {
            Ok(fresh) => *self.keys.write().await = fresh,
            Err(reason) => {
                tracing::warn!("the keys of tokens are those of before: {reason}");
                // It is not tried again at once.
                self.keys.write().await.read = Instant::now();
            }
        }
    }

    /// That a token is for this scheduler, and now.
    fn check(&self, claims: &Claims, now: f64) -> Result<(), Denied> {
        if claims.iss != self.issuer {
            return Err(Denied("the token is of an issuer that is not trusted"));
        }
        let is_for_us = match &claims.aud {
            Audience::One(one) => *one == self.audience,
            Audience::Several(several) => several.contains(&self.audience),
        };
        if !is_for_us {
            return Err(Denied("the token is for somebody else than this scheduler"));
        }
        if claims.exp <= now - LEEWAY {
            return Err(Denied("the token has expired"));
        }
        if claims.nbf.is_some_and(|from| from > now + LEEWAY) {
            return Err(Denied("the token is not valid yet"));
        }
        if claims.sub.is_empty() {
            return Err(Denied("the token does not say whose it is"));
        }
        Ok(())
    }

    /// Whether the keys at hand are those of now, as far as it matters for one of them.
    async fn is_fresh(&self, id: Option<&str>) -> bool {
        let keys = self.keys.read().await;
        match &self.place {
            Place::File(path) => version(path) == keys.version,
            Place::Url(..) if keys.of(id).is_none() => keys.read.elapsed() < SOON,
            Place::Url(..) => keys.read.elapsed() < FRESH,
        }
    }
}

impl Place {
    async fn read(&self) -> Result<Keys, String> {
        let (bytes, version) = match self {
            Self::File(path) => {
                let version = version(path);
                (std::fs::read(path).map_err(|error| error.to_string())?, version)
            }
            Self::Url(url, client) => (fetch(client, url).await?, None),
        };
        let known = keys::parse(&bytes)?;
        Ok(Keys { known, version, read: Instant::now() })
    }
}

/// One of the parts of a token that are JSON.
fn part<T: for<'a> Deserialize<'a>>(encoded: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

async fn fetch(client: &reqwest::Client, url: &Url) -> Result<Vec<u8>, String> {
    let told = |error: reqwest::Error| error.without_url().to_string();
    let mut answer =
        client.get(url.clone()).send().await.and_then(reqwest::Response::error_for_status).map_err(told)?;
    let mut bytes = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(told)? {
        bytes.extend_from_slice(&part);
        if bytes.len() > LARGEST {
            return Err(format!("it is larger than {LARGEST} bytes"));
        }
    }
    Ok(bytes)
}

fn version(path: &std::path::Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

impl Keys {
    /// The key that a token names, or the only one where it names none.
    fn of(&self, id: Option<&str>) -> Option<&Key> {
        match (id, self.known.as_slice()) {
            (Some(id), known) => known.iter().find(|key| key.id() == Some(id)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

#[cfg(test)]
mod tests;
