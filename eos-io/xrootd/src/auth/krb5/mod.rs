//! Kerberos 5 tickets, from the ticket cache of the user. The machine's own Kerberos library does the work, so that
//! whatever `kinit` and `klist` can do (caches of all kinds, other realms, key distribution centres found by DNS) works
//! here too. Nothing is kept: every login looks into the cache anew, where a ticket may have been renewed, and MIT's library
//! gets one itself where KRB5_CLIENT_KTNAME names a keytab.

mod gss;

use std::sync::{Mutex, PoisonError};

use self::gss::{Failure, GssError};
use super::{AuthError, Method, Peer};
use crate::environment::Environment;

/// A login by a keytab.
static LOGIN: Mutex<()> = Mutex::new(());

pub(super) struct Krb5 {
    /// Who the server is to Kerberos: `service/host@REALM`.
    service: String,
    peer: Peer,
    environment: Environment,
}

impl Krb5 {
    /// The arguments are the service's name, and `fwd` if the server would like to act as us, which we do not offer.
    pub(super) fn new(arguments: &str, peer: &Peer, environment: Environment) -> Self {
        let service = arguments.split(',').next().unwrap_or_default().to_owned();
        Krb5 { service, peer: peer.clone(), environment }
    }

    /// What the user would type.
    fn kinit(&self) -> String {
        match self.service.rsplit_once('@') {
            Some((_, realm)) if !realm.is_empty() => format!("kinit {}@{realm}", self.peer.user),
            _ => "kinit".to_owned(),
        }
    }

    fn explain(&self, cache: Option<&str>, error: &GssError) -> AuthError {
        let service = &self.service;
        match error {
            GssError::NoLibrary { tried } => {
                AuthError::new(format!("there is no Kerberos library on this machine (looked for {tried})"))
                    .hint("install it: the package is krb5-libs, libgssapi-krb5-2 or krb5")
            }
            GssError::CannotChooseCache => AuthError::new(
                "the Kerberos library of this machine cannot use a ticket cache for one connection alone",
            )
            .hint("set KRB5CCNAME instead of xrd.k5ccname in the URL"),
            GssError::Malformed(what) => AuthError::new(format!("the Kerberos library made a token that {what}")),
            GssError::Failed { failure, text } => {
                let place = match (cache, self.environment.text("KRB5CCNAME")) {
                    (Some(cache), _) => format!(" in {cache}"),
                    (None, Some(cache)) => format!(" in {cache} (from KRB5CCNAME)"),
                    (None, None) => String::new(),
                };
                let (what, hint) = match failure {
                    Failure::NoTicket => (format!("there is no Kerberos ticket{place}"), Some(self.kinit())),
                    Failure::Expired => (format!("the Kerberos ticket{place} has expired"), Some(self.kinit())),
                    Failure::UnknownServer => (
                        format!("Kerberos does not know the server {service}"),
                        Some("the name comes from the server itself; tell its administrator".into()),
                    ),
                    Failure::UnknownRealm => (
                        format!("Kerberos does not know the realm of {service}, or no way to it from yours"),
                        Some(format!("name the realm in krb5.conf, or get a ticket of it: {}", self.kinit())),
                    ),
                    Failure::Unreachable => (
                        format!("no key distribution centre for {service} answers"),
                        Some("check the network, and the realm in krb5.conf".into()),
                    ),
                    Failure::ClockSkew => (
                        "this machine's clock and that of the key distribution centre differ too much".to_owned(),
                        Some("set the clock".into()),
                    ),
                    Failure::Other => (format!("Kerberos gives no ticket for {service}"), None),
                };
                AuthError { reason: format!("{what} ({text})"), hint }
            }
        }
    }
}

impl Method for Krb5 {
    fn begin(&mut self) -> Result<Vec<u8>, AuthError> {
        if self.service.is_empty() || self.service.contains('\0') {
            return Err(AuthError::new("the server does not say who it is to Kerberos"));
        }
        let cache = self.peer.parameter("xrd.k5ccname");
        // Whoever gets the first ticket by a keytab empties the cache for a moment, in which others would find none.
        let has_keytab = self.environment.text("KRB5_CLIENT_KTNAME").is_some();
        let _one_at_a_time = has_keytab.then(|| LOGIN.lock().unwrap_or_else(PoisonError::into_inner));
        let token = gss::initial_token(&self.service, cache).map_err(|error| self.explain(cache, &error))?;
        let request = bare_request(&token)
            .ok_or_else(|| self.explain(cache, &GssError::Malformed("is not one of Kerberos 5")))?;
        Ok([b"krb5\0", request].concat())
    }

    fn hint_when_refused(&self) -> Option<String> {
        Some(format!("get a new ticket: {}; if that does not help, check this machine's clock", self.kinit()))
    }

