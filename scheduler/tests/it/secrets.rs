//! Secrets that people type, and where they must not turn up.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_flight::sql::client::FlightSqlServiceClient;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use eos_io::{Settings, Stores};
use futures::TryStreamExt;
use root_cluster::Access;
use root_engine::{RootSession, message_of};
use tonic::transport::Endpoint;

use crate::files::{FileServer, Reply};
use crate::support::{Process, SAMPLE, connected_with, free_port};

/// Everything that is planted holds this.
const PLANTED: &str = "planted5ecret";

fn texts(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(texts(&path)),
            false => {
                found.push((path.display().to_string(), String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into()))
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_stands_in_no_log_answer_or_error() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    std::fs::create_dir_all(kept.join("events")).unwrap();
    let token = format!("alice-token-{PLANTED}");
    let (tokens, own) = (folder.path().join("tokens"), folder.path().join("alice"));
    std::fs::write(&tokens, format!("alice:{token}\n")).unwrap();
    std::fs::write(&own, &token).unwrap();
    let (port, executors_port) = (free_port(), free_port());
    let events = kept.join("events").display().to_string();
    let data = Path::new(SAMPLE).parent().unwrap().to_str().unwrap();
    let tokens = tokens.display().to_string();
    let listen = format!("127.0.0.1:{executors_port}");
    // Storage that answers only who knows the secret, which the programs know from their settings.
    let storage = FileServer::start("127.0.0.1", std::fs::read(SAMPLE).unwrap(), |_, headers| {
        let shown = headers.get("x-key").is_some_and(|key| key.as_bytes().ends_with(PLANTED.as_bytes()));
        if shown { Reply::File } else { Reply::Unavailable }
    });
    let storage = storage.await;
    let stores = folder.path().join("stores").display().to_string();
    let settings = format!("[http]\nretries = 0\nheaders = {{ X-Key = 'key-{PLANTED}' }}\n");
    std::fs::write(&stores, settings).unwrap();
    let mut settings = Settings::default();
    settings.http.headers = BTreeMap::from([("X-Key".to_string(), format!("key-{PLANTED}"))]);
    let options = [
        "--stores",
        &stores,
        "--token-file",
        &tokens,
        "--executors-listen",
        &listen,
        "--event-log",
        &events,
        "--offer",
        data,
    ];
    let _scheduler = Process::tracing(
        "root-scheduler",
        &kept.join("scheduler.log"),
        &[&["--listen", &format!("127.0.0.1:{port}")], options.as_slice()],
    );
    let _executor = Process::tracing(
        "root-executor",
        &kept.join("executor.log"),
        &[&["--scheduler", &format!("http://127.0.0.1:{executors_port}"), "--cores", "1", "--stores", &stores]],
    );
    let mut access = Access::default();
    access.token_file = Some(own);
    let address = format!("http://127.0.0.1:{port}");
    let cluster = connected_with(&address, access).await;
    let mut said = Vec::new();

    let known = Stores::builder().settings(settings).build();
    let session = RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).stores(known).build();
    let endpoint = Endpoint::from_shared(address.clone()).unwrap();
    let mut flight = FlightSqlServiceClient::new(endpoint.connect().await.unwrap());
    flight.set_token(token.clone());
    let sql = format!("SELECT count(*) FROM '{SAMPLE}:Events' WHERE nMuon = 2");
    assert_eq!(session.sql(&sql).await.unwrap().collect().await.unwrap()[0].num_rows(), 1);
    let sql = format!("SELECT count(*) FROM '{}:Events' WHERE nMuon = 2", storage.url("f.root"));
    for sql in [sql.clone(), format!("EXPLAIN ANALYZE {sql}")] {
        let frame = session.sql(&sql).await.unwrap();
        said.push(pretty_format_batches(&frame.collect().await.unwrap()).unwrap().to_string());
    }
    let info = flight.execute(sql, None).await.unwrap();
    said.push(format!("{info:?}"));
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let rows: Vec<RecordBatch> = flight.do_get(ticket).await.unwrap().try_collect().await.unwrap();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
    // What stands in a URL is not sent to other processes at all.
    let sql = format!("SELECT count(*) FROM '{}?authz={PLANTED}:Events' WHERE nMuon = 2", storage.url("f.root"));
    let error = message_of(&session.sql(&sql).await.unwrap().collect().await.unwrap_err());
    assert!(error.contains("/?authz=***' holds a secret, which is not sent"), "{error}");
    for file in [
        format!("root://me:{PLANTED}@127.0.0.1:1//x.root:Events"),
        format!("http://me:{PLANTED}@127.0.0.1:1/x.root:Events"),
        format!("http://127.0.0.1:1/x.root?authz={PLANTED}:Events"),
        format!("root://127.0.0.1:1//x.root?authz=Bearer%20{PLANTED}:Events"),
    ] {
        for sql in [format!("SELECT * FROM '{file}'"), format!("EXPLAIN VERBOSE SELECT * FROM '{file}'")] {
            said.push(session.sql(&sql).await.map(|_| ()).unwrap_err().to_string());
            said.push(flight.execute(sql, None).await.map(|_| ()).unwrap_err().to_string());
        }
    }
    let http = reqwest::Client::new();
    let ask = async |path: &str| {
        http.get(format!("{address}{path}")).bearer_auth(&token).send().await.unwrap().text().await.unwrap()
    };
    let jobs: Vec<serde_json::Value> = serde_json::from_str(&ask("/v1/jobs").await).unwrap();
    assert!(jobs.len() >= 4, "{jobs:?}");
    for job in &jobs {
        let job = job["id"].as_str().unwrap();
        for path in ["", "/stages", "/config", "/dot"] {
            said.push(ask(&format!("/api/job/{job}{path}")).await);
        }
        said.push(ask(&format!("/v1/jobs/{job}")).await);
    }
    for path in ["/v1/jobs", "/v1/cluster", "/api/state", "/api/executors", "/api/metrics", "/metrics"] {
        said.push(ask(path).await);
    }

    for text in &said {
        assert!(!text.contains(PLANTED), "{text}");
    }
    let kept = texts(&kept);
    assert!(
        kept.iter().any(|(name, text)| name.ends_with("scheduler.log") && text.contains("TRACE")),
        "{}",
        kept.len()
    );
    for (name, text) in kept {
        let line = text.lines().find(|line| line.contains(PLANTED));
        assert!(line.is_none(), "{name}: {}", line.unwrap_or_default());
    }
}
