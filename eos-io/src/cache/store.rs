//! A remote store behind the cache. What a server says of a file counts for some seconds; after that the server is asked
//! again before anything of the file is taken from the cache.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use futures::channel::oneshot;
use futures::future::Shared;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

use super::Cache;
use super::block::{PAGE, Piece};
use super::flights::{Claim, Flights};
use super::identity::{is_telling, may_be_same, object_digest, url_digest};
use super::pieces::{Pieces, bytes_of, join, pages_of};
use super::shelf::Kept;
use super::stats::Counters;
use super::work::{blocking, detached};

/// A longer range is somebody copying a file, who shall have it as a stream.
const LONGEST_RANGE: u64 = 256 << 20;
/// Files of which is remembered what the server said; more are forgotten once that no longer counts.
const MANY_FILES: usize = 4096;

/// A version of a file.
#[derive(Debug)]
struct Object {
    kept: Kept,
    meta: ObjectMeta,
    /// Whether its bytes can be told from those of other versions.
    is_telling: bool,
    flights: Flights,
}

#[derive(Debug, Default)]
struct File {
    known: Option<(Arc<Object>, Instant)>,
    /// Ends when somebody has asked the server about the file.
    asking: Option<Shared<oneshot::Receiver<()>>>,
}

/// A store whose bytes are kept on the local disk.
#[derive(Debug, Clone)]
pub(crate) struct CachedStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    remote: Arc<dyn ObjectStore>,
    /// What the store is called, in full.
    name: String,
    cache: Cache,
    files: Mutex<HashMap<Path, File>>,
}

/// The right and the duty to ask the server about a file. Dropping it lets somebody else ask.
struct Turn {
    inner: Arc<Inner>,
    path: Path,
    /// Ends when this is dropped.
    _done: oneshot::Sender<()>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(file) = self.inner.files().get_mut(&self.path) {
            file.asking = None;
        }
    }
}

enum Known {
    Lately(Arc<Object>),
    AskedByAnother(Shared<oneshot::Receiver<()>>),
    AskedByUs(Turn),
}

/// What the first request for a file brings.
type First = (Arc<Object>, Option<Piece>);

impl CachedStore {
    pub(crate) fn new(remote: Arc<dyn ObjectStore>, name: String, cache: Cache) -> Self {
        Self { inner: Arc::new(Inner { remote, name, cache, files: Mutex::default() }) }
    }

    /// The file's present version. If the server has to be asked, and nothing of the file is kept, the pages of `first` are
    /// fetched with the same request.
    async fn object(&self, path: &Path, first: Option<Range<u64>>) -> Result<First> {
        loop {
            match self.inner.known(path) {
                Known::Lately(object) => return Ok((object, None)),
                Known::AskedByAnother(asking) => {
                    // Whether they succeeded shows in the next round.
                    let _ = asking.await;
                }
                Known::AskedByUs(turn) => return detached(Inner::ask(turn, first)).await,
            }
        }
    }

    /// The ranges of an object, each within it.
    async fn read(&self, object: &Arc<Object>, ranges: &[Range<u64>], first: Option<Piece>) -> Result<Vec<Bytes>> {
        let wanted = join(ranges.iter().filter(|range| !range.is_empty()).map(pages_of).collect());
        let mut pieces = Pieces::default();
        let mut is_hit = first.is_none();
        pieces.add(first.as_slice(), &wanted);
        loop {
            let missing = pieces.missing(&wanted);
            if missing.is_empty() {
                break;
            }
            let (claim, flights) = object.flights.claim(&missing);
            if let Some(claim) = claim {
                let fill = Inner::fill(Arc::clone(&self.inner), Arc::clone(object), claim);
                let (got, was_there) = detached(fill).await?;
                pieces.add(&got, &wanted);
                is_hit &= was_there;
            }
            for flight in flights {
                // Who gave up, or got an error of their own, leaves it to us in the next round.
                if let Ok(landed) = flight.await {
                    pieces.add(&landed.pieces, &wanted);
                    is_hit &= landed.was_there;
                }
            }
        }
        let counters = &self.inner.cache.counters;
        Counters::add(if is_hit { &counters.hits } else { &counters.misses }, 1);
        let cut = |range: &Range<u64>| pieces.bytes(range).ok_or_else(|| unexpected("lost bytes of a range"));
        ranges.iter().map(cut).collect()
    }
}

