//! From an address to a session: handshake, encryption, login, and the proof of who we are.
//!
//! Where nothing speaks against it, the handshake, the question about the protocol and the login go out together, which
//! saves a round trip. That cannot be done with a server that will encrypt, since encryption has to come before the login;
//! such a server is met with a fresh connection, step by step.

#[cfg(fuzzing)]
pub(crate) mod fuzzing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::dial::{dial, look_up};
use super::stream::Stream;
use super::tls::{self, TlsSettings};
use super::{Connection, start};
use crate::auth::{self, Peer, SessionKey};
use crate::client::Waiting;
use crate::diagnosis::Trace;
use crate::error::{Error, mask};
use crate::metrics::{Counters, Event, add};
use crate::options::Credentials;
use crate::wire::codes::{able, flags};
use crate::wire::{HANDSHAKE, Header, LoginAnswer, ProtocolAnswer, Request, Response, WireError, login, protocol};

/// Whom to connect to, and how.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `host:port`.
    pub(crate) shown: String,
    /// Whether everything has to be encrypted.
    pub(crate) is_tls: bool,
    /// Whether it is the host of a URL, or was reached from there over encrypted connections only.
    pub(crate) is_trusted: bool,
    pub(crate) user: String,
    /// The opaque part of the URL, for what of it concerns the login.
    pub(crate) opaque: String,
    pub(crate) credentials: Credentials,
    /// Whether to go step by step.
    pub(crate) is_careful: bool,
    /// How long a connection, and each step of the login, may take.
    pub(crate) limit: Duration,
    /// How long, altogether, the server may ask to wait.
    pub(crate) wait_limit: Duration,
    /// How long the server may take nothing of what is sent.
    pub(crate) silence: Duration,
}

/// What a login has established.
pub(super) struct Established {
    pub(super) protocol: ProtocolAnswer,
    pub(super) key: Option<SessionKey>,
}

/// Connects and logs in. Also tells whether the server has to be met step by step.
pub(crate) async fn connect(
    target: &Target,
    settings: &TlsSettings,
    counters: &Arc<Counters>,
    trace: &Trace,
) -> Result<(Arc<Connection>, bool), Error> {
    let started = Instant::now();
    let addresses = look_up(&target.host, target.port, target.limit).await;
    trace.step("name look-up", &target.shown, started, &addresses, |addresses| {
        addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ")
    });
    let addresses = addresses?;
    let mut greeting = Greeting { target, trace, counters };
    let begin = |(stream, established)| {
        add(&counters.connections, 1);
        start(stream, target, Arc::clone(counters), established)
    };
    if !target.is_careful && !target.is_tls {
        let stream = greeting.dial(&addresses).await?;
        if let Some(ready) = greeting.all_at_once(stream).await? {
            return Ok((begin(ready), false));
        }
    }
    let stream = greeting.dial(&addresses).await?;
    Ok((begin(greeting.step_by_step(stream, settings).await?), true))
}

struct Greeting<'a> {
    target: &'a Target,
    trace: &'a Trace,
    counters: &'a Counters,
}

/// What answers where an XRootD server is expected.
const STRANGER: &str = "something else seems to listen on this port; check host and port";

/// The stream id of everything before requests can be under way together.
const FIRST_STREAM: [u8; 2] = [0, 0];

