//! Analyses of events: columns that are defined, conditions, weights and variations, and the results that are booked on
//! them; one pass over the files fills them all.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
//! # let spec = format!("{path}:Events");
//! use root_engine::{Axis, RootSession};
//!
//! let events = RootSession::new().events(&spec).await?;
//! let pairs = events
//!     .filter("nMuon = 2")?
//!     .filter("Muon_charge[1] <> Muon_charge[2]")?
//!     .define("mass", "invariant_mass(Muon_pt[1], Muon_eta[1], Muon_phi[1], Muon_pt[2], Muon_eta[2], Muon_phi[2])")?;
//! let mass = pairs.hist("mass", Axis::regular(60, 0.0, 120.0)?)?;
//! let met = events.hist("MET_pt", Axis::regular(50, 0.0, 100.0)?)?;
//! let count = pairs.count();
//!
//! let results = events.run().await?;
//! assert_eq!(results[&count], 113);
//! assert_eq!(results[&mass].tally().entries, 113);
//! assert_eq!(results[&met].tally().entries, 1000);
//! # Ok(())
//! # }
//! ```
//!
//! [`Events`] is a node of a graph, which nothing changes: each step gives another node, and several can follow one. A
//! result is booked on a node and found by its handle, [`Booked`], in the [`Results`] of a run.
//!
//! A condition keeps or drops whole events. Of a list, take the elements by `array_filter`; a list that is filled into a
//! histogram fills all of its elements.
//!
//! `graph` has the steps and `expression` what they compute; `booking` and `results` are what is asked for and what comes
//! of it; `compile` finds out what there is to compute, and `plan` makes one plan of it, with `layers` for the
//! columns; `run` runs it, and `rows` gives rows.

mod booking;
mod compile;
mod expression;
mod graph;
mod layers;
mod plan;
mod results;
mod rows;
mod run;

pub use booking::{Booked, CutflowStep};
pub use expression::Expression;
pub use graph::Events;
pub use results::Results;
pub use run::Run;
