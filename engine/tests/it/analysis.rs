//! Analyses in Rust: the queries of the benchmark and the dimuon spectrum against their references, variations against
//! queries of their own, and what is computed and read for them.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use root_engine::analysis::{Booked, Events, Results};
use root_engine::root_hist::Storage;
use root_engine::{Axis, Error, Histogram, RootSession, histograms};

use crate::adl::reference;
use crate::support::{data, floats, rows, sample};

#[path = "../../../examples/adl.rs"]
mod adl_example;
#[path = "../../../examples/dimuon.rs"]
mod dimuon_example;
#[path = "../../../examples/higgs_four_leptons.rs"]
mod higgs_example;

async fn events(threads: usize) -> Events {
    RootSession::builder().threads(threads).build().events(&sample()).await.unwrap()
}

/// Bins that hold something, by number.
fn filled(histogram: &Histogram) -> Vec<(f64, f64)> {
    let bins = histogram.bins().map(|bin| (bin.index[0] as f64, bin.content.value()));
    bins.filter(|(_, value)| *value != 0.0).collect()
}

/// The histogram that an SQL query gives.
async fn by_sql(session: &RootSession, sql: &str) -> Histogram {
    histograms(&rows(session, sql).await[0]).unwrap().remove(0).1
}

/// What two histograms must have in common, whatever their axes are called.
fn same(one: &Histogram, other: &Histogram) {
    assert_eq!(one.values(), other.values());
    assert_eq!(one.tally(), other.tally());
    if one.storage() == Storage::Weight {
        assert_eq!(one.variances(), other.variances());
    }
}

#[tokio::test]
async fn queries_of_the_benchmark_equal_their_references_in_one_pass() {
    let references = [
        ("q1", 0.0, 2000.0),
        ("q2", 15.0, 60.0),
        ("q3", 15.0, 60.0),
        ("q4", 0.0, 2000.0),
        ("q5", 0.0, 2000.0),
        ("q6-1", 15.0, 40.0),
        ("q6-2", 0.0, 1.0),
        ("q7", 15.0, 200.0),
        ("q8", 15.0, 250.0),
    ];
    for threads in [1, 3] {
        let events = events(threads).await;
        let booked: Vec<Booked<Histogram>> =
            adl_example::QUERIES.iter().map(|(_, query)| query(&events).unwrap()).collect();
        let results = events.run().await.unwrap();
        for (booked, (name, lo, hi)) in booked.iter().zip(references) {
            assert_eq!(filled(&results[booked]), reference(name, lo, hi), "{name} with {threads} threads");
        }
    }
}

#[tokio::test]
async fn each_query_of_the_benchmark_alone_gives_the_same_as_all_together() {
    let all = events(2).await;
    let together: Vec<_> = adl_example::QUERIES.iter().map(|(_, query)| query(&all).unwrap()).collect();
    let together_results = all.run().await.unwrap();
    for ((name, query), booked) in adl_example::QUERIES.iter().zip(&together) {
        let alone = events(2).await;
        let one = query(&alone).unwrap();
        let results = alone.run().await.unwrap();
        assert_eq!(results[&one].to_bytes(), together_results[booked].to_bytes(), "query {name}");
        if std::env::var_os("SHOW_PLANS").is_some() {
            println!("query {name}\n{}", alone.run().explain().await.unwrap());
        }
    }
}

#[tokio::test]
async fn the_dimuon_spectrum_has_the_pairs_of_the_reference() {
    for threads in [1, 3] {
        let events = events(threads).await;
        let mass = dimuon_example::spectrum(&events).unwrap();
        let results = events.run().await.unwrap();
        // The number by uproot and numpy, as in the tests of SQL.
        assert_eq!(results[&mass].tally().entries, 113);
        assert_eq!(results[&mass].axes()[0].label(), "m_{#mu#mu}");
        let session = RootSession::new();
        let sql = format!(
            "SELECT hist_log(invariant_mass(Muon_pt[1], Muon_eta[1], Muon_phi[1], Muon_mass[1], Muon_pt[2], \
             Muon_eta[2], Muon_phi[2], Muon_mass[2]), 300, 0.25, 300) FROM '{}' \
             WHERE nMuon = 2 AND Muon_charge[1] <> Muon_charge[2]",
            sample()
        );
        same(&results[&mass], &by_sql(&session, &sql).await);
    }
}
