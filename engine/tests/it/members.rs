//! Members that objects have from the bases of their class.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::json::ReaderBuilder;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use root_engine::RootSession;

use crate::support::{count, floats, rows};

fn member(name: &str) -> Field {
    Field::new(name, DataType::Float32, true)
}

fn class(name: &str, members: Vec<Field>) -> Field {
    Field::new(name, DataType::Struct(members.into()), true)
}

fn base(name: &str, members: Vec<Field>) -> Field {
    class(name, members).with_metadata(HashMap::from([("root.base".to_string(), "true".to_string())]))
}

/// Events with muons, whose momentum is a member of a base of a base of theirs, and a vertex.
fn session() -> RootSession {
    let leaf = base("reco::LeafCandidate", vec![member("pt_"), member("eta_")]);
    let muon = class(
        "item",
        vec![
            base("reco::RecoCandidate", vec![leaf]),
            member("type_"),
            base("A", vec![member("x")]),
            base("B", vec![member("x")]),
        ],
    );
    let muons = Field::new("recoMuons_muons__RECO.obj", DataType::List(Arc::new(muon)), true);
    let schema = Arc::new(Schema::new(vec![
        class("recoMuons_muons__RECO.", vec![Field::new("present", DataType::Boolean, true), muons]),
        class("vertex", vec![base("Point", vec![member("z")])]),
    ]));
    let lines = r#"
      {"recoMuons_muons__RECO.": {"present": true, "recoMuons_muons__RECO.obj": [
         {"reco::RecoCandidate": {"reco::LeafCandidate": {"pt_": 30, "eta_": 1}}, "type_": 2},
         {"reco::RecoCandidate": {"reco::LeafCandidate": {"pt_": 10, "eta_": 2}}, "type_": 6}]},
       "vertex": {"Point": {"z": 0.5}}}
      {"recoMuons_muons__RECO.": {"present": true, "recoMuons_muons__RECO.obj": []}, "vertex": {"Point": {"z": 1.5}}}"#;
    let batches = ReaderBuilder::new(schema.clone()).build(lines.as_bytes()).unwrap();
    let table = MemTable::try_new(schema, vec![batches.map(Result::unwrap).collect()]).unwrap();
    let session = RootSession::new();
    session.context().register_table("events", Arc::new(table)).unwrap();
    session
}

async fn error(sql: &str) -> String {
    session().sql(sql).await.unwrap_err().to_string()
}

#[tokio::test]
async fn members_of_bases_are_found_without_their_names() {
    let session = session();
    for (sql, expected) in [
        ("SELECT muons[1].pt_ FROM events", vec![30.0]),
        ("SELECT muons[1]['eta_'] FROM events", vec![1.0]),
        ("SELECT muons[1]['reco::RecoCandidate'].pt_ FROM events", vec![30.0]),
        ("SELECT muons[1]['reco::RecoCandidate']['reco::LeafCandidate']['pt_'] FROM events", vec![30.0]),
        ("SELECT muons[2].type_ FROM events", vec![6.0]),
        ("SELECT vertex.z FROM events ORDER BY 1", vec![0.5, 1.5]),
        ("SELECT events.vertex.z FROM events ORDER BY 1", vec![0.5, 1.5]),
        ("SELECT unnest(array_transform(muons, m -> m.pt_ * m.type_)) FROM events", vec![60.0, 60.0]),
        ("SELECT array_filter(muons, m -> m.eta_ > 1.5)[1].pt_ FROM events", vec![10.0]),
        ("SELECT m.pt_ FROM (SELECT unnest(muons) AS m FROM events) WHERE m.eta_ < 1.5", vec![30.0]),
    ] {
        assert_eq!(floats(&rows(&session, sql).await, 0), expected, "{sql}");
    }
}

#[tokio::test]
async fn the_whole_name_of_a_product_serves_as_well() {
    let sql = r#"SELECT cardinality(array_filter("recoMuons_muons__RECO."['recoMuons_muons__RECO.obj'], m -> m['type_'] > 2))
        FROM events WHERE vertex.z < 1"#;
    assert_eq!(count(&session(), sql).await, 1);
}

#[tokio::test]
async fn a_member_of_two_bases_has_to_be_named_with_one_of_them() {
    let message = error("SELECT muons[1].x FROM events").await;
    assert!(message.contains("several bases have a member 'x': write ['A']['x'] or ['B']['x']"), "{message}");
    assert_eq!(count(&session(), "SELECT count(muons[1]['B'].x) FROM events").await, 0);
}

#[tokio::test]
async fn a_member_that_no_base_has_is_an_error() {
    let message = error("SELECT muons[1].energy FROM events").await;
    assert!(message.contains("energy"), "{message}");
}
