//! SQL by other programs, over Arrow Flight SQL.

use std::path::Path;
use std::time::Duration;

use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetTables, SqlInfo};
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use root_engine::RootSession;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::support::{Process, connected, free_port, sample};

type Client = FlightSqlServiceClient<Channel>;

/// A scheduler that offers the sample, with an executor.
struct Served {
    _processes: [Process; 2],
    port: u16,
}

async fn served() -> Served {
    let port = free_port();
    let sample = sample();
    let data = Path::new(&sample).parent().unwrap().to_str().unwrap();
    let processes = [Process::scheduler_with(port, &["--offer", data]), Process::executor(port)];
    connected(port).await;
    Served { _processes: processes, port }
}

impl Served {
    async fn client(&self) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{}", self.port)).unwrap();
        FlightSqlServiceClient::new(endpoint.connect().await.unwrap())
    }

    async fn jobs(&self) -> Vec<serde_json::Value> {
        let answer = reqwest::get(format!("http://127.0.0.1:{}/v1/jobs", self.port)).await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }
}

async fn rows(client: &mut Client, sql: &str) -> Result<Vec<RecordBatch>, FlightError> {
    let info = client.execute(sql.to_string(), None).await?;
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    client.do_get(ticket).await?.try_collect().await
}

/// The code and the text of an error.
fn status_of(error: &FlightError) -> (Code, String) {
    match error {
        FlightError::Tonic(status) => (status.code(), status.message().to_string()),
        error => (Code::Unknown, error.to_string()),
    }
}

