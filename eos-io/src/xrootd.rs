//! XRootD and EOS: `root://` and `roots://` (`xroot://`, `xroots://`), and the short `eos://`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::ObjectStore;
use object_store::path::Path;
use xrootd_client::{Client, DEFAULT_PORT, ErrorKind, Event, Options, Outcome, XrootdStore, XrootdUrl};

use crate::backend::{Address, Backend};
use crate::checksum::{Checksum, ChecksumKind};
use crate::diagnose::{self, Step, Trouble};
use crate::error::Error;
use crate::parts::{Parts, normalized};
use crate::redact::redact;
use crate::settings::{EosSettings, Settings, XrootdSettings};
use crate::site::{Site, Spelling, identity};
use crate::spec;
use crate::statistics::{Listener, Notice, Statistics};
use crate::stores::Location;

/// Servers that speak XRootD's protocol.
#[derive(Debug)]
pub(crate) struct Xrootd {
    eos: EosSettings,
    options: Options,
    /// Shared by all stores, and with it the connections. It has threads of its own, so that it is made at the first use.
    client: OnceLock<Client>,
}

impl Xrootd {
    pub(crate) fn new(settings: &Settings, listener: Option<Listener>) -> Self {
        let mut eos = settings.eos.clone();
        let of_instance = || std::env::var("EOS_MGM_URL").ok().filter(|url| !url.is_empty());
        eos.default_host = eos.default_host.or_else(of_instance);
        let mut options = options(&settings.xrootd, listener, &|name| std::env::var(name).ok());
        options.credentials = credentials(settings);
        Self { eos, options, client: OnceLock::new() }
    }

    fn client(&self, site: &Site) -> Result<&Client, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(self.options.clone())
            .map_err(|e| Error::Io { spec: site.name(&Path::default()), message: e.to_string() })?;
        Ok(self.client.get_or_init(|| client))
    }

    /// The store of a site.
    fn connect(&self, site: &Site) -> Result<XrootdStore, Error> {
        let place = site.url(&Path::default());
        let (url, _) = parse(&place)?;
        Ok(XrootdStore::new(self.client(site)?, &url))
    }
}

/// Where the client finds credentials. It wants certificate and key in one file.
fn credentials(settings: &Settings) -> xrootd_client::Credentials {
    let token_hosts = settings.http.token_hosts.clone();
    let settings = &settings.credentials;
    xrootd_client::Credentials {
        token_file: settings.token_file.clone(),
        token_hosts,
        proxy: settings.certificate.clone().filter(|_| settings.key.is_none()),
        authorities_dir: settings.authorities_dir.clone(),
        authorities_file: settings.authorities_file.clone(),
    }
}

/// How the client behaves: as is set, or else as the variables say that other clients read too.
fn options(
    settings: &XrootdSettings,
    listener: Option<Listener>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Options {
    let own = Options::default();
    let time = |set: Option<Duration>, name: &str, default: Duration| {
        let seconds = || variable(name)?.trim().parse().ok().filter(|&seconds| seconds > 0).map(Duration::from_secs);
        set.or_else(seconds).unwrap_or(default)
    };
    Options {
        connections: settings.connections.unwrap_or(own.connections),
        connect_timeout: time(settings.connect_timeout, "XRD_CONNECTIONWINDOW", own.connect_timeout),
        silence_timeout: time(settings.silence_timeout, "XRD_STREAMTIMEOUT", own.silence_timeout),
        request_timeout: time(settings.request_timeout, "XRD_REQUESTTIMEOUT", own.request_timeout),
        wait_limit: settings.wait_limit.unwrap_or(own.wait_limit),
        retries: settings.retries.unwrap_or(own.retries),
        hedge_after: settings.hedge_after.map_or(own.hedge_after, |after| Some(after).filter(|after| !after.is_zero())),
        verify: settings.verify,
        user: settings.user.clone(),
        listener: listener.map(|listener| -> xrootd_client::Listener {
            Arc::new(move |event| notice(event).into_iter().for_each(|notice| listener(notice)))
        }),
        ..own
    }
}

fn notice(event: Event) -> Option<Notice> {
    Some(match event {
        Event::Waiting { host, time, message, .. } => Notice::Waiting { host, time, message },
        Event::Retry { host, path, reason } => Notice::Retry { host, path, reason },
        Event::Failover { host, reason, .. } => Notice::Failover { host, reason },
        Event::Hedge { host, .. } => Notice::Hedge { host },
        _ => return None,
    })
}

/// The `root://` URL that an `eos://` URL stands for.
fn spelled_out(spec: &str, eos: &EosSettings) -> Result<String, Error> {
    let EosSettings { hosts, default_host } = eos;
    let parts = Parts::of(spec)?;
    let instance = parts.before(spec).split_once("://").map_or("", |(_, instance)| instance);
    let server = match (instance, hosts.get(instance), default_host) {
        ("", _, Some(server)) | (_, Some(server), _) => server.clone(),
        ("", _, None) => {
            return Err(Error::invalid(
                spec,
                "which server eos:/// means is not set: set EOS_MGM_URL, or write eos://instance/path",
            ));
        }
        (host, None, _) if host.contains(['.', ':', '@']) => host.to_owned(),
        (name, None, _) => return Err(Error::invalid(spec, unknown(name, hosts))),
    };
    let server = match spec::scheme(&server) {
        Some(_) => server.trim_end_matches('/').to_owned(),
        None => format!("root://{}", server.trim_end_matches('/')),
    };
    Ok(format!("{server}//{}{}", parts.path.trim_start_matches('/'), parts.after()))
}

fn unknown(name: &str, hosts: &BTreeMap<String, String>) -> String {
    let known: Vec<&str> = hosts.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "none is".to_owned() } else { format!("known are {}", known.join(", ")) };
    format!("no EOS instance '{name}' is set up ({known}); write root://server//path")
}

