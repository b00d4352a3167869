//! Analyses in Rust: the queries of the benchmark and the dimuon spectrum against their references, variations against
//! queries of their own, and what is computed and read for them.

// Of the examples only what they book is used.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use root_engine::analysis::{Booked, Events, Results};
use root_engine::root_hist::Storage;
use root_engine::{Axis, Error, Histogram, RootSession, histograms};

use crate::adl::reference;
use crate::support::{data, floats, rows, sample};

#[path = "../../../examples/adl.rs"]
mod adl_example;
#[path = "../../../examples/cutflow.rs"]
mod cutflow_example;
#[path = "../../../examples/dimuon.rs"]
mod dimuon_example;
#[path = "../../../examples/higgs_four_leptons.rs"]
mod higgs_example;
#[path = "../../../examples/many_histograms.rs"]
mod many_example;
#[path = "../../../examples/systematics.rs"]
mod systematics_example;

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
    }
}

#[tokio::test]
async fn the_dimuon_spectrum_has_the_pairs_of_the_reference() {
    for threads in [1, 3] {
        let events = events(threads).await;
        let mass = dimuon_example::spectrum(&events, Axis::log(300, 0.25, 300.0).unwrap()).unwrap();
        let results = events.run().await.unwrap();
        // The number by uproot and numpy, as in the tests of SQL.
        assert_eq!(results[&mass].tally().entries, 113);
        assert_eq!(results[&mass].axes()[0].label(), "m_{μμ}");
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

#[tokio::test]
async fn variations_equal_queries_with_the_columns_replaced() {
    let scaled =
        |column: &str, factor: &str| format!("array_transform({column}, v -> arrow_cast(v * {factor}, 'Float32'))");
    let (jets, muons) = ("Jet_pt".to_owned(), "Muon_pt".to_owned());
    let cases = [
        ("nominal", jets.clone(), muons.clone()),
        ("jes:up", scaled("Jet_pt", "1.05"), muons.clone()),
        ("jes:down", scaled("Jet_pt", "0.95"), muons),
        ("muon:up", jets.clone(), scaled("Muon_pt", "1.01")),
        ("muon:down", jets, scaled("Muon_pt", "0.99")),
    ];
    for threads in [1, 3] {
        let events = events(threads).await;
        let hard = systematics_example::hard_jets(&events).unwrap();
        let results = events.run().await.unwrap();
        let found: BTreeMap<&str, &Histogram> = results.varied(&hard).chain([("nominal", &results[&hard])]).collect();
        assert_eq!(found.len(), cases.len());
        for (name, jets, muons) in &cases {
            let sql = format!(
                "WITH events AS (SELECT {jets} AS j, {muons} AS m FROM '{}') \
                 SELECT hist(array_sum(array_filter(j, pt -> pt > 30)), 20, 0, 400) FROM events \
                 WHERE array_any_match(m, pt -> pt > 25) AND array_count(j, pt -> pt > 30) >= 2",
                sample()
            );
            same(found[name], &by_sql(&RootSession::new(), &sql).await);
        }
        assert!(found["jes:up"].values() != found["jes:down"].values());
    }
}

#[tokio::test]
async fn weights_and_their_variations_equal_weighted_queries() {
    let events = events(2).await;
    let weighted = events
        .define("w", "1 + MET_pt / 100")
        .unwrap()
        .vary("scale", [("up", [("w", "w * 2")])])
        .unwrap()
        .weight("w")
        .unwrap();
    let axis = || Axis::regular(10, 0.0, 100.0).unwrap();
    let jets = weighted.hist("Jet_pt", axis()).unwrap();
    let twice = weighted.weight("0.5").unwrap().hist("MET_pt", axis()).unwrap();
    let profile = weighted.profile("MET_pt", axis(), "nJet").unwrap();
    let unweighted = events.hist("Jet_pt", axis()).unwrap();
    let results = events.run().await.unwrap();

    let session = RootSession::new();
    let table = format!("(SELECT *, 1 + MET_pt / 100 AS w FROM '{}')", sample());
    let sql = |call: &str| format!("SELECT {call} FROM {table}");
    same(&results[&jets], &by_sql(&session, &sql("hist(Jet_pt, 10, 0, 100, w)")).await);
    same(&results[&twice], &by_sql(&session, &sql("hist(MET_pt, 10, 0, 100, w * 0.5)")).await);
    same(&results[&profile], &by_sql(&session, &sql("profile(MET_pt, nJet, 10, 0, 100, w)")).await);
    same(&results[&unweighted], &by_sql(&session, &sql("hist(Jet_pt, 10, 0, 100)")).await);
    let up = by_sql(&session, &sql("hist(Jet_pt, 10, 0, 100, w * 2)")).await;
    let varied: Vec<_> = results.varied(&jets).collect();
    assert_eq!(varied.len(), 1);
    assert_eq!(varied[0].0, "scale:up");
    same(varied[0].1, &up);
    assert_eq!(results.varied(&unweighted).count(), 0);
}

#[tokio::test]
async fn branches_see_only_their_own_events() {
    let events = events(2).await;
    let few = events.filter("nMuon > 0").unwrap();
    // Whole numbers cannot be divided by zero: nothing may compute this for events without muons.
    let share = few.define("share", "100 / CAST(nMuon AS BIGINT)").unwrap();
    let two = share.filter("share = 50").unwrap();
    let (all, some, pairs) = (events.count(), few.count(), two.count());
    let (sum, energy) = (share.sum("share").unwrap(), events.sum("Jet_pt").unwrap());
    let jets = two
        .hist2d(("Jet_pt", Axis::regular(5, 0.0, 100.0).unwrap()), ("Jet_eta", Axis::regular(5, -5.0, 5.0).unwrap()));
    let jets = jets.unwrap();
    let results = events.run().await.unwrap();

    let session = RootSession::new();
    let number = async |what: &str| floats(&rows(&session, &format!("SELECT {what} FROM '{}'", sample())).await, 0)[0];
    assert_eq!(results[&all] as f64, 1000.0);
    assert_eq!(results[&some] as f64, number("count(*) FILTER (WHERE nMuon > 0)").await);
    assert_eq!(results[&pairs] as f64, number("count(*) FILTER (WHERE nMuon = 2)").await);
    assert_eq!(results[&sum], number("sum(CASE WHEN nMuon > 0 THEN 100 / nMuon END)").await);
    assert!((results[&energy] - number("sum(array_sum(Jet_pt))").await).abs() < 1e-6 * results[&energy]);
    let sql = format!("SELECT hist2d(Jet_pt, Jet_eta, 5, 0, 100, 5, -5, 5) FROM '{}' WHERE nMuon = 2", sample());
    same(&results[&jets], &by_sql(&session, &sql).await);
}

#[tokio::test]
async fn two_hundred_histograms_in_one_pass_equal_queries_of_their_own() {
    let events = events(3).await;
    let booked = many_example::book(&events).unwrap();
    assert_eq!(booked.len(), 200);
    let results = events.run().await.unwrap();
    let session = RootSession::new();
    for (column, threshold, low, high) in [("Muon_pt", 0, 0, 200), ("Jet_eta", 45, -5, 5), ("Tau_pt", 95, 0, 200)] {
        let name = format!("{column} where MET_pt > {threshold}");
        let (_, histogram) = booked.iter().find(|(known, _)| *known == name).unwrap();
        let sql = format!("SELECT hist({column}, 50, {low}, {high}) FROM '{}' WHERE MET_pt > {threshold}", sample());
        same(&results[histogram], &by_sql(&session, &sql).await);
    }
}

#[tokio::test]
async fn a_cutflow_counts_the_events_behind_each_cut() {
    let events = events(2).await;
    let cutflow = cutflow_example::z_to_muons(&events).unwrap();
    let weighted = events.weight("2").unwrap().filter("nMuon = 2").unwrap().cutflow();
    let results = events.run().await.unwrap();
    let session = RootSession::new();
    let mass = "invariant_mass(Muon_pt[1], Muon_eta[1], Muon_phi[1], Muon_mass[1], Muon_pt[2], Muon_eta[2], Muon_phi[2], \
                Muon_mass[2])";
    let sql = format!(
        "SELECT count(*), count(*) FILTER (WHERE a), count(*) FILTER (WHERE a AND b), count(*) FILTER (WHERE a AND b AND c), \
         count(*) FILTER (WHERE a AND b AND c AND d) FROM (SELECT HLT_IsoMu24 AS a, nMuon = 2 AS b, \
         Muon_charge[1] <> Muon_charge[2] AS c, {mass} BETWEEN 60 AND 120 AS d FROM '{}')",
        sample()
    );
    let batches = rows(&session, &sql).await;
    let expected: Vec<f64> = (0..5).map(|column| floats(&batches, column)[0]).collect();
    let found: Vec<f64> = results[&cutflow].iter().map(|step| step.passed.events as f64).collect();
    assert_eq!(found, expected);
    assert_eq!(results[&cutflow][1].name, "trigger");
    let [all, pairs] = results[&weighted].as_slice() else { panic!() };
    assert_eq!((all.passed.events, all.passed.weights, all.passed.squares), (1000, 2000.0, 4000.0));
    assert_eq!((pairs.name.as_str(), pairs.passed.weights), ("nMuon = 2", 2.0 * pairs.passed.events as f64));
}

#[tokio::test]
async fn the_channels_of_the_four_leptons_are_all_candidates() {
    let events = events(2).await;
    let channels = higgs_example::channels(&events).unwrap();
    let all = higgs_example::candidates(&events).unwrap().count();
    let results = events.run().await.unwrap();
    let sum: u64 = channels.iter().map(|(_, mass)| results[mass].tally().entries).sum();
    assert_eq!(sum, results[&all]);
}

#[tokio::test]
async fn four_leptons_are_two_pairs_and_the_first_is_that_nearest_to_the_z() {
    // Pairs back to back without masses: the mass of each is twice the momentum, and that of all four the sum of both.
    let event = |muons: [&str; 3], electrons: [&str; 3]| {
        let of = |name: &str, [pt, phi, charge]: [&str; 3]| {
            let list = |what: &str, values: &str| format!("arrow_cast([{values}], 'List({what})') AS {name}");
            let count = if pt.is_empty() { 0 } else { pt.split(',').count() };
            let zeros = vec!["0"; count].join(",");
            let zero = |column: &str| format!("{}_{column}", list("Float64", &zeros));
            format!(
                "arrow_cast({count}, 'UInt32') AS n{name}, {}_pt, {}_phi, {}_charge, {}, {}, {}, {}, {}",
                list("Float64", pt),
                list("Float64", phi),
                list("Int32", charge),
                zero("eta"),
                zero("mass"),
                zero("pfRelIso03_all"),
                zero("dxy"),
                zero("dz")
            )
        };
        format!("SELECT {}, {}", of("Muon", muons), of("Electron", electrons))
    };
    let (none, phi) = (["", "", ""], "0, 3.141592653589793, 1.570796326794897, -1.570796326794897");
    let halves = phi.split_once(", 1").map(|(first, second)| (first, format!("1{second}"))).unwrap();
    let selected = [
        event(["45, 45, 15, 15", phi, "1, -1, 1, -1"], none),
        event(none, ["44, 44, 20, 20", phi, "1, -1, -1, 1"]),
        event(["15, 15", halves.0, "1, -1"], ["45, 45", &halves.1, "1, -1"]),
    ];
    let dropped = [
        event(["45, 45, 15, 15", phi, "1, -1, 1, 1"], none),
        event(["15, 15", halves.0, "1, 1"], ["45, 45", &halves.1, "-1, -1"]),
        event(["45, 45, 5.5, 5.5", phi, "1, -1, 1, -1"], none),
        event(["15, 15", halves.0, "1, -1"], ["18, 18", &halves.1, "1, -1"]),
    ];
    let session = RootSession::builder().threads(2).build();
    let sql = selected.into_iter().chain(dropped).collect::<Vec<_>>().join(" UNION ALL ");
    let events = rows(&session, &sql).await;
    let events = session.events_from(session.context().read_batches(events).unwrap()).unwrap();
    let channels = higgs_example::channels(&events).unwrap();
    let results = events.run().await.unwrap();
    let bins: Vec<_> = channels.iter().map(|(_, mass)| filled(&results[mass])).collect();
    // 120, 128 and 120 GeV, in 36 bins from 70 to 180.
    assert_eq!(bins, [[(16.0, 1.0)], [(18.0, 1.0)], [(16.0, 1.0)]]);
}

#[tokio::test]
async fn what_several_results_need_is_computed_once_and_nothing_else_is_read() {
    let events = events(1).await;
    let queries = adl_example::QUERIES.iter().filter(|(name, _)| name.starts_with('6'));
    let _booked: Vec<_> = queries.map(|(_, query)| query(&events).unwrap()).collect();
    let plan = events.run().explain().await.unwrap();
    // Whole, or one of its members alone.
    let calls = plan.matches("nearest_mass(").count() + plan.matches("nearest_mass/").count();
    assert_eq!(calls, 1, "{plan}");
    assert!(plan.contains("Jet_btag") && !plan.contains("Muon_pt"), "{plan}");
    // The condition that both begin with is decided by the scan, before jets are read.
    assert!(!plan.contains("FilterExec"), "{plan}");
}

#[tokio::test]
async fn conditions_on_what_is_costly_and_used_again_do_not_compute_it_again() {
    let events = events(1).await;
    let mass = events
        .filter("nMuon = 2")
        .unwrap()
        .define("mass", "invariant_mass(Muon_pt[1], Muon_eta[1], Muon_phi[1], Muon_pt[2], Muon_eta[2], Muon_phi[2])")
        .unwrap()
        .filter("mass BETWEEN 60 AND 120")
        .unwrap();
    let histogram = mass.hist("mass", Axis::regular(60, 60.0, 120.0).unwrap()).unwrap();
    let plan = events.run().explain().await.unwrap();
    assert_eq!(plan.matches("invariant_mass(").count(), 1, "{plan}");
    let results = events.run().await.unwrap();
    let sql = format!(
        "SELECT hist(m, 60, 60, 120) FROM (SELECT invariant_mass(Muon_pt[1], Muon_eta[1], Muon_phi[1], Muon_pt[2], \
         Muon_eta[2], Muon_phi[2]) AS m FROM '{}' WHERE nMuon = 2) WHERE m >= 60 AND m <= 120",
        sample()
    );
    same(&results[&histogram], &by_sql(&RootSession::new(), &sql).await);
}

#[tokio::test]
async fn mistakes_are_told_when_they_are_made_and_name_what_was_meant() {
    let events = events(1).await;
    let axis = || Axis::regular(10, 0.0, 1.0).unwrap();
    let told = |error: Error| error.to_string();
    let refused = [
        (told(events.filter("nMuom = 2").err().unwrap()), "did you mean nMuon?"),
        (told(events.filter("nMuon").err().unwrap()), "must be true or false"),
        (told(events.filter("Jet_pt > 30").err().unwrap()), "array_filter"),
        (told(events.filter("nMuon =").err().unwrap()), "condition 'nMuon ='"),
        (told(events.filter("sum(nMuon) > 1").err().unwrap()), "book the result"),
        (told(events.define("x", "unnest(Jet_pt)").err().unwrap()), "element by element"),
        (told(events.define("nMuon", "1").err().unwrap()), "another name"),
        (told(events.define("x", "1").unwrap().define("x", "2").err().unwrap()), "column 'x'"),
        (told(events.define("x", "cosh(Jet_pt, 3)").err().unwrap()), "definition 'cosh(Jet_pt, 3)'"),
        (told(events.weight("Jet_pt").err().unwrap()), "must be a number"),
        (told(events.sum("named_struct('a', 1)").err().unwrap()), "cannot be added up"),
        (told(events.hist("named_struct('a', 1)", axis()).err().unwrap()), "no place on"),
        (told(events.hist("MET_pt", Axis::growing_str_category()).err().unwrap()), "no place on"),
        (told(events.vary("v", [("up", [("Jet_p", "1")])]).err().unwrap()), "did you mean Jet_pt"),
        (
            told(events.vary("v", [("up", [("Jet_pt", "named_struct('a', 1)")])]).err().unwrap()),
            "what would replace it",
        ),
        (told(events.vary("v", [("a", [("nJet", "1")]), ("a", [("nJet", "2")])]).err().unwrap()), "two 'a'"),
        (told(events.vary("v", Vec::<(&str, [(&str, &str); 1])>::new()).err().unwrap()), "there are none"),
        (told(events.rows(["nMuom"]).err().unwrap()), "did you mean nMuon?"),
        (told(events.run().await.err().unwrap()), "nothing is booked"),
    ];
    for (message, words) in refused {
        assert!(message.contains(words), "{message} | {words}");
    }
    let varied = events.vary("v", [("up", [("nJet", "1")])]).unwrap();
    assert!(varied.vary("v", [("up", [("nJet", "2")])]).is_err());
}

#[tokio::test]
async fn handles_of_other_events_or_later_bookings_are_errors() {
    let (one, two) = (events(1).await, events(1).await);
    let (of_one, of_two) = (one.count(), two.count());
    let results = one.run().await.unwrap();
    let late = one.count();
    assert_eq!(*results.get(&of_one).unwrap(), 1000);
    assert!(matches!(results.get(&of_two), Err(Error::NotBooked)));
    assert!(matches!(results.get(&late), Err(Error::NotBooked)));
    assert_eq!(results.varied(&late).count(), 0);
    assert_eq!(one.run().await.unwrap()[&late], 1000);
}

#[tokio::test]
async fn a_run_tells_how_far_it_is_and_can_be_cancelled() {
    use std::sync::{Arc, Mutex};
    let events = events(2).await;
    let _met = events.hist("MET_pt", Axis::regular(10, 0.0, 100.0).unwrap()).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let calls = seen.clone();
    events.run().progress(move |now| calls.lock().unwrap().push(now)).await.unwrap();
    let last = *seen.lock().unwrap().last().unwrap();
    assert_eq!((last.entries_done, last.entries_total, last.files_total), (1000, 1000, 1));
    // The counters of a run begin with it.
    let calls = seen.clone();
    events.run().progress(move |now| calls.lock().unwrap().push(now)).await.unwrap();
    assert_eq!(seen.lock().unwrap().last().unwrap().entries_done, 1000);

    let cancelled = events.run().cancel_when(std::future::ready(())).await;
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    let later = events.run().cancel_when(tokio::time::sleep(Duration::from_secs(600))).await;
    assert!(later.is_ok());
}

#[tokio::test]
async fn values_that_are_missing_and_no_events_at_all_are_counted_as_such() {
    use datafusion::arrow::array::{ArrayRef, Float64Array, RecordBatch};
    let values: ArrayRef = std::sync::Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::NAN), Some(3.0)]));
    let batch = RecordBatch::try_from_iter([("x", values)]).unwrap();
    let session = RootSession::new();
    let events = session.events_from(session.context().read_batch(batch).unwrap()).unwrap();
    let axis = || Axis::regular(4, 0.0, 4.0).unwrap();
    let all = events.hist("x", axis()).unwrap();
    let large = events.filter("x > 2").unwrap();
    let (some, none) = (large.hist("x", axis()).unwrap(), large.filter("x < 0").unwrap());
    let (count, sum, empty) = (none.count(), none.sum("x").unwrap(), none.hist("x", axis()).unwrap());
    let results: Results = events.run().await.unwrap();

    let tally = results[&all].tally();
    // What is not a number is above all numbers, in the overflow bin.
    assert_eq!((tally.entries, tally.nulls, tally.nans), (3, 1, 1));
    // SQL takes NaN for larger than any number; a condition that is NULL does not hold.
    assert_eq!((results[&some].tally().entries, results[&some].tally().nulls), (2, 0));
    assert_eq!((results[&count], results[&sum], results[&empty].tally().entries), (0, 0.0, 0));
}

