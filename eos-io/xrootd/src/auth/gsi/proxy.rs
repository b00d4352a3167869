//! A proxy: a certificate with its key, short-lived and signed by the user's own certificate, in one file.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::Certificate;
use x509_cert::der::pem::{self, LineEnding};
use x509_cert::der::{Decode, Encode};

use super::super::{AuthError, coarse};
use super::rsa::{PrivateKey, PublicKey};
use crate::environment::Environment;
use crate::secret_file::{self, Readers};

/// The extension that marks a proxy (RFC 3820), and its predecessor.
const MARKS: [&str; 2] = ["1.3.6.1.5.5.7.1.14", "1.3.6.1.4.1.3536.1.222"];

const CURE: &str = "voms-proxy-init --voms <your VO>, or set X509_USER_PROXY";

pub(super) struct Proxy {
    pub(super) key: PrivateKey,
    /// The proxy, its issuers and the user's certificate, in PEM.
    pub(super) chain: String,
    /// The key that the proxy certifies, in PEM.
    pub(super) public_key: String,
    /// The encoded name of the authority that signed the user's certificate.
    pub(super) authority: Vec<u8>,
    /// That name, for messages.
    pub(super) authority_name: String,
}

impl Proxy {
    pub(super) fn load(named: Option<&Path>, environment: &Environment) -> Result<Self, AuthError> {
        let usual = || environment.temporary().join(format!("x509up_u{}", environment.user_id()));
        let path = named.map(Path::to_path_buf).or_else(|| environment.path("X509_USER_PROXY")).unwrap_or_else(usual);
        let content = secret_file::read(&path, Readers::Nobody, environment.user_id())
            .map_err(|error| AuthError { hint: error.hint(), reason: error.to_string() })?
            .ok_or_else(|| AuthError::new(format!("there is no X.509 proxy at {}", path.display())).hint(CURE))?;
        Self::parse(&path, &content, SystemTime::now())
    }

    pub(super) fn parse(path: &Path, content: &[u8], now: SystemTime) -> Result<Self, AuthError> {
        let wrong = |what: &str| AuthError::new(format!("the X.509 proxy {} {what}", path.display())).hint(CURE);
        let key = match PrivateKeyDer::from_pem_slice(content) {
            Ok(PrivateKeyDer::Pkcs1(der)) => PrivateKey::parse(der.secret_pkcs1_der()),
            Ok(PrivateKeyDer::Pkcs8(der)) => PrivateKey::parse_wrapped(der.secret_pkcs8_der()),
            _ => None,
        };
        let key = key.ok_or_else(|| wrong("has no private key of RSA that is free of a password"))?;
        let certificates = CertificateDer::pem_slice_iter(content)
            .map(|der| Certificate::from_der(&der.ok()?).ok())
            .collect::<Option<Vec<Certificate>>>()
            .ok_or_else(|| wrong("has a malformed certificate"))?;

        let first = certificates.first().ok_or_else(|| wrong("has no certificate"))?;
        let certified = first.tbs_certificate().subject_public_key_info();
        let matches =
            PublicKey::parse(certified.subject_public_key.raw_bytes()).is_some_and(|public| key.belongs_to(&public));
        if !matches {
            return Err(wrong("has a private key that is not the one of its first certificate"));
        }
        // From the proxy upwards to the first certificate that is not a proxy, which is the user's own.
        let mut chain = vec![first];
        while let Some(last) = chain.last().filter(|last| is_proxy(last)) {
            let issuer = last.tbs_certificate().issuer();
            let next = certificates.iter().find(|next| next.tbs_certificate().subject() == issuer);
            let next = next.filter(|_| chain.len() < certificates.len());
            chain.push(next.ok_or_else(|| wrong("lacks the certificate of the user"))?);
        }
        let user = chain.last().ok_or_else(|| wrong("has no certificate"))?.tbs_certificate();

        let ends =
            chain.iter().map(|certificate| certificate.tbs_certificate().validity().not_after.to_unix_duration());
        if let Some(ago) = ends.min().and_then(|end| now.duration_since(UNIX_EPOCH + end).ok()) {
            return Err(wrong(&format!("expired {} ago", coarse(ago))));
        }
        let unencodable = |_| wrong("has a malformed certificate");
        let mut text = String::new();
        for certificate in &chain {
            let der = certificate.to_der().map_err(unencodable)?;
            text += &in_pem("CERTIFICATE", &der).ok_or_else(|| wrong("has a malformed certificate"))?;
        }
        Ok(Proxy {
            key,
            chain: text,
            public_key: in_pem("PUBLIC KEY", &certified.to_der().map_err(unencodable)?)
                .ok_or_else(|| wrong("has a malformed certificate"))?,
            authority: user.issuer().to_der().map_err(unencodable)?,
            authority_name: user.issuer().to_string(),
        })
    }
}

