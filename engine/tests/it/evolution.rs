//! One class at two versions in two files, written by ROOT, as one table. What ROOT reads of each with the newer class is
//! the reference. Not part of the project; without them the test says so and passes.

use std::path::PathBuf;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use root_engine::{Layout, RootSession, TableOptions};
use serde_json::Value;

use crate::support::rows;

fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/aod/evo");
    if !folder.is_dir() {
        eprintln!("SKIPPED: the files with two versions of a class are not here");
        return None;
    }
    Some(folder)
}

/// The objects that ROOT reads of both files, one after the other.
fn references(folder: &std::path::Path, branch: &str) -> Vec<Value> {
    let read =
        |name: &str| -> Vec<Value> { serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap() };
    let all = read("ref_v1_as_v2.json").into_iter().chain(read("ref_v2_as_v2.json"));
    all.map(|entry| entry[branch].clone()).collect()
}

/// Every number of a column, lists one element after the other, in a type that holds them all.
fn numbers(array: &ArrayRef) -> Vec<f64> {
    match array.data_type() {
        DataType::List(_) => numbers(array.as_list::<i32>().values()),
        DataType::FixedSizeList(..) => numbers(array.as_fixed_size_list().values()),
        _ => cast(array, &DataType::Float64).unwrap().as_primitive::<Float64Type>().iter().flatten().collect(),
    }
}

