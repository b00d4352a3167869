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

/// Good leptons, and of the pairs with opposite charges and one flavour that nearest to the Z; the others are another one.
pub fn candidates(events: &Events) -> Result<Events, Error> {
    let lepton = |name: &str, kind: u8, pt: u8, eta: f64| {
        let (zipped, good) = ("'pt', _pt, 'eta', _eta, 'phi', _phi, 'mass', _mass, 'charge', _charge, 'iso', _pfRelIso03_all,
            'dxy', _dxy, 'dz', _dz".replace(" _", &format!(" {name}_")), "l.iso < 0.4 AND abs(l.dxy) < 0.5 AND abs(l.dz) < 1");
        format!("array_filter(named_zip({zipped}, 'kind', {kind}), l -> l.pt > {pt} AND abs(l.eta) < {eta} AND {good})")
    };
    events
        .filter("nMuon + nElectron >= 4")?
        .define("muons", lepton("Muon", 13, 5, 2.4))?
        .define("electrons", lepton("Electron", 11, 7, 2.5))?
        .cut("four of a kind or two and two", "(cardinality(muons), cardinality(electrons)) IN ((4, 0), (0, 4), (2, 2))")?
        .define("leptons", "array_concat(muons, electrons)")?
        .cut("no charge", "array_sum(leptons.charge) = 0")?
        .define("z1", "nearest_mass(leptons, 2, 91.2, (a, b) -> a.kind = b.kind AND a.charge <> b.charge)")?
        .define("others", "array_filter(leptons, (l, i) -> i <> z1.indices[1] AND i <> z1.indices[2])")?
        .cut("Z1", "z1.mass BETWEEN 40 AND 120")?
        .cut("Z2", "others[1].kind = others[2].kind AND invariant_mass(others[1], others[2]) BETWEEN 12 AND 120")?
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
