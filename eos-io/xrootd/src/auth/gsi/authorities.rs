//! The certificate authorities that this machine trusts: a directory with one file for each, named by a hash of its name,
//! and beside it a list of the certificates that it revoked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::super::AuthError;
use super::rsa::PublicKey;

/// Smaller keys of servers can be broken.
const FEWEST_BITS: usize = 2048;

pub(super) struct Authorities {
    directory: PathBuf,
    all: Vec<Authority>,
}

struct Authority {
    /// Eight hexadecimal digits.
    hash: String,
    certificate: CertificateDer<'static>,
    /// The encoded name.
    subject: Vec<u8>,
}

impl Authorities {
    pub(super) fn load(directory: PathBuf) -> Result<Self, AuthError> {
        let entries = std::fs::read_dir(&directory).map_err(|error| {
            AuthError::new(format!("cannot read the certificate authorities in {}: {error}", directory.display()))
                .hint("install them (the package is ca-policy-egi-core), or set X509_CERT_DIR")
        })?;
        let mut all = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some((hash, number)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
            if hash.len() == 8 && number.len() == 1 && number.bytes().all(|digit| digit.is_ascii_digit()) {
                // One that cannot be read is not trusted; if it is the one that is needed, that will be said.
                all.extend(certificates(&entry.path()).into_iter().filter_map(|certificate| {
                    let subject =
                        Certificate::from_der(&certificate).ok()?.tbs_certificate().subject().to_der().ok()?;
                    Some(Authority { hash: hash.to_owned(), certificate, subject })
                }));
            }
        }
        Ok(Authorities { directory, all })
    }

    /// The hashes of an authority's name: there are two ways to make them, and both may be there.
    pub(super) fn hashes(&self, subject: &[u8]) -> Vec<&str> {
        let mut hashes: Vec<&str> =
            self.all.iter().filter(|ca| ca.subject == subject).map(|ca| ca.hash.as_str()).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    /// The key of a server whose certificates (in PEM, its own first) prove that it is this host.
    pub(super) fn verify(&self, pem: &[u8], host: &str) -> Result<PublicKey, AuthError> {
        let refused = |why: &str| AuthError::new(format!("the server does not prove that it is {host}: {why}"));
        let chain: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
        let (own, others) = chain.split_first().ok_or_else(|| refused("it sent no certificate"))?;
        let name = ServerName::try_from(host).map_err(|_| refused("that is not a host name"))?;
        let parsed = Certificate::from_der(own).map_err(|_| refused("its certificate is malformed"))?;
        let issuer = parsed.tbs_certificate().issuer();
        let issuer_der = issuer.to_der().map_err(|_| refused("its certificate is malformed"))?;

        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.all.iter().map(|authority| authority.certificate.clone()));
        let lists = self.revocation_lists(&issuer_der);
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::new(rustls::crypto::ring::default_provider()),
        )
        .with_crls(lists)
        .only_check_end_entity_revocation()
        .allow_unknown_revocation_status()
        .build()
        .map_err(|error| {
            AuthError::new(format!(
                "the certificate authorities in {} cannot be used: {error}",
                self.directory.display()
            ))
            .hint(
                "set X509_CERT_DIR to a directory of certificate authorities, or renew its lists (.r0) with fetch-crl",
            )
        })?;
        verifier.verify_server_cert(own, others, &name, &[], UnixTime::now()).map_err(|error| {
            refused(&error.to_string())
                .hint(format!("is its authority ({issuer}) in {} (X509_CERT_DIR)?", self.directory.display()))
        })?;

