//! A certificate authority of our own, for servers with TLS and for users of the grid.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, OnceLock};

use super::{Variables, variable};
use crate::place::Dir;
use crate::tools::Tool;

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key; that of a server can be read by the servers' user alone.
    pub key: PathBuf,
}

/// A certificate authority, as a file and as a directory of hashed names. Any number of threads can ask it at once.
#[derive(Debug)]
pub struct Ca {
    dir: Dir,
    server: Identity,
    user: OnceLock<Identity>,
    proxy: OnceLock<PathBuf>,
    /// The serial number of the next certificate.
    next: AtomicU32,
}

impl Ca {
    /// A new one, with a server's certificate for `localhost` and 127.0.0.1.
    pub fn new() -> Self {
        let dir = Dir::new("ca");
        let request = "req -x509 -newkey rsa:2048 -nodes -sha256 -days 3650 -keyout ca.key -out ca.pem -subj";
        dir.file(
            "ca.cnf",
            "[req]\ndistinguished_name=name\nx509_extensions=ca\n[name]\n[ca]\nbasicConstraints=critical,\
             CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n",
        );
        openssl(&dir, request).arg("/O=xrdtest/CN=Test CA").args("-config ca.cnf").check();

        // Programs look for the file under a hash of the subject; those of the grid under an older hash as well, with
        // what the authority may sign beside it.
        let hashed = dir.folder("certs");
        for hash in ["-subject_hash", "-subject_hash_old"] {
            let hash = openssl(&dir, "x509 -in ca.pem -noout").arg(hash).check().text();
            let hash = hash.trim();
            fs::copy(dir.path().join("ca.pem"), hashed.join(format!("{hash}.0"))).expect("our directory");
            let policy = "access_id_CA X509 '/O=xrdtest/CN=Test CA'\npos_rights globus CA:sign\ncond_subjects globus \
                          '\"/O=xrdtest/*\"'\n";
            fs::write(hashed.join(format!("{hash}.signing_policy")), policy).expect("our directory");
        }

        let names = ["localhost", "127.0.0.1"];
        let server = sign(&dir, "server", 1, "/O=xrdtest/CN=localhost", &names, "serverAuth,clientAuth");
        crate::place::Account::give(&server.key);
        Self { dir, server, user: OnceLock::new(), proxy: OnceLock::new(), next: AtomicU32::new(2) }
    }

    /// One for all tests of a process: making one takes a second.
    pub fn of_this_process() -> &'static Self {
        static CA: LazyLock<Ca> = LazyLock::new(Ca::new);
        &CA
    }

    /// Its certificate, in PEM.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A directory with its certificate under hashed names, as `X509_CERT_DIR` names it.
    pub fn directory(&self) -> PathBuf {
        self.dir.path().join("certs")
    }

    /// The server's certificate for `localhost` and 127.0.0.1.
    pub fn server(&self) -> Identity {
        self.server.clone()
    }

    /// A server's certificate for other names, or addresses.
    pub fn server_named(&self, names: &[&str]) -> Identity {
        let first = names.first().copied().unwrap_or("nobody");
        let serial = self.next.fetch_add(1, Ordering::Relaxed);
        let subject = format!("/O=xrdtest/CN={first}");
        let identity = sign(&self.dir, &format!("server-{serial}"), serial, &subject, names, "serverAuth");
        crate::place::Account::give(&identity.key);
        identity
    }

    /// A user's certificate, made when it is first asked for.
    pub fn user(&self) -> Identity {
        let make = || {
            let serial = self.next.fetch_add(1, Ordering::Relaxed);
            sign(&self.dir, "user", serial, "/O=xrdtest/CN=Test User", &[], "clientAuth")
        };
        self.user.get_or_init(make).clone()
    }

    /// A proxy of the user's certificate as `X509_USER_PROXY` names it: a chain and a key in one file.
    pub fn proxy(&self) -> PathBuf {
        let make = || {
            let user = self.user();
            let file = self.dir.path().join("proxy.pem");
            let tool = Tool::new("xrdgsiproxy").args("init -valid 24:00 -cert").arg(&user.certificate).arg("-key");
            tool.arg(&user.key)
                .arg("-out")
                .arg(&file)
                .arg("-certdir")
                .arg(self.directory())
                .envs(&[variable("X509_CERT_DIR", self.directory())])
                .check();
            file
        };
        self.proxy.get_or_init(make).clone()
    }

    /// The variables that a client needs to trust this authority.
    pub fn env(&self) -> Variables {
        vec![variable("X509_CERT_DIR", self.directory()), variable("X509_CERT_FILE", self.certificate())]
    }
}

impl Default for Ca {
    fn default() -> Self {
        Self::new()
    }
}

/// Several may be signed at once: each has files of its own, and a serial number that comes from no file.
fn sign(dir: &Dir, file: &str, serial: u32, subject: &str, names: &[&str], usage: &str) -> Identity {
    let names: Vec<String> = names
        .iter()
        .map(|name| if name.parse::<std::net::IpAddr>().is_ok() { format!("IP:{name}") } else { format!("DNS:{name}") })
        .collect();
    let mut extensions = format!("keyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage={usage}\n");
    if !names.is_empty() {
        extensions.push_str(&format!("subjectAltName={}\n", names.join(",")));
    }
    dir.file(&format!("{file}.ext"), extensions);
    let request =
        format!("req -newkey rsa:2048 -nodes -sha256 -config ca.cnf -keyout {file}.key -out {file}.csr -subj");
    openssl(dir, &request).arg(subject).check();
    let signing = format!(
        "x509 -req -in {file}.csr -CA ca.pem -CAkey ca.key -set_serial {serial} -days 3650 -sha256 -extfile {file}.ext \
         -out {file}.pem"
    );
    openssl(dir, &signing).check();
    let key = dir.path().join(format!("{file}.key"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o400);
    fs::set_permissions(&key, mode).expect("the key is ours");
    Identity { certificate: dir.path().join(format!("{file}.pem")), key }
}

fn openssl(dir: &Dir, line: &str) -> Tool {
    Tool::new("openssl").args(line).inside(Path::new(dir.path()))
}
