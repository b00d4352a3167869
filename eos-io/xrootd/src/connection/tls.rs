//! Encryption: which certificates are trusted, and the handshake.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::Error;
use crate::options::Credentials;

/// Where grids keep the certificates of their authorities.
const GRID_CERTIFICATES: &str = "/etc/grid-security/certificates";

/// The certificates that are trusted, read when the first encrypted connection is made.
#[derive(Default)]
pub(crate) struct TlsSettings {
    /// Directories of certificates, besides those of the system.
    pub(crate) directories: Vec<PathBuf>,
    /// Files of certificates.
    pub(crate) files: Vec<PathBuf>,
    config: Mutex<Option<Arc<ClientConfig>>>,
}

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings").field("directories", &self.directories).field("files", &self.files).finish()
    }
}

impl TlsSettings {
    /// What is set, or else what `X509_CERT_DIR` and `X509_CERT_FILE` say, and where grids keep certificates.
    pub(crate) fn new(credentials: &Credentials) -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let directory = credentials.authorities_dir.clone().or_else(|| path("X509_CERT_DIR"));
        let directory = directory.unwrap_or_else(|| PathBuf::from(GRID_CERTIFICATES));
        let file = credentials.authorities_file.clone().or_else(|| path("X509_CERT_FILE"));
        Self { directories: vec![directory], files: file.into_iter().collect(), config: Mutex::default() }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let mut config = self.config.lock();
        if let Some(config) = &*config {
            return Ok(Arc::clone(config));
        }
        let mut roots = RootCertStore::empty();
        for file in &self.files {
            let certificates = read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            roots.add_parsable_certificates(certificates);
        }
        for directory in &self.directories {
            roots.add_parsable_certificates(read_directory(directory));
        }
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let made = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::clone(config.insert(Arc::new(made))))
    }
}

fn read(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let bytes = fs::read(file)?;
    // A file may also hold what is no certificate.
    Ok(CertificateDer::pem_slice_iter(&bytes).flatten().collect())
}

/// The certificates of a directory, named `<hash>.<number>` or `<name>.pem`. One that cannot be read is not trusted, and
/// the handshake says so if it was needed.
fn read_directory(directory: &Path) -> Vec<CertificateDer<'static>> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_certificate = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        extension == "pem" || (!extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let paths = entries.map(|entry| entry.path()).filter(is_certificate);
    paths.flat_map(|path| read(&path).unwrap_or_default()).collect()
}

/// Encrypts a connection, after the server's certificate has been found to be that of `host`.
pub(super) async fn encrypt(
    stream: TcpStream,
    host: &str,
    shown: &str,
    settings: &TlsSettings,
) -> Result<TlsStream<TcpStream>, Error> {
    let fault = |reason: String, hint: Option<String>| Error::Tls { host: shown.to_owned(), reason, hint };
    let config = settings.config().map_err(|reason| fault(reason, None))?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| fault(format!("'{host}' is neither a host name nor an address"), None))?;
    let connected = TlsConnector::from(config).connect(name, stream).await;
    connected.map_err(|error| {
        let hint = hint(&error, host);
        fault(error.to_string(), hint)
    })
}

fn hint(error: &io::Error, host: &str) -> Option<String> {
    use rustls::CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, UnknownIssuer,
    };
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let rustls::Error::InvalidCertificate(certificate) = inner else {
        return None;
    };
    Some(match certificate {
        UnknownIssuer | BadSignature => "set X509_CERT_DIR or X509_CERT_FILE to where the certificate of the server's \
             authority is (grids keep them in /etc/grid-security/certificates)"
            .to_owned(),
        NotValidForName | NotValidForNameContext { .. } if host.parse::<std::net::IpAddr>().is_ok() => {
            "the certificate does not hold the address: use the server's host name".to_owned()
        }
        NotValidForName | NotValidForNameContext { .. } => {
            format!("the certificate is not one of '{host}': use the name that is in it")
        }
        Expired | ExpiredContext { .. } => "the server's certificate has expired: tell who runs it".to_owned(),
        NotValidYet => "check this machine's clock".to_owned(),
        _ => return None,
    })
}
