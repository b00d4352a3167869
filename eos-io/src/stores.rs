//! The registry: from a spec to a store and a path, with one store for each root however often
//! it is asked for.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use crate::backend::{self, Address, Backend};
use crate::cache::{Cache, CachedStore};
use crate::checksum::{Checksum, ChecksumKind};
use crate::error::Error;
use crate::redact::redact;
use crate::settings::Settings;
use crate::site::{Site, Spelling};
use crate::spec;
use crate::statistics::{Listener, Statistics};

/// The stores in use. Cheap to clone; clones share their stores.
#[derive(Debug, Clone)]
pub struct Stores {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    backends: Vec<Arc<dyn Backend>>,
    settings: Settings,
    listener: Option<Listener>,
    cache: Option<Cache>,
    opened: Mutex<HashMap<Url, Opened>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("backends", &self.backends).field("opened", &self.opened).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Opened {
    store: Arc<dyn ObjectStore>,
    /// As it was first named.
    site: Arc<Site>,
}

/// A place in a store. It need not exist, and may be a directory or a pattern.
#[derive(Debug, Clone)]
pub struct Location {
    /// What tells the store from every other, e.g. `file:///` or `https://host:8443/`: scheme, host and port. Where
    /// there is more to a store (a user, a query, a server behind a proxy), the host holds a digest of that, so that
    /// this is no URL to connect to.
    pub url: Url,
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The path in the store.
    pub path: Path,
    /// The place as the user wrote it, secrets masked, for messages.
    pub display: String,
    pub(crate) site: Arc<Site>,
}

impl Location {
    /// A place in a store that no spec has led to.
    pub fn new(url: Url, store: Arc<dyn ObjectStore>, path: Path) -> Self {
        let site = Arc::new(Site::new(url.clone(), url.to_string(), String::new(), Spelling::Plain));
        Self { url, store, display: site.name(&path), path, site }
    }

    /// Another place in the same store.
    pub fn at(&self, path: Path) -> Self {
        let display = self.site.name(&path);
        Self { url: self.url.clone(), store: Arc::clone(&self.store), path, display, site: Arc::clone(&self.site) }
    }

    /// The path of a local file; `None` for one that is elsewhere.
    pub fn local_path(&self) -> Option<PathBuf> {
        (self.url.scheme() == "file").then(|| PathBuf::from(format!("/{}", self.path)))
    }

    /// The place in full, whatever the user wrote, secrets masked: `/path` for a local file, else a URL.
    pub fn name(&self) -> String {
        match self.url.scheme() {
            "file" => format!("/{}", self.path),
            _ => self.site.name(&self.path),
        }
    }

