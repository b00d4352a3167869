//! The mass of four leptons, in which the Higgs boson shows: four muons, four electrons, or two of each.
//!
//! ```sh
//! cargo run --release -p root-engine --example higgs_four_leptons -- [FILE.root…]
//! ```

#![allow(clippy::print_stdout)]

use root_engine::analysis::{Booked, Events};
use root_engine::root_hist::plot::{Plot, Terminal};
use root_engine::{Axis, Error, Histogram, RootSession, TableOptions};

mod support;

/// Good leptons of one kind, named as their columns are.
fn good(name: &str, kind: u8, pt: u8, eta: f64) -> String {
    format!(
        "array_filter(
             named_zip('pt', {name}_pt, 'eta', {name}_eta, 'phi', {name}_phi, 'mass', {name}_mass, 'charge', {name}_charge,
                 'isolation', {name}_pfRelIso03_all, 'dxy', {name}_dxy, 'dz', {name}_dz, 'kind', {kind}),
             l -> l.pt > {pt} AND abs(l.eta) < {eta} AND l.isolation < 0.4 AND abs(l.dxy) < 0.5 AND abs(l.dz) < 1)"
    )
}

/// Events with four leptons that two Z bosons may have left: Z1 is the pair nearest to its mass, Z2 the other one.
pub fn candidates(events: &Events) -> Result<Events, Error> {
    events
        .filter("nMuon + nElectron >= 4")?
        .define("muons", good("Muon", 13, 5, 2.4))?
        .define("electrons", good("Electron", 11, 7, 2.5))?
        .define("leptons", "array_concat(muons, electrons)")?
        .filter("cardinality(leptons) = 4 AND cardinality(muons) % 2 = 0 AND array_sum(leptons.charge) = 0")?
        .define("z1", "nearest_mass(leptons, 2, 91.2, (a, b) -> a.kind = b.kind AND a.charge <> b.charge)")?
        .filter("z1.mass BETWEEN 40 AND 120")?
        .define("others", "array_filter(leptons, (l, i) -> i <> z1.indices[1] AND i <> z1.indices[2])")?
        .filter("invariant_mass(others[1], others[2]) BETWEEN 12 AND 120")?
        .define("m4l", "invariant_mass(leptons[1], leptons[2], leptons[3], leptons[4])")
}

/// The mass in each channel.
pub fn channels(events: &Events) -> Result<Vec<(&'static str, Booked<Histogram>)>, Error> {
    let candidates = candidates(events)?;
    let mass = Axis::regular(36, 70.0, 180.0)?.with_label("m_{4l}").with_unit("GeV");
    let channels = [("four muons", 4), ("four electrons", 0), ("two of each", 2)].map(|(name, muons)| {
        let of_channel = candidates.filter(format!("cardinality(muons) = {muons}"))?;
        Ok((name, of_channel.hist("m4l", mass.clone())?))
    });
    channels.into_iter().collect()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events = RootSession::new().events_of(&support::files(), &TableOptions::default()).await?;
    let channels = channels(&events)?;

    let results = events.run().await?;
    for (name, mass) in &channels {
        println!("{}", Plot::new(results.get(mass)?)?.with_title(*name).to_text(&Terminal::default()));
    }
    Ok(())
}
