//! The certificates by which the parts of a Kubernetes know each other, all of one authority, and the key that signs the tokens of
//! service accounts.

use std::path::PathBuf;

use eos_testbed::{Dir, Tool};

/// Files of an authority and of whom it knows.
pub(crate) struct Pki<'a> {
    dir: &'a Dir,
}

impl<'a> Pki<'a> {
    /// A new one, in a directory.
    pub(crate) fn new(dir: &'a Dir) -> Self {
        let pki = Self { dir };
        pki.key("ca");
        dir.file(
            "ca.cnf",
            "[req]\ndistinguished_name=name\nx509_extensions=ca\n[name]\n[ca]\nbasicConstraints=critical,CA:TRUE\n\
             keyUsage=critical,keyCertSign,cRLSign,digitalSignature\nsubjectKeyIdentifier=hash\n",
        );
        pki.openssl("req -x509 -new -key ca.key -days 3650 -config ca.cnf -subj /CN=testbed -out ca.crt");
        pki.openssl("genrsa -out accounts.key 2048");
        pki.openssl("rsa -in accounts.key -pubout -out accounts.pub");
        pki
    }

    /// A file of it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A certificate for a server on loopback: `NAME.crt` and `NAME.key`.
    pub(crate) fn server(&self, name: &str) {
        self.sign(name, &format!("/CN={name}"), "serverAuth", Some("DNS:localhost,DNS:kubernetes,IP:127.0.0.1"));
    }

    /// A configuration for a user of a group, who shows a certificate to the server at a port.
    pub(crate) fn user(&self, name: &str, group: Option<&str>, port: u16) -> PathBuf {
        let file = name.replace(':', "-");
        let group = group.map(|group| format!("/O={group}")).unwrap_or_default();
        self.sign(&file, &format!("{group}/CN={name}"), "clientAuth", None);
        let path = |name: &str| self.file(name).display().to_string();
        let (ca, certificate, key) = (path("ca.crt"), path(&format!("{file}.crt")), path(&format!("{file}.key")));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: testbed\n\
             clusters: [{{name: testbed, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: '{ca}'}}}}]\n\
             users: [{{name: user, user: {{client-certificate: '{certificate}', client-key: '{key}'}}}}]\n\
             contexts: [{{name: testbed, context: {{cluster: testbed, user: user}}}}]\n"
        );
        self.dir.secret(&format!("{file}.conf"), text)
    }

    fn sign(&self, name: &str, subject: &str, usage: &str, names: Option<&str>) {
        self.key(name);
        let names = names.map(|names| format!("subjectAltName={names}\n")).unwrap_or_default();
        let extensions = format!("keyUsage=critical,digitalSignature\nextendedKeyUsage={usage}\n{names}");
        self.dir.file(&format!("{name}.ext"), extensions);
        self.openssl(&format!("req -new -key {name}.key -config ca.cnf -subj {subject} -out {name}.csr"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile {name}.ext -out {name}.crt"
        ));
    }

    fn key(&self, name: &str) {
        self.openssl(&format!("ecparam -name prime256v1 -genkey -noout -out {name}.key"));
    }

    fn openssl(&self, line: &str) {
        Tool::new("openssl").args(line).inside(self.dir.path()).check();
    }
}
