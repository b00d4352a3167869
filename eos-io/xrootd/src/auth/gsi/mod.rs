//! X.509 proxies of the grid (`gsi`), as servers since version 5 speak it: both sides sign a random text of the other,
//! and the numbers from which they make a common key. The server is authenticated before anything of ours is signed, and
//! what is signed for it is too short to be anything but a random text. No proxy is delegated.

mod agreement;
mod authorities;
#[cfg(fuzzing)]
pub(super) mod fuzzing;
mod message;
mod proxy;
mod rsa;

use std::path::{Path, PathBuf};

use self::agreement::{Agreement, Disagreement, SECRET_LENGTH};
use self::authorities::Authorities;
use self::message::Message;
use self::proxy::Proxy;
use super::{AuthError, Method, Peer, SessionKey, random};
use crate::environment::Environment;

/// What we are, and the first version that signs what it says.
const OUR_VERSION: u32 = 10_600;
const FIRST_TO_SIGN: u32 = 10_400;

/// Servers ask us to sign eight characters. A digest in the form in which certificates are signed has at least 34 bytes:
/// what we sign can never be used as the signature of a certificate.
const LONGEST_TAG: usize = 16;

pub(super) struct Gsi {
    arguments: String,
    peer: Peer,
    environment: Environment,
    begun: Option<Begun>,
    key: Option<agreement::SessionKey>,
}

/// What is remembered between the two questions.
struct Begun {
    authorities: Authorities,
    proxy: Proxy,
    tag: [u8; 8],
}

impl Gsi {
    /// The arguments are `v:version,c:modules,ca:hashes`.
    pub(super) fn new(arguments: &str, peer: &Peer, environment: Environment) -> Self {
        Gsi { arguments: arguments.to_owned(), peer: peer.clone(), environment, begun: None, key: None }
    }

    fn argument(&self, name: &str) -> Option<&str> {
        self.arguments
            .split(',')
            .filter_map(|part| part.split_once(':'))
            .find_map(|(key, value)| (key == name).then_some(value))
    }

    fn too_old(&self, what: &str) -> AuthError {
        AuthError::new(format!("{} speaks gsi in a way that is not safe: {what}", self.peer.host))
            .hint("use another method, such as a token over roots://, or ask for an update of the server")
    }

    fn malformed(&self) -> AuthError {
        AuthError::new(format!("{} sent a malformed message of gsi", self.peer.host))
    }
}

impl Method for Gsi {
    fn begin(&mut self) -> Result<Vec<u8>, AuthError> {
        let version = self.argument("v").and_then(|version| version.parse::<u32>().ok()).unwrap_or(0);
        if version < FIRST_TO_SIGN {
            return Err(self.too_old(&format!("version {version} does not sign its part of the key")));
        }
        if !self.argument("c").is_some_and(|modules| modules.split('|').any(|module| module == "ssl")) {
            return Err(self.too_old("its library makes keys in an older way"));
        }
        let credentials = &self.peer.credentials;
        let of_url = self.peer.parameter("xrd.gsiusrpxy").map(Path::new);
        let proxy = Proxy::load(of_url.or(credentials.proxy.as_deref()), &self.environment)?;
        let directory = credentials.authorities_dir.clone().or_else(|| self.environment.path("X509_CERT_DIR"));
        let directory = directory.unwrap_or_else(|| PathBuf::from("/etc/grid-security/certificates"));
        let authorities = Authorities::load(directory.clone())?;
        let hashes = authorities.hashes(&proxy.authority).join("|");
        if hashes.is_empty() {
            return Err(AuthError::new(format!(
                "the authority that signed your certificate ({}) is not in {}",
                proxy.authority_name,
                directory.display()
            ))
            .hint("set X509_CERT_DIR to a directory of certificate authorities that has it"));
        }
        // As characters: some servers keep it as text.
        let tag = random::<8>()?.map(|byte| b'a' + byte % 16);
        let main = Message::new(message::ASK_FOR_CERTIFICATE).with(message::RANDOM_TAG, tag);
        let main = main.encode().ok_or_else(|| self.malformed())?;
        let blob = Message::new(message::ASK_FOR_CERTIFICATE)
            .with(message::CRYPTO_MODULE, "ssl")
            .with(message::VERSION, OUR_VERSION.to_be_bytes())
            .with(message::ISSUER_HASH, hashes)
            // None of the wishes that have to do with delegation.
            .with(message::OPTIONS, [0; 4])
            .with(message::MAIN, main)
            .encode();
        self.begun = Some(Begun { authorities, proxy, tag });
        blob.ok_or_else(|| self.malformed())
    }

