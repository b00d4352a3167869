//! Files of an HTTP server as an object store: one request per range or for several ranges, bodies
//! that go on where a connection broke, listings and directories by WebDAV.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, CopyMode, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, RenameTargetMode, Result,
};
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED, RANGE,
};
use reqwest::{Method, Response, StatusCode};

use crate::checksum::{Checksum, ChecksumKind};
use crate::ranges::{Part, merged, pick};

use super::byteranges::{self, ContentRange, Parts};
use super::client::{Body, Call, Client, pause};
use super::failure::{Failure, STORE};
use super::upload::Upload;
use super::webdav;

/// Ranges in one request; servers refuse more than some hundreds.
const RANGES_PER_REQUEST: usize = 64;
/// Bytes in one request for several ranges, so that several can be in flight.
const BYTES_PER_REQUEST: u64 = 8 << 20;
/// Requests in flight for the ranges of one call.
const PARALLEL: usize = 8;
/// Ranges that lie closer together than this are one: a part's headers take about as much.
const GAP: u64 = 256;
/// The same where every range costs a request.
const GAP_OF_REQUESTS: u64 = 64 << 10;
/// What is thrown away at most of the answer of a server that ignores ranges.
const MAX_SKIP: u64 = 16 << 20;

/// The files of one server.
#[derive(Debug, Clone)]
pub(crate) struct HttpStore {
    server: Arc<Server>,
}

/// A server and what was found out about it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) client: Client,
    /// Whether several ranges in one request are worth a try.
    takes_ranges: AtomicBool,
    /// Whether only `PROPFIND` tells files from directories, and when they were changed.
    is_terse: AtomicBool,
    /// Whether files can be renamed, as far as is known.
    pub(super) renames: AtomicBool,
}

impl HttpStore {
    pub(super) fn new(client: Client) -> Self {
        Self {
            server: Arc::new(Server {
                client,
                takes_ranges: AtomicBool::new(true),
                is_terse: AtomicBool::new(false),
                renames: AtomicBool::new(true),
            }),
        }
    }

    /// The checksum that the server has of a file, as servers of the grid tell it; `None` from all others.
    pub(super) async fn checksum(&self, path: &Path, kind: ChecksumKind) -> Result<Option<Checksum>> {
        let wanted = HeaderValue::from_static(kind.name());
        let call = Call::new(Method::HEAD, path).header(HeaderName::from_static("want-digest"), wanted);
        let response = self.server.client.send(&call).await.map_err(|failure| failure.into_store(path))?;
        let told = response.headers().get("digest").and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(digest(told, kind))
    }
}

/// The checksum of a kind among `adler32=b339366e,md5=...`.
fn digest(told: &str, kind: ChecksumKind) -> Option<Checksum> {
    let all = told.split(',').filter_map(|one| one.trim().split_once('='));
    let mut own = all.filter(|(name, _)| name.eq_ignore_ascii_case(kind.name()));
    Checksum::parse(kind, own.next()?.1)
}

impl fmt::Display for HttpStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.server.client.root())
    }
}

pub(super) fn generic(message: impl Into<String>) -> Error {
    Error::Generic { store: STORE, source: Box::new(Failure::Protocol(message.into())) }
}

pub(super) fn unsupported(message: impl Into<String>) -> Error {
    Error::NotSupported { source: Box::new(Failure::Protocol(message.into())) }
}

