//! A server as an [`ObjectStore`]. Paths lie below the URL's prefix; names are as they are on the server.
//!
//! Files stay open for a while after they were read, so that a query opens each of them once.

mod listing;
mod open_files;
mod upload;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyMode, CopyOptions, Error as StoreError, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, RenameTargetMode, Result,
};

use crate::client::Client;
use crate::diagnosis::Trace;
use crate::error::{Error, ErrorKind};
use crate::file::File;
use crate::namespace::Location;
use crate::route::Place;
use crate::url::XrootdUrl;
use crate::wire::Stat;
use crate::writer::{Existing, Writer};
use open_files::OpenFiles;
use upload::Upload;

/// The name under which errors of this store are known.
const STORE: &str = "XRootD";

/// The files of one server.
#[derive(Clone)]
pub struct XrootdStore {
    client: Client,
    url: Arc<XrootdUrl>,
    files: Arc<OpenFiles>,
}

impl fmt::Debug for XrootdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XrootdStore({})", self.url)
    }
}

impl fmt::Display for XrootdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl XrootdStore {
    /// The files below the URL. The server is not contacted.
    pub fn new(client: &Client, url: &XrootdUrl) -> Self {
        let files = OpenFiles::new(client.shared().options().idle_timeout);
        Self { client: client.clone(), url: Arc::new(url.clone()), files }
    }

    /// The client behind the store.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The server's checksum of a file, of a kind such as `adler32`: the kind, which some servers choose themselves, and
    /// the value in hexadecimal digits, from which leading zeros may be missing.
    ///
    /// # Errors
    /// Where the file cannot be read, or the server has no checksums.
    pub async fn checksum(&self, path: &Path, kind: &str) -> std::result::Result<(String, String), Error> {
        let (place, kind) = (self.place(path)?, kind.to_owned());
        self.client.run(|shared| async move { shared.checksum(&place, &kind).await }).await
    }

    /// The servers that have a file.
    ///
    /// # Errors
    /// Where the file does not exist, or the server cannot be asked.
    pub async fn locate(&self, path: &Path) -> std::result::Result<Vec<Location>, Error> {
        let place = self.place(path)?;
        self.client.run(|shared| async move { shared.locate(&place).await }).await
    }

    /// The values of settings of the server, such as `readv_iov_max` or `version`. For one that it does not know it
    /// answers with the name.
    ///
    /// # Errors
    /// Where the server cannot be asked.
    pub async fn configuration(&self, names: &[&str]) -> std::result::Result<Vec<String>, Error> {
        let place = self.place(&Path::ROOT)?;
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        self.client.run(|shared| async move { shared.configuration(&place, &names).await }).await
    }

    /// Asks whether the server answers.
    ///
    /// # Errors
    /// Where it does not.
    pub async fn ping(&self) -> std::result::Result<(), Error> {
        let place = self.place(&Path::ROOT)?;
        self.client.run(|shared| async move { shared.ping(&place).await }).await
    }