/// Takes the servers behind proxies off a path: what they are called on the wire, and the rest.
fn behind_proxies(path: &str) -> Result<(String, &str), Error> {
    let mut prefix = String::new();
    let mut rest = path.trim_start_matches('/');
    while spec::scheme(rest).is_some_and(is_behind_proxies) {
        let inner = Parts::of(rest)?;
        inner.server(rest)?;
        prefix += &format!("/{}/", inner.before(rest));
        rest = inner.path.trim_start_matches('/');
    }
    Ok((prefix, rest))
}

/// What proxies fetch from.
fn is_behind_proxies(scheme: &str) -> bool {
    matches!(scheme.to_ascii_lowercase().as_str(), "root" | "roots" | "xroot" | "xroots" | "http" | "https")
}

/// Takes a URL apart: the server, and the path on it.
fn parse(spec: &str) -> Result<(XrootdUrl, &str), Error> {
    let parts = Parts::of(spec)?;
    let host = parts.server(spec)?;
    if parts.password.is_some() {
        return Err(Error::invalid(spec, "XRootD knows no passwords; write user@server, or just the server"));
    }
    let (prefix, path) = behind_proxies(parts.path)?;
    let url = XrootdUrl {
        is_tls: is_tls(parts.scheme),
        user: parts.user.filter(|user| !user.is_empty()).map(str::to_owned),
        host: host.trim_matches(['[', ']']).to_ascii_lowercase(),
        port: parts.port.unwrap_or(DEFAULT_PORT),
        prefix,
        opaque: parts.query.unwrap_or_default().to_owned(),
    };
    Ok((url, path))
}

fn is_tls(scheme: &str) -> bool {
    scheme.to_ascii_lowercase().ends_with("roots")
}