pub(super) fn text(response: &Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

fn length(response: &Response) -> Option<u64> {
    text(response, CONTENT_LENGTH)?.trim().parse().ok()
}

fn meta(response: &Response, path: &Path, size: u64) -> ObjectMeta {
    ObjectMeta {
        location: path.clone(),
        last_modified: text(response, LAST_MODIFIED).and_then(webdav::date).unwrap_or_default(),
        size,
        e_tag: text(response, ETAG).map(str::to_owned),
        version: None,
    }
}

/// The value of a `Range` header.
fn range_header(ranges: &[GetRange]) -> Result<HeaderValue> {
    let each: Vec<String> = ranges
        .iter()
        .map(|range| match range {
            GetRange::Bounded(range) => format!("{}-{}", range.start, range.end.saturating_sub(1)),
            GetRange::Offset(start) => format!("{start}-"),
            GetRange::Suffix(length) => format!("-{length}"),
        })
        .collect();
    HeaderValue::try_from(format!("bytes={}", each.join(","))).map_err(|e| generic(e.to_string()))
}

const UNPLACED: &str = "the server does not say which part of the file it sends";

/// What asking once for (part of) a file has led to.
enum Asked {
    Answer(Box<Answer>),
    /// The server has misplaced the range, but has said how large the file is: this is the range, spelt out.
    Within(Range<u64>),
}

/// An answer to a request for (part of) a file.
struct Answer {
    response: Response,
    meta: ObjectMeta,
    /// Where the body begins, and where it ends.
    body: Range<u64>,
    /// What was asked for, within the file.
    wanted: Range<u64>,
}

impl Server {
    async fn get(&self, path: &Path, range: Option<GetRange>) -> Result<Answer> {
        match self.ask(path, range.as_ref()).await? {
            Asked::Answer(answer) => Ok(*answer),
            Asked::Within(exact) => match self.ask(path, Some(&GetRange::Bounded(exact))).await? {
                Asked::Answer(answer) => Ok(*answer),
                Asked::Within(_) => Err(generic(UNPLACED)),
            },
        }
    }

    async fn ask(&self, path: &Path, range: Option<&GetRange>) -> Result<Asked> {
        let mut call = Call::new(Method::GET, path);
        if let Some(range) = range {
            range.is_valid().map_err(|e| generic(e.to_string()))?;
            call = call.header(RANGE, range_header(std::slice::from_ref(range))?);
        }
        let response = self.client.send(&call).await.map_err(|failure| match failure.status() {
            // What some servers answer for a directory.
            Some(StatusCode::METHOD_NOT_ALLOWED) => {
                Error::NotFound { path: path.to_string(), source: Box::new(failure) }
            }
            _ => failure.into_store(path),
        })?;
        refuse_directory(&response, &call)?;
        let given = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let header = text(&response, CONTENT_RANGE).unwrap_or_default();
                match (ContentRange::parse(header), ContentRange::size_in(header), range) {
                    (Some(given), _, _) => Some(given),
                    // Some servers count what lies behind the end of the file, and cannot count to it.
                    (None, Some(size), Some(range)) => {
                        return Ok(Asked::Within(range.as_range(size).map_err(|e| generic(e.to_string()))?));
                    }
                    (None, _, _) => return Err(generic(UNPLACED)),
                }
            }
            _ => None,
        };
        let size = match &given {
            Some(given) => given.size,
            // Such servers send a page instead of a directory.
            None if says_little(&response) => self.describe(path).await?.map(|meta| meta.size).or(length(&response)),
            None => length(&response),
        };
        let size = match size {
            Some(size) => size,
            None => self.head(path).await?.size,
        };
        let wanted = match range {
            Some(range) => range.as_range(size).map_err(|e| generic(e.to_string()))?,
            None => 0..size,
        };
        let body = match given {
            Some(given) if given.range.start != wanted.start || given.range.end > wanted.end => {
                return Err(generic(format!(
                    "the server sends bytes {}-{} where {}-{} were asked for",
                    given.range.start,
                    given.range.end - 1,
                    wanted.start,
                    wanted.end.saturating_sub(1)
                )));
            }
            Some(given) => given.range,
            None if wanted.start > MAX_SKIP => {
                return Err(unsupported(
                    "the server ignores that only a part of the file is asked for; copy the file and read the copy",
                ));
            }
            None => 0..size,
        };
        Ok(Asked::Answer(Box::new(Answer { meta: meta(&response, path, size), response, body, wanted })))
    }

    pub(super) async fn head(&self, path: &Path) -> Result<ObjectMeta> {
        if self.is_terse.load(Ordering::Relaxed)
            && let Some(meta) = self.describe(path).await?
        {
            return Ok(meta);
        }
        let call = Call::new(Method::HEAD, path);
        let response = match self.client.send(&call).await {
            Ok(response) => response,
            Err(failure) => {
                let status = failure.status().map_or(0, |status| status.as_u16());
                // A signed URL is good for one method only.
                let is_method = matches!(status, 405 | 501) || (matches!(status, 400 | 403) && self.client.has_query());
                return if is_method { self.probe(path).await } else { Err(failure.into_store(path)) };
            }
        };
        refuse_directory(&response, &call)?;
        if !self.is_terse.load(Ordering::Relaxed) && says_little(&response) {
            self.is_terse.store(true, Ordering::Relaxed);
            if let Some(meta) = self.describe(path).await? {
                return Ok(meta);
            }
        }
        match length(&response) {
            Some(size) => Ok(meta(&response, path, size)),
            None => self.probe(path).await,
        }
    }

    /// What WebDAV knows of a file; `None` if there is no WebDAV.
    async fn describe(&self, path: &Path) -> Result<Option<ObjectMeta>> {
        match self.properties(path, false).await {
            Ok(xml) => match webdav::file(&xml, path) {
                Ok(Some(meta)) => Ok(Some(meta)),
                Ok(None) => Err(is_directory(path)),
                Err(_) => {
                    self.is_terse.store(false, Ordering::Relaxed);
                    Ok(None)
                }
            },
            Err(failure) => match failure.status().map_or(0, |status| status.as_u16()) {
                400 | 403 | 405 | 501 => {
                    self.is_terse.store(false, Ordering::Relaxed);
                    Ok(None)
                }
                _ => Err(failure.into_store(path)),
            },
        }
    }

    /// What WebDAV says of a file, or of a directory and what is in it.
    async fn properties(&self, path: &Path, of_directory: bool) -> std::result::Result<Vec<u8>, Failure> {
        let method = Method::from_bytes(b"PROPFIND").map_err(|e| Failure::Protocol(e.to_string()))?;
        let mut call = Call::new(method, path)
            .header(HeaderName::from_static("depth"), HeaderValue::from_static(if of_directory { "1" } else { "0" }))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"))
            .body(Body::Bytes(Bytes::from_static(webdav::PROPERTIES.as_bytes())));
        if of_directory {
            call = call.directory();
        }
        let mut response = self.client.send(&call).await?;
        let mut xml = Vec::new();
        while let Some(chunk) = self.client.chunk(&mut response).await? {
            xml.extend_from_slice(&chunk);
            if xml.len() > webdav::MAX_LISTING {
                return Err(Failure::Protocol("the listing of the directory is too long".to_owned()));
            }
        }
        Ok(xml)
    }

    /// Finds out about a file by reading its first byte.
    async fn probe(&self, path: &Path) -> Result<ObjectMeta> {
        let call = Call::new(Method::GET, path).header(RANGE, HeaderValue::from_static("bytes=0-0"));
        let response = match self.client.send(&call).await {
            Ok(response) => response,
            Err(failure) => return Err(failure.into_store(path)),
        };
        refuse_directory(&response, &call)?;
        let size = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                text(&response, CONTENT_RANGE).and_then(ContentRange::parse).and_then(|given| given.size)
            }
            _ => length(&response),
        };
        let size = size.ok_or_else(|| generic("the server does not say how large the file is"))?;
        Ok(meta(&response, path, size))
    }

    /// Reads ranges, each of which lies within the file, none of them empty.
    async fn ranges(self: &Arc<Self>, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut found: Vec<Option<Bytes>> = vec![None; ranges.len()];
        if ranges.len() > 1 && self.takes_ranges.load(Ordering::Relaxed) {
            let groups = groups(&merged(ranges, GAP));
            let parts: Vec<Vec<Part>> = stream::iter(groups)
                .map(|group| async move { self.several(path, &group).await })
                .buffered(PARALLEL)
                .try_collect()
                .await?;
            found = pick(ranges, &parts.concat());
        }
        let missing: Vec<Range<u64>> =
            ranges.iter().zip(&found).filter(|(_, bytes)| bytes.is_none()).map(|(range, _)| range.clone()).collect();
        let parts: Vec<Part> = stream::iter(merged(&missing, GAP_OF_REQUESTS))
            .map(|range| async move { self.single(path, range).await })
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        let others = pick(ranges, &parts);
        found
            .into_iter()
            .zip(others)
            .map(|(one, other)| one.or(other).ok_or_else(|| generic("the file ends before the range asked for")))
            .collect()
    }

    async fn single(self: &Arc<Self>, path: &Path, range: Range<u64>) -> Result<Part> {
        let answer = self.get(path, Some(GetRange::Bounded(range.clone()))).await?;
        let chunks: Vec<Bytes> = Reading::new(Arc::clone(self), path, answer).stream().try_collect().await?;
        Ok(Part { start: range.start, bytes: concat(chunks) })
    }

    /// Asks for several ranges at once. The answer holds as many of them as the server has given.
    async fn several(self: &Arc<Self>, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Part>> {
        if let [range] = ranges {
            return Ok(vec![self.single(path, range.clone()).await?]);
        }
        if !self.takes_ranges.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let bounded: Vec<GetRange> = ranges.iter().cloned().map(GetRange::Bounded).collect();
        let call = Call::new(Method::GET, path).header(RANGE, range_header(&bounded)?);
        let parts = match self.client.send(&call).await {
            Ok(response) => parts(&self.client, response, ranges).await,
            Err(failure) => Err(failure),
        };
        match parts {
            Ok(parts) if !parts.is_empty() => Ok(parts),
            // The single requests that follow say it again, or succeed where the connection broke.
            Err(failure) if failure.status().is_some_and(|s| matches!(s.as_u16(), 401 | 403 | 404)) => {
                Err(failure.into_store(path))
            }
            Err(Failure::Transport(_)) => Ok(Vec::new()),
            // Too much to do at the moment says nothing of ranges; an error of its own (500) may well be because of them.
            Err(failure) if failure.is_transient() && failure.status() != Some(StatusCode::INTERNAL_SERVER_ERROR) => {
                Ok(Vec::new())
            }
            Ok(_) | Err(_) => {
                self.takes_ranges.store(false, Ordering::Relaxed);
                Ok(Vec::new())
            }
        }
    }

    async fn list(&self, directory: &Path) -> Result<ListResult> {
        let xml = match self.properties(directory, true).await {
            Ok(xml) => xml,
            Err(failure) => {
                return match failure.status().map_or(0, |status| status.as_u16()) {
                    400 | 405 | 501 => Err(unsupported(
                        "the server does not list directories (it has no WebDAV); name the files one by one",
                    )),
                    _ => match failure.into_store(directory) {
                        Error::NotFound { .. } => Ok(ListResult { common_prefixes: Vec::new(), objects: Vec::new() }),
                        other => Err(other),
                    },
                };
            }
        };
        webdav::listing(&xml, directory).map_err(|why| generic(format!("the listing cannot be read: {why}")))
    }
}

