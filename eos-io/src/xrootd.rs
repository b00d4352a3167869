//! XRootD and EOS: `root://` and `roots://` (`xroot://`, `xroots://`), and the short `eos://`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use object_store::ObjectStore;
use object_store::path::Path;
use xrootd_client::{Client, DEFAULT_PORT, Options, XrootdStore, XrootdUrl};

use crate::backend::{Address, Backend};
use crate::error::Error;
use crate::parts::{Parts, normalized};
use crate::settings::{EosSettings, Settings};
use crate::site::{Site, Spelling, identity};
use crate::spec;

/// Servers that speak XRootD's protocol.
#[derive(Debug)]
pub(crate) struct Xrootd {
    eos: EosSettings,
    /// Shared by all stores, and with it the connections. It has threads of its own, so that it is made at the first use.
    client: OnceLock<Client>,
}

impl Xrootd {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut eos = settings.eos.clone();
        let of_instance = || std::env::var("EOS_MGM_URL").ok().filter(|url| !url.is_empty());
        eos.default_host = eos.default_host.or_else(of_instance);
        Self { eos, client: OnceLock::new() }
    }

    fn client(&self, site: &Site) -> Result<&Client, Error> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(Options::default())
            .map_err(|e| Error::Io { spec: site.name(&Path::default()), message: e.to_string() })?;
        Ok(self.client.get_or_init(|| client))
    }
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
        let place = site.url(&Path::default());
        let (url, _) = parse(&place)?;
        Ok(Arc::new(XrootdStore::new(self.client(site)?, &url)))
    }
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
        Xrootd { eos, client: OnceLock::new() }
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
        let nothing = Xrootd { eos: EosSettings::default(), client: OnceLock::new() };
        assert!(nothing.address("eos:///x").unwrap_err().to_string().contains("EOS_MGM_URL"));
    }

    #[test]
    fn what_can_be_no_place_is_an_invalid_spec() {
        for spec in ["root:////x", "root://h//a/../x", "root://u:secret@h//x", "root://h//root:////x", "root://h:a//x"]
        {
            let error = backend().address(spec).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSpec, "{spec}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}
