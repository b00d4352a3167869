//! Histograms as aggregates: the same to the last bit however the rows are spread, and readable from Rust.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float32Array, Float64Array, Int32Array, RecordBatch};
use datafusion::datasource::MemTable;
use root_engine::{Histogram, RootSession, histograms};

use crate::support::{rows, sample};

/// Rows whose weights lose bits in every order of floating-point addition.
fn batch(rows: std::ops::Range<i32>) -> RecordBatch {
    let x: Float32Array = rows.clone().map(|i| (i % 11 != 0).then_some((i * 37 % 101) as f32 * 0.1)).collect();
    let w: Float64Array = rows.clone().map(|i| Some(0.1 * f64::from(i * 7919 % 997) + 1e-9 * f64::from(i))).collect();
    let g: Int32Array = rows.map(|i| Some(i % 3)).collect();
    let columns = [("x", Arc::new(x) as ArrayRef), ("w", Arc::new(w)), ("g", Arc::new(g))];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// A session with a table `t` of 5000 rows in `partitions`, each of batches of `size`.
fn spread(threads: usize, partitions: usize, size: usize) -> RootSession {
    let session = RootSession::builder().threads(threads).batch_rows(size).build();
    let mut parts = vec![Vec::new(); partitions];
    for (number, start) in (0..5000).step_by(size).enumerate() {
        parts[number % partitions].push(batch(start as i32..5000.min(start + size) as i32));
    }
    let table = MemTable::try_new(parts[0][0].schema(), parts).unwrap();
    session.context().register_table("t", Arc::new(table)).unwrap();
    session
}

const ALL: &str = "hist(x, 20, 0, 10), hist(x, 20, 0, 10, w), hist2d(x, w, 5, 0, 10, 4, 0, 50, w), profile(x, w, 5, 0, 10), \
                   profile(x, w, 5, 0, 10, w), hist_category(g, w), hist_edges(x, [0, 1, 5], w), hist_log(x, 5, 1, 10), \
                   hist3d(x, w, g, 3, 0, 10, 3, 0, 100, 3, 0, 3)";

#[tokio::test]
async fn the_bytes_do_not_depend_on_partitions_and_batches() {
    for sql in [format!("SELECT {ALL} FROM t"), format!("SELECT g, {ALL} FROM t GROUP BY g ORDER BY g")] {
        let mut reference: Option<Vec<Vec<u8>>> = None;
        for (threads, partitions, size) in [(1, 1, 5000), (2, 2, 700), (7, 7, 64), (7, 3, 13)] {
            let batches = rows(&spread(threads, partitions, size), &sql).await;
            let found = batches.iter().flat_map(|batch| histograms(batch).unwrap());
            let mut bytes: Vec<Vec<u8>> = found.map(|(name, h)| [name.as_bytes(), &h.to_bytes()].concat()).collect();
            bytes.sort();
            assert!(bytes.len() == 9 || bytes.len() == 27, "{}", bytes.len());
            assert_eq!(reference.get_or_insert_with(|| bytes.clone()), &bytes, "{threads} {partitions} {size}");
        }
    }
}

#[tokio::test]
async fn nulls_are_counted_and_batches_give_typed_histograms() {
    let batches = rows(&spread(2, 3, 100), "SELECT hist(x, 10, 0, 10) AS h, count(*) AS n FROM t").await;

    let found: Vec<(String, Histogram)> = histograms(&batches[0]).unwrap();

    let [(name, histogram)] = found.as_slice() else { panic!("{} histograms", found.len()) };
    // Every eleventh of 5000 values from 0 on is NULL.
    assert_eq!((name.as_str(), histogram.tally().nulls, histogram.tally().entries), ("h", 455, 4545));
}

#[tokio::test]
async fn a_column_is_filled_as_it_is() {
    let session = RootSession::new();
    let sql = format!("EXPLAIN SELECT hist(Muon_pt, 100, 0, 200), hist(MET_pt, 100, 0, 200) FROM '{}'", sample());
    let plan = rows(&session, &sql).await;
    let plan = datafusion::arrow::util::pretty::pretty_format_batches(&plan).unwrap().to_string();
    assert!(!plan.contains("CAST"), "{plan}");
}

#[tokio::test]
async fn histograms_keep_their_mark_through_subqueries() {
    let session = spread(2, 2, 100);
    let sql = "WITH h AS (SELECT g, hist(x, 2, 0, 10) AS x FROM t GROUP BY g) SELECT * FROM h WHERE g > 0 ORDER BY g";
    let found: usize = rows(&session, sql).await.iter().map(|batch| histograms(batch).unwrap().len()).sum();
    assert_eq!(found, 2);
}
