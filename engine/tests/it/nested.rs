//! Tables of the nested layout: the same values as the flat ones, and no more bytes read than for these.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::arrow::util::pretty::pretty_format_batches;
use datafusion::catalog::TableProvider;
use root_engine::{Error, ErrorKind, Friend, Layout, RootSession, RootTable, TableOptions};

use crate::support::{Ran, count, floats, rows, sample};

fn nested() -> TableOptions {
    TableOptions { layout: Layout::Nested, ..TableOptions::default() }
}

/// The sample as the flat table `flat` and the nested table `t`.
async fn session(threads: usize) -> (RootSession, Arc<RootTable>) {
    let session = RootSession::builder().threads(threads).build();
    session.register("flat", &[sample()], &TableOptions::default()).await.unwrap();
    let table = session.register("t", &[sample()], &nested()).await.unwrap();
    (session, table)
}

/// Muons in CMS's AOD, written by ROOT; not part of the project.
fn aod() -> Option<String> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/aod/aod_dimuon_zlib.root");
    if !file.is_file() {
        eprintln!("SKIPPED: the file with split objects is not here");
        return None;
    }
    Some(format!("{}:Events", file.display()))
}

/// The type without the members that are not on one of the paths, `a/b`.
fn only(data_type: &DataType, paths: &[&str]) -> DataType {
    match data_type {
        DataType::List(item) => {
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(only(item.data_type(), paths))))
        }
        DataType::Struct(fields) => {
            let kept = fields.iter().filter_map(|field| {
                let own = paths.iter().filter_map(|path| path.strip_prefix(field.name().as_str()));
                let below: Vec<&str> =
                    own.filter_map(|rest| rest.strip_prefix('/').or(rest.is_empty().then_some(""))).collect();
                let data_type = match below.as_slice() {
                    [] => return None,
                    below if below.contains(&"") => only_lists(field.data_type()),
                    below => only(field.data_type(), below),
                };
                Some(Arc::new(field.as_ref().clone().with_data_type(data_type)))
            });
            DataType::Struct(kept.collect::<Vec<FieldRef>>().into())
        }
        other => other.clone(),
    }
}

/// What a path ends in: a leaf whole, of objects and their lists nothing.
fn only_lists(data_type: &DataType) -> DataType {
    only(data_type, &[])
}

