//! Rows in the order of the files, whatever the number of partitions.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Int64Type, UInt64Type};
use futures::TryStreamExt;
use root_engine::{Error, ErrorKind, Ordered, RootSession, TableOptions};

use crate::support::{directory_of, project, sample};

/// A session in which the table `t` is five copies of the sample, and the directory of these.
async fn five_files() -> (RootSession, tempfile::TempDir) {
    let sample = project("examples/data/Run2012B_SingleMu_1000.root");
    let directory = directory_of(&["1.root", "2.root", "3.root", "4.root", "5.root"].map(|name| (name, &*sample)));
    let session = RootSession::new();
    let options = TableOptions { tree: Some("Events".into()), row_id: true, ..TableOptions::default() };
    session.register("t", &[format!("{}/*.root", directory.path().display())], &options).await.unwrap();
    (session, directory)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn entries_come_in_the_order_of_the_files() {
    let (session, _directory) = five_files().await;
    for (partitions, at_once) in [(1, 1), (5, 1), (5, 3), (100, 8)] {
        let frame = session.sql("SELECT _file, _entry FROM t WHERE nMuon = 2").await.unwrap();
        let ordered = Ordered::new(frame, partitions).await.unwrap();
        assert_eq!(ordered.partitions(), partitions.min(5));
        let batches: Vec<_> = ordered.all(at_once).try_collect().await.unwrap();
        let mut places: Vec<(String, i64)> = Vec::new();
        for batch in &batches {
            let files =
                datafusion::arrow::compute::cast(batch.column(0), &datafusion::arrow::datatypes::DataType::Utf8);
            let files = files.unwrap();
            let entries = match batch.column(1).as_primitive_opt::<UInt64Type>() {
                Some(entries) => entries.values().iter().map(|entry| *entry as i64).collect(),
                None => batch.column(1).as_primitive::<Int64Type>().values().to_vec(),
            };
            places.extend(files.as_string::<i32>().iter().map(|f| f.unwrap().to_string()).zip(entries));
        }
        // 177 events of the sample have two muons.
        assert_eq!(places.len(), 5 * 177);
        assert!(places.is_sorted(), "{partitions} partitions, {at_once} at once");
    }
}

#[tokio::test]
async fn what_does_not_keep_the_order_is_refused() {
    let session = RootSession::new();
    let table = format!("'{}'", sample());
    for sql in [
        format!("SELECT nMuon, count(*) FROM {table} GROUP BY nMuon"),
        format!("SELECT nMuon FROM {table} ORDER BY nMuon"),
        format!("SELECT a.run FROM {table} a JOIN {table} b ON a.event = b.event"),
        format!("SELECT run FROM {table} WHERE MET_pt > (SELECT avg(MET_pt) FROM {table})"),
    ] {
        let error = Ordered::new(session.sql(&sql).await.unwrap(), 4).await.unwrap_err();
        assert!(matches!(error, Error::NotInOrder), "{sql}: {error}");
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}