/// Whether an answer tells neither what it is nor how old it is.
fn says_little(response: &Response) -> bool {
    [LAST_MODIFIED, ETAG, CONTENT_TYPE].iter().all(|name| !response.headers().contains_key(name))
}

/// A directory answers like a file with some servers: with a page, or under a name with a slash.
fn refuse_directory(response: &Response, call: &Call) -> Result<()> {
    let is_moved = !call.path.is_root() && response.url().path().ends_with('/');
    let is_typed = text(response, CONTENT_TYPE).is_some_and(|kind| kind.starts_with("httpd/unix-directory"));
    if is_moved || is_typed { Err(is_directory(&call.path)) } else { Ok(()) }
}

fn is_directory(path: &Path) -> Error {
    Error::NotFound { path: path.to_string(), source: Box::new(Failure::Protocol("it is a directory".to_owned())) }
}

/// The parts of an answer to a request for several ranges; none if the server ignored them.
async fn parts(
    client: &Client,
    mut response: Response,
    ranges: &[Range<u64>],
) -> std::result::Result<Vec<Part>, Failure> {
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return Ok(Vec::new());
    }
    let broken = |why: String| Failure::Protocol(format!("the answer with several ranges cannot be read: {why}"));
    if let Some(boundary) = text(&response, CONTENT_TYPE).and_then(byteranges::boundary) {
        let mut parts = Parts::new(&boundary, ranges);
        while let Some(chunk) = client.chunk(&mut response).await? {
            parts.push(&chunk).map_err(broken)?;
        }
        return parts.finish().map_err(broken);
    }
    // All ranges as one, or only the first of them.
    let given = text(&response, CONTENT_RANGE).and_then(ContentRange::parse);
    let Some(given) = given.filter(|given| ranges.contains(&given.range)) else {
        return Ok(Vec::new());
    };
    let mut bytes = Vec::new();
    let length = given.range.end - given.range.start;
    while let Some(chunk) = client.chunk(&mut response).await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > length {
            return Err(broken("it is longer than it says".to_owned()));
        }
    }
    match bytes.len() as u64 == length {
        true => Ok(vec![Part { start: given.range.start, bytes: bytes.into() }]),
        false => Err(broken("it ends early".to_owned())),
    }
}

