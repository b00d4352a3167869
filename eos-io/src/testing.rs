//! A store for tests that keeps its files in memory and writes down what it is asked, reached
//! as `mem:///path`: the specification of what an expansion may cost on a remote store.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::executor::block_on;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use url::Url;

use crate::backend::{Address, Backend};
use crate::site::{Site, Spelling};
use crate::{Error, Stores};

/// The requests made so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn note(&self, what: &str, path: &str) {
        self.0.lock().unwrap().push(format!("{what} {path}"));
    }
}

/// The backend for `mem://`.
#[derive(Debug)]
pub(crate) struct Memory(Arc<Recorder>);

impl Memory {
    /// A registry with one such store, which holds these files.
    pub(crate) fn stores(files: &[&str]) -> (Stores, Requests) {
        let requests = Requests::default();
        let inner = InMemory::new();
        for file in files {
            let path = Path::parse(file).unwrap();
            block_on(inner.put(&path, file.as_bytes().to_vec().into())).unwrap();
        }
        let recorder = Recorder { inner, requests: requests.clone() };
        let backend: Box<dyn Backend> = Box::new(Self(Arc::new(recorder)));
        (Stores::with_backends(vec![backend]), requests)
    }
}

impl Backend for Memory {
    fn schemes(&self) -> &'static [&'static str] {
        &["mem"]
    }

    fn address(&self, spec: &str) -> std::result::Result<Address, Error> {
        let path = spec.trim_start_matches("mem://").trim_start_matches('/');
        Ok(Address {
            site: Site::new(Url::parse("mem:///").unwrap(), "mem:///".into(), String::new(), Spelling::Plain),
            path: Path::parse(path).map_err(|e| Error::invalid(spec, e))?,
        })
    }

    fn open(&self, _site: &Site) -> std::result::Result<Arc<dyn ObjectStore>, Error> {
        Ok(self.0.clone())
    }
}

#[derive(Debug)]
struct Recorder {
    inner: InMemory,
    requests: Requests,
}

impl fmt::Display for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

#[async_trait]
impl ObjectStore for Recorder {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let what = if options.head { "head" } else { "get" };
        self.requests.note(what, location.as_ref());
        self.inner.get_opts(location, options).await
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.requests.note("list", prefix.map_or("", AsRef::as_ref));
        self.inner.list_with_delimiter(prefix).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.requests.note("list-all", prefix.map_or("", AsRef::as_ref));
        self.inner.list(prefix)
    }

    async fn put_opts(&self, at: &Path, data: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, data, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