    fn proceed(&mut self, challenge: &[u8]) -> Result<Vec<u8>, AuthError> {
        let challenge = Message::parse(challenge).ok_or_else(|| self.malformed())?;
        if challenge.step == message::ASK_FOR_DELEGATION {
            return Err(AuthError::new(
                "the server insists on a delegated proxy, to act as you elsewhere; none is given",
            ));
        }
        let begun = self.begun.take().filter(|_| challenge.step == message::SERVER_CERTIFICATE);
        let Begun { authorities, proxy, tag } = begun.ok_or_else(|| self.malformed())?;
        let bucket = |message: &Message, kind| message.get(kind).map(<[u8]>::to_vec).ok_or_else(|| self.malformed());

        let server = authorities.verify(&bucket(&challenge, message::CERTIFICATES)?, &self.peer.host)?;
        let main = Message::parse(&bucket(&challenge, message::MAIN)?).ok_or_else(|| self.malformed())?;
        let unproven = || AuthError::new(format!("{} does not have the key of its certificate", self.peer.host));
        let signed_tag = server.recover(&bucket(&main, message::SIGNED_TAG)?).ok_or_else(unproven)?;
        if signed_tag != tag {
            return Err(unproven());
        }
        let theirs = server.recover(&bucket(&challenge, message::AGREEMENT)?).ok_or_else(unproven)?;
        let agreement = Agreement::answer(&theirs, &random::<SECRET_LENGTH>()?).map_err(|error| match error {
            Disagreement::Malformed => self.malformed(),
            Disagreement::Weak(bits) => self.too_old(&format!("its prime has {bits} bits")),
        })?;
        let ciphers = bucket(&challenge, message::CIPHERS)?;
        if !String::from_utf8_lossy(&ciphers).split(':').any(|cipher| cipher == agreement::CIPHER) {
            return Err(self.too_old(&format!("it does not know the cipher {}", agreement::CIPHER)));
        }
        // Nothing is digested in what follows, but the server wants one of its own digests named.
        let digests = bucket(&challenge, message::DIGESTS)?;
        let digest = digests.split(|byte| *byte == b':').next().unwrap_or_default();
        let their_tag = bucket(&main, message::RANDOM_TAG)?;
        if their_tag.len() > LONGEST_TAG {
            return Err(AuthError::new(format!("{} asks for a signature of more than a random text", self.peer.host)));
        }

        let broken = || AuthError::new("the private key of the X.509 proxy is broken").hint("make a new proxy");
        let main = Message::new(message::OUR_CERTIFICATE)
            .with(message::SIGNED_TAG, proxy.key.sign(&their_tag).ok_or_else(broken)?)
            .with(message::CERTIFICATES, proxy.chain)
            .with(message::USER, self.peer.user.as_bytes())
            .with(message::RANDOM_TAG, random::<8>()?.map(|byte| b'a' + byte % 16));
        let main = main.encode().ok_or_else(|| self.malformed())?;
        let answer = Message::new(message::OUR_CERTIFICATE)
            .with(message::CRYPTO_MODULE, "ssl")
            .with(message::CIPHERS, agreement::CIPHER_WITH_VECTOR)
            .with(message::DIGESTS, digest)
            .with(message::MAIN, agreement.key.encrypt(random()?, &main))
            .with(message::AGREEMENT, proxy.key.sign(agreement.ours.as_bytes()).ok_or_else(broken)?)
            .with(message::PUBLIC_KEY, proxy.public_key)
            .encode();
        self.key = Some(agreement.key);
        answer.ok_or_else(|| self.malformed())
    }

    fn hint_when_refused(&self) -> Option<String> {
        Some("check with voms-proxy-info that the proxy is one of the right organisation".to_owned())
    }

