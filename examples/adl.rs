//! The queries of the ADL benchmark, all in one pass over the files.
//!
//! ```sh
//! cargo run --release -p root-engine --example adl -- [FILE.root…]
//! ```

#![allow(clippy::print_stdout)]

use root_engine::analysis::{Booked, Events};
use root_engine::root_hist::plot::{Plot, Terminal};
use root_engine::{Axis, Error, Histogram, RootSession, TableOptions};

mod support;

type Query = Result<Booked<Histogram>, Error>;
type Booking = fn(&Events) -> Query;

/// The queries by name.
pub const QUERIES: [(&str, Booking); 9] =
    [("1", q1), ("2", q2), ("3", q3), ("4", q4), ("5", q5), ("6a", q6a), ("6b", q6b), ("7", q7), ("8", q8)];

/// Missing transverse energy of all events.
fn q1(events: &Events) -> Query {
    events.hist("MET_pt", Axis::regular(100, 0.0, 2000.0)?)
}

/// Transverse momentum of all jets.
fn q2(events: &Events) -> Query {
    events.hist("Jet_pt", Axis::regular(100, 15.0, 60.0)?)
}

/// Transverse momentum of the central jets.
fn q3(events: &Events) -> Query {
    events
        .define("central_pt", "array_filter(Jet_pt, Jet_eta, (pt, eta) -> abs(eta) < 1)")?
        .hist("central_pt", Axis::regular(100, 15.0, 60.0)?)
}

/// Missing transverse energy of events with at least two jets above 40 GeV.
fn q4(events: &Events) -> Query {
    events.filter("array_count(Jet_pt, pt -> pt > 40) >= 2")?.hist("MET_pt", Axis::regular(100, 0.0, 2000.0)?)
}

/// Missing transverse energy of events with a pair of muons of opposite charge and a mass between 60 and 120 GeV.
fn q5(events: &Events) -> Query {
    events
        .define("muons", "named_zip('pt', Muon_pt, 'eta', Muon_eta, 'phi', Muon_phi, 'charge', Muon_charge)")?
        .filter(
            "array_any_match(combinations(muons, 2),
                 (a, b) -> a.charge <> b.charge AND invariant_mass(a, b) BETWEEN 60 AND 120)",
        )?
        .hist("MET_pt", Axis::regular(100, 0.0, 2000.0)?)
}

/// Events with three jets, and those whose mass is nearest to that of the top quark.
fn trijets(events: &Events) -> Result<Events, Error> {
    events
        .filter("nJet >= 3")?
        .define("jets", "named_zip('pt', Jet_pt, 'eta', Jet_eta, 'phi', Jet_phi, 'mass', Jet_mass, 'btag', Jet_btag)")?
        .define("top", "nearest_mass(jets, 3, 172.5)")
}

/// Transverse momentum of the trijet nearest to the mass of the top quark.
fn q6a(events: &Events) -> Query {
    trijets(events)?.hist("p4_sum(top['0'], top['1'], top['2']).pt", Axis::regular(100, 15.0, 40.0)?)
}

/// Largest b-tag of its jets.
fn q6b(events: &Events) -> Query {
    trijets(events)?.hist("greatest(top['0'].btag, top['1'].btag, top['2'].btag)", Axis::regular(100, 0.0, 1.0)?)
}

/// Sum of the transverse momenta of jets above 30 GeV that have no lepton above 10 GeV within 0.4.
fn q7(events: &Events) -> Query {
    events
        .define("jets", "array_filter(named_zip('pt', Jet_pt, 'eta', Jet_eta, 'phi', Jet_phi), jet -> jet.pt > 30)")?
        .define("muons", "array_filter(named_zip('pt', Muon_pt, 'eta', Muon_eta, 'phi', Muon_phi), l -> l.pt > 10)")?
        .define(
            "electrons",
            "array_filter(named_zip('pt', Electron_pt, 'eta', Electron_eta, 'phi', Electron_phi), l -> l.pt > 10)",
        )?
        .define(
            "good_jets",
            "array_filter(jets, any_near(jets, muons, 0.4), any_near(jets, electrons, 0.4),
                 (jet, at_muon, at_electron) -> NOT at_muon AND NOT at_electron)",
        )?
        .filter("cardinality(good_jets) > 0")?
        .hist("array_sum(good_jets.pt)", Axis::regular(100, 15.0, 200.0)?)
}

/// Transverse mass of the missing momentum and the hardest lepton outside the pair nearest to the mass of the Z.
fn q8(events: &Events) -> Query {
    events
        .filter("nMuon + nElectron >= 3")?
        .define(
            "leptons",
            "array_concat(
                 named_zip('pt', Muon_pt, 'eta', Muon_eta, 'phi', Muon_phi, 'mass', Muon_mass,
                     'charge', Muon_charge, 'kind', 13),
                 named_zip('pt', Electron_pt, 'eta', Electron_eta, 'phi', Electron_phi, 'mass', Electron_mass,
                     'charge', Electron_charge, 'kind', 11))",
        )?
        .define("z", "nearest_mass(leptons, 2, 91.2, (a, b) -> a.kind = b.kind AND a.charge <> b.charge).indices")?
        .filter("z IS NOT NULL")?
        .define("others", "array_filter(leptons, (l, i) -> i <> z[1] AND i <> z[2])")?
        .define("hardest", "array_take(others, array_argmax(others.pt))")?
        .define("met", "named_struct('pt', MET_pt, 'phi', MET_phi)")?
        .hist("transverse_mass(hardest, met)", Axis::regular(100, 15.0, 250.0)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events = RootSession::new().events_of(&support::files(), &TableOptions::default()).await?;
    let booked = QUERIES.iter().map(|(_, query)| query(&events)).collect::<Result<Vec<_>, _>>()?;

    let results = events.run().await?;
    for ((name, _), histogram) in QUERIES.iter().zip(&booked) {
        let plot = Plot::new(results.get(histogram)?)?.with_title(format!("Query {name}"));
        println!("{}", plot.to_text(&Terminal::default()));
    }
    Ok(())
}
