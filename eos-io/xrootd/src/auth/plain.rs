//! The methods without a secret: `host`, where the server looks at our address alone, and `unix`, where it believes the
//! name that we tell it. The file servers of EOS take `unix`, because a signed capability in the URL is the real proof.

use super::{AuthError, Method, Peer};

/// The server recognises the machine.
pub(super) struct Host;

impl Method for Host {
    fn begin(&mut self) -> Result<Vec<u8>, AuthError> {
        Ok(b"host\0".to_vec())
    }
}

/// The server believes a user's name. The name of a group could follow, for servers that grant rights to groups of which
/// they have no proof; we leave it out.
pub(super) struct Unix {
    user: String,
}

impl Unix {
    pub(super) fn new(peer: &Peer) -> Self {
        Unix { user: peer.user.clone() }
    }
}

impl Method for Unix {
    fn begin(&mut self) -> Result<Vec<u8>, AuthError> {
        // A space ends the name, and a NUL the blob.
        if self.user.is_empty() || self.user.contains([' ', '\0']) {
            return Err(AuthError::new(format!("the user's name {:?} cannot be sent to a server", self.user))
                .hint("set the variable USER, or write the name into the URL: root://name@host//path"));
        }
        Ok([b"unix\0", self.user.as_bytes(), b"\0"].concat())
    }

    fn hint_when_refused(&self) -> Option<String> {
        Some(format!("the server may not know the user {}: write another name into the URL", self.user))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::peer;
    use super::*;

    #[test]
    fn host_sends_its_name_alone() {
        assert_eq!(Host.begin(), Ok(b"host\0".to_vec()));
    }

    #[test]
    fn unix_sends_the_name_of_the_user() {
        assert_eq!(Unix::new(&peer("", false)).begin(), Ok(b"unix\0tester\0".to_vec()));
    }

    #[test]
    fn unix_sends_no_name_that_would_read_as_two() {
        let mut unix = Unix::new(&Peer { user: "tester staff".into(), ..peer("", false) });
        assert!(unix.begin().expect_err("two words").hint.is_some());
    }
}