impl Backend for Xrootd {
    fn schemes(&self) -> &'static [&'static str] {
        &["root", "roots", "xroot", "xroots", "eos"]
    }

    fn address(&self, spec: &str) -> Result<Address, Error> {
        let is_eos = spec::scheme(spec).is_some_and(|scheme| scheme.eq_ignore_ascii_case("eos"));
        let spec = match is_eos {
            true => &spelled_out(spec, &self.eos)?,
            false => spec,
        };
        let (url, path) = parse(spec)?;
        // Nothing is decoded: `%` is a character like any other in XRootD.
        let path = Path::parse(normalized(spec, path)?).map_err(|e| Error::invalid(spec, e))?;
        let scheme = if url.is_tls { "roots" } else { "root" };
        let user = url.user.as_deref().unwrap_or_default();
        let parts = Parts::of(spec)?;
        let host = parts.host.to_ascii_lowercase();
        let identity = identity(spec, scheme, &host, Some(url.port), &[user, &url.prefix, &url.opaque])?;
        let before = format!("{}/{}/", parts.before(spec), url.prefix);
        Ok(Address { site: Site::new(identity, before, parts.after(), Spelling::Plain), path })
    }

    fn open(&self, site: &Site) -> Result<Arc<dyn ObjectStore>, Error> {
        Ok(Arc::new(self.connect(site)?))
    }

    fn checksum<'a>(
        &'a self,
        location: &'a Location,
        kind: ChecksumKind,
    ) -> BoxFuture<'a, Result<Option<Checksum>, Error>> {
        async move {
            match self.connect(&location.site)?.checksum(&location.path, kind.name()).await {
                Ok((told, digits)) if told.eq_ignore_ascii_case(kind.name()) => Ok(Checksum::parse(kind, &digits)),
                // Some servers have only one kind, whatever is asked for.
                Ok(_) => Ok(None),
                Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
                Err(error) => Err(Error::from_client(&location.display, &error)),
            }
        }
        .boxed()
    }

    fn diagnose(&self, location: &Location) -> Option<BoxStream<'static, Step>> {
        // A client that has no connections yet.
        let client = Client::new(self.options.clone()).ok()?;
        let steps = xrootd_client::diagnose(&client, &location.site.url(&location.path));
        Some(steps.map(step).boxed())
    }

    fn has_own_threads(&self) -> bool {
        true
    }

    fn statistics(&self) -> Statistics {
        let Some(metrics) = self.client.get().map(Client::metrics) else { return Statistics::default() };
        Statistics {
            connections: metrics.connections,
            requests: metrics.requests,
            bytes_read: metrics.bytes_read,
            bytes_written: metrics.bytes_written,
            retries: metrics.retries,
            failovers: metrics.failovers,
            hedged_reads: metrics.hedges,
            waits: metrics.waits,
            waited: Duration::from_millis(metrics.waited_ms),
        }
    }
}

/// A step as we tell it.
fn step(step: xrootd_client::Step) -> Step {
    let xrootd_client::Step { name, target, elapsed, outcome } = step;
    let outcome = match outcome {
        Outcome::Success(detail) => Ok(detail),
        Outcome::Redirect(to) => Ok(format!("redirected to {to}")),
        Outcome::Failure(error) => Err(trouble(&error)),
    };
    Step { name, target, elapsed, outcome }
}

