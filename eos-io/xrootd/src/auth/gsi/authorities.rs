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
