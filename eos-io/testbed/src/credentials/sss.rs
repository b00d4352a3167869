//! Simple shared secrets.

use std::fs;
use std::path::PathBuf;

use super::{Variables, variable};
use crate::place::Dir;
use crate::tools::Tool;

/// A key of the protocol `sss` for the user `tester` of the group `testers`, as the server and a client have it.
#[derive(Debug)]
pub struct SssKey {
    dir: Dir,
}

impl SssKey {
    /// A key of the usual kind: what a client sends holds for the address of its socket alone.
    pub fn new() -> Self {
        Self::named("testkey")
    }

    /// A key that also works through a proxy: the `+` at the end of its name says that addresses are not compared.
    pub fn for_any_address() -> Self {
        Self::named("testkey+")
    }

    fn named(name: &str) -> Self {
        let dir = Dir::new("sss");
        let made = dir.path().join("made.keytab");
        // It exits with 1 when it has done as told.
        let ran = Tool::new("xrdsssadmin").args(&format!("-k {name} -u tester -g testers add")).arg(&made);
        let ran = ran.input("y\n").run();
        let keys = fs::read(&made).unwrap_or_else(|error| panic!("xrdsssadmin made no key: {error}\n{}", ran.errors));
        dir.secret_for_servers("server.keytab", &keys);
        dir.secret("client.keytab", &keys);
        Self { dir }
    }

    /// The client's file.
    pub fn keytab(&self) -> PathBuf {
        self.dir.path().join("client.keytab")
    }

    /// The variables that a client needs.
    pub fn env(&self) -> Variables {
        vec![variable("XrdSecSSSKT", self.keytab())]
    }

    pub(crate) fn server_keytab(&self) -> PathBuf {
        self.dir.path().join("server.keytab")
    }
}

impl Default for SssKey {
    fn default() -> Self {
        Self::new()
    }
}
