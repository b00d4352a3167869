//! A secret that client and server share (`sss`): a key from a keytab encrypts who we are and when.

#[cfg(fuzzing)]
pub(super) mod fuzzing;
mod keytab;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use self::keytab::{Key, Keytab};
use super::{AuthError, Method, Peer, blowfish_cfb};
use crate::environment::Environment;
use crate::secret_file::{self, Readers};

/// The clock of the protocol begins here, in seconds since 1970.
const EPOCH: u64 = 1_222_183_880;

/// Packets are filled up to this length, counted before the checksum.
const SHORTEST: usize = 128;

/// The parts of a packet.
const ITEM_USER: u8 = 0x01;
const ITEM_FILLER: u8 = 0x07;
const ITEM_HOST: u8 = 0x20;

pub(super) struct Sss {
    arguments: Result<Arguments, AuthError>,
    peer: Peer,
    environment: Environment,
}

impl Sss {
    pub(super) fn new(arguments: &str, peer: &Peer, environment: Environment) -> Self {
        Sss { arguments: Arguments::parse(arguments), peer: peer.clone(), environment }
    }

    /// The first place that has a keytab: what a variable names must be there, the others may be missing.
    fn keytab(&self, arguments: &Arguments) -> Result<Keytab, AuthError> {
        let variables = ["XrdSecSSSKT", "XrdSecsssKT"];
        if let Some((variable, path)) =
            variables.iter().find_map(|name| self.environment.path(name).map(|path| (name, path)))
        {
            return self.read(&path)?.ok_or_else(|| {
                AuthError::new(format!("the keytab {}, which {variable} names, is missing", path.display()))
            });
        }
        let home = self.environment.path("HOME").map(|home| home.join(".xrd").join("sss.keytab"));
        let places: Vec<PathBuf> = home.into_iter().chain(arguments.keytab.clone()).collect();
        for path in &places {
            if let Some(keytab) = self.read(path)? {
                return Ok(keytab);
            }
        }
        let places: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
        Err(AuthError::new(format!("there is no keytab of shared secrets (looked for {})", places.join(", ")))
            .hint("set XrdSecSSSKT to the keytab that the server's administrator gave you"))
    }

    fn read(&self, path: &Path) -> Result<Option<Keytab>, AuthError> {
        // By custom the group may read a keytab with this ending.
        let readers = if path.extension().is_some_and(|end| end == "grp") { Readers::Group } else { Readers::Nobody };
        let content = secret_file::read(path, readers, self.environment.user_id())
            .map_err(|error| AuthError { hint: error.hint(), reason: error.to_string() })?;
        content.map(|content| Keytab::parse(path, &content)).transpose()
    }
}

impl Method for Sss {
    fn begin(&mut self) -> Result<Vec<u8>, AuthError> {
        let arguments = self.arguments.clone()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let keytab = self.keytab(&arguments)?;
        let key = keytab.usable(now)?;
        let random = super::random()?;
        seal(key, arguments.named_keys, &self.peer, now, &random).ok_or_else(|| {
            AuthError::new(format!(
                "the key {:?} of the keytab {} cannot be used: its length or the length of its name is out of range",
                key.name,
                keytab.path().display()
            ))
        })
    }

    fn hint_when_refused(&self) -> Option<String> {
        Some(
            "check that the keytab is the one of this server, that no proxy is between, and this machine's clock"
                .into(),
        )
    }
}

/// What the server says of itself: `cipher.[+]lifetime:keytab`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Arguments {
    /// Whether the server reads the names of keys (all since version 4 of the software do).
    named_keys: bool,
    /// Where keys lie on the machines of that site.
    keytab: Option<PathBuf>,
}

impl Arguments {
    fn parse(arguments: &str) -> Result<Self, AuthError> {
        let (cipher, rest) = arguments.split_once('.').unwrap_or((arguments, ""));
        if cipher != "0" {
            return Err(AuthError::new(format!("the server asks for a cipher {cipher:?} that is not known")));
        }
        let keytab = rest.split_once(':').map(|(_, path)| path).filter(|path| path.starts_with('/'));
        Ok(Arguments { named_keys: rest.starts_with('+'), keytab: keytab.map(PathBuf::from) })
    }
}

/// The blob: a header that says which key, then the packet, encrypted. `None` if a length does not fit its field.
fn seal(key: &Key, named_keys: bool, peer: &Peer, now: u64, random: &[u8; SHORTEST]) -> Option<Vec<u8>> {
    let mut blob = b"sss\0\0\0".to_vec();
    // With at least one NUL, and a multiple of eight.
    let name_length = if named_keys { (key.name.len() + 8) & !7 } else { 0 };
    blob.push(u8::try_from(name_length).ok()?);
    blob.push(b'0');
    blob.extend_from_slice(&key.id.to_be_bytes());
    if named_keys {
        blob.extend_from_slice(key.name.as_bytes());
        blob.resize(16 + name_length, 0);
    }
    let header = blob.len();

    let (nonce, filler) = random.split_at(32);
    blob.extend_from_slice(nonce);
    // The clock has 32 bits, and wraps in 2144.
    let time = now.saturating_sub(EPOCH) & u64::from(u32::MAX);
    blob.extend_from_slice(&u32::try_from(time).ok()?.to_be_bytes());
    blob.extend_from_slice(&[0; 4]);
    // The server compares this with the address from which it sees us come.
    let address = match peer.local.ip() {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    push_text(&mut blob, ITEM_HOST, &format!("[{address}]:{}", peer.local.port()))?;
    push_text(&mut blob, ITEM_USER, &peer.user)?;
    let missing = SHORTEST.saturating_sub(blob.len() - header);
    if missing > 0 {
        blob.push(ITEM_FILLER);
        blob.extend_from_slice(&u16::try_from(missing).ok()?.to_be_bytes());
        blob.extend_from_slice(filler.get(..missing)?);
    }
    let packet = blob.get_mut(header..)?;
    let checksum = crc32fast::hash(packet).to_be_bytes();
    blob.extend_from_slice(&checksum);
    blowfish_cfb::encrypt(&key.secret, blob.get_mut(header..)?)?;
    Some(blob)
}

fn push_text(packet: &mut Vec<u8>, item: u8, text: &str) -> Option<()> {
    packet.push(item);
    packet.extend_from_slice(&u16::try_from(text.len() + 1).ok()?.to_be_bytes());
    packet.extend_from_slice(text.as_bytes());
    packet.push(0);
    Some(())
}

#[cfg(test)]
mod tests;
