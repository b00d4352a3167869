//! The floor: the baskets of the needed branches are read and decompressed whole, and nothing is done with them.

use std::fs::File;
use std::hint::black_box;
use std::path::Path;

use crate::baskets::{Part, Place, Unpacker, locate};
use crate::measure::Outcome;
use crate::queries::Query;

/// Prepares the floor of a query; every call of the answer is one run.
pub fn floor(path: &Path, query: &Query) -> impl FnMut() -> Outcome + use<> {
    let path = path.to_path_buf();
    let branches = locate(&path, query.tree, query.columns);
    let entries = branches[0].last().map_or(0, |b| b.entries.end);
    // In the order of the file, as a program would read that only wants the bytes.
    let mut places: Vec<Place> = branches.into_iter().flatten().collect();
    places.sort_by_key(|p| p.position);
    move || {
        let file = File::open(&path).unwrap();
        let mut unpacker = Unpacker::default();
        let (mut stored, mut content) = (0, 0);
        for place in &places {
            content += black_box(unpacker.unpack(&file, place, Part::Whole)).len() as u64;
            stored += place.size as u64;
        }
        Outcome { entries, column_bytes: content, stored_bytes: stored, histogram: None }
    }
}