fn trouble(error: &xrootd_client::Error) -> Trouble {
    let own = Error::from_client("", error);
    let hint = match error {
        // They say themselves what helps.
        xrootd_client::Error::Authentication { hint: Some(_), .. }
        | xrootd_client::Error::Connect { hint: Some(_), .. }
        | xrootd_client::Error::Tls { hint: Some(_), .. } => None,
        xrootd_client::Error::Connect { reason, .. } => Some(diagnose::network_hint(reason)),
        xrootd_client::Error::Tls { .. } => Some(diagnose::TLS_HINT.to_owned()),
        _ => diagnose::hint("root", own.kind()),
    };
    Trouble { kind: own.kind(), message: redact(&error.to_string()), hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn backend() -> Xrootd {
        let hosts = BTreeMap::from([
            ("public".to_owned(), "root://eospublic.cern.ch".to_owned()),
            ("lab".to_owned(), "roots://me@lab.org:1095/".to_owned()),
        ]);
        let eos = EosSettings { hosts, default_host: Some("eosuser.cern.ch".into()) };
        let settings = Settings { eos, ..Settings::default() };
        Xrootd::new(&settings, None)
    }

    fn address(spec: &str) -> (String, String, String) {
        let Address { site, path } = backend().address(spec).unwrap();
        (site.identity.to_string(), path.to_string(), site.name(&path))
    }

    #[test]
    fn one_slash_or_two_both_begin_an_absolute_path() {
        for (spec, identity, path, name) in [
            ("root://h//eos/x.root", "root://h:1094/", "eos/x.root", "root://h//eos/x.root"),
            ("root://h/eos/x.root", "root://h:1094/", "eos/x.root", "root://h//eos/x.root"),
            ("xroot://H:1094//eos//x.root", "root://h:1094/", "eos/x.root", "xroot://H:1094//eos/x.root"),
            ("roots://[::1]:1095//x", "roots://[::1]:1095/", "x", "roots://[::1]:1095//x"),
            ("XROOTS://h//x", "roots://h:1094/", "x", "XROOTS://h//x"),
            ("root://h//a%20b?", "root://h:1094/", "a%20b", "root://h//a%20b"),
            ("root://h//d/*{a,b}.root", "root://h:1094/", "d/*{a,b}.root", "root://h//d/*{a,b}.root"),
            ("root://h", "root://h:1094/", "", "root://h//"),
        ] {
            assert_eq!(address(spec), (identity.into(), path.into(), name.into()), "{spec}");
        }
    }

    #[test]
    fn user_proxy_and_opaque_part_make_a_store_of_their_own() {
        let mut seen = vec!["root://h:1094/".to_owned()];
        for (spec, path, name) in [
            ("root://me@h//x", "x", "root://me@h//x"),
            ("root://h//x?authz=hunter2&a=b", "x", "root://h//x?authz=***&a=b"),
            ("root://h//x?eos.app=a", "x", "root://h//x?eos.app=a"),
            ("root://h//root://o:1095//d/x", "d/x", "root://h//root://o:1095//d/x"),
            ("root://h//https://o/d/x", "d/x", "root://h//https://o//d/x"),
            ("root://h//root://a//roots://b/x?q=1", "x", "root://h//root://a//roots://b//x?q=1"),
        ] {
            let (identity, found, shown) = address(spec);
            assert_eq!((found.as_str(), shown.as_str()), (path, name), "{spec}");
            assert!(identity.starts_with("root://h;") && identity.ends_with(":1094/"), "{identity}");
            assert!(!seen.contains(&identity), "{spec}");
            seen.push(identity);
        }
        assert_eq!(address("root://h//a?q").0, address("root://h:1094//b?q").0);
    }

    #[test]
    fn the_client_gets_what_goes_over_the_wire() {
        let place = backend().address("roots://me@h//root://a//root://b:1//d/x?q=1").unwrap().site;
        let (url, _) = parse(&place.url(&Path::default())).unwrap();
        assert_eq!(parse("root://[::1]//x").unwrap().0.host, "::1");
        let expected = XrootdUrl {
            is_tls: true,
            user: Some("me".into()),
            host: "h".into(),
            port: 1094,
            prefix: "/root://a//root://b:1/".into(),
            opaque: "q=1".into(),
        };
        assert_eq!(url, expected);
    }

    #[test]
    fn an_eos_url_stands_for_the_server_that_is_set() {
        for (spec, name) in [
            ("eos://public/eos/x.root", "root://eospublic.cern.ch//eos/x.root"),
            ("eos://public//eos/x.root?a=b", "root://eospublic.cern.ch//eos/x.root?a=b"),
            ("eos:///eos/*.root", "root://eosuser.cern.ch//eos/*.root"),
            ("EOS://lab/x", "roots://me@lab.org:1095//x"),
            ("eos://eoscms.cern.ch/eos/x", "root://eoscms.cern.ch//eos/x"),
        ] {
            assert_eq!(address(spec).2, name, "{spec}");
        }
        let error = backend().address("eos://publik/x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidSpec);
        assert!(error.to_string().contains("known are lab, public"), "{error}");
        let nothing = Xrootd { eos: EosSettings::default(), ..Xrootd::new(&Settings::default(), None) };
        assert!(nothing.address("eos:///x").unwrap_err().to_string().contains("EOS_MGM_URL"));
    }

    #[test]
    fn what_can_be_no_place_is_an_invalid_spec() {
        for spec in
            ["root:////x", "root://h//a/../../x", "root://u:secret@h//x", "root://h//root:////x", "root://h:a//x"]
        {
            let error = backend().address(spec).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{spec}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn times_are_those_that_are_set_before_those_of_the_variables_that_other_clients_read() {
        let variable = |name: &str| match name {
            "XRD_CONNECTIONWINDOW" => Some("3".to_owned()),
            "XRD_STREAMTIMEOUT" => Some("4".to_owned()),
            "XRD_REQUESTTIMEOUT" => Some("soon".to_owned()),
            _ => None,
        };
        let mut settings =
            XrootdSettings { silence_timeout: Some(Duration::from_secs(7)), ..XrootdSettings::default() };
        let set = options(&settings, None, &variable);
        assert_eq!((set.connect_timeout, set.silence_timeout), (Duration::from_secs(3), Duration::from_secs(7)));
        assert_eq!(set.request_timeout, Options::default().request_timeout);
        assert_eq!(set.hedge_after, Options::default().hedge_after);
        settings.hedge_after = Some(Duration::ZERO);
        assert_eq!(options(&settings, None, &variable).hedge_after, None);
    }
}
