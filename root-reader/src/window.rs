//! Which baskets of a remote file a scan needs for which entries: how far a byte budget reaches, and what of it is at hand.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::ops::Range;

use bytes::Bytes;

use crate::tree::{BasketAt, BasketPlace, BranchId, Tree};

/// A basket by its branch and its index there.
pub(crate) type BasketId = (BranchId, usize);

/// A branch that a scan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Reading {
    pub branch: BranchId,
    /// The branch that counts its elements, where the entries of a basket are found through it.
    pub counter: Option<BranchId>,
}

/// The baskets of a branch that hold some of `entries`.
pub(crate) fn baskets_in(
    tree: &Tree,
    branch: BranchId,
    entries: Range<u64>,
) -> impl Iterator<Item = (usize, &BasketPlace)> {
    let all = tree.branches().get(branch).map(|b| b.baskets.as_slice()).unwrap_or_default();
    let first = all.partition_point(|b| b.entries.end <= entries.start);
    all.iter().enumerate().skip(first).take_while(move |(_, b)| b.entries.start < entries.end)
}

fn stored_bytes(basket: &BasketPlace) -> u64 {
    match &basket.at {
        BasketAt::File(range) => range.end.saturating_sub(range.start),
        BasketAt::Embedded(_) | BasketAt::Missing(_) => 0,
    }
}

/// Adds a basket, and those of the counter that cover its entries: decoding it takes the counts of all of them.
fn add_needed(
    tree: &Tree,
    reading: Reading,
    index: usize,
    basket: &BasketPlace,
    needed: &mut HashSet<BasketId>,
) -> u64 {
    let mut bytes = 0;
    if needed.insert((reading.branch, index)) {
        bytes += stored_bytes(basket);
        let counts = reading.counter.into_iter();
        for (branch, (index, basket)) in
            counts.flat_map(|c| baskets_in(tree, c, basket.entries.clone()).map(move |found| (c, found)))
        {
            if needed.insert((branch, index)) {
                bytes += stored_bytes(basket);
            }
        }
    }
    bytes
}

/// Adds every basket that the `readings` of some entries take.
pub(crate) fn add_all_needed(tree: &Tree, readings: &[Reading], entries: Range<u64>, needed: &mut HashSet<BasketId>) {
    for reading in readings {
        for (index, basket) in baskets_in(tree, reading.branch, entries.clone()) {
            add_needed(tree, *reading, index, basket, needed);
        }
    }
}

/// Adds every basket of `entries` that holds some of the `runs`, which are in order and lie within `entries`.
pub(crate) fn add_needed_for_runs(
    tree: &Tree,
    readings: &[Reading],
    entries: Range<u64>,
    runs: &[Range<u64>],
    needed: &mut HashSet<BasketId>,
) {
    // There are many runs and few baskets, so it is the baskets that look for a run.
    let holds_some = |basket: &BasketPlace| {
        let next = runs.partition_point(|run| run.end <= basket.entries.start);
        runs.get(next).is_some_and(|run| run.start < basket.entries.end)
    };
    for reading in readings {
        for (index, basket) in baskets_in(tree, reading.branch, entries.clone()) {
            if holds_some(basket) {
                add_needed(tree, *reading, index, basket, needed);
            }
        }
    }
}

/// How far from `start` the scan can read with so many stored bytes: to the start of the first basket that is too much,
/// but at least to the start of the next one.
pub(crate) fn reach(tree: &Tree, readings: &[Reading], start: u64, end: u64, budget: u64) -> u64 {
    let mut iterators: Vec<_> =
        readings.iter().map(|r| baskets_in(tree, r.branch, start..end).map(move |(i, b)| (*r, i, b))).collect();
    // The next basket of each branch, the one that starts first on top.
    let mut heap = BinaryHeap::new();
    let mut waiting: Vec<Option<(Reading, usize, &BasketPlace)>> = vec![None; iterators.len()];
    let mut pull = |slot: usize, waiting: &mut Vec<_>, heap: &mut BinaryHeap<_>| {
        if let (Some(next), Some(place)) = (iterators.get_mut(slot).and_then(Iterator::next), waiting.get_mut(slot)) {
            heap.push(Reverse((next.2.entries.start, slot)));
            *place = Some(next);
        }
    };
    (0..readings.len()).for_each(|slot| pull(slot, &mut waiting, &mut heap));
    let (mut needed, mut bytes) = (HashSet::new(), 0);
    while let Some(Reverse((first, slot))) = heap.pop() {
        let Some((reading, index, basket)) = waiting.get_mut(slot).and_then(Option::take) else {
            break;
        };
        bytes += add_needed(tree, reading, index, basket, &mut needed);
        if first > start && bytes > budget {
            return first;
        }
        pull(slot, &mut waiting, &mut heap);
    }
    end
}

/// Stored bytes of baskets that were fetched.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    baskets: HashMap<BasketId, Held>,
}

#[derive(Debug)]
struct Held {
    bytes: Bytes,
    /// Whether the bytes are a copy, and not part of a larger fetch that they keep in memory.
    own: bool,
}

impl Fetched {
    pub(crate) fn get(&self, basket: BasketId) -> Option<Bytes> {
        self.baskets.get(&basket).map(|held| held.bytes.clone())
    }

    pub(crate) fn contains(&self, basket: BasketId) -> bool {
        self.baskets.contains_key(&basket)
    }

    pub(crate) fn insert(&mut self, basket: BasketId, bytes: Bytes) {
        self.baskets.insert(basket, Held { bytes, own: false });
    }

    /// Forgets every basket but those.
    pub(crate) fn retain(&mut self, needed: &HashSet<BasketId>) {
        self.baskets.retain(|basket, _| needed.contains(basket));
        for held in self.baskets.values_mut().filter(|held| !held.own) {
            *held = Held { bytes: Bytes::copy_from_slice(&held.bytes), own: true };
        }
    }
}