    /// Makes a directory, and those above it.
    ///
    /// # Errors
    /// Where the server does not allow it.
    pub async fn make_directory(&self, path: &Path) -> std::result::Result<(), Error> {
        let place = self.place(path)?;
        self.client.run(|shared| async move { shared.make_directory(&place).await }).await
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// Where it is not empty, or the server does not allow it.
    pub async fn remove_directory(&self, path: &Path) -> std::result::Result<(), Error> {
        let place = self.place(path)?;
        self.client.run(|shared| async move { shared.remove_directory(&place).await }).await
    }

    /// Cuts a file, or fills it with zeros, to a size.
    ///
    /// # Errors
    /// Where the file does not exist, or the server does not allow it.
    pub async fn truncate(&self, path: &Path, size: u64) -> std::result::Result<(), Error> {
        let place = self.place(path)?;
        self.files.forget(path);
        self.client.run(|shared| async move { shared.truncate(&place, size).await }).await
    }

    /// A path as it goes onto the wire.
    fn place(&self, path: &Path) -> std::result::Result<Place, Error> {
        Ok(Place { url: Arc::clone(&self.url), path: wire_path(&self.url.prefix, path)? })
    }

    async fn open(&self, path: &Path) -> Result<Arc<File>> {
        let place = self.place(path).map_err(|error| to_store(error, path))?;
        let opening = self.client.run(|shared| {
            let (files, path) = (Arc::clone(&self.files), path.clone());
            async move { files.get(&path, || File::open(shared, place, Trace::default())).await }
        });
        opening.await.map_err(|error| to_store(error, path))
    }

    /// The open file, unless the server by now has another one under the name.
    async fn open_fresh(&self, path: &Path) -> Result<Arc<File>> {
        /// For so long what was learnt by opening is believed.
        const FRESH: Duration = Duration::from_secs(5);
        let file = self.open(path).await?;
        if file.opened.elapsed() < FRESH || self.stat(path).await? == file.stat {
            return Ok(file);
        }
        self.files.forget(path);
        self.open(path).await
    }

    async fn stat(&self, path: &Path) -> Result<Stat> {
        let place = self.place(path).map_err(|error| to_store(error, path))?;
        let stat = self.client.run(|shared| async move { shared.stat(&place).await });
        stat.await.map_err(|error| to_store(error, path))
    }

    async fn read(&self, path: &Path, file: Arc<File>, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>> {
        let reading = self.client.run(|_| async move { file.read(&ranges).await });
        reading.await.map_err(|error| to_store(error, path))
    }

    async fn create(&self, path: &Path, existing: Existing) -> Result<Arc<Writer>> {
        self.files.forget(path);
        let place = self.place(path).map_err(|error| to_store(error, path))?;
        let creating = self.client.run(|shared| async move { Writer::create(shared, place, existing).await });
        creating.await.map(Arc::new).map_err(|error| to_store(error, path))
    }

    /// What is told of a file that has been written. A manager that was asked for the name before learns from the data
    /// server that it is there now, which takes a moment.
    async fn written(&self, path: &Path) -> Result<PutResult> {
        const LONGEST: Duration = Duration::from_secs(2);
        self.files.forget(path);
        let mut pause = Duration::from_millis(20);
        let stat = loop {
            match self.stat(path).await {
                Err(object_store::Error::NotFound { .. }) if pause <= LONGEST => {
                    let waiting = self.client.run(|_| async move {
                        tokio::time::sleep(pause).await;
                        Ok(())
                    });
                    waiting.await.map_err(|error| to_store(error, path))?;
                    pause *= 2;
                }
                other => break other?,
            }
        };
        Ok(PutResult { e_tag: meta(path.clone(), &stat).e_tag, version: None })
    }

    async fn delete_one(&self, path: Path) -> Result<Path> {
        self.files.forget(&path);
        let place = self.place(&path).map_err(|error| to_store(error, &path))?;
        let removing = self.client.run(|shared| async move { shared.remove(&place).await });
        removing.await.map(|()| path.clone()).map_err(|error| to_store(error, &path))
    }
}

#[async_trait]
impl ObjectStore for XrootdStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let existing = match options.mode {
            PutMode::Overwrite => Existing::Replace,
            PutMode::Create => Existing::Refuse,
            PutMode::Update(_) => return Err(unsupported("put_opts with an update by version")),
        };
        if !options.attributes.is_empty() {
            return Err(unsupported("put_opts with attributes"));
        }
        let writer = self.create(path, existing).await?;
        let data = payload.into_iter().collect();
        let writing = self.client.run(|_| async move {
            let written = writer.write(0, data).await;
            end(&writer, written).await
        });
        writing.await.map_err(|error| to_store(error, path))?;
        self.written(path).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        if !options.attributes.is_empty() {
            return Err(unsupported("put_multipart_opts with attributes"));
        }
        let writer = self.create(path, Existing::Replace).await?;
        Ok(Box::new(Upload::new(self.clone(), path.clone(), writer)))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if options.version.is_some() {
            return Err(unsupported("get_opts with a version"));
        }
        let file = match options.head {
            true => self.open_fresh(path).await?,
            false => self.open(path).await?,
        };
        let meta = meta(path.clone(), &file.stat);
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => range.as_range(meta.size).map_err(|error| generic(Box::new(error)))?,
            None => 0..meta.size,
        };
        let payload = if options.head || range.is_empty() {
            futures::stream::empty().boxed()
        } else if range.end - range.start <= AT_ONCE {
            let reading = self.client.clone();
            let (path, range) = (path.clone(), range.clone());
            let read = async move {
                let read = reading.run(|_| async move { file.read(std::slice::from_ref(&range)).await }).await;
                let read = read.map_err(|error| to_store(error, &path))?;
                Ok(read.into_iter().next().unwrap_or_default())
            };
            futures::stream::once(read).boxed()
        } else {
            upload::stream(&self.client, path.clone(), file, range.clone())
        };
        Ok(GetResult { payload: GetResultPayload::Stream(payload), meta, range, attributes: Attributes::default() })
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        let file = self.open(path).await?;
        let size = file.stat.size;
        let clamped: Vec<_> = ranges.iter().map(|range| range.start..range.end.min(size)).collect();
        if let Some(range) = ranges.iter().find(|range| range.start >= range.end || range.start >= size) {
            let reason = format!("bytes {}..{} of '{path}', which has {size}, cannot be read", range.start, range.end);
            return Err(generic(reason.into()));
        }
        self.read(path, file, clamped).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        const AT_A_TIME: usize = 16;
        let store = self.clone();
        locations
            .map(move |path| {
                let store = store.clone();
                async move { store.delete_one(path?).await }
            })
            .buffered(AT_A_TIME)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        listing::below(self.clone(), prefix.cloned().unwrap_or_default())
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let directory = prefix.cloned().unwrap_or_default();
        listing::directory(self, &directory).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let existing = match options.mode {
            CopyMode::Overwrite => Existing::Replace,
            CopyMode::Create => Existing::Refuse,
        };
        // The protocol copies between servers only: the data go through here.
        let file = self.open(from).await?;
        let writer = self.create(to, existing).await?;
        let to = to.clone();
        let copying = self.client.run(|_| async move {
            let size = file.stat.size;
            let pieces = file.stream(0..size);
            let copied = pieces.try_for_each(|piece| async {
                let offset = writer.reserve(piece.len());
                writer.write(offset, vec![piece]).await
            });
            let copied = copied.await;
            end(&writer, copied).await
        });
        copying.await.map_err(|error| to_store(error, &to))
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.files.forget(from);
        self.files.forget(to);
        let is_new = options.target_mode == RenameTargetMode::Create;
        if is_new {
            match self.stat(to).await {
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    let source = "there is a file of that name".into();
                    return Err(StoreError::AlreadyExists { path: to.to_string(), source });
                }
            }
        }
        let place = self.place(from).map_err(|error| to_store(error, from))?;
        let target = self.place(to).map_err(|error| to_store(error, to))?;
        let renaming = self.client.run(|shared| async move {
            let (directory, _) = target.path.rsplit_once('/').unwrap_or_default();
            if !directory.is_empty() {
                shared.make_directory(&Place { path: directory.to_owned(), ..target.clone() }).await?;
            }
            match is_new {
                true => shared.rename(&place, &target.path).await,
                false => shared.replace(&place, &target.path).await,
            }
        });
        renaming.await.map_err(|error| to_store(error, from))
    }
}

