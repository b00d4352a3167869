//! Two hundred histograms in one pass: the momenta of all kinds of objects above thresholds of the missing energy.
//!
//! ```sh
//! cargo run --release -p root-engine --example many_histograms -- [FILE.root…]
//! ```

#![allow(clippy::print_stdout)]

use root_engine::analysis::{Booked, Events};
use root_engine::{Axis, Error, Histogram, RootSession, TableOptions};

mod support;

/// Ten columns of lists, each for twenty selections of events.
pub fn book(events: &Events) -> Result<Vec<(String, Booked<Histogram>)>, Error> {
    let mut booked = Vec::new();
    for threshold in 0..20 {
        let selected = events.filter(format!("MET_pt > {}", 5 * threshold))?;
        for object in ["Muon", "Electron", "Jet", "Photon", "Tau"] {
            for (column, axis) in [("pt", Axis::regular(50, 0.0, 200.0)?), ("eta", Axis::regular(50, -5.0, 5.0)?)] {
                let column = format!("{object}_{column}");
                let histogram = selected.hist(&column, axis)?;
                booked.push((format!("{column} where MET_pt > {}", 5 * threshold), histogram));
            }
        }
    }
    Ok(booked)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events = RootSession::new().events_of(&support::files(), &TableOptions::default()).await?;
    let booked = book(&events)?;

    let results = events.run().await?;
    for (name, histogram) in &booked {
        println!("{:>8} entries of {name}", results.get(histogram)?.tally().entries);
    }
    Ok(())
}
