//! What is costly is computed once, and everything else is still filtered where it is read.

use datafusion::physical_plan::displayable;
use root_engine::{RootSession, TableOptions};

use crate::support::{project, sample};

/// The physical plan of a query over the sample, as table `t`.
async fn plan(sql: &str) -> String {
    let session = RootSession::builder().threads(1).build();
    session.register("t", &[sample()], &TableOptions::default()).await.unwrap();
    let plan = session.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    displayable(plan.as_ref()).indent(false).to_string()
}

/// What the scan filters by.
fn predicate(plan: &str) -> Option<&str> {
    plan.lines().find(|line| line.contains("DataSourceExec")).unwrap().split_once("predicate=").map(|(_, text)| text)
}

#[tokio::test]
async fn combinations_and_matches_are_computed_once_although_they_are_filtered_by() {
    for (file, function, times) in
        [("q6", "nearest_mass", 1), ("q6b", "nearest_mass", 1), ("q7", "any_near", 2), ("q8", "nearest_mass", 1)]
    {
        let sql = std::fs::read_to_string(project("benches/queries").join(format!("{file}.sql"))).unwrap();
        let plan = plan(&sql).await;
        // Of a list of structs, or of one of its members alone.
        let calls = plan.matches(&format!("{function}(")).count() + plan.matches(&format!("{function}/")).count();
        assert_eq!(calls, times, "{file}\n{plan}");
    }
}

#[tokio::test]
async fn conditions_beside_costly_ones_go_to_the_scan() {
    let text = plan(
        "SELECT floor(m) AS bin, count(*) AS n FROM \
           (SELECT nMuon, invariant_mass(Muon_pt[1], Muon_eta[1], Muon_phi[1], Muon_pt[2], Muon_eta[2], Muon_phi[2]) AS m \
            FROM t WHERE MET_pt > 20) \
         WHERE m > 60 AND nMuon = 2 GROUP BY bin",
    )
    .await;
    let predicate = predicate(&text).unwrap();
    assert!(predicate.contains("MET_pt") && predicate.contains("nMuon"), "{text}");
    assert!(!predicate.contains("invariant_mass"), "{text}");
    assert_eq!(text.matches("invariant_mass(").count(), 1, "{text}");
}

#[tokio::test]
async fn a_costly_condition_goes_to_the_scan_where_nothing_else_needs_it_or_much_need_not_be_read() {
    let mass = "invariant_mass(Muon_pt[1], Muon_eta[1], Muon_phi[1], Muon_pt[2], Muon_eta[2], Muon_phi[2])";
    let alone = plan(&format!("SELECT MET_pt FROM (SELECT MET_pt, {mass} AS m FROM t) WHERE m > 60")).await;
    assert!(predicate(&alone).unwrap().contains("invariant_mass"), "{alone}");
    let wide = plan(&format!("SELECT * FROM (SELECT *, {mass} AS m FROM t) WHERE m > 60")).await;
    assert!(predicate(&wide).unwrap().contains("invariant_mass"), "{wide}");
}

#[tokio::test]
async fn a_condition_on_a_member_or_a_renamed_column_goes_to_the_scan() {
    for sql in [
        "SELECT count(*) FROM (SELECT MET_pt AS met, nMuon FROM t) WHERE met > 20",
        "SELECT count(*) FROM (SELECT named_struct('pt', MET_pt, 'phi', MET_phi) AS met FROM t) WHERE met.pt > 20",
        "SELECT sum(pt) FROM (SELECT Muon_pt[1] AS pt FROM t) WHERE pt > 20",
    ] {
        let text = plan(sql).await;
        assert!(predicate(&text).is_some_and(|p| p.contains("> 20")), "{sql}\n{text}");
        assert!(!text.contains("FilterExec"), "{sql}\n{text}");
    }
}
