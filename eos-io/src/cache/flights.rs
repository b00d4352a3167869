//! Pages that are being read or fetched, so that no page is fetched twice at the same time in one process.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Shared;

use super::block::Piece;

/// What a flight has brought.
#[derive(Debug, Clone)]
pub(crate) struct Landed {
    pub(crate) pieces: Arc<[Piece]>,
    /// Whether the server could be left alone.
    pub(crate) was_there: bool,
}

/// All that somebody else is after; cancelled if they gave up.
pub(crate) type Flight = Shared<oneshot::Receiver<Landed>>;

type ByPage = Arc<Mutex<HashMap<u64, Flight>>>;

/// What is under way of one file.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    by_page: ByPage,
}

/// Pages that the holder has to get. Dropping it leaves them to others.
#[derive(Debug)]
pub(crate) struct Claim {
    by_page: ByPage,
    runs: Vec<Range<u64>>,
    sender: Option<oneshot::Sender<Landed>>,
}

impl Flights {
    /// Claims those of some pages that nobody is after, if there are any; the others come with these flights.
    pub(crate) fn claim(&self, wanted: &[Range<u64>]) -> (Option<Claim>, Vec<Flight>) {
        let mut by_page = self.by_page.lock().unwrap_or_else(PoisonError::into_inner);
        let mut runs: Vec<Range<u64>> = Vec::new();
        let mut others: Vec<Flight> = Vec::new();
        for page in wanted.iter().cloned().flatten() {
            match (by_page.get(&page), runs.last_mut()) {
                // Neighbours mostly come together.
                (Some(flight), _) if others.last().is_some_and(|last| last.ptr_eq(flight)) => {}
                (Some(flight), _) => others.push(flight.clone()),
                (None, Some(run)) if run.end == page => run.end += 1,
                (None, _) => runs.push(page..page + 1),
            }
        }
        if runs.is_empty() {
            return (None, others);
        }
        let (sender, receiver) = oneshot::channel();
        let flight = receiver.shared();
        by_page.extend(runs.iter().cloned().flatten().map(|page| (page, flight.clone())));
        (Some(Claim { by_page: Arc::clone(&self.by_page), runs, sender: Some(sender) }), others)
    }
}

impl Claim {
    /// The pages, neighbours as one run.
    pub(crate) fn runs(&self) -> &[Range<u64>] {
        &self.runs
    }

    /// Hands what was got to those who wait for it.
    pub(crate) fn publish(&mut self, pieces: &[Piece], was_there: bool) {
        if let Some(sender) = self.sender.take() {
            // Mostly nobody waits.
            let _ = sender.send(Landed { pieces: pieces.into(), was_there });
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut by_page = self.by_page.lock().unwrap_or_else(PoisonError::into_inner);
        for page in self.runs.iter().cloned().flatten() {
            by_page.remove(&page);
        }
    }
}