fn pretty(batches: &[RecordBatch]) -> String {
    datafusion::arrow::util::pretty::pretty_format_batches(batches).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_has_the_rows_that_it_has_in_one_process() {
    let (served, sample) = (served().await, sample());
    let mut client = served.client().await;
    let here = RootSession::new();
    for sql in [
        format!("SELECT count(*) AS n, round(sum(MET_pt), 3) AS s FROM '{sample}:Events' WHERE nMuon = 2"),
        format!("SELECT nMuon, count(*) AS n FROM '{sample}:Events' GROUP BY nMuon ORDER BY nMuon"),
        format!("SELECT event, array_filter(Muon_pt, p -> p > 20) AS p FROM '{sample}:Events' ORDER BY event LIMIT 20"),
        format!("SELECT hist_json(hist(MET_pt, 4, 0, 80)) AS h FROM '{sample}:Events'"),
        "SELECT 1 + 1 AS two".to_string(),
    ] {
        let expected = here.sql(&sql).await.unwrap().collect().await.unwrap();
        assert_eq!(pretty(&rows(&mut client, &sql).await.unwrap()), pretty(&expected), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_session_has_named_it_knows_later_and_tells_drivers() {
    let (served, sample) = (served().await, sample());
    let mut client = served.client().await;
    for sql in [
        format!("CREATE EXTERNAL TABLE events STORED AS ROOT LOCATION '{sample}:Events'"),
        "CREATE VIEW pairs AS SELECT * FROM events WHERE nMuon = 2".to_string(),
    ] {
        assert!(rows(&mut client, &sql).await.unwrap().iter().all(|batch| batch.num_rows() == 0), "{sql}");
    }
    let counted = rows(&mut client, "SELECT count(*) FROM pairs").await.unwrap();
    let expected = RootSession::new().sql(&format!("SELECT count(*) FROM '{sample}:Events' WHERE nMuon = 2")).await;
    let expected = expected.unwrap().collect().await.unwrap();
    let number = |batches: &[RecordBatch]| batches[0].column(0).as_primitive::<Int64Type>().value(0);
    assert_eq!(number(&counted), number(&expected));

    let info =
        client.get_tables(CommandGetTables { include_schema: true, ..CommandGetTables::default() }).await.unwrap();
    let tables: Vec<RecordBatch> =
        client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap().try_collect().await.unwrap();
    let tables = pretty(&tables.iter().map(|batch| batch.project(&[2, 3]).unwrap()).collect::<Vec<_>>());
    assert!(tables.contains("| events ") && tables.contains("| pairs "), "{tables}");
    let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerName]).await.unwrap();
    let told: Vec<RecordBatch> =
        client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap().try_collect().await.unwrap();
    assert!(pretty(&told).contains("root-query"), "{}", pretty(&told));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_runs_again_and_again_until_it_is_closed() {
    let (served, sample) = (served().await, sample());
    let mut client = served.client().await;
    let sql = format!("SELECT count(*) AS n FROM '{sample}:Events' WHERE nMuon = 2");
    let mut prepared = client.prepare(sql, None).await.unwrap();
    assert_eq!(prepared.dataset_schema().unwrap().field(0).name(), "n");
    for _ in 0..2 {
        let info = prepared.execute().await.unwrap();
        let rows: Vec<RecordBatch> =
            client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap().try_collect().await.unwrap();
        assert_eq!(rows[0].num_rows(), 1);
        // Rows are fetched once.
        assert!(client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.is_err());
    }
    prepared.close().await.unwrap();
    let refused = client.prepare(format!("SELECT * FROM '{sample}:Events' WHERE nMuon = $1"), None).await;
    assert!(status_of(&refused.map(|_| ()).unwrap_err()).1.contains("parameters"));
}

/// Nothing on the machine of the scheduler is written, and of its files only those are read that are offered.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_reaches_for_files_of_the_scheduler_is_refused() {
    let (served, sample) = (served().await, sample());
    let mut client = served.client().await;
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("sample.root");
    std::fs::copy(&sample, &copy).unwrap();
    let (copy, out) = (copy.display(), folder.path().join("out.parquet"));
    let out_name = out.display();
    for (sql, says) in [
        (format!("COPY (SELECT 1) TO '{out_name}' STORED AS PARQUET"), "COPY"),
        (format!("EXPLAIN ANALYZE COPY (SELECT 1) TO '{out_name}' STORED AS PARQUET"), "COPY"),
        (format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{out_name}'"), "refused"),
        ("CREATE TABLE t AS SELECT 1".to_string(), "refused"),
        ("INSERT INTO t SELECT 1".to_string(), ""),
        ("SET datafusion.execution.batch_size = 1".to_string(), "refused"),
        ("PREPARE p AS SELECT 1".to_string(), "refused"),
        (format!("SELECT * FROM '{copy}:Events'"), "not offered"),
        (format!("SELECT * FROM 'file://{copy}:Events'"), "not offered"),
        (format!("CREATE EXTERNAL TABLE t STORED AS ROOT LOCATION '{copy}:Events'"), "not offered"),
        ("SELECT * FROM '/etc/passwd.csv'".to_string(), "not offered"),
        (format!("SELECT * FROM '{sample}/../../../../../etc/x.root'"), "not offered"),
    ] {
        let error = rows(&mut client, &sql).await.unwrap_err();
        assert!(status_of(&error).1.contains(says), "{sql}: {error}");
    }
    assert!(!out.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_says_what_it_says_in_one_process() {
    let (served, sample) = (served().await, sample());
    let mut client = served.client().await;
    let here = RootSession::new();
    for sql in [
        "SELECT nope FROM 'root://127.0.0.1:1//none.root:Events'".to_string(),
        "SELEC 1".to_string(),
        format!("SELECT MET_p FROM '{sample}:Events'"),
    ] {
        let expected = here.sql(&sql).await.map(|_| ()).unwrap_err().to_string();
        let error = rows(&mut client, &sql).await.unwrap_err();
        assert!(status_of(&error).1.contains(expected.lines().next().unwrap()), "{error}\n{expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_client_is_gone_is_cancelled() {
    let (served, sample) = (served().await, sample());
    let mut client = served.client().await;
    let file = format!("'{sample}:Events'");
    let sql = format!(
        "SELECT count(*) FROM {file} a CROSS JOIN {file} b CROSS JOIN {file} c WHERE a.MET_pt + b.MET_pt + c.MET_pt >= 0"
    );
    let query = tokio::spawn(async move { rows(&mut client, &sql).await });
    let state = async |wanted: &str| {
        for _ in 0..600 {
            if served.jobs().await.first().is_some_and(|job| job["state"] == wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the job does not become {wanted}: {:?}", served.jobs().await);
    };
    state("running").await;
    query.abort();
    state("cancelled").await;
}
