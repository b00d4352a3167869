//! All bins of a histogram. As long as few of many are filled, only these are kept: a histogram of each of a hundred
//! thousand groups has thousands of bins, and mostly a handful of entries.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::error::Result;
use crate::storage::{Cells, Content, Scratch, Storage};

/// So many bins are always all kept.
const FEW: usize = 16;

/// All bins are kept where more than one in so many is filled.
const SPARSE: usize = 8;

/// A place that is behind all contents, where nothing is.
const NO_PLACE: usize = usize::MAX;

/// The bins of a histogram.
#[derive(Debug, Clone)]
pub(crate) struct Bins {
    /// How many there are.
    count: usize,
    /// What is in those that are kept.
    cells: Cells,
    /// The place in `cells` of each bin that is kept; nothing where all are, in their order.
    places: Option<HashMap<u32, u32>>,
}

impl Bins {
    pub(crate) fn new(storage: Storage, count: usize) -> Self {
        if count <= FEW {
            return Self { count, cells: Cells::new(storage, count), places: None };
        }
        Self { count, cells: Cells::new(storage, 0), places: Some(HashMap::new()) }
    }

    /// Of `count` bins either all, or those with the numbers `kept`, in their order.
    pub(crate) fn from_cells(count: usize, kept: Option<Vec<u32>>, cells: Cells) -> Self {
        Self { count, cells, places: kept.map(|kept| kept.into_iter().zip(0..).collect()) }
    }

    pub(crate) fn storage(&self) -> Storage {
        self.cells.storage()
    }

    /// Bytes on the heap.
    pub(crate) fn memory(&self) -> usize {
        // A table has a byte beside each entry.
        let places = self.places.as_ref().map_or(0, |places| places.capacity() * (size_of::<(u32, u32)>() + 1));
        places + self.cells.memory()
    }

    pub(crate) fn content(&self, bin: usize) -> Content {
        let place = match &self.places {
            None => bin,
            Some(places) => {
                u32::try_from(bin).ok().and_then(|bin| places.get(&bin)).map_or(NO_PLACE, |&place| place as usize)
            }
        };
        self.cells.content(place)
    }

    /// The numbers of the bins that are kept, rising. The others hold nothing.
    pub(crate) fn kept(&self) -> Vec<usize> {
        let Some(places) = &self.places else { return (0..self.count).collect() };
        let mut bins: Vec<usize> = places.keys().map(|&bin| bin as usize).collect();
        bins.sort_unstable();
        bins
    }

    /// Puts a content, as another program has computed it, into an empty bin.
    pub(crate) fn set(&mut self, bin: usize, content: Content) {
        self.keep_all();
        self.cells.set(bin, content);
    }

    /// Adds entries of weight one each, or all of one weight, that were counted by bin.
    pub(crate) fn add_counted(&mut self, counts: impl Iterator<Item = u32>, weight: f64) {
        self.keep_all();
        self.cells.add_counted(counts, weight);
    }

    /// Adds entries one by one. `bins` are left as the places of these.
    pub(crate) fn add(&mut self, bins: &mut [u32], weights: &[f64], samples: &[f64], scratch: &mut Scratch) {
        self.take_places(bins);
        self.cells.add(bins, weights, samples, scratch);
        self.keep_all_if_many();
    }

    pub(crate) fn merge(&mut self, other: &Self) -> Result<()> {
        let Some(theirs) = &other.places else {
            self.keep_all();
            return self.cells.merge(&other.cells, None);
        };
        let mut bins = in_order_of_places(theirs);
        self.take_places(&mut bins);
        self.cells.merge(&other.cells, Some(&bins))?;
        self.keep_all_if_many();
        Ok(())
    }

    /// The same contents in other bins: `new` has the new number of each old one.
    pub(crate) fn moved(&self, count: usize, new: &[u32]) -> Self {
        let Some(places) = &self.places else {
            return Self { count, cells: self.cells.moved(count, new), places: None };
        };
        let renamed = places.iter().filter_map(|(&bin, &place)| Some((*new.get(bin as usize)?, place)));
        Self { count, cells: self.cells.clone(), places: Some(renamed.collect()) }
    }

    /// The contents in the order of the bins, and the bins that they are of if not all: those in which something is, if
    /// they are few. So equal histograms are written alike, however they were filled.
    pub(crate) fn in_order(&self) -> (Option<Vec<u32>>, Cow<'_, Cells>) {
        let is_filled = |&(_, place): &(u32, u32)| !self.cells.is_empty(place as usize);
        let most = self.count / SPARSE;
        // One more than these is enough to know.
        let filled: Vec<(u32, u32)> = match &self.places {
            _ if self.count <= FEW => Vec::new(),
            None => (0..self.count as u32).map(|bin| (bin, bin)).filter(is_filled).take(most + 1).collect(),
            Some(places) => {
                let mut filled: Vec<_> = places.iter().map(|(&bin, &place)| (bin, place)).filter(is_filled).collect();
                filled.sort_unstable();
                filled
            }
        };
        if self.count > FEW && filled.len() <= most {
            let (bins, places): (Vec<_>, Vec<_>) = filled.into_iter().unzip();
            return (Some(bins), Cow::Owned(self.cells.taken(&places)));
        }
        match &self.places {
            None => (None, Cow::Borrowed(&self.cells)),
            Some(places) => (None, Cow::Owned(self.cells.moved(self.count, &in_order_of_places(places)))),
        }
    }

    /// Replaces the numbers of bins by their places, which those that have none are given.
    fn take_places(&mut self, bins: &mut [u32]) {
        let Some(places) = &mut self.places else { return };
        for bin in bins {
            let next = places.len() as u32;
            *bin = *places.entry(*bin).or_insert(next);
        }
        self.cells.extend_to(places.len());
    }

    fn keep_all_if_many(&mut self) {
        if self.places.as_ref().is_some_and(|places| places.len() > self.count / SPARSE) {
            self.keep_all();
        }
    }

    fn keep_all(&mut self) {
        if let Some(places) = self.places.take() {
            self.cells = self.cells.moved(self.count, &in_order_of_places(&places));
        }
    }
}

/// The bins of places, from the first place on.
fn in_order_of_places(places: &HashMap<u32, u32>) -> Vec<u32> {
    let mut bins = vec![0; places.len()];
    for (&bin, &place) in places {
        if let Some(slot) = bins.get_mut(place as usize) {
            *slot = bin;
        }
    }
    bins
}
