//! What reaching a file takes, tried step by step and timed: where several things can be at fault that all look alike from
//! outside, the first step that fails tells which it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::{Error, ErrorKind};
use crate::http;
use crate::parts::Parts;
use crate::redact::redact;
use crate::settings::Settings;
use crate::stores::{Location, Stores};

/// How long a look-up, a connection to one address and a TLS handshake may take each.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the first read.
const FIRST_READ: u64 = 1024;

const LOOK_UP_HINT: &str = "see whether the host's name is right, and whether this machine's DNS knows it";
const REFUSED_HINT: &str = "nothing listens there; see whether the port is right and the server runs";
const SILENCE_HINT: &str = "a firewall between here and the server may block the port; 1094 is that of XRootD";
/// What helps where a certificate is not trusted.
pub(crate) const TLS_HINT: &str = "if the certificate is of a grid or site authority, name the directory of its \
    certificates in X509_CERT_DIR, or a file with them in X509_CERT_FILE";

/// What helps where a client says why it has no connection.
pub(crate) fn network_hint(reason: &str) -> String {
    let reason = reason.to_lowercase();
    let is_unknown =
        ["lookup", "look up", "resolve", "name or service", "no address"].iter().any(|w| reason.contains(w));
    match reason.contains("refused") {
        true => REFUSED_HINT.into(),
        false if is_unknown => LOOK_UP_HINT.into(),
        false => SILENCE_HINT.into(),
    }
}

/// A step that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was tried: `name look-up`, `connect`, `TLS`, `login`, `authentication`, `open`, `first read`.
    pub name: &'static str,
    /// With whom: a host, a host and port, or a file.
    pub target: String,
    /// How long it took.
    pub elapsed: Duration,
    /// What was found out, or what is wrong.
    pub outcome: Result<String, Trouble>,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The class of the error.
    pub kind: ErrorKind,
    /// The error.
    pub message: String,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl Step {
    /// A step that went well.
    pub fn done(name: &'static str, target: &str, elapsed: Duration, detail: impl Into<String>) -> Self {
        Self { name, target: target.to_owned(), elapsed, outcome: Ok(detail.into()) }
    }

    /// A step that failed.
    pub fn failed(name: &'static str, target: &str, elapsed: Duration, trouble: Trouble) -> Self {
        Self { name, target: target.to_owned(), elapsed, outcome: Err(trouble) }
    }
}

impl Stores {
    /// Tries to reach a file, step by step. The first step that fails is the last one.
    pub fn diagnose(&self, spec: &str) -> BoxStream<'static, Step> {
        let started = Instant::now();
        let location = match self.resolve(spec) {
            Ok(location) => location,
            Err(error) => {
                let trouble = Trouble { kind: error.kind(), message: error.to_string(), hint: None };
                let step = Step::failed("URL", &redact(spec), started.elapsed(), trouble);
                return futures::stream::iter([step]).boxed();
            }
        };
        let own = self.backend(spec).ok().and_then(|backend| backend.diagnose(&location));
        until_failure(own.unwrap_or_else(|| generic(location, self.settings().clone()).boxed())).boxed()
    }
}

/// The steps up to the first that fails.
fn until_failure(steps: impl Stream<Item = Step> + Send + 'static) -> impl Stream<Item = Step> + Send + 'static {
    steps.scan(false, |has_failed, step| {
        let is_over = std::mem::replace(has_failed, step.outcome.is_err());
        std::future::ready((!is_over).then_some(step))
    })
}

/// What can be tried with any store: the network below it as far as the URL tells, and the file.
fn generic(location: Location, settings: Settings) -> impl Stream<Item = Step> + Send + 'static {
    let network = match Endpoint::of(&location) {
        Some(endpoint) => network(endpoint, settings).boxed(),
        None => futures::stream::empty().boxed(),
    };
    network.chain(file(location))
}

