//! The spectrum of dimuon masses, as text and as a picture, dimuon.svg.
//!
//! ```sh
//! cargo run --release -p root-engine --example dimuon -- [FILE.root…]
//! ```

#![allow(clippy::print_stdout)]

use std::error::Error;

use root_engine::analysis::{Booked, Events};
use root_engine::root_hist::plot::{Plot, Terminal};
use root_engine::{Axis, Histogram, RootSession, TableOptions};

mod support;

/// The mass of the pair in events with exactly two muons of opposite charge.
pub fn spectrum(events: &Events, mass: Axis) -> Result<Booked<Histogram>, root_engine::Error> {
    let pairs = events
        .filter("nMuon = 2")?
        .filter("Muon_charge[1] <> Muon_charge[2]")?
        .define("muons", "named_zip('pt', Muon_pt, 'eta', Muon_eta, 'phi', Muon_phi, 'mass', Muon_mass)")?
        .define("mass", "invariant_mass(muons[1], muons[2])")?;
    pairs.hist("mass", mass.with_label("m_{μμ}").with_unit("GeV"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let events = RootSession::new().events_of(&support::files(), &TableOptions::default()).await?;
    let mass = spectrum(&events, Axis::log(300, 0.25, 300.0)?)?;

    let results = events.run().await?;
    let plot = Plot::new(&results[&mass])?.with_title("Pairs of muons").with_log(true);
    println!("{}", plot.to_text(&Terminal::default()));
    std::fs::write("dimuon.svg", plot.to_svg()?)?;
    Ok(())
}
