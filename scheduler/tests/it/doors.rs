//! Who gets in, by which door, and to what.

use std::path::{Path, PathBuf};
use std::process::Command;

use arrow_flight::sql::client::FlightSqlServiceClient;
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use reqwest::{Client, Method, StatusCode};
use root_cluster::{Access, Cluster};
use root_engine::{ErrorKind, RootSession};
use tempfile::TempDir;
use tonic::transport::Endpoint;

use crate::support::{Process, SAMPLE, connected_with, free_port, sample};

const ALICE: &str = "alice-0123456789abcdef";
const BOB: &str = "bob-0123456789abcdef";

/// A scheduler that wants tokens, with an executor.
struct Guarded {
    folder: TempDir,
    port: u16,
    executors_port: u16,
    scheme: &'static str,
    server_name: Option<&'static str>,
    _processes: [Process; 2],
}

impl Guarded {
    async fn start(encrypted: bool) -> Self {
        Self::start_as(encrypted, None).await
    }

    /// The same, with a certificate of a host that has another name than its address.
    async fn start_as(encrypted: bool, server_name: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(file("tokens"), format!("alice:{ALICE}\nbob:{BOB}\n")).unwrap();
        for (name, token) in [("alice", ALICE), ("bob", BOB), ("mallory", "mallory-0123456789abcdef")] {
            std::fs::write(file(name), token).unwrap();
        }
        let (port, executors_port) = (free_port(), free_port());
        let listen = format!("127.0.0.1:{executors_port}");
        let sample = sample();
        let data = Path::new(&sample).parent().unwrap().to_str().unwrap();
        let (tokens, certificate, key) = (file("tokens"), file("cert.pem"), file("key.pem"));
        let mut options = vec!["--token-file", &tokens, "--executors-listen", &listen, "--offer", data];
        if encrypted {
            certify(folder.path(), &server_name.map_or("IP:127.0.0.1".to_string(), |name| format!("DNS:{name}")));
            options.extend(["--tls-cert", &certificate, "--tls-key", &key]);
        }
        let processes = [Process::scheduler_with(port, &options), Process::executor(executors_port)];
        let scheme = if encrypted { "https" } else { "http" };
        let guarded = Self { folder, port, executors_port, scheme, server_name, _processes: processes };
        connected_with(&guarded.url(), guarded.access("alice")).await;
        guarded
    }

    fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn access(&self, user: &str) -> Access {
        let mut access = Access::default();
        access.token_file = Some(self.file(user));
        access.server_name = self.server_name.map(str::to_string);
        access.authorities = (self.scheme == "https").then(|| self.file("cert.pem"));
        access
    }

    async fn cluster(&self, user: &str) -> Result<Cluster, root_cluster::Error> {
        Cluster::connect_with(&self.url(), self.access(user)).await
    }

    async fn session(&self, user: &str) -> RootSession {
        let cluster = self.cluster(user).await.unwrap();
        RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build()
    }

