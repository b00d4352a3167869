//! Whom an encrypted connection trusts and who we say we are: the system's authorities and the
//! grid's, and the user's certificate.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::error::Error;
use crate::settings::Credentials;

const GRID_AUTHORITIES: &str = "/etc/grid-security/certificates";

/// The settings of all encrypted connections. `variable` looks into the environment; `spec` is
/// what errors name.
pub(super) fn config(
    credentials: &Credentials,
    variable: impl Fn(&str) -> Option<OsString>,
    spec: &str,
) -> Result<ClientConfig, Error> {
    let file = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let fault = |e: rustls::Error| Error::Io { spec: spec.to_owned(), message: e.to_string() };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(fault)?;
    let directory = credentials.authorities_dir.clone().or_else(|| file("X509_CERT_DIR"));
    let bundle = credentials.authorities_file.clone().or_else(|| file("X509_CERT_FILE"));
    let builder = builder.with_root_certificates(authorities(directory, bundle, spec)?);
    match identity(credentials, file) {
        None => Ok(builder.with_no_client_auth()),
        Some(Identity { certificate, key }) => {
            let unusable = |path: &Path, reason: String| Error::Unauthenticated {
                spec: spec.to_owned(),
                message: format!("the certificate or key in '{}' cannot be used: {reason}", path.display()),
            };
            let chain = certificates(&certificate).map_err(|e| unusable(&certificate, e))?;
            let secret = PrivateKeyDer::from_pem_file(&key).map_err(|e| unusable(&key, e.to_string()))?;
            builder.with_client_auth_cert(chain, secret).map_err(|e| unusable(&certificate, e.to_string()))
        }
    }
}

fn authorities(directory: Option<PathBuf>, bundle: Option<PathBuf>, spec: &str) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let unreadable = |path: &Path, reason: String| Error::Io {
        spec: spec.to_owned(),
        message: format!("the authorities in '{}' cannot be read: {reason}", path.display()),
    };
    if let Some(bundle) = bundle {
        roots.add_parsable_certificates(certificates(&bundle).map_err(|e| unreadable(&bundle, e))?);
    }
    let named = directory.is_some();
    let directory = directory.unwrap_or_else(|| GRID_AUTHORITIES.into());
    match fs::read_dir(&directory) {
        Ok(files) => {
            for path in files.flatten().map(|file| file.path()).filter(|path| is_certificate(path)) {
                // One unreadable authority among hundreds is no reason to trust none.
                roots.add_parsable_certificates(certificates(&path).unwrap_or_default());
            }
        }
        Err(e) if named => return Err(unreadable(&directory, e.to_string())),
        Err(_) => {}
    }
    Ok(roots)
}

/// The names that a directory of authorities uses: `name.pem`, `name.crt`, and `hash.0`.
fn is_certificate(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    matches!(extension, "pem" | "crt") || extension.parse::<u8>().is_ok()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(path).map_err(|e| e.to_string())?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    match all.is_empty() {
        true => Err("it holds no certificate".to_owned()),
        false => Ok(all),
    }
}

struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

/// The user's certificate: the one set, else a proxy, else a pair, else a proxy at its usual place.
fn identity(credentials: &Credentials, file: impl Fn(&str) -> Option<PathBuf>) -> Option<Identity> {
    let key = credentials.key.clone();
    if let Some(certificate) = credentials.certificate.clone() {
        return Some(Identity { key: key.unwrap_or_else(|| certificate.clone()), certificate });
    }
    if let Some(proxy) = file("X509_USER_PROXY") {
        return Some(Identity { key: proxy.clone(), certificate: proxy });
    }
    if let Some(certificate) = file("X509_USER_CERT") {
        let key = key.or_else(|| file("X509_USER_KEY")).unwrap_or_else(|| certificate.clone());
        return Some(Identity { key, certificate });
    }
    let proxy = PathBuf::from(format!("/tmp/x509up_u{}", rustix::process::getuid().as_raw()));
    proxy.is_file().then(|| Identity { key: proxy.clone(), certificate: proxy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_certificate_that_was_named_and_cannot_be_used_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let proxy = dir.path().join("proxy.pem");
        fs::write(&proxy, "no certificate").unwrap();
        for path in [proxy, dir.path().join("missing.pem")] {
            let variable = |name: &str| (name == "X509_USER_PROXY").then(|| path.clone().into_os_string());
            let error = config(&Credentials::default(), variable, "https://h/").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
    }

    #[test]
    fn authorities_that_were_named_and_are_missing_are_an_error() {
        for name in ["X509_CERT_DIR", "X509_CERT_FILE"] {
            let variable = |asked: &str| (asked == name).then(|| "/does/not/exist".into());
            let error = config(&Credentials::default(), variable, "https://h/").unwrap_err();
            assert!(error.to_string().contains("/does/not/exist"), "{error}");
        }
    }

    #[test]
    fn a_proxy_goes_before_a_pair_and_settings_before_both() {
        let all = |name: &str| Some(PathBuf::from(name));
        let found = identity(&Credentials::default(), all).unwrap();
        assert_eq!((found.certificate, found.key), ("X509_USER_PROXY".into(), "X509_USER_PROXY".into()));
        let pair = |name: &str| (name != "X509_USER_PROXY").then(|| PathBuf::from(name));
        let found = identity(&Credentials::default(), pair).unwrap();
        assert_eq!((found.certificate, found.key), ("X509_USER_CERT".into(), "X509_USER_KEY".into()));
        let set = Credentials { certificate: Some("mine".into()), ..Credentials::default() };
        let found = identity(&set, all).unwrap();
        assert_eq!((found.certificate, found.key), ("mine".into(), "mine".into()));
    }
}
