//! Histograms as aggregates: the same to the last bit however the rows are spread, and readable from Rust.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float32Array, Float64Array, Int32Array, RecordBatch};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use root_engine::{Cutflow, Histogram, RootSession, histograms};

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
    let plan = pretty_format_batches(&plan).unwrap().to_string();
    assert!(!plan.contains("CAST"), "{plan}");
}

#[tokio::test]
async fn histograms_keep_their_mark_through_subqueries() {
    let session = spread(2, 2, 100);
    let sql = "WITH h AS (SELECT g, hist(x, 2, 0, 10) AS x FROM t GROUP BY g) SELECT * FROM h WHERE g > 0 ORDER BY g";
    let found: usize = rows(&session, sql).await.iter().map(|batch| histograms(batch).unwrap().len()).sum();
    assert_eq!(found, 2);
}

/// A session with a limit of memory, and 20,000 rows in a table `t` of which every four are a group.
fn many_groups(megabytes: usize) -> RootSession {
    let session = RootSession::builder().threads(2).memory_limit(megabytes << 20).build();
    let group: Int32Array = (0..20_000).map(|i| Some(i * 7919 % 5000)).collect();
    let x: Float64Array = (0..20_000).map(|i| Some(f64::from(i * 37 % 101) * 0.1)).collect();
    let columns = [("g", Arc::new(group) as ArrayRef), ("x", Arc::new(x))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let parts = (0..2).map(|half| (0..10).map(|n| batch.slice(half * 10_000 + n * 1000, 1000)).collect()).collect();
    let table = MemTable::try_new(batch.schema(), parts).unwrap();
    session.context().register_table("t", Arc::new(table)).unwrap();
    session
}

/// With all bins of all groups it would be 5000 times 10,648 bins of 8 bytes, 430 MB.
#[tokio::test]
async fn groups_take_the_memory_of_the_bins_that_they_fill() {
    let sql = "SELECT g, hist3d(x, x, x, 20, 0, 11, 20, 0, 11, 20, 0, 11) AS h FROM t GROUP BY g";
    let batches = rows(&many_groups(64), sql).await;

    let found: Vec<Histogram> =
        batches.iter().flat_map(|batch| histograms(batch).unwrap()).map(|(_, histogram)| histogram).collect();
    assert_eq!(found.len(), 5000);
    assert!(found.iter().all(|histogram| histogram.tally().entries == 4 && histogram.sum() == 4.0));
    // 32-bit offsets would end at 2 GiB for all groups together.
    let column = batches[0].schema();
    assert_eq!(column.field(1).data_type(), &DataType::LargeBinary);
}

/// What does not fit is spilled and merged again, or refused; it is not lost.
#[tokio::test]
async fn groups_that_do_not_fit_into_memory_are_the_same_or_an_error() {
    let sql = "SELECT hist_sum(h) AS n, hist_mean(h) AS mean, count(*) AS groups
               FROM (SELECT g, hist(x, 100, 0, 10.5, x + 1) AS h FROM t GROUP BY g) GROUP BY 1, 2 ORDER BY 1, 2";
    let whole = rows(&many_groups(1000), sql).await;
    let whole = pretty_format_batches(&whole).unwrap().to_string();
    assert!(whole.lines().count() > 20, "{whole}");

    for megabytes in [1, 8, 32] {
        match many_groups(megabytes).sql(sql).await.unwrap().collect().await {
            Ok(batches) => assert_eq!(pretty_format_batches(&batches).unwrap().to_string(), whole, "{megabytes} MB"),
            Err(error) => {
                let is_refused = matches!(error.find_root(), DataFusionError::ResourcesExhausted(_));
                assert!(is_refused, "{megabytes} MB: {error}");
            }
        }
    }
}

/// Sums by Python's `math.fsum`, which are rounded once.
#[tokio::test]
async fn the_weights_of_a_cutflow_are_the_same_to_the_last_bit() {
    let cutflow = Cutflow::new().cut("group", "g > 0").unwrap().cut("heavy", "w > 50").unwrap().weight("w").unwrap();
    for (threads, partitions, size) in [(1, 1, 5000), (2, 2, 700), (7, 3, 13)] {
        let result = cutflow.of(&spread(threads, partitions, size), "t").await.unwrap();

        let found = [result.all(), result.after(0), result.after(1), result.alone(1), result.without(0)];
        let expected = [
            (5000, 249050.3124975, 16545073.25217869),
            (3333, 165998.40833166701, 11026527.76775824),
            (1662, 124296.004137048, 9637602.198512923),
            (2493, 186470.40620829602, 14460419.528311834),
            (2493, 186470.40620829602, 14460419.528311834),
        ];
        assert_eq!(found.map(|passed| (passed.events, passed.weights, passed.squares)), expected);
    }
}

#[tokio::test]
async fn events_without_a_weight_weigh_nothing_in_a_cutflow() {
    let cutflow = Cutflow::new().cut("group", "g > 0").unwrap().weight("CASE WHEN x IS NOT NULL THEN 0.5 END").unwrap();
    let result = cutflow.of(&spread(2, 2, 700), "t").await.unwrap();
    // Every eleventh of 5000 values from 0 on is NULL.
    assert_eq!((result.without_weight(), result.all().events, result.all().weights), (455, 5000, 0.5 * 4545.0));
}
