//! The server of these tests: files in memory with times of our choosing, and a list of what was asked.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use std::sync::Arc;

#[derive(Debug, Clone)]
struct Version {
    bytes: Bytes,
    modified: SystemTime,
    e_tag: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Origin {
    files: Arc<Mutex<BTreeMap<Path, Version>>>,
    asked: Mutex<Vec<String>>,
    delay: Mutex<Duration>,
    refuses: Mutex<bool>,
}

/// The bytes of a file, which anyone can compute: other for each name and version.
pub(super) fn content(path: &str, version: u64, range: Range<u64>) -> Bytes {
    let seed = path.bytes().fold(version.wrapping_mul(0x9e37_79b9), |seed, b| seed.wrapping_mul(31) + u64::from(b));
    let word = |at: u64| (at / 8 + seed).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes();
    range.map(|at| word(at)[(at % 8) as usize]).collect()
}

impl Origin {
    pub(super) fn new(files: &[(&str, u64)]) -> Arc<Self> {
        let origin = Arc::new(Self::default());
        for (path, size) in files {
            origin.set(path, 1, *size, SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
        }
        origin
    }

    /// Puts a version of a file there.
    pub(super) fn set(&self, path: &str, version: u64, size: u64, modified: SystemTime) {
        let version = Version { bytes: content(path, version, 0..size), modified, e_tag: None };
        self.files.lock().unwrap().insert(Path::from(path), version);
    }

    pub(super) fn tag(&self, path: &str, e_tag: &str) {
        self.files.lock().unwrap().get_mut(&Path::from(path)).unwrap().e_tag = Some(e_tag.to_string());
    }

    pub(super) fn delay(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    pub(super) fn refuse(&self, refuses: bool) {
        *self.refuses.lock().unwrap() = refuses;
    }

    /// What was asked since the last time.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    async fn ask(&self, what: String) -> Result<()> {
        self.asked.lock().unwrap().push(what);
        let delay = *self.delay.lock().unwrap();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if *self.refuses.lock().unwrap() {
            return Err(Error::PermissionDenied { path: "x".into(), source: "refused".into() });
        }
        Ok(())
    }

    fn version(&self, path: &Path) -> Result<(Version, ObjectMeta)> {
        let missing = || Error::NotFound { path: path.to_string(), source: "no such file".into() };
        let version = self.files.lock().unwrap().get(path).cloned().ok_or_else(missing)?;
        let meta = ObjectMeta {
            location: path.clone(),
            last_modified: version.modified.into(),
            size: version.bytes.len() as u64,
            e_tag: version.e_tag.clone(),
            version: None,
        };
        Ok((version, meta))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origin")
    }
}

#[async_trait]
impl ObjectStore for Origin {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let what = match (&options.range, options.head) {
            (_, true) => "head".to_string(),
            (Some(range), _) => format!("get {range}"),
            (None, _) => "get".to_string(),
        };
        self.ask(what).await?;
        let (version, meta) = self.version(location)?;
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => {
                range.as_range(meta.size).map_err(|e| Error::Generic { store: "origin", source: e.into() })?
            }
            None => 0..meta.size,
        };
        let bytes = version.bytes.slice(range.start as usize..range.end as usize);
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Default::default() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let shown: Vec<_> = ranges.iter().map(|range| format!("{}..{}", range.start, range.end)).collect();
        self.ask(format!("ranges {}", shown.join(" "))).await?;
        let (version, _) = self.version(location)?;
        Ok(ranges.iter().map(|range| version.bytes.slice(range.start as usize..range.end as usize)).collect())
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let objects = self.list(prefix).filter_map(|meta| async { meta.ok() }).collect().await;
        Ok(ListResult { common_prefixes: Vec::new(), objects })
    }

    fn list(&self, _prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let paths: Vec<Path> = self.files.lock().unwrap().keys().cloned().collect();
        let metas: Vec<_> = paths.iter().map(|path| self.version(path).map(|(_, meta)| meta)).collect();
        stream::iter(metas).boxed()
    }

    async fn put_opts(&self, at: &Path, data: PutPayload, _options: PutOptions) -> Result<PutResult> {
        let bytes: Bytes = data.into();
        let version = Version { bytes, modified: SystemTime::UNIX_EPOCH + Duration::from_secs(9), e_tag: None };
        self.files.lock().unwrap().insert(at.clone(), version);
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, at: &Path, _options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Parts { files: self.files.clone(), path: at.clone(), bytes: Vec::new() }))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let files = self.files.clone();
        locations.inspect(move |path| _ = path.as_ref().map(|path| files.lock().unwrap().remove(path))).boxed()
    }

    async fn copy_opts(&self, from: &Path, to: &Path, _options: CopyOptions) -> Result<()> {
        let (version, _) = self.version(from)?;
        self.files.lock().unwrap().insert(to.clone(), version);
        Ok(())
    }
}

#[derive(Debug)]
struct Parts {
    files: Arc<Mutex<BTreeMap<Path, Version>>>,
    path: Path,
    bytes: Vec<u8>,
}

#[async_trait]
impl MultipartUpload for Parts {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        data.iter().for_each(|part| self.bytes.extend_from_slice(part));
        Box::pin(async { Ok(()) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let version = Version { bytes: std::mem::take(&mut self.bytes).into(), modified, e_tag: None };
        self.files.lock().unwrap().insert(self.path.clone(), version);
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        Ok(())
    }
}
