//! The client library behind a guard: it has no time-outs of its own, panics where a connection is
//! lost at the wrong moment, and tells few errors apart.

use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use hdfs_native::{Client, ClientBuilder, HdfsError};
use hdfs_native_object_store::HdfsObjectStore;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use url::Url;

use crate::ranges::{Part, merged, pick};
use crate::settings::HdfsSettings;

const STORE: &str = "HDFS";
/// Ranges of one file that are read at the same time.
const PARALLEL: usize = 8;
/// Ranges that lie closer together than this are read as one: every range is a connection to a datanode.
const GAP: u64 = 128 << 10;
/// What a server is expected to write at least, in bytes per second.
const SLOWEST: u64 = 1 << 20;

/// One file system.
#[derive(Debug)]
pub(crate) struct HdfsStore {
    url: Url,
    settings: HdfsSettings,
    /// Made at the first use: the client binds itself to the runtime it is made in.
    client: OnceLock<Client>,
}

impl fmt::Display for HdfsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.url)
    }
}

impl HdfsStore {
    pub(super) fn new(url: Url, settings: &HdfsSettings) -> Self {
        Self { url, settings: settings.clone(), client: OnceLock::new() }
    }

    fn client(&self) -> Result<Client> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let mut builder = ClientBuilder::new().with_url(self.url.as_str());
        if let Some(directory) = &self.settings.config_dir {
            builder = builder.with_config_dir(directory.to_string_lossy());
        }
        if !self.settings.options.is_empty() {
            builder = builder.with_config(self.settings.options.clone());
        }
        let built = std::panic::catch_unwind(AssertUnwindSafe(|| builder.build()));
        let client = built.map_err(|_| broken())?.map_err(|e| classify(e, &Path::default()))?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    fn store(&self) -> Result<HdfsObjectStore> {
        Ok(HdfsObjectStore::new(self.client()?))
    }

    /// Runs one request of the library.
    async fn guarded<T>(&self, path: &Path, bytes: u64, request: impl Future<Output = Result<T>>) -> Result<T> {
        guarded(self.settings.timeout + Duration::from_secs(bytes / SLOWEST), path, request).await
    }
}

/// Runs one request of the library: panics and endless waiting end here.
async fn guarded<T>(timeout: Duration, path: &Path, request: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(timeout, AssertUnwindSafe(request).catch_unwind()).await {
        Ok(Ok(answer)) => answer.map_err(|e| reclassified(e, path)),
        Ok(Err(_panic)) => Err(broken()),
        Err(_elapsed) => {
            let message = format!("no answer within {} seconds", timeout.as_secs());
            Err(generic(io::Error::new(io::ErrorKind::TimedOut, message)))
        }
    }
}

/// The same for every item of a stream.
fn guarded_stream<T: Send + 'static>(
    timeout: Duration,
    path: Path,
    items: BoxStream<'static, Result<T>>,
) -> BoxStream<'static, Result<T>> {
    stream::try_unfold((items, path), move |(mut items, path)| async move {
        let next = guarded(timeout, &path, async { items.next().await.transpose() }).await?;
        Ok(next.map(|item| (item, (items, path))))
    })
    .boxed()
}

fn generic(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic { store: STORE, source: Box::new(source) }
}

fn broken() -> Error {
    generic(io::Error::other("the connection was lost while it was in use"))
}

/// The library's wrapper leaves most errors in a box.
fn reclassified(error: Error, path: &Path) -> Error {
    match error {
        Error::Generic { store, source } => match source.downcast::<HdfsError>() {
            Ok(error) => classify(*error, path),
            Err(source) => Error::Generic { store, source },
        },
        other => other,
    }
}

fn classify(error: HdfsError, path: &Path) -> Error {
    let path = path.to_string();
    match &error {
        HdfsError::FileNotFound(_) | HdfsError::IsADirectoryError(_) => {
            Error::NotFound { path, source: Box::new(error) }
        }
        HdfsError::AlreadyExists(_) => Error::AlreadyExists { path, source: Box::new(error) },
        HdfsError::RPCError(class, _) | HdfsError::FatalRPCError(class, _) => match exception(class) {
            "FileNotFoundException" | "ParentNotDirectoryException" => {
                Error::NotFound { path, source: Box::new(error) }
            }
            // How the namenode refuses the kind of credentials is no matter of one file.
            "AccessControlException" if says(&error, "authentication") => {
                Error::Unauthenticated { path, source: Box::new(error) }
            }
            "AccessControlException" => Error::PermissionDenied { path, source: Box::new(error) },
            "SaslException" | "InvalidToken" | "AuthorizationException" => {
                Error::Unauthenticated { path, source: Box::new(error) }
            }
            _ => generic(error),
        },
        HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => {
            Error::Unauthenticated { path, source: Box::new(error) }
        }
        HdfsError::UnsupportedFeature(_) | HdfsError::UnsupportedErasureCodingPolicy(_) => {
            Error::NotSupported { source: Box::new(error) }
        }
        HdfsError::IOError(cause) => {
            use io::ErrorKind::*;
            let kind = match cause.kind() {
                kind @ (ConnectionRefused | ConnectionAborted | NetworkUnreachable | TimedOut | InvalidData) => kind,
                ConnectionReset | UnexpectedEof | BrokenPipe => ConnectionReset,
                // Names that cannot be looked up have no kind of their own.
                _ => HostUnreachable,
            };
            generic(io::Error::new(kind, error.to_string()))
        }
        _ => generic(error),
    }
}

fn says(error: &HdfsError, word: &str) -> bool {
    error.to_string().to_ascii_lowercase().contains(word)
}

