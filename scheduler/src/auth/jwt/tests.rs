//! Tokens as issuers make them, and as others would like them to be.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "root-query";

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// An issuer with a key of each kind that can be made here.
struct Issuer {
    random: SystemRandom,
    edwards: Ed25519KeyPair,
    elliptic: EcdsaKeyPair,
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let edwards = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let elliptic = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let issuer = Self {
            edwards: Ed25519KeyPair::from_pkcs8(edwards.as_ref()).unwrap(),
            elliptic: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, elliptic.as_ref(), &random).unwrap(),
            random,
            path: folder.path().join("jwks.json"),
            _folder: folder,
        };
        let point = issuer.elliptic.public_key().as_ref();
        issuer.publish(json!([
            {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": encoded(issuer.edwards.public_key())},
            {"kty": "EC", "crv": "P-256", "kid": "ec", "x": encoded(&point[1..33]), "y": encoded(&point[33..])},
            {"kty": "oct", "kid": "shared", "k": encoded("a secret that must not count")},
        ]));
        issuer
    }

    fn publish(&self, keys: Value) {
        std::fs::write(&self.path, json!({ "keys": keys }).to_string()).unwrap();
    }

    async fn verifier(&self) -> Jwt {
        let jwks = self.path.display().to_string();
        let options = JwtOptions { jwks, issuer: ISSUER.to_string(), audience: AUDIENCE.to_string() };
        Jwt::new(&options).await.unwrap()
    }

    fn sign(&self, header: Value, claims: Value) -> String {
        let body = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = match header["kid"].as_str() {
            Some("ec") => self.elliptic.sign(&self.random, body.as_bytes()).unwrap().as_ref().to_vec(),
            _ => self.edwards.sign(body.as_bytes()).as_ref().to_vec(),
        };
        format!("{body}.{}", encoded(signature))
    }
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": now() + 600, "nbf": now() - 60})
}

fn with(changes: Value) -> Value {
    let mut claims = claims();
    let Value::Object(changes) = changes else { panic!() };
    for (key, value) in changes {
        claims[key] = value;
    }
    claims
}

#[tokio::test]
async fn a_token_is_its_subjects_whichever_key_has_signed_it() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier().await;
    for header in [json!({"alg": "EdDSA", "kid": "ed"}), json!({"alg": "ES256", "kid": "ec"})] {
        let owner = verifier.owner(&issuer.sign(header.clone(), claims())).await;
        assert_eq!(owner.unwrap().name(), "alice", "{header}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_valid_for_this_scheduler_now_is_refused() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier().await;
    let header = json!({"alg": "EdDSA", "kid": "ed"});
    for (changes, why) in [
        (json!({"exp": now() - 3600}), "expired"),
        (json!({"nbf": now() + 3600}), "not valid yet"),
        (json!({"aud": "another"}), "somebody else"),
        (json!({"iss": "https://other.example"}), "issuer"),
        (json!({"aud": null}), "aud"),
        (json!({"exp": null}), ""),
        (json!({"exp": "tomorrow"}), ""),
        (json!({"nbf": "tomorrow"}), ""),
        (json!({"sub": ""}), "whose"),
        (json!({"sub": null}), ""),
    ] {
        let denied = verifier.owner(&issuer.sign(header.clone(), with(changes.clone()))).await.unwrap_err();
        assert!(denied.0.contains(why), "{changes}: {denied:?}");
    }
}

#[tokio::test]
async fn a_token_cannot_choose_how_it_is_verified() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier().await;
    for header in [
        json!({"alg": "none", "kid": "ed"}),
        json!({"alg": "HS256", "kid": "ed"}),
        json!({"alg": "HS256", "kid": "shared"}),
        json!({"alg": "ES256", "kid": "ed"}),
        json!({"alg": "RS256", "kid": "ec"}),
        json!({"alg": "EdDSA", "kid": "other"}),
        json!({"alg": "EdDSA"}),
    ] {
        let owner = verifier.owner(&issuer.sign(header.clone(), claims())).await;
        assert!(owner.is_err(), "{header}");
    }
    let unsigned = format!("{}.{}.", encoded(json!({"alg": "none"}).to_string()), encoded(claims().to_string()));
    for token in [unsigned.as_str(), "", "a.b.c", "alice"] {
        assert!(verifier.owner(token).await.is_err(), "{token}");
    }
    let other = Issuer::new();
    assert!(verifier.owner(&other.sign(json!({"alg": "EdDSA", "kid": "ed"}), claims())).await.is_err());
}

