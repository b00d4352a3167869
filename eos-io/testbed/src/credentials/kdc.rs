//! A Kerberos realm with a key distribution centre of its own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{Variables, variable};
use crate::place::{Account, Dir};
use crate::port::Port;
use crate::process::{Failed, Process, Spec};
use crate::tools::Tool;

const PASSWORD: &str = "tester";

/// A realm, `TEST.LOCAL`, with the user `tester` and the services of `localhost`.
#[derive(Debug)]
pub struct Kdc {
    dir: Dir,
    _port: Port,
    _process: Process,
}

/// A file of tickets.
#[derive(Debug)]
pub struct Ccache {
    path: PathBuf,
    /// Without a realm to ask, the variables name it.
    config: PathBuf,
}

impl Kdc {
    /// The realm.
    pub const REALM: &'static str = "TEST.LOCAL";

    /// Makes the realm's database and starts its KDC.
    pub fn start() -> Self {
        let dir = Dir::new("kdc");
        let mut attempt = 0;
        loop {
            let port = Port::free();
            configure(&dir, port.number());
            if attempt == 0 {
                make_database(&dir);
            }
            match Process::start(&spec(&dir, port.number())) {
                Ok(process) => return Self { dir, _port: port, _process: process },
                Err(Failed::PortTaken) if attempt < 5 => attempt += 1,
                Err(failed) => failed.give_up(),
            }
        }
    }

    /// The realm's configuration, as `KRB5_CONFIG` names it.
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("krb5.conf")
    }

    /// The variables with which any program finds this realm.
    pub fn env(&self) -> Variables {
        vec![variable("KRB5_CONFIG", self.config())]
    }

    /// Makes a keytab for services, such as `host/localhost`, and the services themselves where they are new. The
    /// servers' user and the caller can read it.
    pub fn keytab(&self, file: &str, services: &[&str]) -> PathBuf {
        let path = self.dir.path().join(file);
        let script: String = services
            .iter()
            .map(|service| format!("addprinc -randkey {service}\nktadd -k {} {service}\n", path.display()))
            .collect();
        admin(&self.dir, &script);
        Account::give(&path);
        path
    }

    /// Gets tickets for `tester` that are valid for so long, as `kinit` does.
    pub fn kinit(&self, lifetime: Duration) -> Ccache {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let path = self.dir.path().join(format!("tickets-{}", SERIAL.fetch_add(1, Ordering::Relaxed)));
        let cache = Ccache { path, config: self.config() };
        self.renew(&cache, lifetime);
        cache
    }

    /// Puts new tickets into a file, as `kinit` does when it is run again.
    pub fn renew(&self, cache: &Ccache, lifetime: Duration) {
        let seconds = lifetime.as_secs();
        let kinit = Tool::new("kinit").args(&format!("-l {seconds}s -c FILE:{}", cache.path.display()));
        kinit.arg(format!("tester@{}", Self::REALM)).envs(&self.env()).input(format!("{PASSWORD}\n")).check();
    }

    /// Tickets that have expired. Takes two seconds, for that is how long they must have been valid.
    pub fn expired(&self) -> Ccache {
        let cache = self.kinit(Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(2_100));
        cache
    }
}

impl Ccache {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The variables that a client needs.
    pub fn env(&self) -> Variables {
        let tickets = ("KRB5CCNAME".to_owned(), format!("FILE:{}", self.path.display()));
        vec![variable("KRB5_CONFIG", &self.config), tickets]
    }
}

fn configure(dir: &Dir, port: u16) {
    let realm = Kdc::REALM;
    let at = dir.path().display();
    dir.file(
        "krb5.conf",
        format!(
            "[libdefaults]\n default_realm = {realm}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
             dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n[realms]\n {realm} = {{\n  \
             kdc = 127.0.0.1:{port}\n }}\n[domain_realm]\n localhost = {realm}\n"
        ),
    );
    dir.file(
        "kdc.conf",
        format!(
            "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n[realms]\n {realm} = \
             {{\n  database_name = {at}/database\n  key_stash_file = {at}/stash\n  acl_file = {at}/acl\n  max_life = \
             24h\n }}\n[logging]\n kdc = FILE:{at}/kdc.log\n"
        ),
    );
}

fn variables(dir: &Dir) -> Variables {
    vec![
        variable("KRB5_CONFIG", dir.path().join("krb5.conf")),
        variable("KRB5_KDC_PROFILE", dir.path().join("kdc.conf")),
    ]
}

fn make_database(dir: &Dir) {
    let create = format!("create -s -r {} -P master", Kdc::REALM);
    Tool::new("kdb5_util").args(&create).envs(&variables(dir)).check();
    admin(dir, &format!("addprinc -pw {PASSWORD} tester\n"));
}

fn admin(dir: &Dir, script: &str) {
    let tool = Tool::new("kadmin.local").args(&format!("-r {}", Kdc::REALM));
    tool.envs(&variables(dir)).input(script).check();
}

fn spec(dir: &Dir, port: u16) -> Spec {
    Spec {
        program: crate::tools::program("krb5kdc"),
        args: ["-n", "-r", Kdc::REALM, "-P"]
            .map(str::to_owned)
            .into_iter()
            .chain([dir.path().join("pid").to_string_lossy().into_owned()])
            .collect(),
        env: variables(dir),
        dir: dir.path().to_owned(),
        log: dir.path().join("kdc.out"),
        as_server: false,
        file_limit: None,
        ready: "krb5kdc: starting",
        port: Some(port),
    }
}
