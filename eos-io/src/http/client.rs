//! Requests to one server: where they go, what they carry, which redirects they follow, and when
//! they are tried again.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use object_store::path::Path;
use reqwest::header::{
    AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT, WWW_AUTHENTICATE,
};
use reqwest::{Method, Response, StatusCode, redirect};
use rustls::ClientConfig;
use url::Url;

use crate::redact::redact;
use crate::settings::{HttpSettings, Settings};
use crate::site;

use super::authorization::Authorization;
use super::failure::{Failure, is_transient};
use super::tls::Encryption;
use super::traffic::Traffic;

/// A data server behind a door behind an alias takes three.
const MAX_REDIRECTS: usize = 10;
/// A server that wants to be asked again later than this is not waited for.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How much of the body of a refusal goes into its message.
const SAID: usize = 200;

/// One request, which can be sent several times.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: Path,
    /// Whether the path is written with a slash at its end, as that of a directory.
    pub(super) is_directory: bool,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// What a request carries.
#[derive(Debug, Clone, Default)]
pub(super) enum Body {
    #[default]
    Empty,
    Bytes(Bytes),
    /// A file from its beginning, and its length.
    File(Arc<std::fs::File>, u64),
}

impl Call {
    pub(super) fn new(method: Method, path: &Path) -> Self {
        Self { method, path: path.clone(), is_directory: false, headers: HeaderMap::new(), body: Body::Empty }
    }

    pub(super) fn directory(mut self) -> Self {
        self.is_directory = true;
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(super) fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }
}

/// The client for one server.
#[derive(Debug)]
pub(super) struct Client {
    /// Without user and password.
    root: Url,
    /// The query that every URL of this store carries.
    query: Option<String>,
    connections: Connections,
    headers: HeaderMap,
    authorization: Authorization,
    retries: u32,
    plain_redirects: bool,
}

/// The connections of all stores.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    http: reqwest::Client,
    traffic: Arc<Traffic>,
    /// Why a certificate is not used that a server might want to see.
    unused: Option<Arc<str>>,
}

impl Connections {
    pub(super) fn new(
        settings: &HttpSettings,
        encryption: Encryption,
        traffic: &Arc<Traffic>,
    ) -> reqwest::Result<Self> {
        let http = connections(settings, encryption.config)?;
        Ok(Self { http, traffic: Arc::clone(traffic), unused: encryption.unused.map(Arc::from) })
    }
}

/// Redirects are followed by [`Client`].
fn connections(settings: &HttpSettings, tls: ClientConfig) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .use_preconfigured_tls(tls)
        .redirect(redirect::Policy::none())
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.read_timeout)
        // One connection for all requests at once would be slower than several.
        .http1_only()
        // Some servers of the grid know headers only as they are usually spelt.
        .http1_title_case_headers()
        .build()
}

impl Client {
    pub(super) fn new(mut root: Url, connections: Connections, settings: &Settings) -> Result<Self, String> {
        let authorization = Authorization::new(&mut root, settings);
        let query = root.query().map(str::to_owned);
        root.set_query(None);
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("root-query/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in &settings.http.headers {
            let value =
                HeaderValue::try_from(value).map_err(|_| format!("the value of the header '{name}' is no text"))?;
            let name = HeaderName::try_from(name).map_err(|_| format!("'{name}' is not the name of a header"))?;
            headers.insert(name, value);
        }
        let HttpSettings { retries, plain_redirects, .. } = settings.http;
        Ok(Self { root, query, connections, headers, authorization, retries, plain_redirects })
    }

    /// Whether all URLs carry a query, as signed ones do.
    pub(super) fn has_query(&self) -> bool {
        self.query.is_some()
    }

    pub(super) fn root(&self) -> &Url {
        &self.root
    }

    pub(super) fn retries(&self) -> u32 {
        self.retries
    }

    /// The URL of a file or directory.
    pub(super) fn url(&self, path: &Path, is_directory: bool) -> Result<Url, Failure> {
        let slash = if is_directory && !path.is_root() { "/" } else { "" };
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let text = format!("{}{}{slash}{query}", self.root, site::encode(path));
        Url::parse(&text).map_err(|e| Failure::Protocol(format!("'{path}' makes no URL: {e}")))
    }

    /// Sends a request until it is answered for good. An answer that is neither a success nor `NotModified` is a failure.
    pub(super) async fn send(&self, call: &Call) -> Result<Response, Failure> {
        self.send_change(call, &mut false).await
    }

