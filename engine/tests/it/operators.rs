//! Operators and functions of our own against DataFusion's: the same queries over the same rows, once in our session and
//! once in a plain one that holds the rows in memory.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    UInt64Array,
};
use datafusion::arrow::datatypes::{Float32Type, Int32Type};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use root_engine::{RootSession, TableOptions};

use crate::support::{data, project, sample};

/// Rows as sorted lines of text. Zero has one sign here, as a table of groups may keep either.
fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let cells = |line: &str| line.split('|').map(str::trim).collect::<Vec<_>>().join("|").replace("|-0.0|", "|0.0|");
    let mut lines: Vec<String> = text.lines().filter(|l| !l.starts_with('+')).skip(1).map(cells).collect();
    lines.sort();
    lines
}

fn plain(threads: usize) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(threads);
    config.options_mut().sql_parser.enable_ident_normalization = false;
    SessionContext::new_with_config(config)
}

/// Runs every query in both sessions; in both it has the same rows, or fails, which few of them do.
async fn compare(ours: &RootSession, theirs: &SessionContext, queries: &[&str]) {
    let mut failures = 0;
    for sql in queries {
        let own = match ours.sql(sql).await {
            Ok(frame) => frame.collect().await.map_err(|e| e.to_string()),
            Err(e) => Err(e.to_string()),
        };
        let reference = match theirs.sql(sql).await {
            Ok(frame) => frame.collect().await,
            Err(e) => Err(e),
        };
        match (own, reference) {
            (Ok(own), Ok(reference)) => {
                assert_eq!(lines(&own), lines(&reference), "{sql}");
                if let (Some(own), Some(reference)) = (own.first(), reference.first()) {
                    let types = |b: &RecordBatch| b.columns().iter().map(|c| c.data_type().clone()).collect::<Vec<_>>();
                    assert_eq!(types(own), types(reference), "{sql}");
                }
            }
            (Err(_), Err(_)) => failures += 1,
            (own, reference) => panic!("{sql}: {own:?} here, {reference:?} there"),
        }
    }
    assert!(5 * failures <= queries.len(), "{failures} of {} fail", queries.len());
}

/// Both sessions with the rows of `specs` as table `t`.
async fn both(specs: &[String], threads: usize) -> (RootSession, SessionContext) {
    let ours = RootSession::builder().threads(threads).batch_rows(64).build();
    let table = ours.register("t", specs, &TableOptions::default()).await.unwrap();
    let batches = ours.sql("SELECT * FROM t").await.unwrap().collect().await.unwrap();
    let schema = datafusion::catalog::TableProvider::schema(table.as_ref());
    let theirs = plain(threads);
    theirs.register_table("t", Arc::new(MemTable::try_new(schema, vec![batches]).unwrap())).unwrap();
    (ours, theirs)
}

#[tokio::test]
async fn our_operators_are_in_the_plans() {
    let (ours, _) = both(&[sample()], 1).await;
    for (sql, operator) in [
        ("EXPLAIN SELECT nMuon, count(*) FROM t GROUP BY nMuon", "BinCountExec"),
        ("EXPLAIN SELECT unnest(Jet_pt) FROM t", "ListUnnestExec"),
    ] {
        let plan = lines(&ours.sql(sql).await.unwrap().collect().await.unwrap()).join("\n");
        assert!(plan.contains(operator), "{sql}: {plan}");
    }
}