        let key = parsed.tbs_certificate().subject_public_key_info();
        let key = PublicKey::parse(key.subject_public_key.raw_bytes())
            .ok_or_else(|| refused("its key is not one of RSA, or not a safe one"))?;
        if key.bits() < FEWEST_BITS {
            return Err(refused(&format!("its key has only {} bits", key.bits())));
        }
        Ok(key)
    }

    /// The lists of revoked certificates of one authority.
    fn revocation_lists(&self, subject: &[u8]) -> Vec<CertificateRevocationListDer<'static>> {
        let files = self.hashes(subject).into_iter().map(|hash| self.directory.join(format!("{hash}.r0")));
        let mut lists: Vec<_> = files
            .filter_map(|path| std::fs::read(path).ok())
            .map(|content| {
                CertificateRevocationListDer::from_pem_slice(&content)
                    .unwrap_or_else(|_| CertificateRevocationListDer::from(content))
            })
            .collect();
        // Both hashes lead to the same list.
        lists.dedup();
        lists
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let Ok(content) = std::fs::read(path) else { return Vec::new() };
    CertificateDer::pem_slice_iter(&content).filter_map(Result::ok).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use eos_testbed::{Ca, Identity, Tool};

    use super::*;

    fn verify(directory: PathBuf, identity: &Identity, host: &str) -> Result<PublicKey, AuthError> {
        let pem = std::fs::read(&identity.certificate).expect("a certificate");
        Authorities::load(directory).expect("readable").verify(&pem, host)
    }

    #[test]
    fn a_certificate_of_a_known_authority_is_accepted_for_its_names_alone() {
        let ca = Ca::of_this_process();
        assert_eq!(verify(ca.directory(), &ca.server(), "localhost").map(|key| key.bits()), Ok(2048));
        assert!(verify(ca.directory(), &ca.server(), "127.0.0.1").is_ok());
        let error = verify(ca.directory(), &ca.server(), "eos.example.org").expect_err("another name");
        assert!(error.reason.starts_with("the server does not prove that it is eos.example.org"), "{error}");
    }

    #[test]
    fn a_certificate_of_an_unknown_authority_is_refused_with_the_place_to_put_it() {
        let (known, unknown) = (Ca::of_this_process(), Ca::new());
        let error = verify(known.directory(), &unknown.server(), "localhost").expect_err("unknown");
        let hint = error.hint.expect("a hint");
        assert!(hint.contains("Test CA") && hint.contains("X509_CERT_DIR"), "{hint}");
    }

    #[test]
    fn a_users_certificate_does_not_make_a_server() {
        let ca = Ca::of_this_process();
        assert!(verify(ca.directory(), &ca.user(), "localhost").is_err());
    }

    #[test]
    fn a_revoked_certificate_is_refused() {
        let ca = Ca::new();
        let place = ca.certificate().parent().expect("a directory").to_path_buf();
        let openssl = |line: &str| Tool::new("openssl").args(line).inside(&place).check().text();
        let serial = openssl("x509 -in server.pem -noout -serial").trim().replace("serial=", "");
        std::fs::write(
            place.join("revoked.txt"),
            format!("R\t491231235959Z\t250101000000Z\t{serial}\tunknown\t/O=xrdtest/CN=localhost\n"),
        )
        .expect("written");
        std::fs::write(place.join("number"), "01\n").expect("written");
        std::fs::write(
            place.join("crl.cnf"),
            "[ca]\ndefault_ca=all\n[all]\ndatabase=revoked.txt\ncrlnumber=number\ndefault_md=sha256\n\
             default_crl_days=30\n",
        )
        .expect("written");
        let hash = openssl("x509 -in ca.pem -noout -subject_hash").trim().to_owned();
        let other = ca.server_named(&["localhost"]);
        assert!(verify(ca.directory(), &ca.server(), "localhost").is_ok());

        openssl(&format!("ca -gencrl -config crl.cnf -keyfile ca.key -cert ca.pem -out certs/{hash}.r0"));
        let error = verify(ca.directory(), &ca.server(), "localhost").expect_err("revoked");
        assert!(error.reason.contains("Revoked"), "{error}");
        assert!(verify(ca.directory(), &other, "localhost").is_ok());

        std::fs::write(ca.directory().join(format!("{hash}.r0")), "no list").expect("written");
        let error = verify(ca.directory(), &other, "localhost").expect_err("no list");
        assert!(error.hint.expect("a hint").contains("fetch-crl"));
    }

    #[test]
    fn the_hashes_of_an_authority_are_the_names_of_its_files() {
        let ca = Ca::of_this_process();
        let openssl = |kind: &str| {
            let tool = Tool::new("openssl").args("x509 -noout").arg(kind).arg("-in").arg(ca.certificate());
            tool.check().text().trim().to_owned()
        };
        let mut expected = [openssl("-subject_hash"), openssl("-subject_hash_old")];
        expected.sort();
        let pem = std::fs::read(ca.certificate()).expect("a certificate");
        let der = CertificateDer::from_pem_slice(&pem).expect("a certificate");
        let subject = Certificate::from_der(&der).expect("a certificate").tbs_certificate().subject().to_der();
        let authorities = Authorities::load(ca.directory()).expect("readable");
        assert_eq!(authorities.hashes(&subject.expect("encodable")), expected);
    }

    #[test]
    fn without_a_directory_the_hint_says_which_variable_names_it() {
        let error = Authorities::load("/nowhere/at/all".into()).err().expect("missing");
        assert!(error.hint.expect("a hint").contains("X509_CERT_DIR"));
    }
}
