//! The dimuon query and the queries of the ADL benchmark on 1,000 real CMS events. The reference histograms
//! were computed event by event in plain Python and agree with those that other systems published for these events.

use std::collections::BTreeMap;
use std::path::PathBuf;

use root_engine::{RootSession, TableOptions};

use crate::support::{floats, project, rows, sample};

/// A reference histogram as pairs of bin index and count.
pub(crate) fn reference(name: &str, lo: f64, hi: f64) -> Vec<(f64, f64)> {
    let text = std::fs::read_to_string(project("engine/tests/data/adl").join(format!("{name}.csv"))).unwrap();
    let number = |s: &str| s.trim().parse::<f64>().unwrap();
    let width = (hi - lo) / 100.0;
    text.lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap())
        .map(|(x, y)| (((number(x) - lo) / width).floor(), number(y)))
        .collect()
}

/// The queries as files, which give bins and counts: file, reference, range.
const FILES: [(&str, &str, f64, f64); 9] = [
    ("q1", "q1", 0.0, 2000.0),
    ("q2", "q2", 15.0, 60.0),
    ("q3", "q3", 15.0, 60.0),
    ("q4", "q4", 0.0, 2000.0),
    ("q5", "q5", 0.0, 2000.0),
    ("q6", "q6-1", 15.0, 40.0),
    ("q6b", "q6-2", 0.0, 1.0),
    ("q7", "q7", 15.0, 200.0),
    ("q8", "q8", 15.0, 250.0),
];

/// Runs all queries over a file, as table `t`, and compares them with their references.
async fn check(session: &RootSession, file: &str) {
    session.register("t", &[file.to_string()], &TableOptions::default()).await.unwrap();
    for (name, expected, lo, hi) in FILES {
        let sql = std::fs::read_to_string(project("benches/queries").join(format!("{name}.sql"))).unwrap();
        let batches = rows(session, &sql).await;
        let mut found: BTreeMap<i64, f64> = BTreeMap::new();
        for (bin, count) in floats(&batches, 0).into_iter().zip(floats(&batches, 1)) {
            *found.entry((bin as i64).clamp(-1, 100)).or_default() += count;
        }
        let found: Vec<(f64, f64)> = found.into_iter().map(|(bin, count)| (bin as f64, count)).collect();
        assert_eq!(found, reference(expected, lo, hi), "{name}.sql over {file}");
    }
    // nMuon = 2 with opposite charges: count and mass sum by uproot and numpy in double precision.
    let dimuon = "SELECT count(*), sum(m) FROM (SELECT sqrt(2 * CAST(Muon_pt[1] AS DOUBLE) * Muon_pt[2] * \
         (cosh(CAST(Muon_eta[1] AS DOUBLE) - Muon_eta[2]) - cos(CAST(Muon_phi[1] AS DOUBLE) - Muon_phi[2]))) AS m \
         FROM t WHERE nMuon = 2 AND Muon_charge[1] != Muon_charge[2])";
    let batches = rows(session, dimuon).await;
    assert_eq!(floats(&batches, 0), [DIMUON_EVENTS]);
    let sum = floats(&batches, 1)[0];
    assert!((sum - DIMUON_MASS_SUM).abs() < 1e-6 * DIMUON_MASS_SUM, "{sum}");
}

const DIMUON_EVENTS: f64 = 113.0;
const DIMUON_MASS_SUM: f64 = 5829.101299193366;

#[tokio::test]
async fn queries_on_real_events_equal_their_references() {
    for threads in [1, 2, 4] {
        check(&RootSession::builder().threads(threads).build(), &sample()).await;
    }
}

#[tokio::test]
async fn queries_do_not_depend_on_the_compression() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/adl");
    if !folder.is_dir() {
        eprintln!(
            "SKIPPED: the sample in other compressions is not here; the fixtures of root-reader cover the codecs"
        );
        return;
    }
    for form in ["original", "none", "zlib", "lzma", "lz4", "zstd"] {
        let file = folder.join(format!("Run2012B_SingleMu_1000_{form}.root"));
        check(&RootSession::new(), &format!("{}:Events", file.display())).await;
    }
}