    fn session_key(&mut self) -> Option<SessionKey> {
        let key = self.key.take()?;
        // Without a random vector there is no signature, and the server refuses the request.
        Some(Box::new(move |hash| random().map(|vector| key.encrypt(vector, hash)).unwrap_or_default()))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use eos_testbed::Ca;

    use super::super::tests::peer;
    use super::*;

    const ARGUMENTS: &str = "v:10600,c:ssl,ca:c368b2c2.0";

    fn gsi(arguments: &str) -> Gsi {
        let ca = Ca::of_this_process();
        let (directory, proxy) = (ca.directory().display().to_string(), ca.proxy().display().to_string());
        let variables = [("X509_CERT_DIR", directory.as_str()), ("X509_USER_PROXY", proxy.as_str())];
        let environment = Environment::with(&variables, rustix::process::geteuid().as_raw(), Path::new("/nowhere"));
        Gsi::new(arguments, &peer("", false), environment)
    }

    #[test]
    fn the_first_message_asks_for_a_certificate_and_wants_no_delegation() {
        let message = Message::parse(&gsi(ARGUMENTS).begin().expect("a blob")).expect("a message");
        assert_eq!(message.step, message::ASK_FOR_CERTIFICATE);
        assert_eq!(message.get(message::CRYPTO_MODULE), Some(&b"ssl"[..]));
        assert_eq!(message.get(message::OPTIONS), Some(&[0; 4][..]));
        let main = Message::parse(message.get(message::MAIN).expect("a main bucket")).expect("a message");
        assert_eq!(main.get(message::RANDOM_TAG).map(<[u8]>::len), Some(8));
    }

    #[test]
    fn servers_that_do_not_sign_are_refused() {
        for arguments in ["v:10300,c:ssl,ca:x", "c:ssl", "", "v:10600,c:sslnopad,ca:x"] {
            let error = gsi(arguments).begin().expect_err(arguments);
            assert!(error.reason.starts_with("eos.example.org speaks gsi in a way that is not safe"), "{error}");
        }
    }

    #[test]
    fn a_user_whose_authority_is_unknown_here_is_told_so() {
        let unknown = tempfile::tempdir().expect("a directory");
        let proxy = Ca::of_this_process().proxy().display().to_string();
        let directory = unknown.path().display().to_string();
        let variables = [("X509_CERT_DIR", directory.as_str()), ("X509_USER_PROXY", proxy.as_str())];
        let environment = Environment::with(&variables, rustix::process::geteuid().as_raw(), Path::new("/nowhere"));
        let error = Gsi::new(ARGUMENTS, &peer("", false), environment).begin().expect_err("unknown");
        assert!(error.reason.contains("CN=Test CA") && error.reason.contains(&directory), "{error}");
    }

    #[test]
    fn nothing_is_signed_before_the_server_has_proven_itself() {
        let certificate = std::fs::read(Ca::of_this_process().user().certificate).expect("a certificate");
        let main = Message::new(message::SERVER_CERTIFICATE).with(message::RANDOM_TAG, *b"abcdefgh");
        let challenge = Message::new(message::SERVER_CERTIFICATE)
            .with(message::CERTIFICATES, certificate)
            .with(message::MAIN, main.encode().expect("a message"));
        let mut gsi = gsi(ARGUMENTS);
        gsi.begin().expect("a blob");
        let error = gsi.proceed(&challenge.encode().expect("a message")).expect_err("no server");
        assert!(error.reason.starts_with("the server does not prove that it is eos.example.org"), "{error}");
    }

    #[test]
    fn a_wish_for_delegation_is_declined() {
        let mut gsi = gsi(ARGUMENTS);
        gsi.begin().expect("a blob");
        let wish = Message::new(message::ASK_FOR_DELEGATION).encode().expect("a message");
        assert!(gsi.proceed(&wish).expect_err("declined").reason.contains("delegated"));
    }

    #[test]
    fn a_challenge_that_comes_too_early_or_is_malformed_is_refused() {
        let early = Message::new(message::SERVER_CERTIFICATE).encode().expect("a message");
        assert!(gsi(ARGUMENTS).proceed(&early).is_err());
        let mut gsi = gsi(ARGUMENTS);
        gsi.begin().expect("a blob");
        assert!(gsi.proceed(b"gsi").is_err());
    }
}