/// The schema of a table in which the columns have only these members.
fn narrow(table: &RootTable, columns: &[(&str, &[&str])]) -> SchemaRef {
    let schema = table.schema();
    let field = |field: &FieldRef| match columns.iter().find(|(name, _)| name == field.name()) {
        Some((_, paths)) => Arc::new(field.as_ref().clone().with_data_type(only(field.data_type(), paths))),
        None => field.clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

#[tokio::test]
async fn nested_and_flat_tables_give_the_same_answers() {
    for threads in [1, 3] {
        let (session, _) = session(threads).await;
        for (nested, flat) in [
            ("SELECT count(*), sum(MET.pt) FROM t", "SELECT count(*), sum(MET_pt) FROM flat"),
            (
                "SELECT event, MET.pt FROM t WHERE MET.pt > 60 AND cardinality(Muon) = 2 ORDER BY event",
                "SELECT event, MET_pt FROM flat WHERE MET_pt > 60 AND nMuon = 2 ORDER BY event",
            ),
            (
                "SELECT sum(m['pt']), sum(m['charge']) FROM (SELECT unnest(Muon) AS m FROM t WHERE HLT.IsoMu24)",
                "SELECT sum(pt), sum(q) FROM (SELECT unnest(Muon_pt) AS pt, unnest(Muon_charge) AS q FROM flat \
                 WHERE HLT_IsoMu24)",
            ),
            (
                "SELECT sum(cardinality(array_filter(Jet, j -> j['pt'] > 40 AND abs(j['eta']) < 1))) FROM t",
                "SELECT count(*) FROM (SELECT unnest(Jet_pt) AS pt, unnest(Jet_eta) AS eta FROM flat) \
                 WHERE pt > 40 AND abs(eta) < 1",
            ),
            (
                "SELECT Muon[1]['pt'] AS pt FROM t WHERE Muon[2]['charge'] != Muon[1]['charge'] ORDER BY event",
                "SELECT Muon_pt[1] AS pt FROM flat WHERE Muon_charge[2] != Muon_charge[1] ORDER BY event",
            ),
        ] {
            let (ours, theirs) = (rows(&session, nested).await, rows(&session, flat).await);
            let columns = theirs[0].num_columns();
            for column in 0..columns {
                assert_eq!(floats(&ours, column), floats(&theirs, column), "{nested}");
            }
        }
    }
}

#[tokio::test]
async fn a_narrowed_table_reads_the_bytes_of_its_branches_and_no_others() {
    let (session, table) = session(1).await;
    let members: &[(&str, &[&str])] = &[("Muon", &["pt", "eta"]), ("MET", &["pt"])];
    let narrowed = table.narrowed(narrow(&table, members)).unwrap();
    session.context().register_table("narrowed", Arc::new(narrowed)).unwrap();
    let flat = Ran::of(&session, "SELECT Muon_pt, Muon_eta, MET_pt FROM flat").await;
    let whole = Ran::of(&session, "SELECT Muon, MET FROM t").await;
    let ran = Ran::of(&session, "SELECT Muon, MET FROM narrowed").await;
    assert_eq!(ran.counter("bytes_read"), flat.counter("bytes_read"));
    assert_eq!(ran.counter("baskets_read"), flat.counter("baskets_read"));
    assert!(3 * ran.counter("bytes_read") < whole.counter("bytes_read"));
    let muons = ran.batches[0].column(0).as_list::<i32>().values().as_struct().clone();
    assert_eq!(muons.column_names(), ["pt", "eta"]);
    assert_eq!(muons.column(0), flat.batches[0].column(0).as_list::<i32>().values());
    assert_eq!(muons.column(1), flat.batches[0].column(1).as_list::<i32>().values());
}

#[tokio::test]
async fn a_list_without_members_costs_its_counter() {
    let (session, table) = session(1).await;
    let narrowed = table.narrowed(narrow(&table, &[("Muon", &[])])).unwrap();
    session.context().register_table("narrowed", Arc::new(narrowed)).unwrap();
    let flat = Ran::of(&session, "SELECT nMuon FROM flat").await;
    let ran = Ran::of(&session, "SELECT Muon FROM narrowed").await;
    assert_eq!(ran.counter("bytes_read"), flat.counter("bytes_read"));
    let lengths: Vec<f64> =
        ran.batches.iter().flat_map(|b| b.column(0).as_list::<i32>().iter().map(|l| l.unwrap().len() as f64)).collect();
    assert_eq!(lengths, floats(&flat.batches, 0));
}

#[tokio::test]
async fn a_filter_on_nested_columns_spares_the_others_where_nothing_survives() {
    let (session, table) = session(1).await;
    let narrowed = table.narrowed(narrow(&table, &[("Muon", &["pt"]), ("MET", &["pt"])])).unwrap();
    session.context().register_table("narrowed", Arc::new(narrowed)).unwrap();
    let met = Ran::of(&session, "SELECT MET FROM narrowed").await;
    let none = Ran::of(&session, "SELECT Muon, MET FROM narrowed WHERE MET.pt < 0").await;
    assert_eq!((none.rows(), none.counter("bytes_read")), (0, met.counter("bytes_read")));
    // A column that the filter and the output share is read once.
    let both = Ran::of(&session, "SELECT MET FROM narrowed WHERE MET.pt >= 0").await;
    assert_eq!((both.rows(), both.counter("bytes_read")), (1000, met.counter("bytes_read")));
}

#[tokio::test]
async fn a_filter_and_the_output_can_share_a_list() {
    let (session, table) = session(1).await;
    let narrowed = table.narrowed(narrow(&table, &[("Muon", &["pt", "eta"])])).unwrap();
    session.context().register_table("narrowed", Arc::new(narrowed)).unwrap();
    let sql = |table: &str| {
        format!("SELECT event, Muon[1]['pt'] AS pt, Muon[2]['eta'] AS eta FROM {table} WHERE Muon[2]['pt'] > 20")
    };
    let ours = pretty_format_batches(&rows(&session, &sql("narrowed")).await).unwrap().to_string();
    let whole = pretty_format_batches(&rows(&session, &sql("t")).await).unwrap().to_string();
    assert_eq!(ours, whole);
    let flat = "SELECT event, Muon_pt[1] AS pt, Muon_eta[2] AS eta FROM flat WHERE Muon_pt[2] > 20";
    assert_eq!(ours, pretty_format_batches(&rows(&session, flat).await).unwrap().to_string());
}

#[tokio::test]
async fn the_members_of_a_split_collection_are_read_one_by_one() {
    let Some(file) = aod() else { return };
    let session = RootSession::builder().threads(1).build();
    session.register("flat", std::slice::from_ref(&file), &TableOptions::default()).await.unwrap();
    let table = session.register("t", &[file], &nested()).await.unwrap();
    let (column, obj) = ("recoMuons_muons__RECO.", "recoMuons_muons__RECO.obj");
    let pt = format!("{obj}/reco::RecoCandidate/reco::LeafCandidate/pt_");
    let narrowed = table.narrowed(narrow(&table, &[(column, &[&pt])])).unwrap();
    session.context().register_table("narrowed", Arc::new(narrowed)).unwrap();
    let flat = Ran::of(&session, &format!("SELECT \"{obj}.pt_\" FROM flat")).await;
    let ran = Ran::of(&session, &format!("SELECT \"{column}\" FROM narrowed")).await;
    assert_eq!(ran.counter("bytes_read"), flat.counter("bytes_read"));
    let values = |batch: &RecordBatch| {
        let muons = batch.column(0).as_struct().column(0).as_list::<i32>().values().as_struct().clone();
        let candidate = muons.column(0).as_struct().column(0).as_struct().clone();
        candidate.column(0).clone()
    };
    assert_eq!(&values(&ran.batches[0]), flat.batches[0].column(0).as_list::<i32>().values());

    let lengths = table.narrowed(narrow(&table, &[(column, &[obj])])).unwrap();
    session.context().register_table("lengths", Arc::new(lengths)).unwrap();
    let sql = format!("SELECT sum(cardinality(lengths.\"{column}\"['{obj}'])) FROM lengths");
    let muons = count(&session, &sql).await;
    let flat = count(&session, &format!("SELECT sum(array_length(\"{obj}.type_\")) FROM flat")).await;
    assert_eq!(muons, flat);
}

#[tokio::test]
async fn only_a_part_of_the_schema_is_a_narrower_one() {
    let (_, table) = session(1).await;
    let own = table.schema();
    assert!(table.narrowed(own.clone()).is_ok());
    let mut fields: Vec<FieldRef> = own.fields().iter().cloned().collect();
    fields.swap(0, 1);
    let swapped = Arc::new(Schema::new(fields.clone()));
    fields.pop();
    let fewer = Arc::new(Schema::new(fields));
    let other_type = |name: &str, data_type: DataType| {
        let field = |field: &FieldRef| match field.name() == name {
            true => Arc::new(Field::new(name, data_type.clone(), true)),
            false => field.clone(),
        };
        Arc::new(Schema::new(own.fields().iter().map(field).collect::<Vec<_>>()))
    };
    let unknown = DataType::Struct(vec![Field::new("px", DataType::Float32, true)].into());
    for schema in [swapped, fewer, other_type("run", DataType::Int64), other_type("MET", unknown)] {
        let error = table.narrowed(schema).unwrap_err();
        assert!(matches!(error, Error::NotNarrower { .. }), "{error}");
    }
}

#[tokio::test]
async fn sql_takes_the_layout_as_an_option() {
    let session = RootSession::new();
    let create = |layout: &str| {
        let (file, tree) = sample().rsplit_once(':').map(|(f, t)| (f.to_string(), t.to_string())).unwrap();
        format!(
            "CREATE EXTERNAL TABLE {layout} STORED AS ROOT LOCATION '{file}' OPTIONS (tree '{tree}', layout '{layout}')"
        )
    };
    session.sql(&create("nested")).await.unwrap();
    session.sql(&create("flat")).await.unwrap();
    assert_eq!(
        floats(&rows(&session, "SELECT max(MET.pt) FROM nested").await, 0),
        floats(&rows(&session, "SELECT max(MET_pt) FROM flat").await, 0)
    );
    let error = session.sql(&create("round")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("'flat' or 'nested'"), "{error}");
}

#[tokio::test]
async fn friends_read_entry_by_entry_keep_their_flat_columns_beside_nested_ones() {
    let friend = Friend { files: sample(), alias: Some("f".into()), on: Vec::new() };
    let session = RootSession::builder().threads(2).build();
    let options = TableOptions { friends: vec![friend], ..nested() };
    session.register("t", &[sample()], &options).await.unwrap();
    let sql = "SELECT count(*) FROM t WHERE cardinality(Muon) != \"f.nMuon\" OR MET.pt != \"f.MET_pt\"
        OR Muon[1].pt != \"f.Muon_pt\"[1]";
    assert_eq!(count(&session, sql).await, 0);
    assert_eq!(count(&session, "SELECT count(*) FROM t WHERE Muon[1].pt = \"f.Muon_pt\"[1]").await, {
        count(&session, "SELECT count(*) FROM t WHERE \"f.nMuon\" > 0").await
    });
}

#[tokio::test]
async fn friends_with_keys_have_the_layout_of_the_table() {
    let friend = Friend { files: sample(), alias: Some("f".into()), on: vec!["event".into()] };
    let session = RootSession::builder().threads(2).build();
    let options = TableOptions { friends: vec![friend], ..nested() };
    session.register("t", &[sample()], &options).await.unwrap();
    let sql = "SELECT count(*) FROM t WHERE t.\"f.MET\".pt = MET.pt AND cardinality(t.\"f.Muon\") = cardinality(Muon)";
    assert_eq!(count(&session, sql).await, 1000);
}