fn expected(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(items) => items.iter().flat_map(expected).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

async fn column(session: &RootSession, expression: &str) -> ArrayRef {
    let batches = rows(session, &format!("SELECT {expression} AS x FROM t")).await;
    let parts: Vec<&dyn Array> = batches.iter().map(|b| b.column(0).as_ref()).collect();
    concat(&parts).unwrap()
}

/// A member by its expression in SQL, and how to find it in the reference.
type Member = (&'static str, fn(&Value) -> Value);

async fn compare(branch: &str, layout: Layout, members: &[Member]) {
    let Some(folder) = folder() else { return };
    let references = references(&folder, branch);
    let session = RootSession::builder().threads(1).build();
    let files = ["evo_v1.root:t", "evo_v2.root:t"].map(|name| folder.join(name).display().to_string());
    session.register("t", &files, &TableOptions { layout, ..TableOptions::default() }).await.unwrap();
    for (expression, of) in members {
        let theirs: Vec<f64> = references.iter().flat_map(|entry| expected(&of(entry))).collect();
        assert_eq!(numbers(&column(&session, expression).await), theirs, "{expression}");
    }
}

/// A member of every item.
fn items(entry: &Value, member: &str) -> Value {
    entry["items"].as_array().unwrap().iter().map(|item| item[member].clone()).collect()
}

#[tokio::test]
async fn flat_columns_of_two_versions_have_the_values_that_root_reads() {
    let members: [Member; 8] = [
        ("\"evo.id\"", |e| e["id"].clone()),
        ("\"evo.val\"", |e| e["val"].clone()),
        ("\"evo.count\"", |e| e["count"].clone()),
        ("\"evo.fixed[3]\"", |e| e["fixed"].clone()),
        ("\"evo.nums\"", |e| e["nums"].clone()),
        ("\"evo.items.a\"", |e| items(e, "a")),
        ("\"evo.items.b\"", |e| items(e, "b")),
        ("\"evo.one.b\"", |e| e["one"]["b"].clone()),
    ];
    compare("evo", Layout::Flat, &members).await;
}

#[tokio::test]
async fn nested_columns_of_two_versions_have_the_values_that_root_reads() {
    let members: [Member; 8] = [
        ("t.\"evo.\"['evo.id']", |e| e["id"].clone()),
        ("t.\"evo.\"['evo.val']", |e| e["val"].clone()),
        ("t.\"evo.\"['evo.count']", |e| e["count"].clone()),
        ("t.\"evo.\"['evo.fixed[3]']", |e| e["fixed"].clone()),
        ("t.\"evo.\"['evo.nums']", |e| e["nums"].clone()),
        ("array_transform(t.\"evo.\"['evo.items'], i -> i['a'])", |e| items(e, "a")),
        ("array_transform(t.\"evo.\"['evo.items'], i -> i['b'])", |e| items(e, "b")),
        ("t.\"evo.\"['evo.one']['b']", |e| e["one"]["b"].clone()),
    ];
    compare("evo", Layout::Nested, &members).await;
}

#[tokio::test]
async fn objects_of_two_versions_that_are_not_split_have_the_values_that_root_reads() {
    let members: [Member; 8] = [
        ("evou['id']", |e| e["id"].clone()),
        ("evou['val']", |e| e["val"].clone()),
        ("evou['count']", |e| e["count"].clone()),
        ("evou['fixed']", |e| e["fixed"].clone()),
        ("evou['nums']", |e| e["nums"].clone()),
        ("array_transform(evou['items'], i -> i['a'])", |e| items(e, "a")),
        ("evou.items.b", |e| items(e, "b")),
        ("evou.one.b", |e| e["one"]["b"].clone()),
    ];
    for layout in [Layout::Flat, Layout::Nested] {
        compare("evou", layout, &members).await;
    }
}

#[tokio::test]
async fn members_that_only_one_version_has_are_null_in_the_other_and_filters_know() {
    let Some(folder) = folder() else { return };
    let session = RootSession::builder().threads(1).build();
    let files = ["evo_v1.root:t", "evo_v2.root:t"].map(|name| folder.join(name).display().to_string());
    let options = TableOptions { layout: Layout::Nested, ..TableOptions::default() };
    session.register("t", &files, &options).await.unwrap();
    let extra = column(&session, "t.\"evo.\"['evo.extra']").await;
    assert_eq!((extra.null_count(), extra.len()), (50, 100));
    let warnings = session.ledger().warnings().join("\n");
    for part in ["evo./evo.items/label", "evo./evo.id to Int64 (Int32 in ", "evo_v1.root"] {
        assert!(warnings.contains(part), "{part} is not in: {warnings}");
    }
    let large: usize = references(&folder, "evo").iter().filter(|e| e["id"].as_i64().unwrap() > 100).count();
    let sql = "SELECT count(*) FROM t WHERE t.\"evo.\"['evo.id'] > 100";
    assert_eq!(crate::support::count(&session, sql).await, large as i64);
    let fifth = "SELECT count(*) FROM t WHERE t.\"evo.\"['evo.extra'] IS NULL AND t.\"evo.\"['evo.val'] < 2";
    assert_eq!(crate::support::count(&session, fifth).await, 4);
}

#[tokio::test]
async fn files_of_a_chain_are_one_table_in_their_order_also_where_one_is_empty() {
    let Some(folder) = folder().and_then(|folder| Some(folder.parent()?.join("sink"))) else { return };
    let reference: Value = serde_json::from_slice(&std::fs::read(folder.join("ref_layout.json")).unwrap()).unwrap();
    let session = RootSession::builder().threads(1).build();
    let files = format!("{}:t", folder.join("chain_?.root").display());
    session.register("t", &[files], &TableOptions::default()).await.unwrap();
    assert_eq!(numbers(&column(&session, "v").await), expected(&reference["chain_v"]));
}

#[tokio::test]
async fn the_newer_version_may_come_first() {
    let Some(folder) = folder() else { return };
    let references = references(&folder, "evo");
    // As many entries of each.
    let (older, newer) = references.split_at(references.len() / 2);
    let theirs: Vec<f64> = newer.iter().chain(older).flat_map(|entry| expected(&entry["id"])).collect();
    let session = RootSession::builder().threads(1).build();
    let files = ["evo_v2.root:t", "evo_v1.root:t"].map(|name| folder.join(name).display().to_string());
    session.register("t", &files, &TableOptions::default()).await.unwrap();
    assert_eq!(numbers(&column(&session, "\"evo.id\"").await), theirs);
}