/// Opens the file and reads its beginning. The steps that follow a login.
pub(crate) fn file(location: Location) -> impl Stream<Item = Step> + Send + 'static {
    let opened = {
        let location = location.clone();
        futures::stream::once(async move { open(&location).await })
    };
    opened.chain(futures::stream::once(async move { first_read(&location).await }))
}

async fn open(location: &Location) -> Step {
    let started = Instant::now();
    let outcome = match location.store.head(&location.path).await {
        Ok(meta) => Ok(format!("{} bytes", meta.size)),
        Err(error) => Err(refused(location, &error)),
    };
    Step { name: "open", target: location.display.clone(), elapsed: started.elapsed(), outcome }
}

async fn first_read(location: &Location) -> Step {
    let started = Instant::now();
    let read = async {
        let size = location.store.head(&location.path).await?.size;
        location.store.get_range(&location.path, 0..size.min(FIRST_READ)).await
    };
    let outcome = match read.await {
        Ok(bytes) => Ok(format!("{} bytes", bytes.len())),
        Err(error) => Err(refused(location, &error)),
    };
    Step { name: "first read", target: location.display.clone(), elapsed: started.elapsed(), outcome }
}

fn refused(location: &Location, error: &object_store::Error) -> Trouble {
    let error = Error::from_store(&location.display, &location.display, error);
    let hint = hint(location.url.scheme(), error.kind());
    Trouble { kind: error.kind(), message: error.to_string(), hint }
}

/// What a user can do about an error of a protocol.
pub(crate) fn hint(scheme: &str, kind: ErrorKind) -> Option<String> {
    let text = match (kind, scheme) {
        (ErrorKind::Unauthenticated, "s3") => "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (profiles are not read)",
        (ErrorKind::Unauthenticated, "hdfs") => {
            "get a Kerberos ticket with kinit, and see with klist whether it is valid"
        }
        (ErrorKind::Unauthenticated, "http" | "https" | "dav" | "davs") => {
            "name a file with a token in BEARER_TOKEN_FILE, or get a proxy certificate with voms-proxy-init"
        }
        (ErrorKind::Unauthenticated, "root" | "roots" | "xroot" | "xroots") => {
            "get a Kerberos ticket with kinit, a proxy certificate with voms-proxy-init, or name a file with a token in \
             BEARER_TOKEN_FILE"
        }
        (ErrorKind::PermissionDenied, "file") => "see with ls -l who may read the file and enter its directories",
        (ErrorKind::PermissionDenied, _) => {
            "the server knows who asks and says no: see with klist, voms-proxy-info or your token's claims who that is, and \
             ask the owner of the file for access"
        }
        (ErrorKind::NotFound, "root" | "roots" | "xroot" | "xroots") => {
            "see whether the path is right; it begins behind the host and one slash: root://host//path"
        }
        (ErrorKind::NotFound, _) => "see whether the path is right",
        _ => return None,
    };
    Some(text.to_owned())
}

/// Where a store's server listens, as far as its URL tells.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    host: String,
    port: u16,
    is_encrypted: bool,
}

impl Endpoint {
    /// `None` for places without a server, and for those whose server another name stands for.
    fn of(location: &Location) -> Option<Self> {
        // What tells stores apart may hold a digest in place of the host.
        let url = location.site.url(&Path::default());
        let parts = Parts::of(&url).ok()?;
        let (port, is_encrypted) = match parts.scheme.to_ascii_lowercase().as_str() {
            "http" | "dav" => (80, false),
            "https" | "davs" => (443, true),
            "root" | "xroot" => (1094, false),
            "roots" | "xroots" => (1094, true),
            // Without a port the host may be the name of a group of name nodes.
            "hdfs" => (parts.port?, false),
            _ => return None,
        };
        let host = parts.server(&url).ok()?.trim_matches(['[', ']']).to_ascii_lowercase();
        Some(Self { host, port: parts.port.unwrap_or(port), is_encrypted })
    }