/// Deals ranges out to requests.
fn groups(ranges: &[Range<u64>]) -> Vec<Vec<Range<u64>>> {
    let mut out: Vec<Vec<Range<u64>>> = Vec::new();
    let mut bytes = 0u64;
    for range in ranges {
        let length = range.end - range.start;
        match out.last_mut() {
            Some(group) if group.len() < RANGES_PER_REQUEST && bytes.saturating_add(length) <= BYTES_PER_REQUEST => {
                group.push(range.clone());
                bytes += length;
            }
            _ => {
                out.push(vec![range.clone()]);
                bytes = length;
            }
        }
    }
    out
}

fn concat(chunks: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(chunks) {
        Ok([one]) => one,
        Err(many) => many.concat().into(),
    }
}

/// The body of an answer as it is read. Where it breaks off, the rest is asked for again.
struct Reading {
    server: Arc<Server>,
    path: Path,
    response: Option<Response>,
    meta: ObjectMeta,
    /// Where the body that comes is, and what is left of what is wanted.
    at: u64,
    left: Range<u64>,
    failures: u32,
}

impl Reading {
    fn new(server: Arc<Server>, path: &Path, answer: Answer) -> Self {
        let Answer { response, meta, body, wanted } = answer;
        Self { server, path: path.clone(), response: Some(response), meta, at: body.start, left: wanted, failures: 0 }
    }

