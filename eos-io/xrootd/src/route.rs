//! Requests about a path, from the first server through redirects to the one that answers, and around servers that fail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::{Shared, Waiting};
use crate::connection::{Connection, Patience};
use crate::diagnosis::{Outcome, Trace};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, mask};
use crate::metrics::{Event, add};
use crate::recovery::{Attempts, Tried};
use crate::url::XrootdUrl;
use crate::wire::codes::error as code;
use crate::wire::{Redirect, Request, Response, Target};

/// Redirects are followed this often for one request.
const MOST_HOPS: usize = 16;

/// A path at the server that is asked first.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) url: Arc<XrootdUrl>,
    /// The whole path as it goes onto the wire, without the opaque part.
    pub(crate) path: String,
}

/// Who answered, and what.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) connection: Arc<Connection>,
    pub(crate) endpoint: Arc<Endpoint>,
    /// The host as the redirect named it, unless the first server answered itself.
    pub(crate) redirected_to: Option<String>,
    /// When the server that answered was asked, after all that came before.
    pub(crate) asked: Instant,
    pub(crate) body: Vec<u8>,
}

/// A failed attempt.
struct Failed {
    error: Error,
    /// The host as the redirect named it.
    redirected_to: Option<String>,
    /// Whether the server had been reached before.
    is_known: bool,
}

/// Makes the request for a path with its opaque part; the flag asks the manager not to trust what it remembers.
pub(crate) type Make<'a> = &'a (dyn Fn(&str, bool) -> Request + Send + Sync);

/// How a request is made.
pub(crate) struct Manner<'a> {
    pub(crate) patience: Patience,
    /// Connections that the answer should not come over.
    pub(crate) except: &'a [Arc<Connection>],
    pub(crate) tried: Tried,
    pub(crate) trace: Trace,
    /// Whether it is made again after errors that may pass.
    pub(crate) is_persistent: bool,
}

impl Manner<'_> {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, except: &[], tried: Tried::default(), trace: Trace::default(), is_persistent: true }
    }
}

impl Shared {
    /// Makes a request until it is answered, or nothing more can be tried.
    pub(crate) async fn ask(&self, place: &Place, make: Make<'_>, manner: Manner<'_>) -> Result<Answered, Error> {
        self.ask_for_change(place, make, manner, &mut false).await
    }

