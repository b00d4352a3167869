//! The Rust API: a new session, the file opened, the histogram of a query booked and filled. The analyses are those of the
//! examples.

use std::path::Path;

use root_engine::analysis::{Booked, Events};
use root_engine::{Axis, Error, Histogram, RootSession, TableOptions};
use tokio::runtime::Builder;

use crate::measure::Outcome;
use crate::queries::Query;

#[allow(dead_code, clippy::duplicate_mod, reason = "a program of its own, which shares a part with the other")]
#[path = "../../examples/adl.rs"]
mod adl;
#[allow(dead_code, clippy::duplicate_mod, reason = "a program of its own, which shares a part with the other")]
#[path = "../../examples/dimuon.rs"]
mod dimuon;

/// Runs a query.
pub fn api(path: &Path, query: &Query, threads: usize) -> Outcome {
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    let file = format!("{}:Events", path.display());
    let histogram = runtime.block_on(async {
        let session = RootSession::builder().threads(threads).build();
        let events = session.events_of(&[file], &TableOptions::default()).await.unwrap();
        let booked = book(query, &events).unwrap();
        events.run().await.unwrap()[&booked].clone()
    });
    let mut filled = query.histogram();
    // The first is what lies below the range.
    for (place, count) in (0..).zip(histogram.values()) {
        filled.add(f64::from(place) - 1.0, count as u64);
    }
    Outcome { histogram: Some(filled), ..Outcome::default() }
}

fn book(query: &Query, events: &Events) -> Result<Booked<Histogram>, Error> {
    let (low, high, bins) = query.axis;
    let name = match query.name {
        "dimuon" => return dimuon::spectrum(events, Axis::regular(bins, low, high)?),
        "q6" => "6a",
        other => other.trim_start_matches('q'),
    };
    match adl::QUERIES.iter().find(|(known, _)| *known == name) {
        Some((_, booking)) => booking(events),
        None => panic!("{} is not written in Rust", query.name),
    }
}