#[tokio::test]
async fn keys_that_are_published_later_count_from_then_on() {
    let issuer = Issuer::new();
    let verifier = issuer.verifier().await;
    let later = Ed25519KeyPair::generate_pkcs8(&issuer.random).unwrap();
    let later = Ed25519KeyPair::from_pkcs8(later.as_ref()).unwrap();
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "later", "x": encoded(later.public_key())});
    // The time of a file is as exact as its file system.
    tokio::time::sleep(Duration::from_millis(50)).await;
    issuer.publish(json!([key]));
    let signed = Issuer { edwards: later, ..Issuer::new() }.sign(json!({"alg": "EdDSA", "kid": "later"}), claims());
    assert_eq!(verifier.owner(&signed).await.unwrap().name(), "alice");
    assert!(verifier.owner(&issuer.sign(json!({"alg": "EdDSA", "kid": "ed"}), claims())).await.is_err());
}

/// A key and a signature that OpenSSL made: RS256, expired in 2011.
#[tokio::test]
async fn a_signature_by_rsa_is_verified() {
    let issuer = Issuer::new();
    issuer.publish(json!([{"kty": "RSA", "kid": "rsa", "e": "AQAB", "n":
        "qBjVe0rEfQbSADFBx597mN0aEVWmv3qxj2C_M5sUQLT0X4z6wFEdgQkn6FmM2rWgbdTt02Ja3Ya2mWZHsr7VT4lqx5t5o0-eQBY6BYnoLVjJb6twQYTDQGvw_xdB2FV4-LH9ONXZbZa0NMX674FG4KO0AcENFTp46a658wGiA2mesvDn1FxEgytzDMsK63-a8Nb3jzPVQJqOMI4opfRrBX-W8mfm8QE7Tqs10FekMcqrZeegZDJwTzyFmFsQG7g-DaRWtIwwPL-1H5euJJe93Kb2CDwBrGfTe3PFtV-D_PV8zu7T3SYsNZJ6T1QKeUpksyeWoGh_n1C-4Lg2_w6_nw"}]));
    let verifier = issuer.verifier().await;
    let token = "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYSJ9.eyJpc3MiOiAiam9lIiwgImV4cCI6IDEzMDA4MTkzODB9.HFQP3VvaVk8C8CJ_eFeMZa6Y8sGJy-R6XYPI7a2n-5qTsjlikU6ZHRN8pOTQwvbEPOf8WqCaKEQOqICdPjGrIPNtnjrBOnlBI_nDOSY7BeCHHmIEjMvW9aoD0QG6eYgEtr2SYhs9J3nXAJ3h7bAkwEhEojEDRPAabA9LkFAus0NXJ6wu-AwZRoNuHyZeVhn1tpwt4i9Ad53GR9V6tt2mUmSrQnf7vdE-fznfrqqJi6BBIQu6A6HtUZIn2YAR2CPojdaFrJKXBvMmO_L2WF8zetkw7R962fQ1uz7zGB6mFYs2srIeDwIXCN53ujXjGMheK4-i_l5W2w_awTBV8ueCYQ";
    // Signatures are looked at first, so that these are the reasons only if it is valid.
    let denied = verifier.owner(token).await.unwrap_err();
    assert!(denied.0.contains("lacks") || denied.0.contains("expired"), "{denied:?}");
    let forged = token.replace(".HFQP", ".HFQA");
    assert!(verifier.owner(&forged).await.unwrap_err().0.contains("signature"));
}