/// The name of a Java class without its package.
fn exception(class: &str) -> &str {
    class.rsplit(['.', '$']).next().unwrap_or(class)
}

#[async_trait]
impl ObjectStore for HdfsStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (store, size) = (self.store()?, payload.content_length() as u64);
        self.guarded(location, size, store.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let store = self.store()?;
        let upload = self.guarded(location, 0, store.put_multipart_opts(location, options)).await?;
        Ok(Box::new(Upload { upload, path: location.clone(), timeout: self.settings.timeout }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let store = self.store()?;
        let answer = self.guarded(location, 0, store.get_opts(location, options)).await?;
        let payload = match answer.payload {
            GetResultPayload::Stream(body) => {
                GetResultPayload::Stream(guarded_stream(self.settings.timeout, location.clone(), body))
            }
            file => file,
        };
        Ok(GetResult { payload, ..answer })
    }

    /// Asks the namenode once for all ranges.
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let client = self.client()?;
        let name = format!("/{location}");
        let opened = async { client.read(&name).await.map_err(|e| classify(e, location)) };
        let reader = self.guarded(location, 0, opened).await?;
        let size = reader.file_length() as u64;
        if let Some(bad) = ranges.iter().find(|range| range.start > range.end || range.end > size) {
            let message = format!("bytes {}..{} are not all in a file of {size} bytes", bad.start, bad.end);
            return Err(generic(io::Error::new(io::ErrorKind::InvalidInput, message)));
        }
        let parts: Vec<Part> = stream::iter(merged(ranges, GAP))
            .map(|range| {
                let reader = &reader;
                async move {
                    let too_large = |_| generic(io::Error::from(io::ErrorKind::FileTooLarge));
                    let (start, length) = (range.start, range.end - range.start);
                    let (at, size) =
                        (usize::try_from(start).map_err(too_large)?, usize::try_from(length).map_err(too_large)?);
                    let read = async { reader.read_range(at, size).await.map_err(|e| classify(e, location)) };
                    let bytes = self.guarded(location, length, read).await?;
                    Ok::<_, Error>(Part { start, bytes })
                }
            })
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        let found = pick(ranges, &parts).into_iter();
        found.map(|bytes| bytes.ok_or_else(|| generic(io::Error::from(io::ErrorKind::UnexpectedEof)))).collect()
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.store() {
            Ok(store) => guarded_stream(self.settings.timeout, Path::default(), store.delete_stream(locations)),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let directory = prefix.cloned().unwrap_or_default();
        match self.store() {
            Ok(store) => guarded_stream(self.settings.timeout, directory, store.list(prefix)),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let store = self.store()?;
        self.guarded(&prefix.cloned().unwrap_or_default(), 0, store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let size = self.head(from).await?.size;
        let store = self.store()?;
        self.guarded(from, size, store.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let store = self.store()?;
        self.guarded(from, 0, store.rename_opts(from, to, options)).await
    }
}

/// A file that is being written.
#[derive(Debug)]
struct Upload {
    upload: Box<dyn MultipartUpload>,
    path: Path,
    timeout: Duration,
}

impl Upload {
    fn timeout(&self, bytes: u64) -> Duration {
        self.timeout + Duration::from_secs(bytes / SLOWEST)
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (timeout, path) = (self.timeout(payload.content_length() as u64), self.path.clone());
        let part = self.upload.put_part(payload);
        async move { guarded(timeout, &path, part).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        guarded(self.timeout, &self.path, self.upload.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        guarded(self.timeout, &self.path, self.upload.abort()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpc(class: &str, message: &str) -> HdfsError {
        HdfsError::RPCError(class.to_owned(), message.to_owned())
    }

    #[test]
    fn refusals_of_the_namenode_keep_their_meaning() {
        let path = Path::from("x");
        let denied = classify(rpc("org.apache.hadoop.security.AccessControlException", "Permission denied"), &path);
        assert!(matches!(denied, Error::PermissionDenied { .. }), "{denied:?}");
        let simple = "SIMPLE authentication is not enabled. Available:[TOKEN, KERBEROS]";
        for error in [
            rpc("org.apache.hadoop.security.AccessControlException", simple),
            rpc("javax.security.sasl.SaslException", "GSS initiate failed"),
            rpc("org.apache.hadoop.security.token.SecretManager$InvalidToken", "expired"),
            HdfsError::NoSASLMechanism,
        ] {
            let error = classify(error, &path);
            assert!(matches!(error, Error::Unauthenticated { .. }), "{error:?}");
        }
        let missing = classify(rpc("java.io.FileNotFoundException", "x"), &path);
        assert!(matches!(missing, Error::NotFound { .. }), "{missing:?}");
        let refused = classify(HdfsError::IOError(io::ErrorKind::ConnectionRefused.into()), &path);
        let error = crate::Error::from_store("hdfs://nn/x", "hdfs://nn/x", &refused);
        assert_eq!(error.kind(), crate::ErrorKind::Unreachable, "{refused:?}");
    }

    #[tokio::test]
    async fn a_panic_and_endless_waiting_are_errors() {
        let path = Path::from("x");
        let panicking = async { if path.is_root() { Ok(()) } else { panic!("of the library") } };
        assert!(guarded(Duration::from_secs(9), &path, panicking).await.is_err());
        let endless = futures::future::pending::<Result<()>>();
        let error = guarded(Duration::from_millis(1), &path, endless).await.unwrap_err();
        assert_eq!(crate::Error::from_store("s", "s", &error).kind(), crate::ErrorKind::Unreachable);
    }
}
