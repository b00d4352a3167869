//! Files on servers: whatever names a local file may name one of these, and gives the same rows.

use std::path::PathBuf;
use std::sync::LazyLock;

use datafusion::arrow::array::AsArray;
use eos_testbed::{Hdfs, Xrootd};
use root_engine::{ErrorKind, RootSession, TableOptions};

use crate::support::{count, data, rows};

/// The files of `tests/data` that are served.
const FILES: [&str; 7] = [
    "runs/2011.root",
    "runs/2012.root",
    "runs/2013.root",
    "friends/keyed.root",
    "friends/scores_2011.root",
    "friends/scores_2012.root",
    "samples/samples.csv",
];

/// HTTP and XRootD.
static XROOTD: LazyLock<Xrootd> = LazyLock::new(|| {
    let server = Xrootd::standalone().start();
    for file in FILES {
        server.volume().write(&format!("/data/{file}"), std::fs::read(data(file)).unwrap());
    }
    server
});

static HDFS: LazyLock<Hdfs> = LazyLock::new(|| {
    let server = Hdfs::start();
    for file in FILES {
        server.write(&format!("/data/{file}"), std::fs::read(data(file)).unwrap());
    }
    server
});

/// The folder with the files on each server.
fn folders() -> [String; 3] {
    [XROOTD.http_url("/data"), XROOTD.url("/data"), HDFS.url("/data")]
}

fn session() -> RootSession {
    RootSession::builder().threads(3).build()
}

#[tokio::test]
async fn a_url_stands_in_place_of_a_table() {
    for folder in folders() {
        let session = session();
        // What the formulas of make.py say, as for local files.
        for (files, expected) in [
            ("runs/2011.root:Events", 100),
            ("runs/2011.root", 100),
            ("runs/*.root:Events", 300),
            ("runs/201[12].root", 200),
            ("runs/{2011,2013}.root:Events", 200),
            ("runs/:Events", 300),
            ("samples/../runs/2012.root", 100),
        ] {
            assert_eq!(
                count(&session, &format!("SELECT count(*) FROM '{folder}/{files}'")).await,
                expected,
                "{folder}"
            );
        }
        let sql = format!("SELECT count(*) FROM '{folder}/runs/*.root:Events' WHERE event >= 250");
        assert_eq!(count(&session, &sql).await, 50, "{folder}");
    }
}

#[tokio::test]
async fn a_url_is_the_location_of_an_external_table() {
    for folder in folders() {
        let session = session();
        let sql = format!(
            "CREATE EXTERNAL TABLE t STORED AS ROOT LOCATION '{folder}/runs/*.root' OPTIONS (tree 'Events', row_id 'true')"
        );
        session.sql(&sql).await.unwrap();
        assert_eq!(count(&session, "SELECT sum(event) FROM t").await, 299 * 150, "{folder}");
        let files = rows(&session, "SELECT DISTINCT _file FROM t ORDER BY _file").await;
        let names: Vec<String> = files
            .iter()
            .flat_map(|batch| {
                batch.column(0).as_string::<i32>().iter().map(|name| name.unwrap().to_string()).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(names, ["2011", "2012", "2013"].map(|year| format!("{folder}/runs/{year}.root")));
    }
}

#[tokio::test]
async fn dataset_files_on_servers_name_what_lies_beside_them() {
    for folder in folders() {
        let local = count(&session(), &format!("SELECT count(*) FROM '{}'", data("samples/samples.csv"))).await;
        let sql = format!("SELECT count(*) FROM '{folder}/samples/samples.csv'");
        assert_eq!(count(&session(), &sql).await, local, "{folder}");
    }
}

#[tokio::test]
async fn friends_may_lie_on_servers() {
    for folder in folders() {
        let session = session();
        let files = [format!("{folder}/runs/201[12].root:Events")];
        let mut options = TableOptions::default();
        options.set("friends", &format!("{folder}/friends/scores_201[12].root AS s")).unwrap();
        session.register("t", &files, &options).await.unwrap();
        let mut local = TableOptions::default();
        local.set("friends", &format!("{} AS s", data("friends/scores_201[12].root"))).unwrap();
        session.register("l", &[data("runs/201[12].root:Events")], &local).await.unwrap();
        let sql = "SELECT * FROM t EXCEPT SELECT * FROM l";
        assert!(rows(&session, sql).await.iter().all(|batch| batch.num_rows() == 0), "{folder}");
        assert_eq!(count(&session, "SELECT count(*) FROM t").await, 200);
    }
}

#[tokio::test]
async fn tables_of_several_servers_are_joined() {
    let [http, root, hdfs] = folders();
    let local = data("runs");
    let sql = format!(
        "SELECT count(*) FROM '{http}/runs/*.root' a JOIN '{root}/runs/*.root?eos.app=x' b ON a.event = b.event \
         JOIN '{hdfs}/runs/2011.root' c ON a.event = c.event JOIN '{local}/*.root' d ON a.event = d.event"
    );
    assert_eq!(count(&session(), &sql).await, 100);
}

#[tokio::test]
async fn secrets_stay_out_of_rows_plans_and_errors() {
    let session = session();
    for folder in [XROOTD.http_url("/data"), XROOTD.url("/data")] {
        let files = format!("'{folder}/runs/2011.root?authz=hunter2'");
        assert_eq!(count(&session, &format!("SELECT count(*) FROM {files}")).await, 100);
        let frame = session.sql(&format!("SELECT sum(event) FROM {files} WHERE event > 1")).await.unwrap();
        assert!(frame.schema().field(0).name().contains("authz=***"), "{:?}", frame.schema());
        let plan = rows(&session, &format!("EXPLAIN ANALYZE SELECT sum(event) FROM {files}")).await;
        assert!(!format!("{plan:?}").contains("hunter2"), "{plan:?}");
        let error = session.sql(&format!("SELECT * FROM '{folder}/runs/201x.root?authz=hunter2'")).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("authz=***") && !text.contains("hunter2"), "{text}");
    }
    let ledger = format!("{:?}", session.ledger());
    assert!(ledger.contains("2011.root?authz=***") && !ledger.contains("hunter2"), "{ledger}");
}

#[tokio::test]
async fn files_that_are_missing_are_told_from_servers_that_are() {
    for folder in folders() {
        let error = session().sql(&format!("SELECT * FROM '{folder}/runs/2020.root'")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
        assert!(error.to_string().contains("did you mean"), "{error}");
    }
}

#[tokio::test]
async fn files_of_two_servers_are_no_one_table() {
    let [http, root, _] = folders();
    let files = [format!("{http}/runs/2011.root"), format!("{root}/runs/2012.root")];
    let error = session().register("t", &files, &TableOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(files.iter().all(|file| error.to_string().contains(file)), "{error}");
}

#[test]
fn the_files_served_are_those_of_the_project() {
    assert!(FILES.iter().all(|file| PathBuf::from(data(file)).is_file()));
}