    fn name(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// The steps below the protocol.
fn network(endpoint: Endpoint, settings: Settings) -> impl Stream<Item = Step> + Send + 'static {
    futures::stream::unfold((Next::LookUp(endpoint), settings), |(next, settings)| async move {
        let (step, next) = match next {
            Next::LookUp(endpoint) => {
                let (step, addresses) = look_up(&endpoint).await;
                (step, addresses.map_or(Next::End, |addresses| Next::Connect(endpoint, addresses)))
            }
            Next::Connect(endpoint, addresses) => {
                let (step, stream) = connect(&endpoint, &addresses).await;
                let next = stream.filter(|_| endpoint.is_encrypted);
                (step, next.map_or(Next::End, |stream| Next::Encrypt(endpoint, stream)))
            }
            Next::Encrypt(endpoint, stream) => (encrypt(&endpoint, stream, &settings).await, Next::End),
            Next::End => return None,
        };
        Some((step, (next, settings)))
    })
}

enum Next {
    LookUp(Endpoint),
    Connect(Endpoint, Vec<SocketAddr>),
    Encrypt(Endpoint, TcpStream),
    End,
}

async fn look_up(endpoint: &Endpoint) -> (Step, Option<Vec<SocketAddr>>) {
    let started = Instant::now();
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port))).await;
    let outcome = match found {
        Ok(Ok(addresses)) => Ok(addresses.collect::<Vec<_>>()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    let outcome = outcome.and_then(|found| if found.is_empty() { Err("it has no address".into()) } else { Ok(found) });
    let elapsed = started.elapsed();
    match outcome {
        Ok(addresses) => {
            let mut shown: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
            shown.dedup();
            let shown: Vec<String> = shown.iter().map(ToString::to_string).collect();
            (Step::done("name look-up", &endpoint.host, elapsed, shown.join(", ")), Some(addresses))
        }
        Err(message) => {
            let trouble = Trouble { kind: ErrorKind::Unreachable, message, hint: Some(LOOK_UP_HINT.into()) };
            (Step::failed("name look-up", &endpoint.host, elapsed, trouble), None)
        }
    }
}

async fn connect(endpoint: &Endpoint, addresses: &[SocketAddr]) -> (Step, Option<TcpStream>) {
    let started = Instant::now();
    let (mut message, mut was_refused) = (String::new(), false);
    for address in addresses {
        match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let step = Step::done("connect", &endpoint.name(), started.elapsed(), address.to_string());
                return (step, Some(stream));
            }
            Ok(Err(error)) => {
                was_refused |= error.kind() == std::io::ErrorKind::ConnectionRefused;
                message = format!("{address}: {error}");
            }
            Err(_) => message = format!("{address}: no answer within {} s", PATIENCE.as_secs()),
        }
    }
    let hint = if was_refused { REFUSED_HINT } else { SILENCE_HINT };
    let trouble = Trouble { kind: ErrorKind::Unreachable, message, hint: Some(hint.to_owned()) };
    (Step::failed("connect", &endpoint.name(), started.elapsed(), trouble), None)
}

