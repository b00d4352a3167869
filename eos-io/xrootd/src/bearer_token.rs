//! Where a bearer token is found: the WLCG convention for all programs of the grid, which servers of XRootD (`ztn`) and
//! of HTTP (`Authorization: Bearer`) have in common.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::environment::Environment;
use crate::secret_file::{self, Readers, SecretFileError};

/// A token that proves to a server what its bearer may do. Its text never shows in debug output.
#[derive(Clone)]
pub struct BearerToken {
    text: Zeroizing<String>,
    source: String,
}

impl BearerToken {
    /// The token itself. It is a secret: send it over encrypted connections only, and keep it out of messages.
    pub fn secret(&self) -> &str {
        &self.text
    }

    /// Where it was found, for messages: a variable or a file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// When it ceases to be valid, if it is a JSON web token that says so.
    pub fn expiry(&self) -> Option<SystemTime> {
        let payload = self.text.split('.').nth(1)?;
        let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
        let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
        let seconds = claims.get("exp")?.as_f64()?;
        UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
    }

    /// How long ago it ceased to be valid, `None` if it is valid still, or does not say.
    pub fn expired_since(&self) -> Option<Duration> {
        SystemTime::now().duration_since(self.expiry()?).ok()
    }

    fn new(text: Zeroizing<String>, source: String) -> Result<Option<Self>, BearerTokenError> {
        let text = Zeroizing::new(text.trim().to_owned());
        if text.is_empty() {
            return Ok(None);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BearerTokenError {
                reason: format!("what {source} holds is not a token: it has white space or other characters inside"),
                hint: Some("put the token alone there, on one line".into()),
            });
        }
        Ok(Some(BearerToken { text, source }))
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken").field("text", &"***").field("source", &self.source).finish()
    }
}

/// Why the place of a token could not be read. Never holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BearerTokenError {
    /// What is wrong, with the place.
    pub reason: String,
    /// What the user can do.
    pub hint: Option<String>,
}

impl From<SecretFileError> for BearerTokenError {
    fn from(error: SecretFileError) -> Self {
        BearerTokenError { hint: error.hint(), reason: error.to_string() }
    }
}

/// The bearer token of this process, or `None` if there is none: the variable `BEARER_TOKEN`; the file that
/// `BEARER_TOKEN_FILE` names; `bt_u<user number>` in `XDG_RUNTIME_DIR`, then in `/tmp`. A place that is missing or empty
/// leads to the next one; one that is there and cannot be used is an error. Blocks on files, and reads them anew at every
/// call, since tokens are renewed while a program runs.
pub fn bearer_token() -> Result<Option<BearerToken>, BearerTokenError> {
    discover(&Environment::of_process())
}

/// The token in a file that the user names, or `None` if it is missing or empty. Blocks, and reads the file anew at every
/// call.
pub fn bearer_token_in(path: &Path) -> Result<Option<BearerToken>, BearerTokenError> {
    in_file(path, &Environment::of_process())
}

/// Whether a server may see the token, by a list of names and of domains (`*.domain`). Without a list all may.
pub fn may_see_token(hosts: Option<&[String]>, host: &str) -> bool {
    hosts.is_none_or(|hosts| hosts.iter().any(|pattern| is_host(pattern, host)))
}

fn is_host(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => {
            let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
            host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.'))
        }
        None => pattern.eq_ignore_ascii_case(host),
    }
}

/// [`bearer_token`] in a given environment.
pub(crate) fn discover(environment: &Environment) -> Result<Option<BearerToken>, BearerTokenError> {
    if let Some(text) = environment.text("BEARER_TOKEN")
        && let Some(token) = BearerToken::new(Zeroizing::new(text), "the variable BEARER_TOKEN".into())?
    {
        return Ok(Some(token));
    }
    for (path, variable) in candidates(environment) {
        let source = match variable {
            Some(variable) => format!("{} (from {variable})", path.display()),
            None => path.display().to_string(),
        };
        if let Some(token) = from_file(&path, source, environment)? {
            return Ok(Some(token));
        }
    }
    Ok(None)
}

/// The token in a file that the caller names. Missing or empty is `None`.
pub(crate) fn in_file(path: &Path, environment: &Environment) -> Result<Option<BearerToken>, BearerTokenError> {
    from_file(path, path.display().to_string(), environment)
}

fn candidates(environment: &Environment) -> Vec<(PathBuf, Option<&'static str>)> {
    let name = format!("bt_u{}", environment.user_id());
    let named = environment.path("BEARER_TOKEN_FILE").map(|path| (path, Some("BEARER_TOKEN_FILE")));
    let runtime = environment.path("XDG_RUNTIME_DIR").map(|directory| (directory.join(&name), None));
    let temporary = (environment.temporary().join(&name), None);
    named.into_iter().chain(runtime).chain([temporary]).collect()
}

