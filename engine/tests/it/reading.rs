//! What a query reads: only the columns, baskets and entries that it needs, on as many partitions as there are.

use std::path::Path;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::util::pretty::pretty_format_batches;
use root_engine::RootSession;

use crate::support::{Ran, count, data, directory_of, floats, project, rows, sample};

/// 7 branches (`id`, `nhits`, `hits`, `a` to `d`) in 16 baskets of 100 entries each; `id` ascends from 0.
fn clusters() -> String {
    format!("'{}:Events'", data("other/clusters.root"))
}

const BRANCHES: usize = 7;
const BASKETS: usize = 16;
const ENTRIES: usize = 1600;

fn session(threads: usize) -> RootSession {
    RootSession::builder().threads(threads).build()
}

#[tokio::test]
async fn explain_analyze_shows_what_was_read_and_where_the_time_went() {
    let session = session(1);
    let plan = rows(&session, &format!("EXPLAIN ANALYZE SELECT a FROM {}", clusters())).await;
    let text = pretty_format_batches(&plan).unwrap().to_string();
    for name in ["bytes_read=", "baskets_read=16", "decompress_time=", "decode_time=", "read_time="] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
}

#[tokio::test]
async fn a_projection_reads_only_its_columns() {
    let session = session(1);
    let all = Ran::of(&session, &format!("SELECT * FROM {}", clusters())).await;
    let one = Ran::of(&session, &format!("SELECT a FROM {}", clusters())).await;
    assert_eq!((all.rows(), one.rows()), (ENTRIES, ENTRIES));
    assert_eq!((all.counter("entries_read"), one.counter("entries_read")), (ENTRIES, ENTRIES));
    assert!(all.counter("baskets_read") >= BRANCHES * BASKETS);
    assert_eq!(one.counter("baskets_read"), BASKETS);
    assert!(5 * one.counter("bytes_read") < all.counter("bytes_read"));
}

#[tokio::test]
async fn one_of_many_columns_costs_a_fraction_of_the_real_file() {
    let session = session(1);
    let all = Ran::of(&session, &format!("SELECT * FROM '{}'", sample())).await;
    let one = Ran::of(&session, &format!("SELECT sum(MET_pt) FROM '{}'", sample())).await;
    assert!(20 * one.counter("bytes_read") < all.counter("bytes_read"));
}

#[tokio::test]
async fn an_expression_reads_only_the_columns_in_it() {
    let session = session(1);
    let sql = format!("SELECT sqrt(a * a + b * b) AS ab, 1 AS one FROM {}", clusters());
    assert_eq!(Ran::of(&session, &sql).await.counter("baskets_read"), 2 * BASKETS);
}

#[tokio::test]
async fn a_filter_spares_the_baskets_in_which_nothing_survives() {
    let session = session(1);
    let whole = Ran::of(&session, &format!("SELECT id, a, b FROM {}", clusters())).await;
    let some = Ran::of(&session, &format!("SELECT id, a, b FROM {} WHERE id >= 650 AND id < 750", clusters())).await;
    assert_eq!(some.rows(), 100);
    assert_eq!(floats(&some.batches, 0)[0], 650.0);
    assert_eq!(whole.counter("baskets_read"), 3 * BASKETS);
    // The filter's column whole, and of the two others the two baskets that hold the entries 650 to 749.
    assert_eq!(some.counter("baskets_read"), BASKETS + 2 * 2);
    let none = Ran::of(&session, &format!("SELECT a, b, hits FROM {} WHERE id < 0", clusters())).await;
    assert_eq!((none.rows(), none.counter("baskets_read")), (0, BASKETS));
}

#[tokio::test]
async fn a_filter_that_keeps_everything_changes_nothing() {
    let session = session(1);
    let plain = Ran::of(&session, &format!("SELECT hits, a FROM {}", clusters())).await;
    let kept = Ran::of(&session, &format!("SELECT hits, a FROM {} WHERE id >= 0", clusters())).await;
    assert_eq!(kept.batches, plain.batches);
}

