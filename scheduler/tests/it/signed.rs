//! Tokens that an issuer signs, with keys that it publishes at a URL. OpenSSL makes the keys and the signatures.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, StatusCode};
use root_cluster::{Access, Cluster};
use root_engine::{ErrorKind, RootSession};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::doors::{FOR_USERS, UNAUTHENTICATED, is_grpc};
use crate::support::{Process, SAMPLE, free_port};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "root-query";

fn openssl(arguments: &[&str], folder: &Path) -> Vec<u8> {
    let made = Command::new("openssl").args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let made = made.expect("openssl makes keys: install the package openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    made.stdout
}

/// Who signs tokens.
struct Issuer {
    folder: TempDir,
    /// Where its keys are.
    keys: String,
    /// How often they were asked for.
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        openssl(
            &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key.pem"],
            folder.path(),
        );
        let printed = openssl(&["rsa", "-in", "key.pem", "-noout", "-modulus"], folder.path());
        let digits = String::from_utf8(printed).unwrap().trim().trim_start_matches("Modulus=").to_string();
        let modulus: Vec<u8> =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
        let key = json!({"kty": "RSA", "kid": "of today", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode(modulus)});
        let (set, asked) = (json!({ "keys": [key] }).to_string(), Arc::new(AtomicUsize::new(0)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let keys = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let count = asked.clone();
        let answer = move || async move {
            count.fetch_add(1, Ordering::Relaxed);
            set
        };
        let service = Router::new().route("/jwks.json", get(answer));
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { folder, keys, asked }
    }

    /// A token with these claims, and what else is changed in them.
    fn sign(&self, changes: Value) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({"iss": ISSUER, "aud": [AUDIENCE], "sub": "alice", "exp": now + 600});
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": "of today"});
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{header}.{claims}");
        std::fs::write(self.folder.path().join("signed"), &signed).unwrap();
        let signature = openssl(&["dgst", "-sha256", "-sign", "key.pem", "signed"], self.folder.path());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn access(&self, token: &str) -> Access {
        let path = self.folder.path().join("token");
        std::fs::write(&path, token).unwrap();
        let mut access = Access::default();
        access.token_file = Some(path);
        access
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_opens_every_door_for_users_until_it_expires_and_only_to_whom_it_is_addressed() {
    let issuer = Issuer::start().await;
    let (port, executors_port) = (free_port(), free_port());
    let listen = format!("127.0.0.1:{executors_port}");
    let trust = ["--jwks", &issuer.keys, "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE];
    let _scheduler = Process::scheduler_with(port, &[&trust, ["--executors-listen", &listen].as_slice()].concat());
    let _executor = Process::executor(executors_port);
    let url = format!("http://127.0.0.1:{port}");
    let valid = issuer.sign(json!({}));
    let cluster = crate::support::connected_with(&url, issuer.access(&valid)).await;

    let session = RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build();
    let sql = format!("SELECT MET_pt FROM '{SAMPLE}:Events' WHERE nMuon = 2");
    let rows = |batches: Vec<_>| batches.iter().map(datafusion::arrow::array::RecordBatch::num_rows).sum::<usize>();
    let here = RootSession::new().sql(&sql).await.unwrap().collect().await.unwrap();
    assert_eq!(rows(session.sql(&sql).await.unwrap().collect().await.unwrap()), rows(here));

    let denied = [
        ("expired", issuer.sign(json!({"exp": 1_700_000_000}))),
        ("somebody else", issuer.sign(json!({"aud": "another service"}))),
        ("issuer", issuer.sign(json!({"iss": "https://mallory.example"}))),
        ("not valid yet", issuer.sign(json!({"nbf": 32_000_000_000_u64}))),
        // What another has signed.
        ("signature", Issuer::start().await.sign(json!({}))),
    ];
    let http = Client::new();
    for (method, path) in FOR_USERS {
        for (reason, token) in denied.iter().map(|(reason, token)| (*reason, token)).chain([("", &valid)]) {
            let mut request = http.request(method.clone(), format!("{url}{path}")).bearer_auth(token);
            if is_grpc(path) {
                request = request.header("content-type", "application/grpc");
            }
            let answer = request.send().await.unwrap();
            let grpc = answer.headers().get("grpc-status").is_some_and(|code| code == UNAUTHENTICATED);
            let refused = grpc || answer.status() == StatusCode::UNAUTHORIZED;
            assert_eq!(refused, !reason.is_empty(), "{path}: {reason}");
        }
    }
    for (reason, token) in denied {
        let cluster = Cluster::connect_with(&url, issuer.access(&token)).await.unwrap();
        let error = cluster.elsewhere().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!error.to_string().contains(&token), "{error}");
    }
    // The keys were not fetched for each of the tokens.
    assert_eq!(issuer.asked.load(Ordering::Relaxed), 1);
}