#[tokio::test]
async fn a_skim_has_the_chosen_columns_of_the_chosen_events() {
    let directory = tempfile::tempdir().unwrap();
    let events = events(2).await;
    let pairs = events.filter("nMuon = 2").unwrap().define("half", "MET_pt / 2").unwrap();
    let session = RootSession::new();
    for name in ["skim.root", "skim.parquet"] {
        let file = directory.path().join(name).display().to_string();
        let written = pairs.skim(["nMuon", "Muon_pt", "half"], &file).await.unwrap();
        let frame = match name {
            "skim.root" => session.read(&file).await.unwrap(),
            _ => session.context().read_parquet(file, Default::default()).await.unwrap(),
        };
        let batches = frame.collect().await.unwrap();
        let expected = floats(
            &rows(&session, &format!("SELECT sum(MET_pt / 2), count(*) FROM '{}' WHERE nMuon = 2", sample())).await,
            0,
        )[0];
        let half = batches[0].schema().index_of("half").unwrap();
        let found: f64 = floats(&batches, half).iter().sum();
        assert_eq!(floats(&batches, half).len() as u64, written);
        assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    }
    let refused = pairs.skim(["nMuon"], "skim.xyz").await.unwrap_err().to_string();
    assert!(refused.contains(".parquet"), "{refused}");
}

