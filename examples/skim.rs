//! A skim: some columns of some events, and one that is computed, as the ROOT file skim.root.
//!
//! ```sh
//! cargo run --release -p root-engine --example skim -- [FILE.root…]
//! ```

#![allow(clippy::print_stdout)]

use root_engine::{RootSession, TableOptions};

mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events = RootSession::new().events_of(&support::files(), &TableOptions::default()).await?;
    let pairs = events
        .filter("nMuon = 2 AND Muon_charge[1] <> Muon_charge[2]")?
        .define("mass", "invariant_mass(Muon_pt[1], Muon_eta[1], Muon_phi[1], Muon_pt[2], Muon_eta[2], Muon_phi[2])")?;
    let columns = ["run", "event", "nMuon", "Muon_pt", "Muon_eta", "Muon_phi", "mass"];
    let written = pairs.skim(columns, "skim.root").await?;
    println!("{written} events in skim.root");
    Ok(())
}