impl Greeting<'_> {
    async fn dial(&self, addresses: &[SocketAddr]) -> Result<Stream, Error> {
        let started = Instant::now();
        let stream = dial(&self.target.shown, addresses, self.target.limit).await;
        self.trace.step("connect", &self.target.shown, started, &stream, |stream| {
            stream.peer_addr().map(|address| address.to_string()).unwrap_or_default()
        });
        stream.map(Stream::Plain)
    }

    /// Nothing where the server wants to be met step by step.
    async fn all_at_once(&mut self, mut stream: Stream) -> Result<Option<(Stream, Established)>, Error> {
        let started = Instant::now();
        let requests = [protocol(0), self.login()];
        self.send(&mut stream, true, &requests).await?;
        let answer = self.protocol_answer(&mut stream).await?;
        if answer.demands_tls() {
            return Ok(None);
        }
        let login = self.login_answer(&mut stream, started).await?;
        self.authenticate(stream, answer, login).await.map(Some)
    }

    async fn step_by_step(
        &mut self,
        mut plain: Stream,
        settings: &TlsSettings,
    ) -> Result<(Stream, Established), Error> {
        let wanted = if self.target.is_tls { able::TLS | able::WANTS_TLS } else { able::TLS };
        self.send(&mut plain, true, &[protocol(wanted)]).await?;
        let mut answer = self.protocol_answer(&mut plain).await?;
        if self.target.is_tls && !answer.has(flags::HAS_TLS) {
            return Err(Error::Tls {
                host: self.target.shown.clone(),
                reason: "the server does not offer encryption".to_owned(),
                hint: Some("with root:// in place of roots:// nothing would be encrypted".to_owned()),
            });
        }
        let has_to_be_encrypted = self.target.is_tls || answer.demands_tls();
        if answer.demands_tls() && !answer.has(flags::GO_TO_TLS) {
            // The whole connection is encrypted, not only the part that the server insists on.
            self.send(&mut plain, false, &[protocol(able::TLS | able::WANTS_TLS)]).await?;
            answer = self.protocol_answer_again(&mut plain).await?;
        }
        let mut stream = match plain {
            Stream::Plain(plain) if answer.has(flags::GO_TO_TLS) => {
                let started = Instant::now();
                let encrypted = tls::encrypt(plain, &self.target.host, &self.target.shown, settings);
                let encrypted = self.within(encrypted, "the encryption").await.and_then(|encrypted| encrypted);
                self.trace.step("TLS", &self.target.shown, started, &encrypted, |stream| {
                    let (_, session) = stream.get_ref();
                    let version = session.protocol_version().and_then(|version| version.as_str());
                    version.unwrap_or("encrypted").to_owned()
                });
                Stream::Tls(Box::new(encrypted?))
            }
            other => other,
        };
        if has_to_be_encrypted && !stream.is_tls() {
            return Err(Error::Tls {
                host: self.target.shown.clone(),
                reason:
                    "the server does not begin the encryption that it offers or demands; nothing is sent in the clear"
                        .to_owned(),
                hint: None,
            });
        }
        let started = Instant::now();
        let login = self.login();
        self.send(&mut stream, false, &[login]).await?;
        let login = self.login_answer(&mut stream, started).await?;
        self.authenticate(stream, answer, login).await
    }

    fn login(&self) -> Request {
        let about = "xrd.cc=&xrd.tz=0&xrd.appname=root-query&xrd.rn=";
        login(std::process::id(), &self.target.user, about)
    }

    /// Answers to the handshake and to the question about the protocol.
    async fn protocol_answer(&self, stream: &mut Stream) -> Result<ProtocolAnswer, Error> {
        // The first answer tells the version and kind of the server, and so does the second.
        match self.receive(stream).await? {
            Response::Ok(_) => self.protocol_answer_again(stream).await,
            other => Err(self.refused("the handshake", other)),
        }
    }

    async fn protocol_answer_again(&self, stream: &mut Stream) -> Result<ProtocolAnswer, Error> {
        match self.receive(stream).await? {
            Response::Ok(body) => ProtocolAnswer::parse(&body).map_err(|error| self.garbled(error)),
            other => Err(self.refused("the handshake", other)),
        }
    }

    async fn login_answer(&self, stream: &mut Stream, started: Instant) -> Result<LoginAnswer, Error> {
        let answer = match self.receive_patiently(stream, &self.login()).await? {
            Response::Ok(body) => LoginAnswer::parse(&body).map_err(|error| self.garbled(error)),
            other => Err(self.refused("the login", other)),
        };
        self.trace.step("login", &self.target.shown, started, &answer, |answer| match answer.methods.is_empty() {
            true => format!("as '{}', nothing has to be proven", self.target.user),
            false => format!("as '{}', the server asks for {}", self.target.user, auth::names(&answer.methods)),
        });
        answer
    }

    /// Goes through the methods that the server accepts, in its order.
    async fn authenticate(
        &self,
        mut stream: Stream,
        protocol: ProtocolAnswer,
        login: LoginAnswer,
    ) -> Result<(Stream, Established), Error> {
        if login.methods.is_empty() {
            return Ok((stream, Established { protocol, key: None }));
        }
        let local = stream.local_addr().map_err(|error| self.lost(error.to_string()))?;
        let peer = Peer {
            host: self.target.host.clone(),
            local,
            is_encrypted: stream.is_tls(),
            is_trusted: self.target.is_trusted,
            user: self.target.user.clone(),
            opaque: self.target.opaque.clone(),
            credentials: self.target.credentials.clone(),
        };
        let started = Instant::now();
        let proven = self.prove(&mut stream, &peer, &login.methods).await;
        self.trace.step("authentication", &self.target.shown, started, &proven, |(name, _)| format!("by {name}"));
        let (_, key) = proven?;
        Ok((stream, Established { protocol, key }))
    }

    async fn prove(
        &self,
        stream: &mut Stream,
        peer: &Peer,
        methods: &str,
    ) -> Result<(String, Option<SessionKey>), Error> {
        let offered = auth::offered(methods, &peer.opaque);
        let (mut tried, mut hints) = (Vec::new(), Vec::new());
        for auth::Offer { name, arguments } in offered.methods {
            match self.try_method(stream, peer, &name, &arguments).await? {
                Ok(key) => return Ok((name, key)),
                Err(failure) => {
                    hints.extend(failure.hint.map(|hint| format!("for {name}: {hint}")));
                    tried.push(format!("{name} ({})", failure.reason));
                }
            }
        }
        if tried.is_empty() {
            tried.push("none".to_owned());
        }
        if let Some(choice) = offered.choice.filter(|_| !offered.unwanted.is_empty()) {
            tried.push(format!("not {}, because of {choice}", offered.unwanted.join(", ")));
        }
        Err(Error::Authentication {
            host: self.target.shown.clone(),
            offered: auth::names(methods),
            tried: tried.join(", "),
            hint: (!hints.is_empty()).then(|| hints.join("; ")),
        })
    }

    /// The outer error ends the connection, the inner one only this method.
    async fn try_method(
        &self,
        stream: &mut Stream,
        peer: &Peer,
        name: &str,
        arguments: &str,
    ) -> Result<Result<Option<SessionKey>, auth::AuthError>, Error> {
        // A server that never has enough would keep us for ever.
        const ROUNDS: usize = 16;
        let Some(mut method) = auth::method(name, arguments, peer) else {
            let reason = "this client does not know it".to_owned();
            return Ok(Err(auth::AuthError { reason, hint: None }));
        };
        let mut challenge: Option<Vec<u8>> = None;
        for _ in 0..ROUNDS {
            // Credentials come from files and from key servers, which may take their time.
            let made = tokio::task::spawn_blocking(move || {
                let blob = match challenge {
                    None => method.begin(),
                    Some(challenge) => method.proceed(&challenge),
                };
                (method, blob)
            });
            let (same, blob) = made.await.map_err(|_| self.lost(format!("the method {name} failed unexpectedly")))?;
            method = same;
            let blob = match blob {
                Ok(blob) => blob,
                Err(failure) => return Ok(Err(failure)),
            };
            let request = Request::authenticate(name, blob);
            self.send(stream, false, std::slice::from_ref(&request)).await?;
            match self.receive_patiently(stream, &request).await? {
                Response::Ok(_) => return Ok(Ok(method.session_key())),
                Response::AuthMore(more) => challenge = Some(more),
                Response::Error(error) => {
                    let reason = format!("the server answers: {}", mask(&error.message));
                    return Ok(Err(auth::AuthError { reason, hint: method.hint_when_refused() }));
                }
                other => return Err(self.refused("the authentication", other)),
            }
        }
        let reason = format!("the server was not content after {ROUNDS} rounds");
        Ok(Err(auth::AuthError { reason, hint: None }))
    }

    async fn send(&self, stream: &mut Stream, is_first: bool, requests: &[Request]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        if is_first {
            bytes.extend_from_slice(&HANDSHAKE);
        }
        for request in requests {
            add(&self.counters.requests, 1);
            bytes.extend_from_slice(&request.header(FIRST_STREAM));
            bytes.extend_from_slice(&request.payload);
        }
        let sending = async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        };
        self.within(sending, "the login").await?.map_err(|error| self.lost(error.to_string()))
    }

    async fn receive(&self, stream: &mut Stream) -> Result<Response, Error> {
        // Certificates and the like.
        const LIMIT: usize = 1 << 20;
        let receiving = async {
            let mut header = [0; Header::LENGTH];
            stream.read_exact(&mut header).await?;
            let header = match Header::parse(&header) {
                // Everything up to here is asked on this stream, so whoever answers on another one knows another protocol.
                Ok(Header { stream, .. }) if stream != FIRST_STREAM => return Ok(Err(WireError::new(STRANGER))),
                Err(_) => return Ok(Err(WireError::new(STRANGER))),
                Ok(header) if header.length <= LIMIT => header,
                Ok(header) => return Ok(Err(WireError(format!("an answer of {} bytes to a login", header.length)))),
            };
            let mut body = vec![0; header.length];
            stream.read_exact(&mut body).await?;
            Ok(Response::parse(header.status, body))
        };
        let received: std::io::Result<_> = self.within(receiving, "the login").await?;
        received.map_err(|error| self.lost(error.to_string()))?.map_err(|error| self.garbled(error))
    }

    /// Receives the answer to a request, which is sent again when the server says that it should be.
    async fn receive_patiently(&self, stream: &mut Stream, request: &Request) -> Result<Response, Error> {
        let mut waiting = Waiting::new(self.target.wait_limit);
        loop {
            let (seconds, message, is_asked_again) = match self.receive(stream).await? {
                Response::Wait { seconds, message } => (seconds, message, true),
                Response::Later { .. } => (0, String::new(), false),
                other => return Ok(other),
            };
            let asked = Duration::from_secs(u64::from(seconds));
            add(&self.counters.waits, 1);
            let Some(time) = waiting.take(asked) else {
                let (host, limit) = (self.target.shown.clone(), self.target.wait_limit);
                return Err(Error::Wait { host, path: String::new(), asked, limit });
            };
            if is_asked_again {
                self.counters.waited(time);
                self.counters.tell(|| Event::Waiting {
                    host: self.target.shown.clone(),
                    path: String::new(),
                    time,
                    message: mask(&message),
                });
                tokio::time::sleep(time).await;
                self.send(stream, false, std::slice::from_ref(request)).await?;
            }
        }
    }

    async fn within<T>(&self, work: impl Future<Output = T>, what: &'static str) -> Result<T, Error> {
        timeout(self.target.limit, work).await.map_err(|_| Error::Timeout {
            host: self.target.shown.clone(),
            path: String::new(),
            request: what,
            waited: self.target.limit,
        })
    }

    fn refused(&self, what: &str, response: Response) -> Error {
        match response {
            Response::Error(error) => Error::server(&self.target.shown, "", error),
            other => Error::Protocol {
                host: self.target.shown.clone(),
                reason: format!("{what} was answered by {}", kind(&other)),
            },
        }
    }

    fn garbled(&self, error: WireError) -> Error {
        Error::protocol(&self.target.shown, error)
    }

    fn lost(&self, reason: String) -> Error {
        Error::disconnected(&self.target.shown, format!("during the login: {reason}"))
    }
}

fn kind(response: &Response) -> &'static str {
    match response {
        Response::Ok(_) => "a success",
        Response::AuthMore(_) => "a question",
        Response::Error(_) => "an error",
        Response::Redirect(_) => "a redirect",
        Response::Wait { .. } | Response::Later { .. } => "a request to wait",
    }
}