impl Inner {
    fn files(&self) -> MutexGuard<'_, HashMap<Path, File>> {
        // No one panics with the lock held; if they did, the map would still be whole.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(self: &Arc<Self>, path: &Path) -> Known {
        let mut files = self.files();
        let fresh = |asked: &Instant| asked.elapsed() < self.cache.timing.trusted_for;
        if files.len() > MANY_FILES && !files.contains_key(path) {
            files.retain(|_, file| file.asking.is_some() || file.known.as_ref().is_some_and(|(_, asked)| fresh(asked)));
        }
        let file = files.entry(path.clone()).or_default();
        if let Some((object, _)) = file.known.as_ref().filter(|(_, asked)| fresh(asked)) {
            return Known::Lately(Arc::clone(object));
        }
        if let Some(asking) = &file.asking {
            return Known::AskedByAnother(asking.clone());
        }
        let (done, asking) = oneshot::channel();
        file.asking = Some(asking.shared());
        drop(files);
        Known::AskedByUs(Turn { inner: Arc::clone(self), path: path.clone(), _done: done })
    }

    async fn ask(turn: Turn, first: Option<Range<u64>>) -> Result<First> {
        let (inner, path) = (&turn.inner, &turn.path);
        let cache = inner.cache.clone();
        let url = url_digest(&inner.name, path);
        let first = match first {
            Some(range) if !blocking(move || cache.shelf.knows(&url)).await.unwrap_or(true) => pages_of(&range),
            _ => {
                let meta = inner.remote.get_opts(path, GetOptions::new().with_head(true)).await?.meta;
                return Ok((inner.observe(meta).await, None));
            }
        };
        let range = GetRange::Bounded(first.start * PAGE..first.end * PAGE);
        let answer = inner.remote.get_opts(path, GetOptions::new().with_range(Some(range))).await?;
        let (meta, range) = (answer.meta.clone(), answer.range.clone());
        let piece = Piece { start: range.start, bytes: answer.bytes().await? };
        // Pages are kept whole or not at all.
        let is_whole = piece.start == first.start * PAGE && piece.end() == meta.size.min(first.end * PAGE);
        if !is_whole {
            return Err(unexpected("the store answered other bytes than it was asked for"));
        }
        Counters::add(&inner.cache.counters.bytes_fetched, piece.bytes.len() as u64);
        let object = inner.observe(meta).await;
        inner.keep(&object, vec![piece.clone()]).await;
        Ok((object, Some(piece)))
    }

    /// Takes note of what the server says of a file. If it is another version than before, the older one goes: bytes of the
    /// new one may have been taken for its own between the change and now.
    async fn observe(&self, meta: ObjectMeta) -> Arc<Object> {
        let path = meta.location.clone();
        let url = url_digest(&self.name, &path);
        let kept = Kept { url, object: object_digest(&url, &meta), size: meta.size };
        let (object, older) = {
            let mut files = self.files();
            let file = files.entry(path).or_default();
            let (object, older) = match file.known.take() {
                Some((known, _)) if known.kept == kept && known.is_telling => (known, None),
                older => {
                    let is_telling = is_telling(&meta, self.cache.timing.settled_after);
                    let older = older.map(|(object, _)| object.kept).filter(|older| *older != kept);
                    (Arc::new(Object { kept, meta, is_telling, flights: Flights::default() }), older)
                }
            };
            file.known = Some((Arc::clone(&object), Instant::now()));
            (object, older)
        };
        if let Some(older) = older {
            let cache = self.cache.clone();
            blocking(move || cache.shelf.forget_version(&older)).await;
        }
        object
    }

    /// Gets the pages of a claim, from the cache and, all that is not there in one request, from the server. Tells as well
    /// whether the server could be left alone.
    async fn fill(self: Arc<Self>, object: Arc<Object>, mut claim: Claim) -> Result<(Vec<Piece>, bool)> {
        let (cache, kept, runs) = (self.cache.clone(), object.kept, claim.runs().to_vec());
        let read = blocking(move || runs.into_iter().flat_map(|run| cache.shelf.read(&kept, run)).collect::<Vec<_>>());
        let mut got = read.await.unwrap_or_default();
        let missing = {
            let mut there = Pieces::default();
            there.add(&got, claim.runs());
            there.missing(claim.runs())
        };
        if missing.is_empty() {
            claim.publish(&got, true);
            return Ok((got, true));
        }
        let ranges = bytes_of(&missing, object.kept.size);
        let answers = self.remote.get_ranges(&object.meta.location, &ranges).await?;
        let is_whole = |(range, bytes): (&Range<u64>, &Bytes)| bytes.len() as u64 == range.end - range.start;
        if answers.len() != ranges.len() || !ranges.iter().zip(&answers).all(is_whole) {
            return Err(unexpected("the store answered other bytes than it was asked for"));
        }
        let fetched: Vec<Piece> =
            ranges.into_iter().zip(answers).map(|(range, bytes)| Piece { start: range.start, bytes }).collect();
        Counters::add(&self.cache.counters.bytes_fetched, fetched.iter().map(|p| p.bytes.len() as u64).sum());
        got.extend_from_slice(&fetched);
        claim.publish(&got, false);
        self.keep(&object, fetched).await;
        Ok((got, false))
    }

    async fn keep(&self, object: &Object, pieces: Vec<Piece>) {
        if object.is_telling {
            let (cache, kept) = (self.cache.clone(), object.kept);
            blocking(move || cache.shelf.write(&kept, &pieces)).await;
        }
    }

    /// Forgets a file that is being changed through this store.
    async fn forget(&self, path: &Path) {
        self.files().remove(path);
        let (cache, url) = (self.cache.clone(), url_digest(&self.name, path));
        blocking(move || cache.shelf.forget(&url)).await;
    }

    /// Looks through a listing for files that have changed, so that the server is asked about them at once.
    fn compare(&self, listed: &ObjectMeta) {
        if let Some(file) = self.files().get_mut(&listed.location)
            && let Some((known, _)) = &file.known
            && !may_be_same(&known.meta, listed)
        {
            file.known = None;
        }
    }
}