#[tokio::test]
async fn a_limit_ends_the_scan_early() {
    let session = RootSession::builder().threads(1).batch_rows(100).build();
    let whole = Ran::of(&session, &format!("SELECT a FROM {}", clusters())).await;
    let limited = Ran::of(&session, &format!("SELECT a FROM {} LIMIT 1", clusters())).await;
    assert_eq!((limited.rows(), limited.counter("baskets_read")), (1, 1));
    assert_eq!(whole.counter("baskets_read"), BASKETS);
    let offset = Ran::of(&session, &format!("SELECT id FROM {} LIMIT 2 OFFSET 250", clusters())).await;
    assert_eq!(floats(&offset.batches, 0), [250.0, 251.0]);
    assert_eq!(offset.counter("baskets_read"), 3);
    let filtered = Ran::of(&session, &format!("SELECT a FROM {} WHERE id >= 0 LIMIT 1", clusters())).await;
    assert_eq!(filtered.rows(), 1);
    assert!(filtered.counter("baskets_read") < BASKETS, "{}", filtered.counter("baskets_read"));
}

#[tokio::test]
async fn a_limit_does_not_cut_before_the_filter() {
    for threads in [1, 4] {
        let session = session(threads);
        let last = Ran::of(&session, &format!("SELECT id FROM {} WHERE id >= 1598 LIMIT 5", clusters())).await;
        assert_eq!(last.rows(), 2);
    }
}

#[tokio::test]
async fn the_number_of_entries_is_known_without_reading() {
    let session = session(2);
    let ran = Ran::of(&session, &format!("SELECT count(*) FROM {}", clusters())).await;
    assert_eq!(floats(&ran.batches, 0), [ENTRIES as f64]);
    assert_eq!((ran.counter("baskets_read"), ran.counter("bytes_read")), (0, 0));
    assert_eq!(session.progress().snapshot().bytes_read, 0);
}

#[tokio::test]
async fn one_file_gives_the_same_rows_on_any_number_of_partitions() {
    // Where a file is cut depends on its size: this one ends in 64 MB of nothing.
    let directory = directory_of(&[("large.root", Path::new(&data("other/clusters.root")))]);
    let large = directory.path().join("large.root");
    std::fs::File::options().write(true).open(&large).unwrap().set_len(64 << 20).unwrap();
    let sql = format!("SELECT id, hits, a FROM '{}:Events' WHERE id % 7 != 3 ORDER BY id", large.display());
    let expected = pretty_format_batches(&rows(&session(1), &sql).await).unwrap().to_string();
    for threads in [2, 3, 4, 7, 16, 40] {
        let ran = Ran::of(&session(threads), &sql).await;
        assert!(ran.partitions() > 1, "{threads} threads");
        assert!(ran.partitions() <= threads.min(BASKETS), "{threads} threads");
        assert_eq!(ran.counter("entries_read"), ENTRIES, "{threads} threads");
        // Pieces end where clusters do, so no basket is read twice.
        assert_eq!(ran.counter("baskets_read"), 3 * BASKETS, "{threads} threads");
        assert_eq!(pretty_format_batches(&ran.batches).unwrap().to_string(), expected, "{threads} threads");
    }
}

