//! An HTTP server that answers as a test says, for what real servers do seldom or never.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eos_testbed::Identity;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// With names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The ranges asked for, their ends excluded.
    pub fn ranges(&self) -> Vec<(usize, usize)> {
        let value = self.header("range").unwrap_or_default().trim_start_matches("bytes=");
        let each = value.split(',').filter_map(|range| range.split_once('-'));
        each.map(|(from, to)| (from.parse().unwrap(), to.parse::<usize>().unwrap() + 1)).collect()
    }
}

/// What to send.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Only so much of the body is sent before the connection is closed.
    cut: Option<usize>,
    delay: Duration,
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), cut: None, delay: Duration::ZERO }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Closes the connection within the body.
    pub fn cut(mut self, at: usize) -> Self {
        self.cut = Some(at);
        self
    }

    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// What a good server says to a request for a file with at most one range.
    pub fn of_file(request: &Request, content: &[u8]) -> Self {
        if request.method == "HEAD" {
            return Self::new(200).header("content-length", content.len().to_string()).header("content-type", "x/root");
        }
        let reply = match request.ranges().as_slice() {
            [] => Self::new(200).body(content),
            [(from, to), ..] => {
                let to = *to.min(&content.len());
                let range = format!("bytes {from}-{}/{}", to - 1, content.len());
                Self::new(206).header("content-range", range).body(&content[*from..to])
            }
        };
        reply.header("content-type", "x/root")
    }

    /// What a good server says to a request for several ranges of a file.
    pub fn of_ranges(request: &Request, content: &[u8]) -> Self {
        let ranges = request.ranges();
        if ranges.len() < 2 {
            return Self::of_file(request, content);
        }
        let mut body = Vec::new();
        for (from, to) in ranges {
            let head = format!("\r\n--B\r\nContent-Range: bytes {from}-{}/{}\r\n\r\n", to - 1, content.len());
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(&content[from..to]);
        }
        body.extend_from_slice(b"\r\n--B--\r\n");
        Self::new(206).header("content-type", "multipart/byteranges; boundary=B").body(body)
    }
}

/// The server. It stops with the runtime of its test.
pub struct Scripted {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

type Script = Arc<dyn Fn(&Request, usize) -> Reply + Send + Sync>;

impl Scripted {
    /// Starts it; the script is told how many requests came before.
    pub async fn start(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(script)).await
    }

    /// The same with a certificate for `localhost`, or for whatever the identity is for.
    pub async fn start_tls(
        identity: &Identity,
        script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let chain: Vec<_> = CertificateDer::pem_file_iter(&identity.certificate).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&identity.key).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = builder.with_single_cert(chain, key).unwrap();
        Self::listen(Some(TlsAcceptor::from(Arc::new(config))), Arc::new(script)).await
    }

    async fn listen(tls: Option<TlsAcceptor>, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let address = format!("{}://localhost:{port}", if tls.is_some() { "https" } else { "http" });
        let log = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, script, log) = (tls.clone(), Arc::clone(&script), Arc::clone(&log));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, script, log).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, script, log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: Script, log: Arc<Mutex<Vec<Request>>>) {
    while let Some(request) = receive(&mut stream).await {
        let number = {
            let mut log = log.lock().unwrap();
            log.push(request.clone());
            log.len() - 1
        };
        let reply = script(&request, number);
        tokio::time::sleep(reply.delay).await;
        let mut head = format!("HTTP/1.1 {} Status\r\n", reply.status);
        let has_length = reply.headers.iter().any(|(name, _)| name == "content-length");
        if !has_length {
            head += &format!("content-length: {}\r\n", reply.body.len());
        }
        for (name, value) in &reply.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let body = match (request.method.as_str(), reply.cut) {
            ("HEAD", _) => &[],
            (_, Some(at)) => &reply.body[..at],
            (_, None) => &reply.body[..],
        };
        // A client that does not want to know more hangs up.
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(body).await.is_err() {
            return;
        }
        if reply.cut.is_some() {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(stream.read_u8().await.ok()?);
    }
    let text = String::from_utf8(text).unwrap();
    let mut lines = text.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, target, headers, body })
}
