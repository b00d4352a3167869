//! A run that tells how far it is, and that Ctrl-C ends.
//!
//! ```sh
//! cargo run --release -p root-engine --example progress_and_cancel -- [FILE.root…]
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr)]

use root_engine::{Axis, Error, RootSession, TableOptions};

mod support;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events = RootSession::new().events_of(&support::files(), &TableOptions::default()).await?;
    let met = events.hist("MET_pt", Axis::regular(100, 0.0, 200.0)?)?;

    let run = events
        .run()
        .progress(|now| eprintln!("{} of {} events, {} bytes", now.entries_done, now.entries_total, now.bytes_read))
        .cancel_when(tokio::signal::ctrl_c());
    match run.await {
        Ok(results) => println!("{} entries", results[&met].tally().entries),
        Err(Error::Cancelled) => println!("cancelled"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