async fn encrypt(endpoint: &Endpoint, stream: TcpStream, settings: &Settings) -> Step {
    let started = Instant::now();
    let outcome = match tokio::time::timeout(PATIENCE, handshake(endpoint, stream, settings)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    let outcome =
        outcome.map_err(|message| Trouble { kind: ErrorKind::Unreachable, message, hint: Some(TLS_HINT.into()) });
    Step { name: "TLS", target: endpoint.name(), elapsed: started.elapsed(), outcome }
}

async fn handshake(endpoint: &Endpoint, stream: TcpStream, settings: &Settings) -> Result<String, String> {
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|e| e.to_string())?;
    let config = http::tls_config(settings, &endpoint.name()).map_err(|e| e.to_string())?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|e| e.to_string())?;
    let version = connected.get_ref().1.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
    Ok(format!("{version}, the certificate is valid"))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};

    use url::Url;

    use super::*;

    async fn steps(location: Location) -> Vec<(&'static str, Result<String, Trouble>)> {
        until_failure(generic(location, Settings::default())).map(|step| (step.name, step.outcome)).collect().await
    }

    fn at(url: &str) -> Location {
        let store = Arc::new(object_store::memory::InMemory::new());
        Location::new(Url::parse(url).unwrap(), store, Path::from("x.root"))
    }

    #[tokio::test]
    async fn a_local_file_is_opened_and_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.bin");
        std::fs::write(&file, vec![0; 5000]).unwrap();
        let steps: Vec<Step> = Stores::new().diagnose(file.to_str().unwrap()).collect().await;
        let told: Vec<_> = steps.iter().map(|step| (step.name, step.outcome.clone().unwrap())).collect();
        assert_eq!(told, [("open", "5000 bytes".to_owned()), ("first read", "1024 bytes".to_owned())]);
    }

    #[tokio::test]
    async fn the_first_failure_is_the_last_step_and_says_what_helps() {
        let steps: Vec<Step> = Stores::new().diagnose("/no/such/file.root").collect().await;
        assert_eq!(steps.len(), 1);
        let trouble = steps[0].outcome.clone().unwrap_err();
        assert_eq!(trouble.kind, ErrorKind::NotFound);
        assert!(trouble.hint.is_some());
        let steps: Vec<Step> = Stores::new().diagnose("gopher://h/x?token=secret").collect().await;
        assert_eq!((steps.len(), steps[0].name), (1, "URL"));
        assert!(!format!("{steps:?}").contains("secret"));
    }

    #[tokio::test]
    async fn a_host_that_nobody_knows_fails_at_the_look_up() {
        let steps = steps(at("root://no-such-host.invalid//")).await;
        assert_eq!((steps.len(), steps[0].0), (1, "name look-up"));
        assert!(steps[0].1.clone().unwrap_err().hint.unwrap().contains("DNS"));
    }

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_fails_at_the_connection() {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let steps = steps(at(&format!("root://127.0.0.1:{port}//"))).await;
        assert_eq!((steps.len(), steps[1].0), (2, "connect"));
        let trouble = steps[1].1.clone().unwrap_err();
        assert!(trouble.hint.unwrap().contains("nothing listens"));
    }

    #[tokio::test]
    async fn a_server_without_tls_fails_at_tls() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            use std::io::Write;
            let (mut stream, _) = server.accept().unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let steps = steps(at(&format!("https://127.0.0.1:{port}/"))).await;
        let names: Vec<_> = steps.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["name look-up", "connect", "TLS"]);
        assert!(steps[2].1.is_err());
    }

    #[test]
    fn the_server_is_found_in_the_url() {
        for (url, host, port, is_encrypted) in [
            ("root://eos.example//", "eos.example", 1094, false),
            ("roots://eos.example:1095//", "eos.example", 1095, true),
            ("https://web.example/", "web.example", 443, true),
            ("http://[::1]:8080/", "::1", 8080, false),
        ] {
            let endpoint = Endpoint { host: host.into(), port, is_encrypted };
            assert_eq!(Endpoint::of(&at(url)), Some(endpoint), "{url}");
        }
        for url in ["file:///", "s3://bucket/", "hdfs://nameservice/"] {
            assert_eq!(Endpoint::of(&at(url)), None, "{url}");
        }
    }

    #[test]
    fn users_and_queries_do_not_hide_the_server() {
        for url in ["https://me:pw@Web.example:8443/x.root", "davs://web.example:8443/x.root?authz=secret"] {
            let endpoint = Endpoint { host: "web.example".into(), port: 8443, is_encrypted: true };
            assert_eq!(Endpoint::of(&Stores::new().resolve(url).unwrap()), Some(endpoint), "{url}");
        }
    }
}
