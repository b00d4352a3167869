//! Whom an encrypted connection trusts and who we say we are: the system's authorities and the
//! grid's, and the user's certificate.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ConfigBuilder, InconsistentKeys, RootCertStore};
use xrootd_client::secret_file;

use crate::error::Error;
use crate::settings::Credentials;

const GRID_AUTHORITIES: &str = "/etc/grid-security/certificates";

/// How connections are encrypted.
#[derive(Debug)]
pub(super) struct Encryption {
    pub(super) config: ClientConfig,
    /// Why a proxy that nobody has named is left alone.
    pub(super) unused: Option<String>,
}

/// Where proxies are kept.
pub(super) fn usual_proxy() -> PathBuf {
    PathBuf::from(format!("/tmp/x509up_u{}", rustix::process::geteuid().as_raw()))
}

/// The settings of all encrypted connections. `variable` looks into the environment, and `proxy` is used if it is there
/// and nothing else is named; `spec` is what errors name.
pub(super) fn encryption(
    credentials: &Credentials,
    variable: impl Fn(&str) -> Option<OsString>,
    proxy: &Path,
    spec: &str,
) -> Result<Encryption, Error> {
    let file = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let fault = |e: rustls::Error| Error::Io { spec: spec.to_owned(), message: e.to_string() };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(fault)?;
    let directory = credentials.authorities_dir.clone().or_else(|| file("X509_CERT_DIR"));
    let bundle = credentials.authorities_file.clone().or_else(|| file("X509_CERT_FILE"));
    let builder = builder.with_root_certificates(authorities(directory, bundle, spec)?);
    let config = match identity(credentials, file) {
        Some(identity) => {
            let message = |reason| Error::Unauthenticated { spec: spec.to_owned(), message: reason };
            identity.attach(builder).map_err(message)?
        }
        None if proxy.is_file() => {
            let identity = Identity { certificate: proxy.to_path_buf(), key: proxy.to_path_buf() };
            match identity.attach(builder.clone()) {
                Ok(config) => config,
                // Nobody has asked for it, and what can be read without it shall be.
                Err(reason) => return Ok(Encryption { config: builder.with_no_client_auth(), unused: Some(reason) }),
            }
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Encryption { config, unused: None })
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

impl Identity {
    /// The settings with the certificate, or why it cannot be used.
    fn attach(&self, builder: ConfigBuilder<ClientConfig, WantsClientCert>) -> Result<ClientConfig, String> {
        let Self { certificate, key } = self;
        let unusable = |path: &Path, reason: String| {
            format!("the certificate or key in '{}' cannot be used: {reason}", path.display())
        };
        let chain = certificates(certificate).map_err(|e| unusable(certificate, e))?;
        let secret = secret_key(key).map_err(|e| unusable(key, e))?;
        let secret = builder.crypto_provider().key_provider.load_private_key(secret);
        let pair = CertifiedKey::new(chain, secret.map_err(|e| unusable(key, e.to_string()))?);
        // Whether they match cannot be told of a proxy: it has an extension that the check does not know.
        match pair.keys_match() {
            Err(e @ rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                Err(unusable(certificate, e.to_string()))
            }
            _ => Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))),
        }
    }
}

/// The key in a file that nobody else can read.
fn secret_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let content = secret_file(path).map_err(|e| match e.hint() {
        Some(hint) => format!("{e}; {hint}"),
        None => e.to_string(),
    })?;
    let content = content.ok_or("it is not there")?;
    PrivateKeyDer::from_pem_slice(&content).map_err(|e| e.to_string())
}

/// The user's certificate as it was named: the one set, else a proxy, else a pair.
fn identity(credentials: &Credentials, file: impl Fn(&str) -> Option<PathBuf>) -> Option<Identity> {
    let key = credentials.key.clone();
    if let Some(certificate) = credentials.certificate.clone() {
        return Some(Identity { key: key.unwrap_or_else(|| certificate.clone()), certificate });
    }
    if let Some(proxy) = file("X509_USER_PROXY") {
        return Some(Identity { key: proxy.clone(), certificate: proxy });
    }
    let certificate = file("X509_USER_CERT")?;
    let key = key.or_else(|| file("X509_USER_KEY")).unwrap_or_else(|| certificate.clone());
    Some(Identity { key, certificate })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use eos_testbed::Ca;

    use super::*;
    use crate::ErrorKind;

    fn encrypted(variable: impl Fn(&str) -> Option<OsString>, proxy: &Path) -> Result<Encryption, Error> {
        encryption(&Credentials::default(), variable, proxy, "https://h/")
    }

    #[test]
    fn a_proxy_that_nobody_named_is_left_alone_if_it_cannot_be_used() {
        let dir = tempfile::tempdir().unwrap();
        let damaged = dir.path().join("damaged");
        fs::write(&damaged, "no certificate").unwrap();
        let open = dir.path().join("open");
        fs::copy(Ca::of_this_process().proxy(), &open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
        for (proxy, reason) in [(damaged, "no certificate"), (open, "can be read or written by others")] {
            let unused = encrypted(|_| None, &proxy).unwrap().unused.unwrap();
            assert!(unused.contains(reason) && unused.contains(proxy.to_str().unwrap()), "{unused}");
        }
        let good = encrypted(|_| None, &Ca::of_this_process().proxy()).unwrap();
        assert_eq!(good.unused, None);
        assert!(good.config.client_auth_cert_resolver.has_certs());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_where_it_was_named() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::copy(Ca::of_this_process().proxy(), &open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
        let variable = |name: &str| (name == "X509_USER_PROXY").then(|| open.clone().into_os_string());
        let error = encrypted(variable, Path::new("/does/not/exist")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_certificate_that_was_named_and_cannot_be_used_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let proxy = dir.path().join("proxy.pem");
        fs::write(&proxy, "no certificate").unwrap();
        for path in [proxy, dir.path().join("missing.pem")] {
            let variable = |name: &str| (name == "X509_USER_PROXY").then(|| path.clone().into_os_string());
            let error = encrypted(variable, Path::new("/does/not/exist")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
    }

    #[test]
    fn authorities_that_were_named_and_are_missing_are_an_error() {
        for name in ["X509_CERT_DIR", "X509_CERT_FILE"] {
            let variable = |asked: &str| (asked == name).then(|| "/does/not/exist".into());
            let error = encrypted(variable, Path::new("/does/not/exist")).unwrap_err();
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