    /// The same for a request that changes something. Also tells whether the answer to it was lost once, so that it may
    /// have been carried out already when it was made again.
    pub(crate) async fn ask_for_change(
        &self,
        place: &Place,
        make: Make<'_>,
        mut manner: Manner<'_>,
        may_be_done: &mut bool,
    ) -> Result<Answered, Error> {
        let mut attempts = Attempts::new(if manner.is_persistent { self.options().retries } else { 0 });
        let mut waiting = Waiting::new(self.options().wait_limit);
        let mut missing_at = Vec::new();
        loop {
            let failed = match self.attempt(place, make, &manner, &mut waiting).await {
                Ok(answered) => {
                    self.budget.give();
                    return Ok(answered);
                }
                Err(failed) => failed,
            };
            let Failed { error, redirected_to, is_known } = failed;
            if !is_known {
                // A host that was never reached is more likely misspelt than down.
                attempts.allow_at_most(2);
            }
            let is_transient = error.is_transient(redirected_to.is_some());
            let host = redirected_to.filter(|_| is_transient);
            let is_manager_out_of_servers =
                !manner.tried.is_empty() && host.is_none() && error.kind() == ErrorKind::NotFound;
            // A manager that knows no other server leads to the same one again.
            let is_missing_everywhere = match (&host, &error) {
                (Some(_), Error::Server { host, code: code::NOT_FOUND, .. }) => {
                    let is_known = missing_at.contains(host);
                    missing_at.push(host.clone());
                    is_known
                }
                _ => false,
            };
            let may_retry = is_transient || is_manager_out_of_servers;
            *may_be_done |= error.leaves_doubt();
            if is_missing_everywhere || (!may_retry && manner.tried.is_empty()) {
                // The answer itself, whatever had to be tried to get it.
                return Err(error);
            }
            let reason = mask(&error.to_string());
            let pause = attempts.failed(error.clone(), may_retry, &self.budget)?;
            add(&self.counters().retries, 1);
            let path = place.path.clone();
            match host {
                Some(host) => {
                    add(&self.counters().failovers, 1);
                    self.counters().tell(|| Event::Failover { host: host.clone(), path, reason });
                    manner.tried.add(&host, &error);
                }
                None => {
                    if is_manager_out_of_servers {
                        manner.tried.clear();
                    }
                    self.take_back(&place.url);
                    self.counters().tell(|| Event::Retry { host: place.url.authority(), path, reason });
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Follows redirects until a server answers or fails.
    async fn attempt(
        &self,
        place: &Place,
        make: Make<'_>,
        manner: &Manner<'_>,
        waiting: &mut Waiting,
    ) -> Result<Answered, Failed> {
        let mut url = (*place.url).clone();
        let mut path = place.path.clone();
        let mut from_redirect = String::new();
        let mut redirected_to = None;
        let mut is_trusted = true;
        for _ in 0..MOST_HOPS {
            let endpoint = self.endpoint(&url, is_trusted);
            let failed = |error| Failed { error, redirected_to: redirected_to.clone(), is_known: endpoint.is_known() };
            let connection = endpoint.connection(manner.except, &self.dialer, &manner.trace).await;
            let connection = connection.map_err(|error| failed(error.about(&path)))?;
            let opaque = [place.url.opaque.as_str(), &from_redirect, &manner.tried.opaque()];
            let request = make(&with_opaque(&path, &opaque), !manner.tried.is_empty());
            let started = Instant::now();
            let response = self.patiently(&connection, &request, manner.patience, waiting, &path).await;
            match response.map_err(failed)? {
                Response::Ok(body) => {
                    return Ok(Answered { connection, endpoint, redirected_to, asked: started, body });
                }
                Response::Redirect(redirect) => {
                    let next = follow(&url, &redirect).map_err(|reason| {
                        let host = endpoint.shown().to_owned();
                        failed(Error::Redirect { host, path: path.clone(), reason })
                    })?;
                    let name = crate::connection::name(request.id).trim_start_matches("an ").trim_start_matches("a ");
                    manner
                        .trace
                        .tell(step_name(name), endpoint.shown(), started, || Outcome::Redirect(next.url.authority()));
                    // On a plain connection anybody on the way may have said so.
                    is_trusted = (endpoint.key.is_trusted && connection.is_tls)
                        || next.url.host.eq_ignore_ascii_case(&place.url.host);
                    if redirect.is_lasting {
                        self.hand_over(&place.url, &next.url, is_trusted);
                    }
                    redirected_to = Some(next.named);
                    url = next.url;
                    from_redirect = next.opaque;
                    path = next.path.unwrap_or(path);
                }
                Response::Error(error) => return Err(failed(Error::server(endpoint.shown(), &path, error))),
                Response::AuthMore(_) | Response::Wait { .. } | Response::Later { .. } => {
                    let reason = "an answer that belongs to a login".to_owned();
                    return Err(failed(Error::Protocol { host: endpoint.shown().to_owned(), reason }));
                }
            }
        }
        let reason = format!("{MOST_HOPS} redirects in a row, the last to {}", url.authority());
        let error = Error::Redirect { host: place.url.authority(), path: place.path.clone(), reason };
        Err(Failed { error, redirected_to: None, is_known: true })
    }

    /// Makes a request on one connection, as often as the server asks for patience.
    pub(crate) async fn patiently(
        &self,
        connection: &Connection,
        request: &Request,
        patience: Patience,
        waiting: &mut Waiting,
        path: &str,
    ) -> Result<Response, Error> {
        loop {
            let patience = Patience { wait: patience.wait.min(waiting.left()), ..patience };
            let response = connection.call(request, patience).await.map_err(|error| {
                if let Error::Timeout { waited, .. } = &error {
                    // Beyond silence it was the server that asked for patience.
                    waiting.spend(waited.saturating_sub(patience.silence));
                }
                error.about(path)
            })?;
            let Response::Wait { seconds, message } = response else {
                return Ok(response);
            };
            self.wait(connection.host(), path, seconds, message, waiting).await?;
        }
    }

    /// Waits as a server has asked for, if that is not too long.
    pub(crate) async fn wait(
        &self,
        host: &str,
        path: &str,
        seconds: u32,
        message: String,
        waiting: &mut Waiting,
    ) -> Result<(), Error> {
        let asked = Duration::from_secs(u64::from(seconds));
        add(&self.counters().waits, 1);
        let Some(time) = waiting.take(asked) else {
            let (host, path) = (host.to_owned(), path.to_owned());
            return Err(Error::Wait { host, path, asked, limit: self.options().wait_limit });
        };
        self.counters().waited(time);
        self.counters().tell(|| Event::Waiting {
            host: host.to_owned(),
            path: path.to_owned(),
            time,
            message: mask(&message),
        });
        tokio::time::sleep(time).await;
        Ok(())
    }
}

/// The diagnosis knows a few kinds of requests by name.
fn step_name(name: &str) -> &'static str {
    match name {
        "open" => "open",
        "stat" => "stat",
        "listing" => "listing",
        _ => "request",
    }
}

/// Where a redirect leads.
pub(crate) struct Next {
    pub(crate) url: XrootdUrl,
    /// The host as the redirect names it.
    named: String,
    opaque: String,
    /// Another path than the one asked for.
    path: Option<String>,
}

pub(crate) fn follow(from: &XrootdUrl, redirect: &Redirect) -> Result<Next, String> {
    match &redirect.target {
        Target::Host { host, port, opaque } => {
            // What follows a second '?' is meant for the login of old servers.
            let opaque = opaque.split('?').next().unwrap_or_default().trim_start_matches('&').to_owned();
            let port = if *port == 0 { crate::url::DEFAULT_PORT } else { *port };
            let url = XrootdUrl { host: host.clone(), port, ..from.clone() };
            Ok(Next { url, named: host.clone(), opaque, path: None })
        }
        Target::Url(text) => {
            let (to, path) = XrootdUrl::parse(text).map_err(|error| {
                let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
                format!("it redirects to a URL of the kind '{}', which is not followed: {}", mask(scheme), error.reason)
            })?;
            let path = format!("{}{path}", to.prefix.trim_end_matches('/'));
            let named = to.host.clone();
            // What has begun encrypted stays so.
            let url = XrootdUrl {
                is_tls: from.is_tls || to.is_tls,
                user: to.user.or_else(|| from.user.clone()),
                host: to.host,
                port: to.port,
                prefix: String::new(),
                opaque: from.opaque.clone(),
            };
            Ok(Next { url, named, opaque: to.opaque, path: (path != "/").then_some(path) })
        }
    }
}

fn with_opaque(path: &str, parts: &[&str]) -> String {
    let mut whole = path.to_owned();
    for (at, part) in parts.iter().filter(|part| !part.is_empty()).enumerate() {
        whole.push(if at == 0 { '?' } else { '&' });
        whole.push_str(part.trim_start_matches('&'));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_opaque_part_of_a_redirect_is_handed_on_as_it_is() {
        let from = XrootdUrl::server("mgm", 1094, true);
        let target = Target::Host { host: "fst".into(), port: 1095, opaque: "&cap.sym=a/b+c==&mgm.id=1?token".into() };
        let next = follow(&from, &Redirect { is_lasting: false, target }).unwrap();
        assert_eq!((next.url.authority().as_str(), next.url.is_tls), ("fst:1095", true));
        assert_eq!(next.opaque, "cap.sym=a/b+c==&mgm.id=1");
        assert_eq!(with_opaque("/x", &["eos.app=me", &next.opaque, ""]), "/x?eos.app=me&cap.sym=a/b+c==&mgm.id=1");
    }

    #[test]
    fn a_redirect_to_a_url_may_change_the_path_but_never_drops_encryption() {
        let from = XrootdUrl::server("mgm", 1094, true);
        let target = Target::Url("root://other:1096//new/path?a=b".into());
        let next = follow(&from, &Redirect { is_lasting: false, target }).unwrap();
        assert!(next.url.is_tls);
        assert_eq!(next.path.as_deref(), Some("/new/path"));
    }

    #[test]
    fn a_redirect_to_another_protocol_is_refused() {
        let from = XrootdUrl::server("mgm", 1094, false);
        for url in ["file://localhost/etc/passwd", "http://h/x", "nonsense"] {
            assert!(follow(&from, &Redirect { is_lasting: false, target: Target::Url(url.into()) }).is_err(), "{url}");
        }
    }
}
