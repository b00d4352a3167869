//! HTTP and WebDAV: `http://`, `https://`, and the same as `dav://` and `davs://`.

mod authorization;
mod byteranges;
mod change;
mod client;
mod failure;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod store;
mod tls;
mod traffic;
mod upload;
mod webdav;

use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use object_store::path::Path;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::backend::{Address, Backend};
use crate::checksum::{Checksum, ChecksumKind};
use crate::error::Error;
use crate::parts::{Parts, normalized};
use crate::settings::Settings;
use crate::site::{Site, Spelling, identity};
use crate::statistics::{Listener, Statistics};
use crate::stores::Location;

use self::client::{Client, Connections};
use self::store::HttpStore;
use self::tls::Encryption;
use self::traffic::Traffic;

/// Servers that speak HTTP, with or without WebDAV.
#[derive(Debug)]
pub(crate) struct Http {
    settings: Settings,
    /// Shared by all stores, and with it the connections. Made at the first use, as reading the
    /// certificates of all authorities takes a moment.
    connections: OnceLock<Connections>,
    traffic: Arc<Traffic>,
}

impl Http {
    pub(crate) fn new(settings: &Settings, listener: Option<Listener>) -> Self {
        let traffic = Arc::new(Traffic::new(listener));
        Self { settings: settings.clone(), connections: OnceLock::new(), traffic }
    }

    fn connections(&self, site: &Site) -> Result<Connections, Error> {
        if let Some(connections) = self.connections.get() {
            return Ok(connections.clone());
        }
        let shown = site.name(&Path::default());
        let encryption = encryption(&self.settings, &shown)?;
        let connections = Connections::new(&self.settings.http, encryption, &self.traffic)
            .map_err(|e| Error::Io { spec: shown, message: failure::innermost(&e) })?;
        Ok(self.connections.get_or_init(|| connections).clone())
    }
}

impl Backend for Http {
    fn schemes(&self) -> &'static [&'static str] {
        &["http", "https", "dav", "davs"]
    }

    fn address(&self, spec: &str) -> Result<Address, Error> {
        let parts = Parts::of(spec)?;
        let host = parts.server(spec)?;
        if parts.path.contains('#') || parts.query.is_some_and(|query| query.contains('#')) {
            return Err(Error::invalid(spec, "in a URL write '%23' for '#'"));
        }
        let scheme = secure(parts.scheme);
        let user = parts.user.map(|user| format!("{user}:{}", parts.password.unwrap_or_default()));
        let query = parts.query.unwrap_or_default();
        let identity = identity(spec, scheme, host, parts.port, &[user.as_deref().unwrap_or_default(), query])?;
        let path = percent_decode_str(parts.path).decode_utf8().map_err(|e| Error::invalid(spec, e))?;
        let path = Path::parse(normalized(spec, &path)?).map_err(|e| Error::invalid(spec, e))?;
        let before = format!("{}/", parts.before(spec));
        Ok(Address { site: Site::new(identity, before, parts.after(), Spelling::Encoded), path })
    }

    fn open(&self, site: &Site) -> Result<Arc<dyn ObjectStore>, Error> {
        Ok(Arc::new(self.connect(site)?))
    }

    fn checksum<'a>(
        &'a self,
        location: &'a Location,
        kind: ChecksumKind,
    ) -> BoxFuture<'a, Result<Option<Checksum>, Error>> {
        async move {
            let told = self.connect(&location.site)?.checksum(&location.path, kind).await;
            told.map_err(|error| Error::from_store(&location.display, &location.display, &error))
        }
        .boxed()
    }

    fn statistics(&self) -> Statistics {
        self.traffic.statistics()
    }
}

impl Http {
    /// The store of a site.
    fn connect(&self, site: &Site) -> Result<HttpStore, Error> {
        let place = site.url(&Path::default());
        let parts = Parts::of(&place)?;
        let rest = place.get(parts.scheme.len()..).unwrap_or_default();
        let root = Url::parse(&format!("{}{rest}", secure(parts.scheme))).map_err(|e| Error::invalid(&place, e))?;
        let client = Client::new(root, self.connections(site)?, &self.settings)
            .map_err(|reason| Error::invalid(&site.name(&Path::default()), reason))?;
        Ok(HttpStore::new(client))
    }
}

/// How connections are encrypted, for a look at one from outside.
pub(crate) fn tls_config(settings: &Settings, spec: &str) -> Result<rustls::ClientConfig, Error> {
    Ok(encryption(settings, spec)?.config)
}

fn encryption(settings: &Settings, spec: &str) -> Result<Encryption, Error> {
    tls::encryption(&settings.credentials, |name| std::env::var_os(name), &tls::usual_proxy(), spec)
}

/// What a scheme is on the wire.
fn secure(scheme: &str) -> &'static str {
    match scheme.to_ascii_lowercase().as_str() {
        "https" | "davs" => "https",
        _ => "http",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn address(spec: &str) -> (String, String, String) {
        let Address { site, path } = Http::new(&Settings::default(), None).address(spec).unwrap();
        (site.identity.to_string(), path.to_string(), site.name(&path))
    }

    #[test]
    fn a_url_is_decoded_once_and_named_as_it_was_written() {
        for (spec, identity, path, name) in [
            ("http://h/d/a%20b%25.root", "http://h/", "d/a b%.root", "http://h/d/a%20b%25.root"),
            ("HTTP://H:80/x", "http://h/", "x", "HTTP://H:80/x"),
            ("davs://h:8443//eos//x", "https://h:8443/", "eos/x", "davs://h:8443/eos/x"),
            ("https://[::1]:8443/./x/", "https://[::1]:8443/", "x", "https://[::1]:8443/x"),
            ("https://h", "https://h/", "", "https://h/"),
            ("http://h/{a,b}/*.root", "http://h/", "{a,b}/*.root", "http://h/%7Ba,b%7D/*.root"),
        ] {
            assert_eq!(address(spec), (identity.into(), path.into(), name.into()), "{spec}");
        }
    }

    #[test]
    fn users_and_queries_are_stores_of_their_own_and_stay_secret() {
        let plain = address("https://h/x").0;
        let mut seen = vec![plain];
        for spec in ["https://u:hunter2@h/x", "https://h/x?authz=hunter2", "https://h/x?X-Amz-Signature=hunter2&a=1"] {
            let (identity, _, name) = address(spec);
            assert!(!identity.contains("hunter2") && !name.contains("hunter2"), "{identity} {name}");
            assert!(identity.starts_with("https://h;"), "{identity}");
            assert!(!seen.contains(&identity));
            seen.push(identity);
        }
        assert_eq!(address("davs://h/a?q").0, address("https://h/b?q").0);
    }

    #[test]
    fn what_means_nothing_in_a_url_is_an_invalid_spec() {
        for spec in ["http:///x", "http://h/a/../../b", "http://h/x#1", "http://h/%FF", "http://h:99999/x"] {
            let error = Http::new(&Settings::default(), None).address(spec).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{spec}");
        }
    }
}
