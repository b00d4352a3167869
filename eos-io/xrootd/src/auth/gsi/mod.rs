//! X.509 proxies of the grid (`gsi`), as servers since version 5 speak it: both sides sign a random text of the other,
//! and the numbers from which they make a common key. The server is authenticated before anything of ours is signed, and
//! what is signed for it is too short to be anything but a random text. No proxy is delegated.

mod agreement;
mod authorities;
mod message;
mod proxy;
mod rsa;

use std::path::PathBuf;

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
        let proxy = Proxy::load(self.peer.parameter("xrd.gsiusrpxy"), &self.environment)?;
        let directory = self.environment.path("X509_CERT_DIR");
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