fn from_file(path: &Path, source: String, environment: &Environment) -> Result<Option<BearerToken>, BearerTokenError> {
    let Some(content) = secret_file::read(path, Readers::Nobody, environment.user_id())? else { return Ok(None) };
    // What is not text is refused with the same sentence as text with strange characters.
    let text = Zeroizing::new(String::from_utf8_lossy(&content).into_owned());
    BearerToken::new(text, source)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Places {
        runtime: tempfile::TempDir,
        temporary: tempfile::TempDir,
    }

    impl Places {
        fn new() -> Self {
            Places {
                runtime: tempfile::tempdir().expect("a directory"),
                temporary: tempfile::tempdir().expect("a directory"),
            }
        }

        fn environment(&self, variables: &[(&str, &str)]) -> Environment {
            let runtime = self.runtime.path().display().to_string();
            let mut all = vec![("XDG_RUNTIME_DIR", runtime.as_str())];
            all.extend_from_slice(variables);
            Environment::with(&all, rustix::process::geteuid().as_raw(), self.temporary.path())
        }

        fn name() -> String {
            format!("bt_u{}", rustix::process::geteuid().as_raw())
        }
    }

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).expect("written");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permitted");
    }

    fn found(environment: &Environment) -> String {
        discover(environment).expect("readable").expect("a token").secret().to_owned()
    }

    #[test]
    fn the_places_are_searched_in_the_order_of_the_convention() {
        let places = Places::new();
        let file = places.temporary.path().join("named");
        write(&file, "from-named-file\n", 0o600);
        write(&places.runtime.path().join(Places::name()), "from-runtime-directory", 0o600);
        write(&places.temporary.path().join(Places::name()), "from-temporary-directory", 0o600);
        let named = file.display().to_string();

        let all = places.environment(&[("BEARER_TOKEN", " from-variable "), ("BEARER_TOKEN_FILE", &named)]);
        assert_eq!(found(&all), "from-variable");
        assert_eq!(found(&places.environment(&[("BEARER_TOKEN_FILE", &named)])), "from-named-file");
        assert_eq!(found(&places.environment(&[])), "from-runtime-directory");
        std::fs::remove_file(places.runtime.path().join(Places::name())).expect("removed");
        assert_eq!(found(&places.environment(&[])), "from-temporary-directory");
        std::fs::remove_file(places.temporary.path().join(Places::name())).expect("removed");
        assert!(discover(&places.environment(&[])).expect("no error").is_none());
    }

    #[test]
    fn empty_places_lead_to_the_next_one() {
        let places = Places::new();
        write(&places.runtime.path().join(Places::name()), " \n", 0o600);
        write(&places.temporary.path().join(Places::name()), "last", 0o600);
        let missing = places.temporary.path().join("missing").display().to_string();
        let environment = places.environment(&[("BEARER_TOKEN", "  "), ("BEARER_TOKEN_FILE", &missing)]);
        assert_eq!(found(&environment), "last");
    }

    #[test]
    fn a_file_open_to_others_ends_the_search() {
        let places = Places::new();
        let path = places.runtime.path().join(Places::name());
        write(&path, "seen-by-all", 0o644);
        write(&places.temporary.path().join(Places::name()), "other", 0o600);
        let error = discover(&places.environment(&[])).expect_err("refused");
        assert!(error.reason.contains("0644"), "{error}");
        assert_eq!(error.hint, Some(format!("chmod 600 {}", path.display())));
    }

    #[test]
    fn a_token_of_two_lines_is_refused_without_showing_it() {
        let places = Places::new();
        write(&places.runtime.path().join(Places::name()), "first\nsecond", 0o600);
        let error = discover(&places.environment(&[])).expect_err("refused");
        assert!(error.reason.contains(&Places::name()), "{error}");
        assert!(!format!("{error:?}").contains("second"), "{error:?}");
    }

    #[test]
    fn debug_output_does_not_show_the_token() {
        let token = discover(&Places::new().environment(&[("BEARER_TOKEN", "hush")])).expect("readable");
        let debug = format!("{token:?}");
        assert!(!debug.contains("hush") && debug.contains("BEARER_TOKEN"), "{debug}");
    }

    #[test]
    fn the_expiry_of_a_web_token_is_read() {
        // The example of RFC 7519, section 3.1: "exp":1300819380.
        let example = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
             eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
             dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let environment = Places::new().environment(&[("BEARER_TOKEN", example)]);
        let token = discover(&environment).expect("readable").expect("a token");
        assert_eq!(token.expiry(), Some(UNIX_EPOCH + Duration::from_secs(1_300_819_380)));
        assert!(token.expired_since().is_some());
    }

    #[test]
    fn an_opaque_token_does_not_say_when_it_expires() {
        let environment = Places::new().environment(&[("BEARER_TOKEN", "zteos64:abc")]);
        let token = discover(&environment).expect("readable").expect("a token");
        assert_eq!(token.expiry(), None);
        assert_eq!(token.expired_since(), None);
    }
}
