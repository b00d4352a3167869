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

    /// Finds a query by its name.
    pub fn find(name: &str) -> Option<&'static Self> {
        QUERIES.iter().find(|q| q.name == name)
    }
}

macro_rules! sql {
    ($name:literal) => {
        Some(include_str!(concat!("../queries/", $name, ".sql")))
    };
}

/// All queries.
pub const QUERIES: &[Query] = &[
    Query { name: "q1", tree: "Events", columns: &["MET_pt"], axis: (0.0, 2000.0, 100), sql: sql!("q1") },
    Query { name: "q2", tree: "Events", columns: &["Jet_pt"], axis: (15.0, 60.0, 100), sql: sql!("q2") },
    Query { name: "q3", tree: "Events", columns: &["Jet_pt", "Jet_eta"], axis: (15.0, 60.0, 100), sql: sql!("q3") },
    Query { name: "q4", tree: "Events", columns: &["Jet_pt", "MET_pt"], axis: (0.0, 2000.0, 100), sql: sql!("q4") },
    Query {
        name: "q5",
        tree: "Events",
        columns: &["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge", "MET_pt"],
        axis: (0.0, 2000.0, 100),
        sql: None,
    },
    Query {
        name: "q6",
        tree: "Events",
        columns: &["Jet_pt", "Jet_eta", "Jet_phi", "Jet_mass", "Jet_btag"],
        axis: (15.0, 40.0, 100),
        sql: None,
    },
    Query {
        name: "q7",
        tree: "Events",
        columns: &[
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
        axis: (15.0, 200.0, 100),
        sql: None,
    },
    Query {
        name: "q8",
        tree: "Events",
        columns: &[
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
        axis: (15.0, 250.0, 100),
        sql: None,
    },
    Query {
        name: "dimuon",
        tree: "Events",
        columns: &["Muon_pt", "Muon_eta", "Muon_phi", "Muon_mass", "Muon_charge"],
        axis: (0.25, 300.0, 30_000),
        sql: sql!("dimuon"),
    },
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
        axis: (0.0, 200.0, 100),
        sql: None,
    },
    Query { name: "muons", tree: "EventsUnsplit;9", columns: &["recoMuonVec"], axis: (0.0, 200.0, 100), sql: None },
];
