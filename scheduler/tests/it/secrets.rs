//! Secrets that people type, and where they must not turn up.

use std::path::Path;
use std::time::Duration;

use arrow_flight::sql::client::FlightSqlServiceClient;
use root_cluster::{Access, Cluster};
use root_engine::RootSession;
use tonic::transport::Endpoint;

use crate::support::{Process, SAMPLE, free_port, until};

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
    let options = ["--token-file", &tokens, "--executors-listen", &listen, "--event-log", &events, "--offer", data];
    let _scheduler = Process::tracing(
        "root-scheduler",
        &kept.join("scheduler.log"),
        &[&["--listen", &format!("127.0.0.1:{port}")], options.as_slice()],
    );
    let _executor = Process::tracing(
        "root-executor",
        &kept.join("executor.log"),
        &[&["--scheduler", &format!("http://127.0.0.1:{executors_port}"), "--cores", "1"]],
    );
    let mut access = Access::default();
    access.token_file = Some(own);
    let address = format!("http://127.0.0.1:{port}");
    until(Duration::from_secs(60), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    let cluster = Cluster::connect_with(&address, access).await.unwrap();
    let mut said = Vec::new();
    for _ in 0..600 {
        if cluster.status().await.is_ok_and(|status| status.cores > 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let session = RootSession::builder().elsewhere(cluster.elsewhere().await.unwrap()).build();
    let endpoint = Endpoint::from_shared(address.clone()).unwrap();
    let mut flight = FlightSqlServiceClient::new(endpoint.connect().await.unwrap());
    flight.set_token(token.clone());
    let sql = format!("SELECT count(*) FROM '{SAMPLE}:Events' WHERE nMuon = 2");
    assert_eq!(session.sql(&sql).await.unwrap().collect().await.unwrap()[0].num_rows(), 1);
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
    let job = jobs[0]["id"].as_str().unwrap();
    for path in ["", "/stages", "/config", "/dot"] {
        said.push(ask(&format!("/api/job/{job}{path}")).await);
    }
    for path in ["/v1/jobs", "/v1/cluster", "/api/state", "/api/executors", "/api/metrics", &format!("/v1/jobs/{job}")]
    {
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