#[tokio::test]
async fn expressions_of_datafusion_are_taken_as_well_as_text() {
    use datafusion::prelude::lit;
    use root_engine::expr_fn::{array_max, col, delta_phi};
    let events = events(1).await;
    let count = events.filter(col("nMuon").eq(lit(2))).unwrap().count();
    let expected = events.filter("nMuon = 2").unwrap().count();
    let angle = delta_phi([array_max([col("Jet_phi")]), col("MET_phi")]);
    let axis = || Axis::regular(8, -4.0, 4.0).unwrap();
    let planned = events.hist(angle, axis().with_name("angle")).unwrap();
    let text = events.hist("delta_phi(array_max(Jet_phi), MET_phi)", axis()).unwrap();
    let wrong = events.filter(col("nMuom").eq(lit(2))).err().unwrap().to_string();
    let results = events.run().await.unwrap();
    assert_eq!(results[&count], results[&expected]);
    same(&results[&planned], &results[&text]);
    assert!(wrong.contains("did you mean nMuon?"), "{wrong}");
}

#[tokio::test]
async fn short_names_of_products_and_members_are_understood() {
    let session = RootSession::new();
    let Ok(events) = session.events(&format!("{}:Events", data("other/clusters.root"))).await else { panic!() };
    let first = events.filter("hits[1] > 0").unwrap().count();
    let results = events.run().await.unwrap();
    let expected =
        rows(&session, &format!("SELECT count(*) FROM '{}:Events' WHERE hits[1] > 0", data("other/clusters.root")))
            .await;
    assert_eq!(results[&first] as f64, floats(&expected, 0)[0]);
}

#[tokio::test]
async fn a_run_that_is_dropped_ends() {
    let session = RootSession::builder().threads(1).build();
    let events = session.events(&sample()).await.unwrap();
    let _jets = events.hist("Jet_pt", Axis::regular(10, 0.0, 100.0).unwrap()).unwrap();
    // It is dropped when it has been polled once: its task gets its turn on this thread only later.
    assert!(events.run().into_future().now_or_never().is_none());
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(session.progress().snapshot().entries_done < 1000);
}
