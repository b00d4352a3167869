//! Connections with TLS. The certificate is read again when its file has changed, for connections from then on.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::serve::Listener;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often it is looked whether there is a new certificate.
const LOOK: Duration = Duration::from_secs(1);
/// How long a client may take to greet.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that have greeted and wait to be served.
const WAITING: usize = 64;

/// The files of a certificate.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, and those between it and an authority, as PEM.
    pub certificate: PathBuf,
    /// Its key, as PEM.
    pub key: PathBuf,
}

/// A certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate {certificate} with the key {key} cannot be used: {reason}")]
pub struct Error {
    certificate: String,
    key: String,
    reason: String,
}

/// Accepts connections with TLS.
pub(crate) struct TlsListener {
    address: SocketAddr,
    greeted: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// Greets whoever connects to `listener`.
    ///
    /// # Errors
    /// Where the certificate cannot be used.
    pub(crate) fn new(listener: TcpListener, files: TlsFiles) -> Result<Self, Error> {
        let told = |reason: String| Error {
            certificate: files.certificate.display().to_string(),
            key: files.key.display().to_string(),
            reason,
        };
        let address = listener.local_addr().map_err(|error| told(error.to_string()))?;
        let current = Current::read(&files).map_err(&told)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| told(error.to_string()))?;
        let certificates = Arc::new(Certificates { files, current: Mutex::new(current) });
        let mut config = config.with_no_client_auth().with_cert_resolver(certificates);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (tell, greeted) = mpsc::channel(WAITING);
        tokio::spawn(greet(listener, TlsAcceptor::from(Arc::new(config)), tell));
        Ok(Self { address, greeted })
    }
}

/// Greets each client in a task of its own: one that is slow keeps nobody else waiting.
async fn greet(
    mut listener: TcpListener,
    acceptor: TlsAcceptor,
    tell: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    loop {
        // Errors that pass are waited for in there.
        let (stream, client) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = tell.closed() => return,
        };
        let (acceptor, tell) = (acceptor.clone(), tell.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                // Nobody listens any more when the scheduler ends.
                Ok(Ok(stream)) => drop(tell.send((stream, client)).await),
                Ok(Err(error)) => tracing::debug!(%client, "no connection: {error}"),
                Err(_) => tracing::debug!(%client, "no connection: the client does not greet"),
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.greeted.recv().await {
            Some(greeted) => greeted,
            // The task that greets ends behind this.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

/// The certificate of the moment.
#[derive(Debug)]
struct Certificates {
    files: TlsFiles,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    version: [Option<SystemTime>; 2],
    looked: Instant,
}

impl Current {
    fn read(files: &TlsFiles) -> Result<Self, String> {
        let version = version(files);
        let certificates = CertificateDer::pem_file_iter(&files.certificate).map_err(|error| error.to_string())?;
        let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| error.to_string())?;
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(certificates, key, &provider).map_err(|error| error.to_string())?;
        Ok(Self { key: Arc::new(key), version, looked: Instant::now() })
    }
}

fn version(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    let of = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    [of(&files.certificate), of(&files.key)]
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut current = self.current.lock();
        if current.looked.elapsed() >= LOOK {
            current.looked = Instant::now();
            let now = version(&self.files);
            if now != current.version {
                match Current::read(&self.files) {
                    Ok(fresh) => *current = fresh,
                    // The files may be in the middle of being replaced; it is tried again.
                    Err(reason) => tracing::warn!("the new certificate is not used yet: {reason}"),
                }
            }
        }
        Some(Arc::clone(&current.key))
    }
}
