//! A cutflow: how many events are left behind each cut.
//!
//! ```sh
//! cargo run --release -p root-engine --example cutflow -- [FILE.root…]
//! ```

#![allow(clippy::print_stdout)]

use root_engine::analysis::{Booked, CutflowStep, Events};
use root_engine::{Error, RootSession, TableOptions};

mod support;

/// The cuts on the way to a pair of muons from a Z.
pub fn z_to_muons(events: &Events) -> Result<Booked<Vec<CutflowStep>>, Error> {
    let selected = events
        .cut("trigger", "HLT_IsoMu24")?
        .cut("two muons", "nMuon = 2")?
        .cut("opposite charge", "Muon_charge[1] <> Muon_charge[2]")?
        .define("muons", "named_zip('pt', Muon_pt, 'eta', Muon_eta, 'phi', Muon_phi, 'mass', Muon_mass)")?
        .cut("mass of a Z", "invariant_mass(muons[1], muons[2]) BETWEEN 60 AND 120")?;
    Ok(selected.cutflow())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events = RootSession::new().events_of(&support::files(), &TableOptions::default()).await?;
    let cutflow = z_to_muons(&events)?;

    let results = events.run().await?;
    let mut before = None;
    for step in &results[&cutflow] {
        let passed = step.passed.events;
        let efficiency = 100.0 * passed as f64 / before.unwrap_or(passed).max(1) as f64;
        println!("{:<16} {passed:>10} {efficiency:>7.2} %", step.name);
        before = Some(passed);
    }
    Ok(())
}