#[tokio::test]
async fn real_events_give_the_same_rows() {
    let queries = [
        "SELECT floor(MET_pt / 5) AS bin, count(*) FROM t GROUP BY bin",
        "SELECT CAST(floor(MET_pt / 5) AS INT) AS bin, count(*) AS n FROM t GROUP BY bin",
        "SELECT nMuon, count(*) FROM t GROUP BY nMuon",
        "SELECT event, count(*) FROM t GROUP BY event",
        "SELECT PV_x, count(1) FROM t GROUP BY PV_x",
        "SELECT run % 2 AS parity, count(*) FROM t WHERE nMuon > 1 GROUP BY parity",
        "SELECT nMuon, count(*) FROM t GROUP BY nMuon HAVING count(*) > 10",
        "SELECT count(*) FROM (SELECT nMuon, count(*) FROM t GROUP BY nMuon)",
        "SELECT HLT_IsoMu24, count(*) FROM t GROUP BY HLT_IsoMu24",
        "SELECT nMuon, nJet, count(*) FROM t GROUP BY nMuon, nJet",
        "SELECT nMuon, count(*), sum(MET_pt) FROM t GROUP BY nMuon",
        "SELECT nMuon, count(DISTINCT run) FROM t GROUP BY nMuon",
        "SELECT nMuon, count(*) FILTER (WHERE MET_pt > 20) FROM t GROUP BY nMuon",
        "SELECT nMuon, count(Muon_pt[2]) FROM t GROUP BY nMuon",
        "SELECT unnest(Jet_pt) FROM t",
        "SELECT event, unnest(Jet_pt) AS pt, unnest(Jet_eta) AS eta FROM t",
        "SELECT event, unnest(Jet_pt) AS pt, unnest(Muon_pt) AS muon FROM t",
        "SELECT floor(pt / 10) AS bin, count(*) FROM (SELECT unnest(Muon_pt) AS pt FROM t) GROUP BY bin",
        "SELECT count(*) FROM (SELECT unnest(Jet_btag) AS b FROM t) WHERE b > 0.5",
        "SELECT Muon_pt[1], Muon_pt[2], Muon_pt[-1], Muon_pt[0], Muon_pt[100] FROM t",
        "SELECT Muon_pt[nMuon] FROM t",
        "SELECT Muon_charge[1] + Muon_charge[2], Muon_tightId[1] FROM t",
        "SELECT Muon_pt[1] AS a, count(*) FROM t GROUP BY Muon_pt[1]",
        "SELECT array_element(Muon_pt, 2), array_extract(Jet_pt, 1), list_element(Jet_eta, -2) FROM t",
        "SELECT Muon_pt[1:2] FROM t",
        "SELECT Muon_pt[NULL] FROM t",
    ];
    for threads in [1, 3] {
        let (ours, theirs) = both(&[sample()], threads).await;
        compare(&ours, &theirs, &queries).await;
    }
}

#[tokio::test]
async fn absent_columns_give_the_same_rows() {
    let queries = [
        "SELECT MET_pt, count(*) FROM t GROUP BY MET_pt",
        "SELECT floor(MET_pt / 20) AS bin, count(*) FROM t GROUP BY bin",
        "SELECT HLT_IsoMu24, count(*) FROM t GROUP BY HLT_IsoMu24",
        "SELECT run, count(*) FROM t GROUP BY run",
    ];
    let (ours, theirs) = both(&[format!("{}:Events", data("runs/*.root"))], 2).await;
    compare(&ours, &theirs, &queries).await;
}