    /// The same for a request that changes something. Also tells whether the server may have carried it out already when
    /// it was made again.
    pub(super) async fn send_change(&self, call: &Call, may_be_done: &mut bool) -> Result<Response, Failure> {
        let mut tries = 0;
        loop {
            let (failure, wait) = match self.try_once(call).await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let wait = retry_after(&response);
                    (refusal(response, self.connections.unused.as_deref()).await, wait)
                }
                Err(failure) => (failure, None),
            };
            if tries >= self.retries || !failure.is_transient() || wait.is_some_and(|wait| wait > MAX_WAIT) {
                return Err(failure);
            }
            *may_be_done = true;
            let time = wait.unwrap_or_else(|| pause(tries));
            self.connections.traffic.again(&self.root, &call.path, &failure, wait.map(|_| time));
            tokio::time::sleep(time).await;
            tries += 1;
        }
    }

    /// What follows of an answer's body.
    pub(super) async fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>, Failure> {
        let chunk = response.chunk().await.map_err(|e| Failure::from(e.without_url()))?;
        self.connections.traffic.received(chunk.as_ref().map_or(0, Bytes::len));
        Ok(chunk)
    }

    /// Notes that the rest of the body of a file is asked for anew.
    pub(super) fn resumes(&self, path: &Path, failure: &Failure) {
        self.connections.traffic.again(&self.root, path, failure, None);
    }

    /// Sends a request once, wherever it is redirected to.
    async fn try_once(&self, call: &Call) -> Result<Response, Failure> {
        let mut url = self.url(&call.path, call.is_directory)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.ask(call, &url).await?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            url = target(&url, &response, self.plain_redirects)?;
        }
        Err(Failure::Protocol(format!("there were more than {MAX_REDIRECTS} redirects")))
    }

    /// Sends a request to one server. What the user set for the named server stays with it.
    async fn ask(&self, call: &Call, url: &Url) -> Result<Response, Failure> {
        if url.origin() != self.root.origin() {
            return self.deliver(call, url, &HeaderMap::new(), None).await;
        }
        let known = self.authorization.header().map_err(Failure::Credentials)?;
        let is_known = known.is_some();
        let response = self.deliver(call, url, &self.headers, known).await?;
        let is_refusal = matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if is_known || !is_refusal {
            return Ok(response);
        }
        match self.authorization.answer().map_err(Failure::Credentials)? {
            Some(token) => self.deliver(call, url, &self.headers, Some(token)).await,
            None => Ok(response),
        }
    }

    async fn deliver(
        &self,
        call: &Call,
        url: &Url,
        headers: &HeaderMap,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, Failure> {
        let mut request = self.connections.http.request(call.method.clone(), url.clone()).headers(headers.clone());
        request = request.headers(call.headers.clone());
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        request = match &call.body {
            Body::Empty => request,
            Body::Bytes(bytes) => request.body(bytes.clone()),
            Body::File(file, length) => super::upload::attach(request, file, *length),
        };
        let written = match &call.body {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(_, length) => *length,
        };
        self.connections.traffic.asked(written);
        // The error's own text would repeat the URL with its secrets.
        request.send().await.map_err(|e| Failure::from(e.without_url()))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads.
fn target(from: &Url, response: &Response, may_be_plain: bool) -> Result<Url, Failure> {
    let bad = |what: &str| Failure::Protocol(format!("the server redirects {what}"));
    let location = response.headers().get(LOCATION).ok_or_else(|| bad("without saying where"))?;
    let location = str::from_utf8(location.as_bytes()).map_err(|_| bad("to something that is no URL"))?;
    let mut url = from.join(location).map_err(|_| bad("to something that is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad(&format!("to '{}', which is not HTTP", redact(url.as_str()))));
    }
    if from.scheme() == "https" && url.scheme() == "http" && !may_be_plain {
        return Err(bad(&format!(
            "from an encrypted connection to '{}', which is not encrypted; the setting \
             plain_redirects of HTTP allows that, where it is good enough",
            redact(url.as_str())
        )));
    }
    // A user in a redirect is none that we were told of.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    Ok(url)
}

/// What the server says of its refusal.
async fn refusal(mut response: Response, unused: Option<&str>) -> Failure {
    let status = response.status();
    let challenge = response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut said = Vec::new();
    while said.len() < SAID {
        match response.chunk().await {
            Ok(Some(chunk)) => said.extend_from_slice(&chunk),
            // What it says only embellishes the message.
            Ok(None) | Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&said);
    let text = text.trim();
    // Pages for people say less than the status.
    let line = text.lines().next().filter(|_| !text.starts_with('<')).unwrap_or_default();
    let mut message: String = line.chars().filter(|c| !c.is_control()).take(SAID).collect();
    if status == StatusCode::UNAUTHORIZED && message.is_empty() {
        message = challenge.unwrap_or_default();
    }
    if let Some(unused) = unused.filter(|_| matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) {
        let separator = if message.is_empty() { "" } else { "; " };
        message.push_str(&format!("{separator}{unused}"));
    }
    Failure::Status { status, message: redact(&message) }
}

/// How long the server asks to wait.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !is_transient(response.status()) {
        return None;
    }
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    SystemTime::from(date).duration_since(SystemTime::now()).ok()
}

/// 0.1 s, twice as long each time, and up to half of that more, so that many clients do not come back together.
pub(super) fn pause(tries: u32) -> Duration {
    let millis = 100u64 << tries.min(7);
    let noise = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| u64::from(now.subsec_nanos()));
    Duration::from_millis(millis + noise % (millis / 2 + 1))
}
