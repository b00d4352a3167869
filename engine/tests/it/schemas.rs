//! One table over files that differ in their columns.

use datafusion::arrow::array::Array;
use datafusion::arrow::datatypes::DataType;
use root_engine::{ErrorKind, RootSession, TableOptions};

use crate::support::{count, data, floats, rows};

fn runs() -> String {
    format!("{}:Events", data("runs/*.root"))
}

#[tokio::test]
async fn files_with_other_columns_become_one_table_with_one_warning() {
    let session = RootSession::new();
    let table = session.register("t", &[runs()], &TableOptions::default()).await.unwrap();
    let schema = datafusion::catalog::TableProvider::schema(table.as_ref());
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["run", "event", "nMuon", "Muon_pt", "Muon_charge", "MET_pt", "HLT_IsoMu24"]);
    assert_eq!((table.entries(), table.files().len()), (300, 3));

    let warnings = session.ledger().warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in ["MET_pt", "HLT_IsoMu24", "1 of 3 files", "2013.root", "NULL"] {
        assert!(warnings[0].contains(part), "{part} is not in: {}", warnings[0]);
    }
    // The same again is no news.
    session.register("u", &[runs()], &TableOptions::default()).await.unwrap();
    assert_eq!(session.ledger().warnings().len(), 1);
}

#[tokio::test]
async fn files_with_the_same_columns_cause_no_warning() {
    let session = RootSession::new();
    let twice = [format!("{}:Events", data("runs/2012.root")), format!("{}:Events", data("runs/../runs/2012.root"))];
    session.register("t", &twice, &TableOptions::default()).await.unwrap();
    assert_eq!(session.ledger().warnings(), Vec::<String>::new());
    // Two spellings of one file are one file.
    assert_eq!(count(&session, "SELECT count(*) FROM t").await, 100);
}

#[tokio::test]
async fn absent_values_are_null_in_results_filters_and_functions() {
    for threads in [1, 4] {
        let session = RootSession::builder().threads(threads).build();
        session.register("t", &[runs()], &TableOptions::default()).await.unwrap();
        let batches = rows(&session, "SELECT MET_pt FROM t WHERE run = 2013").await;
        assert!(batches.iter().all(|b| b.column(0).null_count() == b.num_rows()));
        assert_eq!(floats(&rows(&session, "SELECT sum(MET_pt) FROM t").await, 0), [9950.0]);
        assert_eq!(count(&session, "SELECT count(*) FROM t WHERE MET_pt > 50 OR HLT_IsoMu24").await, 120);
        assert_eq!(count(&session, "SELECT count(*) FROM t WHERE NOT (MET_pt > 50)").await, 101);
    }
}

/// 2012.root with its trigger under the name of the muons' charges.
fn confused_year() -> (tempfile::TempDir, String) {
    let mut bytes = std::fs::read(data("runs/2012.root")).unwrap();
    let (trigger, charge) = (b"HLT_IsoMu24", b"Muon_charge");
    for at in 0..bytes.len() - trigger.len() {
        let name = &mut bytes[at..at + trigger.len()];
        if name == charge {
            name.copy_from_slice(b"Muon_______");
        } else if name == trigger {
            name.copy_from_slice(charge);
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("confused.root");
    std::fs::write(&file, bytes).unwrap();
    (directory, format!("{}:Events", file.display()))
}

#[tokio::test]
async fn files_that_disagree_on_a_type_are_an_error_that_names_both() {
    let session = RootSession::new();
    let (_directory, confused) = confused_year();
    let files = [format!("{}:Events", data("runs/2011.root")), confused];
    let error = session.register("t", &files, &TableOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    let text = error.to_string();
    for part in ["'Muon_charge'", "List(non-null Int32) in ", "runs/2011.root", "Boolean in ", "confused.root"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[tokio::test]
async fn numbers_of_different_width_become_one_column_with_one_warning() {
    let files = [format!("{}:Events", data("runs/2011.root")), format!("{}:Events", data("other/run_is_float.root"))];
    for threads in [1, 3] {
        let session = RootSession::builder().threads(threads).build();
        let table = session.register("t", &files, &TableOptions::default()).await.unwrap();
        let schema = datafusion::catalog::TableProvider::schema(table.as_ref());
        assert_eq!(schema.field_with_name("run").unwrap().data_type(), &DataType::Float64);
        let warnings = session.ledger().warnings();
        let widened = warnings.iter().find(|w| w.contains("widened")).unwrap();
        for part in ["run to Float64", "Int32 in ", "runs/2011.root"] {
            assert!(widened.contains(part), "{part} is not in: {widened}");
        }
        // Filters see the table's type in both files.
        assert_eq!(count(&session, "SELECT count(*) FROM t WHERE run > 4.2").await, 101);
        assert_eq!(count(&session, "SELECT count(*) FROM t WHERE run = 2011").await, 100);
        assert_eq!(count(&session, "SELECT count(DISTINCT run) FROM t WHERE run < 2").await, 4);
    }
}

#[tokio::test]
async fn a_misspelt_column_is_answered_with_its_neighbours() {
    let session = RootSession::new();
    session.register("t", &[runs()], &TableOptions::default()).await.unwrap();
    for (sql, expected) in [
        ("SELECT muon_pt FROM t", "there is no column 'muon_pt'; did you mean Muon_pt"),
        ("SELECT run FROM t WHERE MET_pT > 1", "there is no column 'MET_pT'; did you mean MET_pt"),
        ("SELECT run FROM t ORDER BY evnt", "there is no column 'evnt'; did you mean event"),
        ("SELECT count(*) FROM t GROUP BY HLT_IsoMu27", "there is no column 'HLT_IsoMu27'; did you mean HLT_IsoMu24"),
    ] {
        let error = session.sql(sql).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{sql}: {error}");
        assert_eq!(error.kind(), ErrorKind::Query);
    }
}

#[tokio::test]
async fn a_file_is_a_data_frame() {
    // `col` would lower the case of the name.
    use datafusion::prelude::{ident, lit};
    let session = RootSession::new();
    let events = session.read(&runs()).await.unwrap();
    let muons = events.filter(ident("nMuon").gt(lit(2))).unwrap().select_columns(&["event", "Muon_pt"]).unwrap();
    assert_eq!(muons.count().await.unwrap(), 75);
}
