//! Credentials that tests share: they are asked for from many threads at once, and fit together all the same.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Barrier;

use eos_testbed::{Ca, Tool};

/// What many threads get that ask at the same time.
fn all_at_once<T: Send>(ask: impl Fn() -> T + Sync) -> Vec<T> {
    const THREADS: usize = 4;
    let together = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    together.wait();
                    ask()
                })
            })
            .collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn openssl(line: &str, file: &Path) -> String {
    Tool::new("openssl").args(line).arg(file).check().text().trim().to_owned()
}

/// Whether the key of one certificate has signed another one. `openssl verify` does not say: `xrdgsiproxy` copies the
/// identifiers of keys from the user's certificate, so that no chain is found.
fn has_signed(issuer: &Path, certificate: &Path) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| Tool::new("openssl").args(line).inside(folder.path()).run();
    let part = |offset: &str, name: &str| {
        assert!(run(&format!("asn1parse -in {} -strparse {offset} -noout -out {name}", certificate.display())).ok);
    };
    let outline = openssl("asn1parse -in", certificate);
    let signature = outline.lines().rfind(|line| line.contains("BIT STRING")).unwrap();
    part("4", "signed");
    part(signature.split_once(':').unwrap().0.trim(), "signature");
    std::fs::write(folder.path().join("key"), openssl("x509 -noout -pubkey -in", issuer)).unwrap();
    run("dgst -sha1 -verify key -signature signature signed").ok
}

#[test]
fn everybody_gets_the_same_proxy_which_the_certificate_of_the_user_has_signed() {
    let ca = Ca::new();

    let read = |path| std::fs::read_to_string(path).unwrap();
    let got = all_at_once(|| (read(ca.proxy()), read(ca.user().certificate), read(ca.user().key)));

    let (proxy, user) = (ca.proxy(), ca.user());
    assert!(got.iter().all(|got| *got == (read(ca.proxy()), read(ca.user().certificate), read(ca.user().key))));
    assert!(has_signed(&user.certificate, &proxy));
    assert!(!has_signed(&ca.certificate(), &proxy));
    for (certificate, key) in [(&user.certificate, &user.key), (&proxy, &proxy)] {
        assert_eq!(openssl("x509 -noout -pubkey -in", certificate), openssl("pkey -pubout -in", key));
    }
}

#[test]
fn certificates_made_at_the_same_time_are_all_different() {
    let ca = Ca::new();

    let made = all_at_once(|| ca.server_named(&["elsewhere.test"]));

    let certificates: Vec<_> = made.iter().map(|identity| &identity.certificate).collect();
    assert_eq!(certificates.iter().collect::<BTreeSet<_>>().len(), made.len());
    let serials: BTreeSet<_> = certificates.iter().map(|file| openssl("x509 -noout -serial -in", file)).collect();
    assert_eq!(serials.len(), made.len());
    for identity in &made {
        let (certificate, key) = (&identity.certificate, &identity.key);
        assert_eq!(openssl("x509 -noout -pubkey -in", certificate), openssl("pkey -pubout -in", key));
    }
}