#[tokio::test]
async fn every_type_gives_the_same_rows() {
    let file = project("root-reader/tests/fixtures/uproot_types_zlib.root").display().to_string();
    let (ours, theirs) = both(&[format!("{file}:events")], 2).await;
    let mut queries = Vec::new();
    for name in ["b", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64"] {
        queries.push(format!("SELECT s_{name}, count(*) FROM t GROUP BY s_{name}"));
        queries.push(format!("SELECT unnest(j_{name}) FROM t"));
        queries.push(format!("SELECT s_i32, unnest(j_{name}) FROM t"));
        queries.push(format!("SELECT j_{name}[1], j_{name}[3], j_{name}[-1] FROM t"));
        queries.push(format!("SELECT x, count(*) FROM (SELECT unnest(j_{name}) AS x FROM t) GROUP BY x"));
    }
    for list in ["arr_i32", "arr2_f64", "j_none"] {
        queries.push(format!("SELECT unnest({list}) FROM t"));
        queries.push(format!("SELECT {list}[1], {list}[2], {list}[-1] FROM t"));
    }
    queries.push("SELECT str, count(*) FROM t GROUP BY str".into());
    queries.push("SELECT unnest(unnest(arr2_f64)) FROM t".into());
    queries.push("SELECT arr2_f64[1][2] FROM t".into());
    compare(&ours, &theirs, &queries.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn nested_and_text_lists_give_the_same_rows() {
    let file = project("root-reader/tests/fixtures/built_stl.root").display().to_string();
    let (ours, theirs) = both(&[format!("{file}:nested")], 2).await;
    let queries = [
        "SELECT unnest(vector_vector_float) FROM t",
        "SELECT unnest(unnest(vector_vector_string)) FROM t",
        "SELECT vector_vector_float[1], vector_vector_float[2][1] FROM t",
        "SELECT vector_vector_string[1][2] FROM t",
        "SELECT unnest(vector_vector_float) AS a, unnest(vector_set_int) AS b FROM t",
    ];
    compare(&ours, &theirs, &queries).await;
}

/// Numbers at the edges, and lists that are null, empty and of different lengths: what files do not hold.
fn edges() -> RecordBatch {
    let lists: ListArray = ListArray::from_iter_primitive::<Float32Type, _, _>([
        Some(vec![Some(1.5), None, Some(-0.0)]),
        None,
        Some(vec![]),
        Some(vec![Some(f32::NAN)]),
        Some(vec![Some(f32::INFINITY), Some(2.0)]),
        None,
        Some(vec![Some(0.0)]),
        Some(vec![None]),
    ]);
    let others: ListArray = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), Some(2), Some(3)]),
        Some(vec![Some(4)]),
        None,
        Some(vec![]),
        Some(vec![Some(5), Some(6)]),
        None,
        Some(vec![Some(7), Some(8)]),
        Some(vec![Some(9)]),
    ]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i", Arc::new(Int64Array::from(vec![0, -1, -1024, -1025, 64511, 64512, i64::MIN, i64::MAX]))),
        ("n", Arc::new(Int32Array::from(vec![Some(1), None, Some(-2), Some(3), None, Some(1), Some(0), Some(-1)]))),
        ("u", Arc::new(UInt64Array::from(vec![0, 1, 65535, 65536, u64::MAX, u64::MAX, 1, 0]))),
        (
            "f",
            Arc::new(Float32Array::from(vec![0.0, -0.0, f32::NAN, f32::INFINITY, 0.5, 1.0, -f32::NAN, 16_777_217.0])),
        ),
        (
            "d",
            Arc::new(Float64Array::from(vec![
                Some(1.0),
                Some(1.0),
                None,
                Some(f64::NEG_INFINITY),
                Some(9.007_199_254_740_993e15),
                Some(-1024.0),
                Some(f64::NAN),
                Some(0.1),
            ])),
        ),
        ("s", Arc::new(StringArray::from(vec!["a", "b", "c", "d", "e", "f", "g", "h"]))),
        ("xs", Arc::new(lists)),
        ("ys", Arc::new(others)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

#[tokio::test]
async fn numbers_and_lists_at_the_edges_give_the_same_rows() {
    let queries = [
        "SELECT i, count(*) FROM t GROUP BY i",
        "SELECT n, count(*) FROM t GROUP BY n",
        "SELECT u, count(*) FROM t GROUP BY u",
        "SELECT d, count(*) FROM t GROUP BY d",
        "SELECT CAST(d AS FLOAT) AS f, count(*) FROM t GROUP BY f",
        "SELECT f + 1 AS g, count(*) FROM t GROUP BY g",
        "SELECT floor(d) AS g, count(*) FROM t GROUP BY g",
        "SELECT n, count(n) FROM t GROUP BY n",
        "SELECT n, count(NULL) FROM t GROUP BY n",
        "SELECT n, count(*) FROM t WHERE i > 5000000 GROUP BY n",
        "SELECT n, count(*) FROM t WHERE false GROUP BY n",
        "SELECT n, count(*) FROM t GROUP BY ROLLUP(n)",
        "SELECT n, count(*) FROM t GROUP BY n ORDER BY count(*) DESC, n LIMIT 2",
        "SELECT s, unnest(xs) FROM t",
        "SELECT s, unnest(xs), unnest(ys) FROM t",
        "SELECT unnest(xs), unnest(xs) AS again FROM t",
        "SELECT s, unnest(ys) AS y, xs FROM t",
        "SELECT s, xs[1], xs[2], xs[3], xs[-1], xs[-3], xs[0], xs[9223372036854775807] FROM t",
        "SELECT s, ys[n], xs[i] FROM t",
        "SELECT ys[1] AS y, count(*) FROM t GROUP BY y",
        "SELECT ys[CAST(NULL AS BIGINT)] FROM t",
        "SELECT array_element(xs, n) FROM t",
    ];
    for threads in [1, 4] {
        let batch = edges();
        assert_eq!(batch.column_by_name("xs").unwrap().as_list::<i32>().null_count(), 2);
        let ours = RootSession::builder().threads(threads).build();
        let theirs = plain(threads);
        for context in [ours.context(), &theirs] {
            // In slices, so that offsets do not begin at 0.
            let partitions = vec![vec![batch.slice(0, 3), batch.slice(3, 1)], vec![batch.slice(4, 4)]];
            let table = MemTable::try_new(batch.schema(), partitions).unwrap();
            context.register_table("t", Arc::new(table)).unwrap();
        }
        compare(&ours, &theirs, &queries).await;
    }
}