    fn proceed(&mut self, _challenge: &[u8]) -> Result<Vec<u8>, AuthError> {
        Err(AuthError::new("the server insists on a forwarded ticket, to act as you elsewhere; none is given")
            .hint("tell the server's administrator that clients without forwarding exist"))
    }
}

/// The Kerberos request (AP-REQ) in a token: the server wants it without the wrapper of RFC 2743, section 3.1.
fn bare_request(token: &[u8]) -> Option<&[u8]> {
    const MECHANISM: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02";
    const REQUEST: &[u8] = b"\x01\x00";
    let rest = token.strip_prefix(&[0x60])?;
    let (first, rest) = rest.split_first()?;
    // The length: itself if small, else that many bytes follow that hold it.
    let (length, rest) = match *first {
        length @ 0..0x80 => (usize::from(length), rest),
        count => {
            let (digits, rest) =
                rest.split_at_checked(usize::from(count & 0x7f)).filter(|(digits, _)| digits.len() <= 4)?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
    };
    let request = rest.get(..length)?.strip_prefix(MECHANISM)?.strip_prefix(REQUEST)?;
    // AP-REQ is [APPLICATION 14].
    (request.first() == Some(&0x6e)).then_some(request)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::peer;
    use super::*;

    fn krb5(variables: &[(&str, &str)]) -> Krb5 {
        let environment = Environment::with(variables, 1000, Path::new("/tmp"));
        Krb5::new("xrootd/eoscms.cern.ch@CERN.CH,fwd", &peer("", false), environment)
    }

    fn failed(failure: Failure) -> GssError {
        GssError::Failed { failure, text: "as the library says".into() }
    }

    const WRAPPED: [u8; 17] = *b"\x60\x0f\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x00\x6e\x00";

    #[test]
    fn the_request_is_cut_out_of_its_wrapper() {
        assert_eq!(bare_request(&WRAPPED), Some(&[0x6e, 0x00][..]));
        let with_long_length = [&b"\x60\x82\x00\x0f"[..], &WRAPPED[2..]].concat();
        assert_eq!(bare_request(&with_long_length), Some(&[0x6e, 0x00][..]));
    }

    #[test]
    fn a_token_of_another_kind_is_not_cut() {
        for at in [0, 2, 5, 13, 14, 15] {
            let mut token = WRAPPED;
            token[at] ^= 0x01;
            assert_eq!(bare_request(&token), None, "byte {at}");
        }
        for length in 0..WRAPPED.len() {
            assert_eq!(bare_request(&WRAPPED[..length]), None, "cut to {length}");
        }
        assert_eq!(bare_request(b"\x60\x85\x00\x00\x00\x00\x00"), None);
        assert_eq!(bare_request(b"\x60\xff"), None);
    }

    #[test]
    fn the_service_is_told_apart_from_the_wish_for_a_forwarded_ticket() {
        assert_eq!(krb5(&[]).service, "xrootd/eoscms.cern.ch@CERN.CH");
    }

    #[test]
    fn a_missing_and_an_expired_ticket_are_told_apart_and_both_are_cured_by_kinit() {
        let missing = krb5(&[]).explain(Some("FILE:/tmp/mine"), &failed(Failure::NoTicket));
        assert_eq!(missing.reason, "there is no Kerberos ticket in FILE:/tmp/mine (as the library says)");
        let expired = krb5(&[("KRB5CCNAME", "KCM:")]).explain(None, &failed(Failure::Expired));
        assert_eq!(expired.reason, "the Kerberos ticket in KCM: (from KRB5CCNAME) has expired (as the library says)");
        for error in [missing, expired] {
            assert_eq!(error.hint.as_deref(), Some("kinit tester@CERN.CH"));
        }
    }

    #[test]
    fn every_other_failure_has_its_own_sentence() {
        let failures =
            [Failure::UnknownServer, Failure::UnknownRealm, Failure::Unreachable, Failure::ClockSkew, Failure::Other];
        let mut reasons: Vec<String> =
            failures.into_iter().map(|failure| krb5(&[]).explain(None, &failed(failure)).reason).collect();
        assert!(reasons.iter().all(|reason| reason.ends_with("(as the library says)")), "{reasons:?}");
        reasons.sort();
        reasons.dedup();
        assert_eq!(reasons.len(), failures.len());
    }

    #[test]
    fn a_server_without_a_name_is_refused_before_the_library_is_asked() {
        let mut krb5 = Krb5::new("", &peer("", false), Environment::with(&[], 1000, Path::new("/tmp")));
        assert!(krb5.begin().is_err());
    }

    #[test]
    fn no_ticket_is_forwarded() {
        assert!(krb5(&[]).proceed(b"fwdtgt").expect_err("declined").reason.contains("forwarded"));
    }
}