/// Finishes a file that has been written, or throws away what could not be.
async fn end(writer: &Writer, written: std::result::Result<(), Error>) -> std::result::Result<(), Error> {
    let ended = match written {
        Ok(()) => writer.finish().await,
        Err(error) => Err(error),
    };
    if ended.is_err() {
        // What went wrong first is what counts.
        drop(writer.abandon().await);
    }
    ended
}

/// A range up to this size comes in one piece.
const AT_ONCE: u64 = 8 << 20;

fn wire_path(prefix: &str, path: &Path) -> std::result::Result<String, Error> {
    let mut wire = String::with_capacity(prefix.len() + path.as_ref().len() + 1);
    wire.push_str(prefix);
    for part in path.parts() {
        let name = part.as_ref();
        // What follows a '?' would be taken for the opaque part.
        if name.contains(['?', '\0', '\n']) {
            let reason = "a name on an XRootD server cannot hold '?', NUL or a line break".to_owned();
            return Err(crate::url::InvalidUrl { reason }.into());
        }
        wire.push('/');
        wire.push_str(name);
    }
    if path.is_root() {
        wire.push('/');
    }
    Ok(wire)
}

fn meta(location: Path, stat: &Stat) -> ObjectMeta {
    ObjectMeta {
        location,
        last_modified: chrono_time(stat.modified),
        size: stat.size,
        e_tag: Some(format!("{:x}-{:x}", stat.modified, stat.size)),
        version: None,
    }
}

fn chrono_time(seconds: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

fn to_store(error: Error, path: &Path) -> StoreError {
    let path = path.to_string();
    let source = Box::new(error);
    match source.kind() {
        ErrorKind::NotFound | ErrorKind::IsDirectory => StoreError::NotFound { path, source },
        ErrorKind::AlreadyExists => StoreError::AlreadyExists { path, source },
        ErrorKind::PermissionDenied => StoreError::PermissionDenied { path, source },
        ErrorKind::Unauthenticated => StoreError::Unauthenticated { path, source },
        _ => generic(source),
    }
}

fn generic(source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    StoreError::Generic { store: STORE, source }
}

fn unsupported(operation: &str) -> StoreError {
    StoreError::NotImplemented { operation: operation.to_owned(), implementer: STORE.to_owned() }
}