fn unexpected(what: &'static str) -> object_store::Error {
    object_store::Error::Generic { store: "cache", source: what.into() }
}

/// Whether a request asks for the file as it is, and not for a version or under a condition.
fn is_plain(options: &GetOptions) -> bool {
    let conditions = [&options.if_match, &options.if_none_match, &options.version];
    conditions.iter().all(|condition| condition.is_none())
        && options.if_modified_since.is_none()
        && options.if_unmodified_since.is_none()
}

impl fmt::Display for CachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cached {}", self.inner.remote)
    }
}

#[async_trait]
impl ObjectStore for CachedStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let remote = &self.inner.remote;
        if self.inner.cache.shelf.is_closed() || !is_plain(&options) {
            return remote.get_opts(location, options).await;
        }
        let asked = match &options.range {
            Some(range) if !options.head => range.clone(),
            _ => {
                let answer = remote.get_opts(location, options).await?;
                self.inner.observe(answer.meta.clone()).await;
                return Ok(answer);
            }
        };
        let first = match &asked {
            GetRange::Bounded(range) if range.start < range.end && range.end - range.start <= LONGEST_RANGE => {
                Some(range.clone())
            }
            _ => None,
        };
        let (object, first) = self.object(location, first).await?;
        let range = match asked.as_range(object.meta.size) {
            Ok(range) if first.is_some() || object.is_telling && range.end - range.start <= LONGEST_RANGE => range,
            // What is wrong with a range the store itself can say best.
            _ => return remote.get_opts(location, options).await,
        };
        let bytes = self.read(&object, std::slice::from_ref(&range), first).await?.pop().unwrap_or_default();
        Ok(GetResult {
            payload: GetResultPayload::Stream(futures::stream::once(async move { Ok(bytes) }).boxed()),
            meta: object.meta.clone(),
            range,
            attributes: Default::default(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if ranges.is_empty() || self.inner.cache.shelf.is_closed() {
            return self.inner.remote.get_ranges(location, ranges).await;
        }
        let (object, _) = self.object(location, None).await?;
        let is_within = |range: &Range<u64>| range.start <= range.end && range.end <= object.meta.size;
        if !object.is_telling || !ranges.iter().all(is_within) {
            return self.inner.remote.get_ranges(location, ranges).await;
        }
        self.read(&object, ranges, None).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let inner = Arc::clone(&self.inner);
        let listed = self.inner.remote.list(prefix);
        listed.inspect(move |meta| _ = meta.as_ref().map(|meta| inner.compare(meta))).boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let inner = Arc::clone(&self.inner);
        let listed = self.inner.remote.list_with_offset(prefix, offset);
        listed.inspect(move |meta| _ = meta.as_ref().map(|meta| inner.compare(meta))).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let listed = self.inner.remote.list_with_delimiter(prefix).await?;
        listed.objects.iter().for_each(|meta| self.inner.compare(meta));
        Ok(listed)
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.inner.remote.put_opts(location, payload, options).await;
        self.inner.forget(location).await;
        put
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.inner.remote.put_multipart_opts(location, options).await?;
        Ok(Box::new(Upload { upload, inner: Arc::clone(&self.inner), path: location.clone() }))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let forget = {
            let inner = Arc::clone(&self.inner);
            move |location: Result<Path>| {
                let inner = Arc::clone(&inner);
                async move {
                    if let Ok(path) = &location {
                        inner.forget(path).await;
                    }
                    location
                }
            }
        };
        // Before, so that nothing stays of what cannot be said to be deleted; and behind, as somebody may have read meanwhile.
        self.inner.remote.delete_stream(locations.then(forget.clone()).boxed()).then(forget).boxed()
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copied = self.inner.remote.copy_opts(from, to, options).await;
        self.inner.forget(to).await;
        copied
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let renamed = self.inner.remote.rename_opts(from, to, options).await;
        self.inner.forget(from).await;
        self.inner.forget(to).await;
        renamed
    }
}

/// An upload, after which the file is another.
#[derive(Debug)]
struct Upload {
    upload: Box<dyn MultipartUpload>,
    inner: Arc<Inner>,
    path: Path,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.upload.complete().await;
        self.inner.forget(&self.path).await;
        done
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