    /// What to resolve for a path that starts from the directory this place is in, as names in a list of files do that
    /// lies there. It may hold secrets: it goes where this place is.
    ///
    /// ```
    /// use eos_io::Stores;
    ///
    /// let list = Stores::new().resolve("https://host/data/all.csv?authz=token")?;
    /// assert_eq!(list.beside("2024/*.root:Events"), "https://host/data/2024/*.root?authz=token:Events");
    /// # Ok::<(), eos_io::Error>(())
    /// ```
    pub fn beside(&self, relative: &str) -> String {
        if self.url.scheme() == "file" {
            let folder = self.display.rfind(['/', std::path::MAIN_SEPARATOR]);
            let folder = folder.and_then(|at| self.display.get(..=at)).unwrap_or_default();
            return format!("{folder}{relative}");
        }
        let (path, object) = spec::split_object(relative);
        let object = object.map(|object| format!(":{object}")).unwrap_or_default();
        self.site.beside(&self.path, path) + &object
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl Default for Stores {
    fn default() -> Self {
        Self::new()
    }
}

impl Stores {
    /// A registry of everything this build can read, with the default settings.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A registry with other settings.
    pub fn builder() -> StoresBuilder {
        StoresBuilder::default()
    }

    #[cfg(test)]
    pub(crate) fn with_backends(backends: Vec<Box<dyn Backend>>) -> Self {
        let backends = backends.into_iter().map(Arc::from).collect();
        Self { inner: Arc::new(Inner { backends, ..Inner::default() }) }
    }

    /// The same places for another runtime, through connections of their own where these belong to the runtime that they
    /// were made on.
    pub fn separate(&self) -> Self {
        let Inner { backends, settings, listener, cache, .. } = &*self.inner;
        let fresh = backend::all(settings, listener.clone());
        let pairs = backends.iter().zip(fresh);
        let backends = pairs.map(|(own, fresh)| if own.has_own_threads() { Arc::clone(own) } else { fresh.into() });
        let (settings, listener) = (settings.clone(), listener.clone());
        let inner =
            Inner { backends: backends.collect(), settings, listener, cache: cache.clone(), ..Inner::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The same places, read from their servers alone and not from the cache.
    pub fn uncached(&self) -> Self {
        let Inner { backends, settings, listener, .. } = &*self.inner;
        let (settings, listener) = (settings.clone(), listener.clone());
        Self { inner: Arc::new(Inner { backends: backends.clone(), settings, listener, ..Inner::default() }) }
    }

    /// A place that another registry has found, as this one reaches it.
    pub fn reach(&self, location: &Location) -> Result<Location, Error> {
        let store = self.store(self.backend(location.url.as_str())?, &location.site)?;
        Ok(Location { store, ..location.clone() })
    }

    /// The cache, if there is one.
    pub fn cache(&self) -> Option<&Cache> {
        self.inner.cache.as_ref()
    }

    /// Finds the store and the path a spec stands for, without looking whether anything is
    /// there: no server is asked and no file opened. (The one thing looked up is what a local
    /// `name/..` leads to, as `name` may be a link.) Relative paths start from the current
    /// directory, `file://` URLs are percent-decoded, wildcards are left as they are.
    ///
    /// ```
    /// use eos_io::Stores;
    ///
    /// let location = Stores::new().resolve("/data/run 1.root")?;
    /// assert_eq!(location.url.as_str(), "file:///");
    /// assert_eq!(location.path.as_ref(), "data/run 1.root");
    /// # Ok::<(), eos_io::Error>(())
    /// ```
    pub fn resolve(&self, spec: &str) -> Result<Location, Error> {
        let backend = self.backend(spec)?;
        let Address { site, path } = backend.address(spec)?;
        let site = Arc::new(site);
        let store = self.store(backend, &site)?;
        Ok(Location { url: site.identity.clone(), store, path, display: shown(spec), site })
    }

    /// The path a spec stands for, without the store.
    pub(crate) fn path_of(&self, spec: &str) -> Result<Path, Error> {
        Ok(self.backend(spec)?.address(spec)?.path)
    }

    /// How messages call a file of a store that [`resolve`](Self::resolve) has given: `/path` for a local file, else
    /// its URL, secrets masked.
    ///
    /// ```
    /// use eos_io::Stores;
    ///
    /// let stores = Stores::new();
    /// let location = stores.resolve("https://host/d/x.root?token=secret")?;
    /// assert_eq!(stores.name(&location.url, &location.path), "https://host/d/x.root?token=***");
    /// # Ok::<(), eos_io::Error>(())
    /// ```
    pub fn name(&self, store: &Url, path: &Path) -> String {
        if store.scheme() == "file" {
            return format!("/{path}");
        }
        let opened = self.inner.opened.lock().unwrap_or_else(PoisonError::into_inner);
        match opened.get(store) {
            Some(opened) => opened.site.name(path),
            None => format!("{store}{path}"),
        }
    }

    /// A URL by which another process can reach a store that [`resolve`](Self::resolve) has given, to
    /// [`resolve`](Self::resolve) it there.
    ///
    /// # Errors
    /// Where the URL would hold a secret: secrets stay in the process that was given them.
    pub fn portable(&self, store: &Url) -> Result<String, Error> {
        let opened = self.inner.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(opened) = opened.get(store) else { return Ok(store.to_string()) };
        let url = opened.site.url(&Path::default());
        if opened.site.name(&Path::default()) == url { Ok(url) } else { Err(Error::SecretInUrl { spec: redact(&url) }) }
    }

    /// A store that [`resolve`](Self::resolve) has given.
    pub fn opened(&self, store: &Url) -> Option<Arc<dyn ObjectStore>> {
        let opened = self.inner.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.get(store).map(|opened| Arc::clone(&opened.store))
    }

    /// The checksum that the server itself has for a file; `None` where it has none of that kind, and for local files.
    pub async fn checksum(&self, location: &Location, kind: ChecksumKind) -> Result<Option<Checksum>, Error> {
        self.backend(location.url.as_str())?.checksum(location, kind).await
    }

    /// What is set about places.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// What servers were asked so far.
    pub fn statistics(&self) -> Statistics {
        self.inner.backends.iter().map(|backend| backend.statistics()).sum()
    }

    /// The protocol a spec, or the URL of a store, is for.
    pub(crate) fn backend(&self, spec: &str) -> Result<&dyn Backend, Error> {
        let scheme = spec::scheme(spec).unwrap_or("file").to_ascii_lowercase();
        self.inner
            .backends
            .iter()
            .find(|backend| backend.schemes().contains(&scheme.as_str()))
            .map(AsRef::as_ref)
            .ok_or_else(|| Error::UnsupportedScheme { spec: redact(spec), scheme, supported: self.supported() })
    }

    fn store(&self, backend: &dyn Backend, site: &Arc<Site>) -> Result<Arc<dyn ObjectStore>, Error> {
        // Opening does no I/O, so the lock is held for the blink of an eye; a thread that
        // panicked under it cannot have left the map half changed.
        let mut opened = self.inner.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = opened.get(&site.identity) {
            return Ok(Arc::clone(&opened.store));
        }
        let mut store = backend.open(site)?;
        if let Some(cache) = self.inner.cache.as_ref().filter(|_| site.identity.scheme() != "file") {
            store = Arc::new(CachedStore::new(store, site.name(&Path::default()), cache.clone()));
        }
        opened.insert(site.identity.clone(), Opened { store: Arc::clone(&store), site: Arc::clone(site) });
        Ok(store)
    }

    fn supported(&self) -> String {
        let schemes = self.inner.backends.iter().flat_map(|b| b.schemes());
        let urls: Vec<String> = schemes.map(|scheme| format!("{scheme}://")).collect();
        format!("local paths, {}", urls.join(", "))
    }
}

/// Puts a registry together.
#[derive(Default)]
pub struct StoresBuilder {
    settings: Settings,
    listener: Option<Listener>,
    cache: Option<Cache>,
}

impl StoresBuilder {
    /// Settings of the protocols.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Who is told of what goes wrong or slowly and is being put right.
    pub fn listener(mut self, listener: Listener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Keeps what is read of remote files in a cache. Local files are read as they are.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// The registry.
    pub fn build(self) -> Stores {
        let Self { settings, listener, cache } = self;
        let backends = backend::all(&settings, listener.clone()).into_iter().map(Arc::from).collect();
        let opened = Mutex::default();
        Stores { inner: Arc::new(Inner { backends, settings, listener, cache, opened }) }
    }
}

/// A spec as messages show it. Only a URL can hold secrets; the name of a local file may look
/// as if it did.
fn shown(spec: &str) -> String {
    match spec::scheme(spec) {
        Some(_) => redact(spec),
        None => spec.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use object_store::ObjectStoreExt;

    use super::*;
    use crate::ErrorKind;

    #[test]
    fn locations_of_one_root_share_one_store_across_clones() {
        let stores = Stores::new();
        let a = stores.resolve("/a.root").unwrap();
        let b = stores.clone().resolve("file:///d/b.root").unwrap();
        assert_eq!(a.url, b.url);
        assert!(Arc::ptr_eq(&a.store, &b.store));
    }

    #[test]
    fn a_location_shows_what_the_user_wrote() {
        let location = Stores::new().resolve("./src/../x?token=1.root").unwrap();
        assert_eq!(location.to_string(), "./src/../x?token=1.root");
    }

    #[test]
    fn a_path_in_a_list_starts_from_the_folder_of_the_list() {
        for (list, relative, expected) in [
            ("d/e/a.csv", "x/*.root:t", "d/e/x/*.root:t"),
            ("a.csv", "x.root", "x.root"),
            ("/a.csv", "x.root", "/x.root"),
            ("file:///d/a.csv", "x.root", "file:///d/x.root"),
            ("http://h/a.csv", "x.root:t", "http://h/x.root:t"),
            ("https://me:pw@h/d%20/a.csv?token=/s", "x.root:t", "https://me:pw@h/d%20/x.root?token=/s:t"),
            ("root://h//d/a.csv", "*.root", "root://h//d/*.root"),
            ("root://x//root://o//d/a.csv?q=1", "b.root", "root://x//root://o//d/b.root?q=1"),
            ("hdfs:///d/a.csv", "x.root", "hdfs:///d/x.root"),
        ] {
            assert_eq!(Stores::new().resolve(list).unwrap().beside(relative), expected, "{list}");
        }
    }

    #[test]
    fn a_file_is_named_by_the_url_it_can_be_read_under() {
        let stores = Stores::new();
        for (spec, name) in [
            ("file:///d/x%20y.root", "/d/x y.root"),
            ("root://me@h//x.root?authz=s", "root://me@h//x.root?authz=***"),
            ("davs://h/x%20y.root", "davs://h/x%20y.root"),
            ("hdfs://nn:9000/x.root", "hdfs://nn:9000/x.root"),
        ] {
            let location = stores.resolve(spec).unwrap();
            assert_eq!(location.name(), name);
            assert_eq!(stores.name(&location.url, &location.path), name);
        }
    }

    #[test]
    fn an_unsupported_scheme_is_answered_with_what_is_supported() {
        for (spec, scheme) in [("gopher://h/x.root", "gopher"), ("SRM://u:pw@h/x.root?authz=pw", "srm")] {
            let error = Stores::new().resolve(spec).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{spec}");
            let text = error.to_string();
            assert!(text.contains(&format!("'{scheme}'")), "{text}");
            assert!(text.contains("local paths, file://") && text.contains("root://"), "{text}");
            assert!(!text.contains("pw"), "{text}");
        }
    }

    #[test]
    fn every_file_name_leads_to_the_file_of_that_name() {
        let dir = tempfile::tempdir().unwrap();
        let stores = Stores::new();
        for (n, name) in [
            "a b.root",
            "a@b.root",
            "a#b.root",
            "a#1.root",
            "a%b.root",
            "a%20b.root",
            "a%2Fb.root",
            "a:b.root",
            "a+b.root",
            "a&b=c;d.root",
            "a?b.root",
            "a*b.root",
            "a[b].root",
            "a{b,c}.root",
            r"a\b.root",
            "a~^`|<>\"'$!.root",
            "物理 é.root",
            "e\u{301}.root",
            "-",
            "...",
        ]
        .into_iter()
        .enumerate()
        {
            let file = dir.path().join(name);
            std::fs::write(&file, n.to_string()).unwrap();
            let url = Url::from_file_path(&file).unwrap();
            for spec in [file.to_str().unwrap(), url.as_str()] {
                let location = stores.resolve(spec).unwrap();
                let read = async { location.store.get(&location.path).await?.bytes().await };
                assert_eq!(block_on(read).unwrap(), n.to_string(), "{spec}");
            }
        }
    }
}