fn is_proxy(certificate: &Certificate) -> bool {
    let certificate = certificate.tbs_certificate();
    let marked = certificate.extensions().is_some_and(|extensions| {
        extensions.iter().any(|extension| MARKS.contains(&extension.extn_id.to_string().as_str()))
    });
    // Those before the extension have a name that ends so; names are shown from their end.
    let subject = certificate.subject().to_string();
    marked || ["CN=proxy,", "CN=limited proxy,"].iter().any(|end| subject.starts_with(end))
}

fn in_pem(label: &str, der: &[u8]) -> Option<String> {
    pem::encode_string(label, LineEnding::LF, der).ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use eos_testbed::Ca;

    use super::*;

    fn proxy() -> String {
        std::fs::read_to_string(Ca::of_this_process().proxy()).expect("a proxy")
    }

    fn parse(content: &str, now: SystemTime) -> Result<Proxy, AuthError> {
        Proxy::parse(Path::new("/tmp/x509up_u1"), content.as_bytes(), now)
    }

    /// The blocks of a file of PEM.
    fn blocks(pem: &str) -> Vec<String> {
        let mut all = vec![String::new()];
        for line in pem.lines() {
            if let Some(last) = all.last_mut() {
                last.push_str(line);
                last.push('\n');
            }
            if line.starts_with("-----END ") {
                all.push(String::new());
            }
        }
        all.retain(|block| block.contains("-----BEGIN "));
        all
    }

    #[test]
    fn a_proxy_gives_its_chain_without_its_key() {
        let parsed = parse(&proxy(), SystemTime::now()).unwrap_or_else(|error| panic!("{error}"));
        let certificates: Vec<String> =
            blocks(&proxy()).into_iter().filter(|block| block.contains("BEGIN CERTIFICATE")).collect();
        assert_eq!(blocks(&parsed.chain), certificates);
        assert!(parsed.public_key.starts_with("-----BEGIN PUBLIC KEY-----\n"));
        assert_eq!(parsed.authority_name, "CN=Test CA,O=xrdtest");
    }

    #[test]
    fn an_expired_proxy_says_so_with_the_command_that_helps() {
        let error = parse(&proxy(), SystemTime::now() + Duration::from_secs(34 * 3600 + 1800)).err().expect("expired");
        assert!(error.reason.starts_with("the X.509 proxy /tmp/x509up_u1 expired 10 hours ago"), "{error}");
        assert!(error.hint.expect("a hint").contains("voms-proxy-init"));
    }

    #[test]
    fn what_a_proxy_lacks_is_named() {
        let blocks = blocks(&proxy());
        let [own, key, user] = blocks.as_slice() else { panic!("{} blocks", blocks.len()) };
        let reason = |content: String| parse(&content, SystemTime::now()).err().expect("incomplete").reason;
        assert!(reason([own.as_str(), user].concat()).contains("has no private key"));
        assert!(reason(key.clone()).contains("has no certificate"));
        assert!(reason([own.as_str(), key].concat()).contains("lacks the certificate of the user"));
        assert!(reason([user.as_str(), key, own].concat()).contains("not the one of its first certificate"));
        assert!(
            reason([key.as_str(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"].concat())
                .contains("malformed")
        );
    }

    #[test]
    fn a_users_own_certificate_and_key_need_no_proxy() {
        let identity = Ca::of_this_process().user();
        let content = [identity.certificate, identity.key].map(|path| std::fs::read_to_string(path).expect("readable"));
        assert!(parse(&content.concat(), SystemTime::now()).is_ok());
    }

    #[test]
    fn the_places_of_a_proxy_are_the_url_the_variable_and_the_usual_one() {
        let user = rustix::process::geteuid().as_raw();
        let directory = tempfile::tempdir().expect("a directory");
        let reason = |named: Option<&Path>, variables: &[(&str, &str)]| {
            let environment = Environment::with(variables, user, directory.path());
            Proxy::load(named, &environment).err().expect("missing").reason
        };
        let variable = [("X509_USER_PROXY", "/nowhere/variable")];
        assert_eq!(reason(Some(Path::new("/nowhere/url")), &variable), "there is no X.509 proxy at /nowhere/url");
        assert_eq!(reason(None, &variable), "there is no X.509 proxy at /nowhere/variable");
        let usual = format!("{}/x509up_u{user}", directory.path().display());
        assert_eq!(reason(None, &[]), format!("there is no X.509 proxy at {usual}"));
    }
}
