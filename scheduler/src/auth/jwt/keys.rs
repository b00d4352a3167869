//! Public keys as a JWK set publishes them, and signatures by them: RS256, ES256 and EdDSA, one for each kind of key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// A key as it is published.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A key that verifies signatures.
pub(super) struct Key {
    id: Option<String>,
    public: Public,
}

enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// The keys of a set that verify signatures; others, and secrets, are left out.
pub(super) fn parse(set: &[u8]) -> Result<Vec<Key>, String> {
    let set: Set = serde_json::from_slice(set).map_err(|error| format!("it is no JWK set: {error}"))?;
    let keys: Vec<Key> = set.keys.into_iter().filter_map(|key| usable(serde_json::from_value(key).ok()?)).collect();
    if keys.is_empty() {
        return Err("it holds no public key for RS256, ES256 or EdDSA".to_string());
    }
    Ok(keys)
}

fn usable(jwk: Jwk) -> Option<Key> {
    if jwk.purpose.is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?).ok();
    let public = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", None) => Public::Rsa { n: bytes(jwk.n)?, e: bytes(jwk.e)? },
        // The point without compression, which is told by the first byte.
        ("EC", Some("P-256")) => Public::P256([vec![4], bytes(jwk.x)?, bytes(jwk.y)?].concat()),
        ("OKP", Some("Ed25519")) => Public::Ed25519(bytes(jwk.x)?),
        _ => return None,
    };
    let key = Key { id: jwk.kid, public };
    (jwk.alg.is_none_or(|named| named == key.algorithm())).then_some(key)
}

impl Key {
    /// What tokens call it.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The only algorithm that it is used for.
    pub(super) fn algorithm(&self) -> &'static str {
        match self.public {
            Public::Rsa { .. } => "RS256",
            Public::P256(_) => "ES256",
            Public::Ed25519(_) => "EdDSA",
        }
    }

    /// Whether a signature of a message is by this key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let valid = match &self.public {
            Public::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Public::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature),
            Public::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point).verify(message, signature),
        };
        valid.is_ok()
    }
}
