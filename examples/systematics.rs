//! Systematic variations: the energy scale of jets and that of muons, up and down, in the same pass as the nominal values.
//!
//! ```sh
//! cargo run --release -p root-engine --example systematics -- [FILE.root…]
//! ```

#![allow(clippy::print_stdout)]

use root_engine::analysis::{Booked, Events};
use root_engine::root_hist::plot::{Plot, Style, Terminal};
use root_engine::{Axis, Error, Histogram, RootSession, TableOptions};

mod support;

/// The scalar sum of the momenta of hard jets in events with a hard muon.
pub fn hard_jets(events: &Events) -> Result<Booked<Histogram>, Error> {
    events
        .vary("jes", [("up", [("Jet_pt", "Jet_pt * 1.05")]), ("down", [("Jet_pt", "Jet_pt * 0.95")])])?
        .vary("muon", [("up", [("Muon_pt", "Muon_pt * 1.01")]), ("down", [("Muon_pt", "Muon_pt * 0.99")])])?
        .filter("array_any_match(Muon_pt, pt -> pt > 25)")?
        .define("hard", "array_filter(Jet_pt, pt -> pt > 30)")?
        .filter("cardinality(hard) >= 2")?
        .hist("array_sum(hard)", Axis::regular(20, 0.0, 400.0)?.with_label("H_{T}").with_unit("GeV"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events = RootSession::new().events_of(&support::files(), &TableOptions::default()).await?;
    let hard = hard_jets(&events)?;

    let results = events.run().await?;
    println!("{:>10}: {} events", "nominal", results[&hard].tally().entries);
    let mut plot = Plot::new(&results[&hard])?.with_first("nominal", Style::Steps);
    for (name, varied) in results.varied(&hard) {
        println!("{name:>10}: {} events", varied.tally().entries);
        plot = plot.with_overlay(varied, name, Style::Steps)?;
    }
    println!("{}", plot.to_text(&Terminal::default()));
    std::fs::write("systematics.svg", plot.to_svg()?)?;
    Ok(())
}