    /// The state of an answer, by HTTP or, behind that, by gRPC; and its body.
    async fn ask(&self, port: u16, method: Method, path: &str, token: Option<&str>) -> (StatusCode, String, String) {
        let mut request = Client::new().request(method, format!("http://127.0.0.1:{port}{path}"));
        if is_grpc(path) {
            request = request.header("content-type", "application/grpc");
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        let grpc = answer.headers().get("grpc-status").map(|code| code.to_str().unwrap().to_string());
        (answer.status(), grpc.unwrap_or_default(), answer.text().await.unwrap())
    }
}

pub(crate) fn is_grpc(path: &str) -> bool {
    path.starts_with("/ballista.") || path.starts_with("/arrow.")
}

/// A certificate that vouches for itself, of a host.
fn certify(folder: &Path, host: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=root-query", "-addext", &format!("subjectAltName={host}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("cert.pem"))
        .output()
        .expect("openssl makes certificates: install the package openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

pub(crate) const FOR_USERS: [(Method, &str); 21] = [
    (Method::GET, "/v1/cluster"),
    (Method::GET, "/v1/jobs"),
    (Method::GET, "/v1/jobs/1"),
    (Method::DELETE, "/v1/jobs/1"),
    (Method::GET, "/api/state"),
    (Method::GET, "/api/executors"),
    (Method::GET, "/api/jobs"),
    (Method::GET, "/api/job/1"),
    (Method::PATCH, "/api/job/1"),
    (Method::GET, "/api/job/1/stages"),
    (Method::GET, "/api/metrics"),
    (Method::POST, "/ballista.protobuf.SchedulerGrpc/ExecuteQueryPush"),
    (Method::POST, "/ballista.protobuf.SchedulerGrpc/ExecuteQuery"),
    (Method::POST, "/ballista.protobuf.SchedulerGrpc/GetJobStatus"),
    (Method::POST, "/ballista.protobuf.SchedulerGrpc/GetJobMetrics"),
    (Method::POST, "/ballista.protobuf.SchedulerGrpc/CancelJob"),
    (Method::POST, "/ballista.protobuf.SchedulerGrpc/CleanJobData"),
    (Method::POST, "/arrow.flight.protocol.FlightService/Handshake"),
    (Method::POST, "/arrow.flight.protocol.FlightService/GetFlightInfo"),
    (Method::POST, "/arrow.flight.protocol.FlightService/DoGet"),
    (Method::POST, "/arrow.flight.protocol.FlightService/DoAction"),
];

const FOR_EXECUTORS: [&str; 5] = [
    "/ballista.protobuf.SchedulerGrpc/RegisterExecutor",
    "/ballista.protobuf.SchedulerGrpc/HeartBeatFromExecutor",
    "/ballista.protobuf.SchedulerGrpc/UpdateTaskStatus",
    "/ballista.protobuf.SchedulerGrpc/ExecutorStopped",
    "/ballista.protobuf.SchedulerGrpc/PollWork",
];

pub(crate) const UNAUTHENTICATED: &str = "16";
const PERMISSION_DENIED: &str = "7";

#[tokio::test(flavor = "multi_thread")]
async fn every_door_for_users_is_closed_to_who_shows_no_token_or_another() {
    let guarded = Guarded::start(false).await;
    for (method, path) in FOR_USERS {
        for token in [None, Some("mallory-0123456789abcdef"), Some("")] {
            let (status, grpc, body) = guarded.ask(guarded.port, method.clone(), path, token).await;
            match is_grpc(path) {
                true => assert_eq!(grpc, UNAUTHENTICATED, "{path} {token:?}"),
                false => assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {token:?}: {body}"),
            }
            assert!(!body.contains("mallory"), "{body}");
        }
        // Whatever becomes of it, it is not for want of a token.
        let (status, grpc, _) = guarded.ask(guarded.port, method, path, Some(ALICE)).await;
        assert!(status != StatusCode::UNAUTHORIZED && grpc != UNAUTHENTICATED, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_after_processes_needs_no_token_to_see_that_one_answers() {
    let guarded = Guarded::start(false).await;
    for port in [guarded.port, guarded.executors_port] {
        let (status, _, body) = guarded.ask(port, Method::GET, "/healthz", None).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "ok"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_cannot_act_as_executors_and_nobody_can_query_by_the_door_of_executors() {
    let guarded = Guarded::start(false).await;
    for path in FOR_EXECUTORS {
        for token in [None, Some(ALICE)] {
            let (_, grpc, _) = guarded.ask(guarded.port, Method::POST, path, token).await;
            assert_eq!(grpc, PERMISSION_DENIED, "{path} {token:?}");
        }
    }
    for (method, path) in FOR_USERS.into_iter().filter(|(_, path)| *path != "/v1/cluster") {
        let (status, grpc, _) = guarded.ask(guarded.executors_port, method, path, Some(ALICE)).await;
        assert!(status == StatusCode::FORBIDDEN || grpc == PERMISSION_DENIED, "{path}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_sees_and_cancels_jobs_of_their_own_only() {
    let guarded = Guarded::start(false).await;
    let sql = format!("SELECT count(*) FROM '{SAMPLE}:Events' WHERE nMuon = 2");
    guarded.session("alice").await.sql(&sql).await.unwrap().collect().await.unwrap();
    let of = async |token: &'static str, path: &str| {
        let (status, _, body) = guarded.ask(guarded.port, Method::GET, path, Some(token)).await;
        (status, serde_json::from_str::<serde_json::Value>(&body).unwrap_or_default())
    };
    let (_, jobs) = of(ALICE, "/v1/jobs").await;
    let [job] = jobs.as_array().unwrap().as_slice() else { panic!("{jobs}") };
    assert_eq!((job["state"].as_str(), job["entries"].as_u64()), (Some("succeeded"), Some(1000)), "{job}");
    let id = job["id"].as_str().unwrap();
    assert_eq!(of(BOB, "/v1/jobs").await.1.as_array().unwrap().len(), 0);

    for path in [format!("/v1/jobs/{id}"), format!("/api/job/{id}"), format!("/api/job/{id}/stages")] {
        assert_eq!(of(ALICE, &path).await.0, StatusCode::OK, "{path}");
        assert_eq!(of(BOB, &path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(of(ALICE, "/api/jobs").await.0, StatusCode::FORBIDDEN);
    let cancel = guarded.ask(guarded.port, Method::DELETE, &format!("/v1/jobs/{id}"), Some(BOB)).await;
    assert_eq!(cancel.0, StatusCode::NOT_FOUND);
    let error = guarded.cluster("bob").await.unwrap().cancel(id).await.unwrap_err();
    assert!(error.to_string().contains("there is no job"), "{error}");
    guarded.cluster("alice").await.unwrap().cancel(id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_a_token_that_is_not_known_is_told_where_it_comes_from() {
    let guarded = Guarded::start(false).await;
    let cluster = guarded.cluster("mallory").await.unwrap();
    let error = cluster.elsewhere().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.to_string().contains("--cluster-token-file"), "{error}");
    assert!(!error.to_string().contains("0123456789"), "{error}");
    let error = guarded.cluster("nobody").await.unwrap().elsewhere().await.unwrap_err();
    assert!(error.to_string().contains("nobody"), "{error}");
}

/// The whole way with a certificate: a plan goes in, and its rows come out, by the port of the scheduler alone.
#[tokio::test(flavor = "multi_thread")]
async fn queries_and_their_rows_go_encrypted_through_the_one_port() {
    let guarded = Guarded::start(true).await;
    let sql = format!("SELECT MET_pt, Muon_pt FROM '{SAMPLE}:Events' WHERE nMuon = 2");
    let expected = RootSession::new().sql(&sql).await.unwrap().collect().await.unwrap();
    let found = guarded.session("alice").await.sql(&sql).await.unwrap().collect().await.unwrap();
    let pretty = |batches: &[_]| datafusion::arrow::util::pretty::pretty_format_batches(batches).unwrap().to_string();
    assert_eq!(pretty(&found), pretty(&expected));

    let mut access = guarded.access("alice");
    access.authorities = None;
    let url = format!("https://127.0.0.1:{}", guarded.port);
    assert!(Cluster::connect_with(&url, access).await.is_err(), "nobody vouches for it");
    let plain = Cluster::connect_with(&url.replace("https", "http"), guarded.access("alice")).await;
    let answered = match plain {
        Ok(cluster) => cluster.status().await.is_ok(),
        Err(_) => false,
    };
    assert!(!answered, "it answers without TLS");
}

/// As where a tunnel leads to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_host_is_taken_by_who_expects_that_host_and_by_nobody_else() {
    let guarded = Guarded::start_as(true, Some("muons-users.physics.svc")).await;
    let sql = format!("SELECT count(*) AS events FROM '{SAMPLE}:Events' WHERE nMuon = 2");

    let found = guarded.session("alice").await.sql(&sql).await.unwrap().collect().await.unwrap();

    let expected = RootSession::new().sql(&sql).await.unwrap().collect().await.unwrap();
    let count = |batch: &datafusion::arrow::array::RecordBatch| batch.column(0).as_primitive::<Int64Type>().value(0);
    assert_eq!(count(&found[0]), count(&expected[0]));
    for other in [None, Some("muons-users.chemistry.svc"), Some("127.0.0.1")] {
        let mut access = guarded.access("alice");
        access.server_name = other.map(str::to_string);
        assert!(Cluster::connect_with(&guarded.url(), access).await.is_err(), "{other:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_by_other_programs_wants_the_same_tokens() {
    let guarded = Guarded::start(false).await;
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", guarded.port)).unwrap();
    let mut client = FlightSqlServiceClient::new(endpoint.connect().await.unwrap());
    let sql = format!("SELECT count(*) FROM '{}:Events' WHERE nMuon = 2", sample());
    assert!(client.execute(sql.clone(), None).await.is_err());
    // Programs that know names and passwords show the token as a password.
    client.handshake("alice", ALICE).await.unwrap();
    client.set_token(ALICE.to_string());
    let info = client.execute(sql, None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    client.set_token(BOB.to_string());
    assert!(client.do_get(ticket.clone()).await.is_err(), "a ticket is its owner's");
    client.set_token(ALICE.to_string());
    let rows: Vec<_> = client.do_get(ticket).await.unwrap().try_collect().await.unwrap();
    assert!(rows[0].column(0).as_primitive::<Int64Type>().value(0) > 0);
}
