//! How a client gets in at a scheduler: whom it trusts, and what it shows of itself.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint, Uri};
use url::Url;

use crate::error::Error;

/// Where the scheduler itself tells for whom it asks.
pub const ACTING_FOR_HEADER: &str = "root-query-acting-for";

/// How a client gets in.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The file of the token that the scheduler asks for. It is read for each request, so that whoever renews tokens may
    /// replace it.
    pub token_file: Option<PathBuf>,
    /// The certificates, as PEM, of those who may vouch for the scheduler; by default those that the machine trusts.
    pub authorities: Option<PathBuf>,
    /// The name of a host that the certificate of the scheduler has, where it is not the one of its URL, as that leads through
    /// a tunnel.
    pub server_name: Option<String>,
    own: Option<Own>,
}

/// What the scheduler shows to itself.
#[derive(Clone)]
struct Own {
    secret: Arc<str>,
    user: String,
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").field("user", &self.user).finish_non_exhaustive()
    }
}

type Header = MetadataValue<tonic::metadata::Ascii>;

impl Access {
    /// Access of a scheduler to itself, for one of its users.
    pub fn acting_for(secret: Arc<str>, user: String) -> Self {
        Self { own: Some(Own { secret, user }), ..Self::default() }
    }

    /// The headers of a request, by name.
    pub(crate) fn headers(&self) -> Result<Vec<(&'static str, Header)>, Error> {
        if let Some(Own { secret, user }) = &self.own {
            let user = percent_encoding::utf8_percent_encode(user, percent_encoding::NON_ALPHANUMERIC).to_string();
            let user = user.parse().map_err(|_| no_token("the name of a user", "it is no header"))?;
            return Ok(vec![("authorization", bearer(secret, Path::new(""))?), (ACTING_FOR_HEADER, user)]);
        }
        let Some(path) = &self.token_file else { return Ok(Vec::new()) };
        let text = fs::read_to_string(path).map_err(|error| no_token(path.display(), error))?;
        Ok(vec![("authorization", bearer(text.trim(), path)?)])
    }

    /// Who may vouch for the scheduler, for requests by HTTP.
    pub(crate) fn trusted(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, Error> {
        let Some(path) = &self.authorities else { return Ok(builder) };
        let bad = |error: &dyn fmt::Display| no_authorities(path, error);
        let pem = fs::read(path).map_err(|error| bad(&error))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| bad(&error))?;
        let builder = builder.tls_built_in_root_certs(false);
        Ok(certificates.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate))
    }

    /// Where HTTP requests go, whose certificate has to be that of their host: the URL with the name that is expected, and who
    /// answers to it.
    pub(crate) async fn named(
        &self,
        url: &Url,
        builder: reqwest::ClientBuilder,
    ) -> Result<(Url, reqwest::ClientBuilder), Error> {
        let (Some(name), "https") = (&self.server_name, url.scheme()) else { return Ok((url.clone(), builder)) };
        let bad = |reason: String| Error::Address { given: name.clone(), reason };
        let mut named = url.clone();
        let is_host = named.set_host(Some(name)).is_ok() && matches!(named.host(), Some(url::Host::Domain(_)));
        if !is_host {
            return Err(bad("it is no name of a host that a certificate could have".to_string()));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_string();
        let found = tokio::net::lookup_host((host, url.port_or_known_default().unwrap_or(443))).await;
        let found: Vec<SocketAddr> = found.map_err(|error| bad(error.to_string()))?.collect();
        Ok((named, builder.resolve_to_addrs(name, &found)))
    }

    /// Connects, with TLS if the URL says https. A connection that was lost is made anew.
    pub(crate) async fn channel(&self, endpoint: Endpoint, name: &str) -> Result<Channel, Error> {
        let unreachable = |error: tonic::transport::Error| Error::Unreachable {
            scheduler: name.to_string(),
            reason: crate::client::innermost(&error),
        };
        if endpoint.uri().scheme_str() != Some("https") {
            return endpoint.connect().await.map_err(unreachable);
        }
        let tls = TlsConnector::from(Arc::new(self.tls()?));
        let expected = self.server_name.clone();
        let connector = tower::service_fn(move |uri: Uri| {
            let (tls, expected) = (tls.clone(), expected.clone());
            async move {
                let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_string();
                let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443))).await?;
                stream.set_nodelay(true)?;
                let name = ServerName::try_from(expected.unwrap_or(host)).map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(TokioIo::new(tls.connect(name, stream).await?))
            }
        });
        endpoint.connect_with_connector(connector).await.map_err(unreachable)
    }

    fn tls(&self) -> Result<ClientConfig, Error> {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            Some(path) => {
                let certificates = CertificateDer::pem_file_iter(path).map_err(|error| no_authorities(path, &error))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| no_authorities(path, &error))?;
                    roots.add(certificate).map_err(|error| no_authorities(path, &error))?;
                }
                if roots.is_empty() {
                    return Err(no_authorities(path, &"it holds no certificate"));
                }
            }
            // One that cannot be understood vouches for nobody.
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| Error::Trust { path: String::new(), reason: error.to_string() })?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

/// A header that logs do not show.
fn bearer(token: &str, path: &Path) -> Result<Header, Error> {
    let header: Result<Header, _> = format!("Bearer {token}").parse();
    let mut header = header.map_err(|_| no_token(path.display(), "it holds more than a token"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn no_token(path: impl fmt::Display, reason: impl fmt::Display) -> Error {
    Error::Token { path: path.to_string(), reason: reason.to_string() }
}

fn no_authorities(path: &Path, reason: &dyn fmt::Display) -> Error {
    Error::Trust { path: path.display().to_string(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_when_it_is_needed_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let access = Access { token_file: Some(path.clone()), ..Access::default() };
        assert!(access.headers().unwrap_err().to_string().contains("token"));
        for token in ["first", "second"] {
            fs::write(&path, format!("{token}\n")).unwrap();
            let headers = access.headers().unwrap();
            let [(name, value)] = headers.as_slice() else { panic!("{headers:?}") };
            assert_eq!((*name, value.to_str().unwrap()), ("authorization", format!("Bearer {token}").as_str()));
            assert!(!format!("{headers:?}").contains(token));
        }
        let own = Access::acting_for("hidden".into(), "alice".into());
        assert!(!format!("{own:?}").contains("hidden"));
    }
}
