//! Keeps secrets out of messages: whatever text may hold a URL goes through [`redact`] before a
//! user, a log or a file sees it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// Query parameters whose value is a credential: of tokens, of signed URLs at the common clouds, and of the capabilities
/// that EOS puts into redirects.
const SECRET_PARAMETERS: [&str; 22] = [
    "access_token",
    "api_key",
    "authz",
    "awsaccesskeyid",
    "cap.msg",
    "cap.sym",
    "id_token",
    "key",
    "macaroon",
    "passwd",
    "password",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "token",
    "tpc.key",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];

/// What stands before a credential in the header `Authorization`, and in the values of some parameters.
const AUTHORIZATIONS: [&str; 4] = ["bearer ", "bearer%20", "basic ", "basic%20"];

const MASK: &str = "***";

/// Masks the secrets in a text that is, or contains, URLs: the value of query parameters that are
/// credentials (`authz`, `access_token`, `token`, `password`, `X-Amz-Signature` and the like), the
/// password of `user:password@host`, and what follows `Bearer` or `Basic`. Everything else stays
/// as it is.
///
/// ```
/// use eos_io::redact;
///
/// assert_eq!(
///     redact("root://me:pw@eos.cern.ch//x.root?authz=eyJh:b&xrd.k=v"),
///     "root://me:***@eos.cern.ch//x.root?authz=***&xrd.k=v",
/// );
/// ```
pub fn redact(text: &str) -> String {
    mask_parameters(&mask_passwords(&mask_authorizations(text)))
}