    fn stream(self) -> BoxStream<'static, Result<Bytes>> {
        stream::try_unfold(self, |mut reading| async move { Ok(reading.next().await?.map(|bytes| (bytes, reading))) })
            .boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.left.is_empty() {
            let failure = match &mut self.response {
                Some(response) => match self.server.client.chunk(response).await {
                    Ok(Some(chunk)) => {
                        let Some(bytes) = self.take(chunk) else { continue };
                        self.failures = 0;
                        return Ok(Some(bytes));
                    }
                    Ok(None) => Failure::Transport(std::io::Error::new(
                        std::io::ErrorKind::ConnectionReset,
                        "the answer ends before the file does",
                    )),
                    Err(failure) => failure,
                },
                None => return Ok(None),
            };
            if self.failures >= self.server.client.retries() {
                return Err(failure.into_store(&self.path));
            }
            self.server.client.resumes(&self.path, &failure);
            // The first break is mostly that of one connection; if there are more, the server has trouble.
            if self.failures > 0 {
                tokio::time::sleep(pause(self.failures - 1)).await;
            }
            self.failures += 1;
            self.resume().await?;
        }
        Ok(None)
    }

    /// What of a chunk is wanted.
    fn take(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        let before = usize::try_from(self.left.start.saturating_sub(self.at)).unwrap_or(usize::MAX).min(chunk.len());
        self.at += chunk.len() as u64;
        let mut wanted = chunk.split_off(before);
        wanted.truncate(usize::try_from(self.left.end - self.left.start).unwrap_or(usize::MAX));
        self.left.start += wanted.len() as u64;
        (!wanted.is_empty()).then_some(wanted)
    }

    async fn resume(&mut self) -> Result<()> {
        let answer = self.server.get(&self.path, Some(GetRange::Bounded(self.left.clone()))).await?;
        let is_same = answer.meta.size == self.meta.size
            && answer.meta.e_tag == self.meta.e_tag
            && answer.meta.last_modified == self.meta.last_modified;
        if !is_same {
            return Err(generic("the file has changed while it was read"));
        }
        self.at = answer.body.start;
        self.response = Some(answer.response);
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for HttpStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if options.mode != PutMode::Overwrite {
            return Err(Error::NotImplemented {
                operation: "writing a file only if it does not exist, or has not changed".into(),
                implementer: STORE.into(),
            });
        }
        self.server.put(location, Body::Bytes(payload.into())).await
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Upload::start(Arc::clone(&self.server), location)?))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            let meta = self.server.head(location).await?;
            options.check_preconditions(&meta)?;
            let payload = GetResultPayload::Stream(stream::empty().boxed());
            return Ok(GetResult { payload, range: 0..0, meta, attributes: Attributes::new() });
        }
        let has_conditions = options.if_match.is_some()
            || options.if_none_match.is_some()
            || options.if_modified_since.is_some()
            || options.if_unmodified_since.is_some();
        if has_conditions {
            options.check_preconditions(&self.server.head(location).await?)?;
        }
        let answer = self.server.get(location, options.range.clone()).await?;
        let mut attributes = Attributes::new();
        if let Some(kind) = text(&answer.response, CONTENT_TYPE) {
            attributes.insert(Attribute::ContentType, kind.to_owned().into());
        }
        let (meta, range) = (answer.meta.clone(), answer.wanted.clone());
        let payload = GetResultPayload::Stream(Reading::new(Arc::clone(&self.server), location, answer).stream());
        Ok(GetResult { payload, meta, range, attributes })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if let Some(bad) = ranges.iter().find(|range| range.start > range.end) {
            return Err(generic(format!("the range {}..{} ends before it begins", bad.start, bad.end)));
        }
        let wanted: Vec<Range<u64>> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
        let mut found = self.server.ranges(location, &wanted).await?.into_iter();
        let each = ranges.iter().map(|range| if range.is_empty() { None } else { found.next() });
        Ok(each.map(Option::unwrap_or_default).collect())
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let server = Arc::clone(&self.server);
        locations
            .map(move |location| {
                let server = Arc::clone(&server);
                async move {
                    let location = location?;
                    server.delete(&location).await?;
                    Ok(location)
                }
            })
            .buffered(PARALLEL)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let open = VecDeque::from([prefix.cloned().unwrap_or_default()]);
        stream::try_unfold((Arc::clone(&self.server), open), |(server, mut open)| async move {
            let Some(directory) = open.pop_front() else { return Ok::<_, Error>(None) };
            let found = server.list(&directory).await?;
            open.extend(found.common_prefixes);
            Ok(Some((stream::iter(found.objects.into_iter().map(Ok)), (server, open))))
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.server.list(prefix.unwrap_or(&Path::default())).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.server.transfer("COPY", from, to, options.mode == CopyMode::Overwrite).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.server.transfer("MOVE", from, to, options.target_mode == RenameTargetMode::Overwrite).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_found_among_those_that_a_server_tells() {
        let adler = |told| digest(told, ChecksumKind::Adler32).map(|sum| sum.value);
        assert_eq!(adler("adler32=b339366e"), Some(0xb339_366e));
        assert_eq!(adler("md5=HUXZLQLMuI/KZ5KDcJPcOA==, ADLER32=3da0195"), Some(0x03da_0195));
        for told in ["", "md5=adler32", "adler32=", "adler32=HUXZLQ==", "adler32"] {
            assert_eq!(adler(told), None, "{told}");
        }
    }

    #[test]
    fn ranges_are_dealt_out_to_requests_by_number_and_size() {
        let many: Vec<Range<u64>> = (0..150).map(|n| n * 1000..n * 1000 + 1).collect();
        assert_eq!(groups(&many).iter().map(Vec::len).collect::<Vec<_>>(), [64, 64, 22]);
        let large: Vec<Range<u64>> = (0..3).map(|n| n << 30..(n << 30) + (5 << 20)).collect();
        assert_eq!(groups(&large).len(), 3);
    }
}