#[tokio::test]
async fn rows_keep_the_order_of_the_file_on_one_partition() {
    let ran = Ran::of(&session(1), &format!("SELECT id FROM {}", clusters())).await;
    assert_eq!(floats(&ran.batches, 0), (0..ENTRIES).map(|i| i as f64).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_size_of_the_batches_is_a_setting_and_not_a_matter_of_the_result() {
    let sql = format!("SELECT id, hits FROM {}", clusters());
    let mut expected = None;
    for batch_rows in [1, 7, 100, 8192] {
        let session = RootSession::builder().threads(1).batch_rows(batch_rows).build();
        let batches = rows(&session, &sql).await;
        assert!(batches.iter().all(|b| b.num_rows() <= batch_rows));
        let text = pretty_format_batches(&batches).unwrap().to_string();
        assert_eq!(*expected.get_or_insert_with(|| text.clone()), text, "{batch_rows} rows");
    }
}

#[tokio::test]
async fn many_small_files_share_partitions() {
    let year = project("engine/tests/data/runs/2012.root");
    let names: Vec<String> = (0..40).map(|i| format!("{i:02}.root")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), year.as_path())).collect();
    let directory = directory_of(&files);
    let session = session(3);
    let sql = format!("SELECT sum(event), count(Muon_pt) FROM '{}/:Events'", directory.path().display());
    let ran = Ran::of(&session, &sql).await;
    assert_eq!(ran.partitions(), 3);
    assert_eq!(floats(&ran.batches, 0), [40.0 * (100..200).sum::<i32>() as f64]);
    assert_eq!(floats(&ran.batches, 1), [4000.0]);
    let ledger = session.ledger();
    assert_eq!((ledger.files().len(), ledger.skipped()), (40, 0));
    assert!(ledger.files().iter().all(|f| f.entries == 100));
}

#[tokio::test]
async fn progress_reaches_its_end() {
    let session = session(2);
    assert_eq!(count(&session, &format!("SELECT count(*) FROM {} WHERE a >= 0", clusters())).await, 1600);
    let progress = session.progress().snapshot();
    assert_eq!((progress.files_total, progress.entries_total, progress.entries_done), (1, 1600, 1600));
    assert!(progress.bytes_read > 0);
}

#[tokio::test]
async fn branches_with_different_baskets_stay_aligned() {
    // groot fills the baskets of each branch by bytes: no two branches have the same boundaries.
    let file = project("root-reader/tests/fixtures/groot_types_zlib.root");
    let reference = project("root-reader/tests/fixtures/groot_types_zlib__events.parquet");
    let columns = "i32, i64, str, c_f32, arr_i8";
    for (threads, batch_rows) in [(1, 8192), (1, 3), (4, 8192)] {
        let session = RootSession::builder().threads(threads).batch_rows(batch_rows).build();
        let create = format!("CREATE EXTERNAL TABLE reference STORED AS PARQUET LOCATION '{}'", reference.display());
        session.sql(&create).await.unwrap();
        let file = format!("'{}:events'", file.display());
        let both = [
            format!("SELECT count(*) FROM (SELECT {columns} FROM {file} EXCEPT ALL SELECT {columns} FROM reference)"),
            format!("SELECT count(*) FROM (SELECT {columns} FROM reference EXCEPT ALL SELECT {columns} FROM {file})"),
        ];
        for sql in both {
            assert_eq!(count(&session, &sql).await, 0, "{threads} threads, batches of {batch_rows}");
        }
    }
}

#[tokio::test]
async fn a_session_runs_queries_at_the_same_time() {
    let session = session(4);
    let sql = format!("SELECT sum(id) FROM {}", clusters());
    let sums = futures::future::join_all((0..8).map(|_| rows(&session, &sql))).await;
    assert!(sums.iter().all(|batches| floats(batches, 0) == [1_279_200.0]));
}

#[tokio::test]
async fn the_result_of_a_dropped_stream_is_not_waited_for() {
    let session = RootSession::builder().threads(2).batch_rows(10).build();
    let frame = session.sql(&format!("SELECT hits FROM {}", clusters())).await.unwrap();
    let mut stream = frame.execute_stream().await.unwrap();
    let first = futures::StreamExt::next(&mut stream).await.unwrap().unwrap();
    assert!(first.column(0).as_list_opt::<i32>().is_some());
    drop(stream);
    assert_eq!(count(&session, &format!("SELECT count(a) FROM {}", clusters())).await, 1600);
}