fn mask_authorizations(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let next = |text: &str| {
        // Which leaves every byte at its place.
        let text = text.to_ascii_lowercase();
        let places = AUTHORIZATIONS.iter().filter_map(|word| text.find(word).map(|at| at + word.len()));
        places.min()
    };
    while let Some(at) = next(rest) {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let end = after.find(|c: char| matches!(c, '&' | ',') || ends_text(c)).unwrap_or(after.len());
        let (word, behind) = after.split_at_checked(end).unwrap_or((after, ""));
        // The challenge of a server, `Bearer realm="x"`, and sentences hold no credential.
        let unpadded = word.trim_end_matches('=');
        let is_secret = word.len() >= 8 && !unpadded.contains('=') || unpadded.len() >= 32 || is_pair(unpadded);
        out.push_str(if is_secret { MASK } else { word });
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Whether a word is a user and a password, as `Basic` has them.
fn is_pair(word: &str) -> bool {
    BASE64_STANDARD_NO_PAD.decode(word).is_ok_and(|pair| pair.contains(&b':'))
}

fn mask_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after.find(|c: char| matches!(c, '/' | '?' | '#') || ends_text(c)).unwrap_or(after.len());
        let (authority, tail) = after.split_at_checked(end).unwrap_or((after, ""));
        match authority.rsplit_once('@') {
            Some((user_info, host)) => {
                match user_info.split_once(':') {
                    Some((user, _password)) => {
                        out.push_str(user);
                        out.push(':');
                        out.push_str(MASK);
                    }
                    None => out.push_str(user_info),
                }
                out.push('@');
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn mask_parameters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        out.push_str(before);
        out.push('=');
        rest = after;
        let name = before.rfind(['?', '&', ';', '#']).and_then(|at| {
            // The four separators are one byte each.
            before.get(at + 1..)
        });
        if name.is_some_and(is_secret) {
            let end = after.find(|c: char| c == '&' || ends_text(c)).unwrap_or(after.len());
            out.push_str(MASK);
            rest = after.get(end..).unwrap_or("");
        }
    }
    out.push_str(rest);
    out
}

fn is_secret(name: &str) -> bool {
    SECRET_PARAMETERS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Where a URL quoted in a sentence ends.
fn ends_text(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`')
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn masks_the_value_of_every_secret_parameter_up_to_the_next_one() {
        for (given, shown) in [
            ("x.root?authz=abc", "x.root?authz=***"),
            ("x.root?authz=a:b/c=d%20e", "x.root?authz=***"),
            ("x?a=1&access_token=s&b=2&TOKEN=s&password=s", "x?a=1&access_token=***&b=2&TOKEN=***&password=***"),
            ("x?a=b&&authz=s", "x?a=b&&authz=***"),
            ("x?token=", "x?token=***"),
            ("s3://b/x?X-Amz-Signature=f00&X-Amz-Date=1", "s3://b/x?X-Amz-Signature=***&X-Amz-Date=1"),
        ] {
            assert_eq!(redact(given), shown);
        }
    }

    #[test]
    fn masks_the_password_of_a_user_and_keeps_the_user() {
        for (given, shown) in [
            ("http://u:p@h/x", "http://u:***@h/x"),
            ("http://u:p@q:r@h:80/x", "http://u:***@h:80/x"),
            ("http://u:@h", "http://u:***@h"),
            ("http://u@h:80/x", "http://u@h:80/x"),
            ("root://cache//root://u:p@origin:1094//x", "root://cache//root://u:***@origin:1094//x"),
        ] {
            assert_eq!(redact(given), shown);
        }
    }

    #[test]
    fn masks_what_signed_urls_and_redirects_of_eos_hold() {
        for (given, shown) in [
            ("https://h/x?X-Amz-Credential=AK/1&X-Amz-Expires=1", "https://h/x?X-Amz-Credential=***&X-Amz-Expires=1"),
            (
                "https://h/x?AWSAccessKeyId=a&Signature=b%3D&Expires=1",
                "https://h/x?AWSAccessKeyId=***&Signature=***&Expires=1",
            ),
            ("https://h/x?sv=1&sig=b", "https://h/x?sv=1&sig=***"),
            ("root://h:1095//x?&cap.sym=a+/=&cap.msg=b&mgm.id=1", "root://h:1095//x?&cap.sym=***&cap.msg=***&mgm.id=1"),
        ] {
            assert_eq!(redact(given), shown);
        }
    }

    #[test]
    fn masks_tokens_in_headers_and_behind_words() {
        for (given, shown) in [
            ("Authorization: Bearer eyJhbGciOi.x.y, next", "Authorization: Bearer ***, next"),
            ("x?authz=Bearer eyJhbGciOi.x.y&a=1", "x?authz=*** ***&a=1"),
            ("x?a=Bearer%20eyJhbGciOi.x.y&a=1", "x?a=Bearer%20***&a=1"),
            ("WWW-Authenticate: Bearer realm=\"x\"", "WWW-Authenticate: Bearer realm=\"x\""),
            ("a Bearer token", "a Bearer token"),
            // "me:pw", "u:p", "user:password1" and "a:b".
            ("Authorization: Basic bWU6cHc=", "Authorization: Basic ***"),
            ("authorization: basic dTpw", "authorization: basic ***"),
            ("Basic dXNlcjpwYXNzd29yZDE=, next", "Basic ***, next"),
            ("x?a=basic%20YTpi&b=1", "x?a=basic%20***&b=1"),
            ("AUTHORIZATION: BEARER eyJhbGciOi.x.y", "AUTHORIZATION: BEARER ***"),
            ("WWW-Authenticate: Basic realm=\"x\"", "WWW-Authenticate: Basic realm=\"x\""),
            ("the basic idea", "the basic idea"),
        ] {
            assert_eq!(redact(given), shown);
        }
    }

    #[test]
    fn finds_urls_inside_a_sentence() {
        assert_eq!(
            redact("cannot open 'http://u:p@h/x?authz=s': no answer (x=y) at a@b"),
            "cannot open 'http://u:***@h/x?authz=***': no answer (x=y) at a@b"
        );
    }

    #[test]
    fn leaves_everything_else_as_it_is() {
        for text in
            ["", "data/run_12:30.root", "token=1", "x?tokens=1&my_token=2", "root://h:1094//a@b:c.root", "é://ü?=&=://"]
        {
            assert_eq!(redact(text), text);
        }
    }
}
