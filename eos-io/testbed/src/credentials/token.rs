//! Bearer tokens of an issuer that exists only in the servers' cache of keys, so that nobody has to be asked for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE;

use super::{Variables, variable};
use crate::place::{Account, Dir};
use crate::tools::Tool;

const ISSUER: &str = "https://issuer.test.local";
const AUDIENCE: &str = "https://wlcg.cern.ch/jwt/v1/any";

/// An issuer of `SciTokens`, signed with ES256.
#[derive(Debug)]
pub struct TokenIssuer {
    dir: Dir,
}

impl TokenIssuer {
    /// A new issuer with a key of its own.
    pub fn new() -> Self {
        let dir = Dir::new("issuer");
        openssl(&dir, "ecparam -name prime256v1 -genkey -noout -out issuer.key").check();
        // The last 64 bytes are the coordinates of the point, whatever the structure around them.
        let public = openssl(&dir, "ec -in issuer.key -pubout -outform DER").check().output;
        let (x, y) = public.split_last_chunk::<64>().expect("a key of this curve").1.split_at(32);
        let keys = format!(
            r#"{{"keys":[{{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"k1","x":"{}","y":"{}"}}]}}"#,
            URL_SAFE.encode(x),
            URL_SAFE.encode(y)
        );
        let never = now() + 100_000_000;
        let entry = format!(r#"{{"jwks":{keys},"next_update":{never},"expires":{never}}}"#);

        dir.folder("cache");
        let cache = dir.folder("cache/scitokens").join("scitokens_cpp.sqllite");
        let table = "CREATE TABLE keycache (issuer text UNIQUE PRIMARY KEY NOT NULL, keys text NOT NULL)";
        let row = format!("INSERT INTO keycache VALUES ('{ISSUER}', '{entry}')");
        Tool::new("sqlite3").arg(&cache).input(format!("{table};\n{row};\n")).check();
        Account::give(&cache);
        dir.file(
            "scitokens.cfg",
            format!(
                "[Global]\naudience = {AUDIENCE}\n[Issuer test]\nissuer = {ISSUER}\nbase_path = /\nmap_subject = true\n"
            ),
        );
        Self { dir }
    }

    /// A token for the user `tester` that may read and write everything for so long.
    pub fn token(&self, lifetime: Duration) -> String {
        let now = now();
        self.sign(now - 5, now + lifetime.as_secs(), "read:/ write:/")
    }

    /// A token of the past.
    pub fn expired_token(&self) -> String {
        let now = now();
        self.sign(now - 3_600, now - 60, "read:/ write:/")
    }

    /// A token that may do other things, such as `read:/public`.
    pub fn token_for(&self, scope: &str, lifetime: Duration) -> String {
        let now = now();
        self.sign(now - 5, now + lifetime.as_secs(), scope)
    }

    /// Writes a token into a file, as `BEARER_TOKEN_FILE` names it, which only the caller can read; in place of an
    /// earlier one of that name, as a renewal does.
    pub fn file(&self, name: &str, token: &str) -> PathBuf {
        let new = self.dir.secret(&format!("{name}.new"), format!("{token}\n"));
        let path = self.dir.path().join(name);
        fs::rename(new, &path).expect("our directory");
        path
    }

    /// The variables that a client needs, with a token for an hour.
    pub fn env(&self) -> Variables {
        vec![variable("BEARER_TOKEN_FILE", self.file("token", &self.token(Duration::from_secs(3_600))))]
    }

    pub(crate) fn server_cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    pub(crate) fn server_config(&self) -> PathBuf {
        self.dir.path().join("scitokens.cfg")
    }

    fn sign(&self, from: u64, until: u64, scope: &str) -> String {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let header = r#"{"alg":"ES256","typ":"JWT","kid":"k1"}"#;
        let claims = format!(
            r#"{{"ver":"scitoken:2.0","iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"tester","iat":{from},"nbf":{from},"exp":{until},"jti":"t{serial}","scope":"{scope}"}}"#
        );
        let signed = format!("{}.{}", URL_SAFE.encode(header), URL_SAFE.encode(claims));
        let signature = openssl(&self.dir, "dgst -sha256 -sign issuer.key").input(signed.as_bytes()).check().output;
        format!("{signed}.{}", URL_SAFE.encode(raw_signature(&signature)))
    }
}

impl Default for TokenIssuer {
    fn default() -> Self {
        Self::new()
    }
}

/// Two numbers of 32 bytes, from the sequence of two integers that `OpenSSL` writes.
fn raw_signature(der: &[u8]) -> [u8; 64] {
    let mut raw = [0; 64];
    let mut rest = &der[2..];
    for half in raw.chunks_mut(32) {
        let len = usize::from(rest[1]);
        // An integer has a zero in front if its first bit is set, and lacks leading zeros otherwise.
        let digits = &rest[2..2 + len];
        let digits = &digits[len.saturating_sub(32)..];
        half[32 - digits.len()..].copy_from_slice(digits);
        rest = &rest[2 + len..];
    }
    raw
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn openssl(dir: &Dir, line: &str) -> Tool {
    Tool::new("openssl").args(line).inside(Path::new(dir.path()))
}
