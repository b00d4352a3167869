//! The queries: which columns each reads, and the histogram that it fills. Q1 to Q8 are the benchmark of the IRIS-HEP
//! analysis description languages (<https://github.com/iris-hep/adl-benchmarks-index>), `dimuon` is ROOT's tutorial
//! `df102_NanoAODDimuonAnalysis`.

use crate::histogram::Histogram;

/// A query.
#[derive(Debug)]
pub struct Query {
    /// Its name on the command line.
    pub name: &'static str,
    /// The tree that it is over.
    pub tree: &'static str,
    /// The columns that it reads.
    pub columns: &'static [&'static str],
    /// The collections (`Jet` of `Jet_pt`) of which a loop has to know which values belong to which entry.
    pub collections: &'static [&'static str],
    /// Lower and upper end of the histogram, and the number of bins.
    pub axis: (f64, f64, usize),
    /// The query as SQL, if it is one that `sql` runs.
    pub sql: Option<&'static str>,
}

impl Query {
    /// An empty histogram of the query.
    pub fn histogram(&self) -> Histogram {
        let (low, high, bins) = self.axis;
        Histogram::new(low, high, bins)
    }

    /// Where the first column of each collection is.
    pub fn firsts(&self) -> impl Iterator<Item = usize> {
        let is_of = |column: &str, collection: &str| column.split('_').next() == Some(collection);
        self.collections.iter().map(move |c| self.columns.iter().position(|column| is_of(column, c)).unwrap())
    }

    /// Finds a query by its name.
    pub fn find(name: &str) -> Option<&'static Self> {
        QUERIES.iter().find(|q| q.name == name)
    }
}

/// A query of the benchmark, over the tree `Events`.
const fn adl(
    name: &'static str,
    columns: &'static [&'static str],
    collections: &'static [&'static str],
    axis: (f64, f64, usize),
    sql: &'static str,
) -> Query {
    Query { name, tree: "Events", columns, collections, axis, sql: Some(sql) }
}

macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!("../queries/", $name, ".sql"))
    };
}

/// All queries.
pub const QUERIES: &[Query] = &[
    adl("q1", &["MET_pt"], &[], (0.0, 2000.0, 100), sql!("q1")),
    adl("q2", &["Jet_pt"], &[], (15.0, 60.0, 100), sql!("q2")),
    adl("q3", &["Jet_pt", "Jet_eta"], &[], (15.0, 60.0, 100), sql!("q3")),
    adl("q4", &["Jet_pt", "MET_pt"], &["Jet"], (0.0, 2000.0, 100), sql!("q4")),
    adl("q5", &["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge", "MET_pt"], &["Muon"], (0.0, 2000.0, 100), sql!("q5")),
    adl("q6", &["Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass"], &["Jet"], (15.0, 40.0, 100), sql!("q6")),
    adl("q6b", &["Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass", "Jet_btag"], &["Jet"], (0.0, 1.0, 100), sql!("q6b")),
    adl(
        "q7",
        &[
            "Jet_pt",
            "Jet_eta",
            "Jet_phi",
            "Muon_pt",
            "Muon_eta",
            "Muon_phi",
            "Electron_pt",
            "Electron_eta",
            "Electron_phi",
        ],
        &["Jet", "Muon", "Electron"],
        (15.0, 200.0, 100),
        sql!("q7"),
    ),
    adl(
        "q8",
        &[
            "Muon_pt",
            "Muon_eta",
            "Muon_phi",
            "Muon_mass",
            "Muon_charge",
            "Electron_pt",
            "Electron_eta",
            "Electron_phi",
            "Electron_mass",
            "Electron_charge",
            "MET_pt",
            "MET_phi",
        ],
        &["Muon", "Electron"],
        (15.0, 250.0, 100),
        sql!("q8"),
    ),
    adl(
        "dimuon",
        &["Muon_pt", "Muon_eta", "Muon_phi", "Muon_mass", "Muon_charge"],
        &["Muon"],
        (0.25, 300.0, 30_000),
        sql!("dimuon"),
    ),
    // The reduction of CMS AOD that `examples/dimuon_reduction_aod.rs` does: its columns, and its muons as one object.
    Query {
        name: "aod",
        tree: "Events",
        columns: &[
            "recoMuons_muons__RECO.obj.pt_",
            "recoMuons_muons__RECO.obj.eta_",
            "recoMuons_muons__RECO.obj.phi_",
            "recoMuons_muons__RECO.obj.pdgId_",
            "recoMuons_muons__RECO.obj.type_",
            "recoMuons_muons__RECO.obj.pfIsolationR04_.sumChargedHadronPt",
            "recoMuons_muons__RECO.obj.pfIsolationR04_.sumNeutralHadronEt",
            "recoMuons_muons__RECO.obj.pfIsolationR04_.sumPhotonEt",
            "recoMuons_muons__RECO.obj.pfIsolationR04_.sumPUPt",
        ],
        collections: &[],
        axis: (0.0, 200.0, 100),
        sql: None,
    },
    Query {
        name: "muons",
        tree: "EventsUnsplit;9",
        columns: &["recoMuonVec"],
        collections: &[],
        axis: (0.0, 200.0, 100),
        sql: None,
    },
];
