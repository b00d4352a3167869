//! The reduction of CMS's AOD to the masses of muon pairs, as the SQL that the project shows as an example, over the same
//! muons split and not split. The file is not part of the project; without it the tests say so and pass.

use std::path::PathBuf;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Float32Type, UInt32Type};
use root_engine::{Layout, RootSession, TableOptions};

use crate::support::{Ran, count, floats, project, rows};

fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/aod");
    if !folder.is_dir() {
        eprintln!("SKIPPED: the file with muons is not here");
        return None;
    }
    Some(folder)
}

/// A tree as the table `t`, read in order.
async fn session(folder: &std::path::Path, tree: &str, layout: Layout) -> RootSession {
    let session = RootSession::builder().threads(1).build();
    let file = format!("{}:{tree}", folder.join("aod_dimuon_zlib.root").display());
    session.register("t", &[file], &TableOptions { layout, ..TableOptions::default() }).await.unwrap();
    session
}

fn reduction() -> String {
    std::fs::read_to_string(project("examples/dimuon_reduction_aod.sql")).unwrap()
}

/// Run, luminosity block, event and mass.
type Row = (u32, u32, u32, f32);

/// What a job with ROOT writes.
fn reference(folder: &std::path::Path) -> Vec<Row> {
    let text = std::fs::read_to_string(folder.join("ref_dimuon_dimuon.csv")).unwrap();
    let row = |line: &str| {
        let [_, run, lumi, event, mass] = line.split(',').collect::<Vec<_>>().try_into().unwrap();
        (run.parse().unwrap(), lumi.parse().unwrap(), event.parse().unwrap(), mass.parse().unwrap())
    };
    text.lines().skip(1).map(row).collect()
}

#[tokio::test]
async fn the_reduction_gives_what_root_gives_whether_the_muons_are_split_or_not() {
    let Some(folder) = folder() else { return };
    let expected = reference(&folder);
    for tree in ["Events", "EventsUnsplit;9"] {
        let ran = Ran::of(&session(&folder, tree, Layout::Nested).await, &reduction()).await;
        let mut found: Vec<Row> = Vec::new();
        for batch in &ran.batches {
            let [run, lumi, event] = [0, 1, 2].map(|at| batch.column(at).as_primitive::<UInt32Type>());
            let mass = batch.column(3).as_primitive::<Float32Type>();
            found.extend((0..batch.num_rows()).map(|i| (run.value(i), lumi.value(i), event.value(i), mass.value(i))));
        }
        assert_eq!(found, expected, "{tree}");
    }
}

#[tokio::test]
async fn the_reduction_reads_the_members_that_it_names_and_no_others() {
    let Some(folder) = folder() else { return };
    let muons = [
        "pt_",
        "eta_",
        "phi_",
        "pdgId_",
        "type_",
        "pfIsolationR04_.sumChargedHadronPt",
        "pfIsolationR04_.sumNeutralHadronEt",
        "pfIsolationR04_.sumPhotonEt",
        "pfIsolationR04_.sumPUPt",
    ];
    let columns = muons.map(|member| format!("\"recoMuons_muons__RECO.obj.{member}\"")).join(", ");
    let flat = format!("SELECT \"id_.run_\", \"id_.luminosityBlock_\", \"id_.event_\", {columns} FROM t");
    let flat = Ran::of(&session(&folder, "Events", Layout::Flat).await, &flat).await;
    let nested = Ran::of(&session(&folder, "Events", Layout::Nested).await, &reduction()).await;
    let (nested, flat) = (nested.counter("bytes_read"), flat.counter("bytes_read"));
    assert!(flat > 0 && nested.abs_diff(flat) * 50 <= flat, "{nested} bytes instead of {flat}");
}

#[tokio::test]
async fn products_that_are_not_split_go_by_the_label_of_their_module_in_both_layouts() {
    let Some(folder) = folder() else { return };
    let split = session(&folder, "Events", Layout::Flat).await;
    let length = count(&split, "SELECT sum(cardinality(muons.pt_)) FROM t").await;
    let of_first = floats(&rows(&split, "SELECT sum(muons.eta_[1]) FROM t").await, 0);
    for layout in [Layout::Flat, Layout::Nested] {
        let session = session(&folder, "EventsUnsplit;9", layout).await;
        for lengths in ["cardinality(muons)", "cardinality(muons.pt_)", "array_count(muons, m -> m.pt_ >= 0)"] {
            assert_eq!(count(&session, &format!("SELECT sum({lengths}) FROM t")).await, length, "{lengths}");
        }
        for value in ["muons[1].eta_", "muons.eta_[1]", "array_transform(muons, m -> m.eta_)[1]"] {
            assert_eq!(floats(&rows(&session, &format!("SELECT sum({value}) FROM t")).await, 0), of_first, "{value}");
        }
    }
}

#[tokio::test]
async fn filters_on_members_of_unsplit_objects_leave_the_rows_that_pass() {
    let Some(folder) = folder() else { return };
    let split = session(&folder, "Events", Layout::Nested).await;
    for layout in [Layout::Flat, Layout::Nested] {
        let unsplit = session(&folder, "EventsUnsplit;9", layout).await;
        for condition in ["muons[1].pt_ > 25", "cardinality(muons) = 2", "array_any_match(muons, m -> m.status_ = 1)"] {
            let sql = format!("SELECT muons[2].phi_ FROM t WHERE {condition}");
            assert_eq!(floats(&rows(&unsplit, &sql).await, 0), floats(&rows(&split, &sql).await, 0), "{sql}");
        }
    }
}

#[tokio::test]
async fn members_of_unsplit_objects_are_found_among_several_of_their_columns() {
    let Some(folder) = folder() else { return };
    for layout in [Layout::Flat, Layout::Nested] {
        let session = session(&folder, "EventsUnsplit;9", layout).await;
        let sql = "SELECT count(*) FROM t WHERE \"recoMuonVec\"[1].pt_ != muons[1].pt_ OR EventAuxiliary.id_.run_ < 1";
        assert_eq!(count(&session, sql).await, 0);
        let whole = rows(&session, "SELECT \"recoMuonVec\"[1] FROM t LIMIT 3").await;
        assert!(whole[0].column(0).as_struct().num_columns() > 20);
    }
}

#[tokio::test]
async fn only_the_members_of_unsplit_objects_that_a_query_touches_are_decoded() {
    let Some(folder) = folder() else { return };
    let file = format!("{}:sink", folder.join("sink/sink.root").display());
    for layout in [Layout::Flat, Layout::Nested] {
        let session = RootSession::builder().threads(1).build();
        let options = TableOptions { layout, ..TableOptions::default() };
        session.register("t", std::slice::from_ref(&file), &options).await.unwrap();
        // One base of the class writes itself, in a way that nothing describes.
        let whole = session.sql("SELECT sinku FROM t").await.unwrap().collect().await.unwrap_err();
        assert!(whole.to_string().contains("Custom"), "{whole}");
        assert_eq!(count(&session, "SELECT count(sinku.od) FROM t").await, 100);
    }
}
