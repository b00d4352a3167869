//! For each particle of one collection the nearest of another.

use std::f64::consts::{PI, TAU};
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int32Builder};
use arrow_array::{Array, BooleanArray, ListArray};

use crate::align::numbers;
use crate::collection::Collection;
use crate::elementary::{Exact, Math};
use crate::error::{Error, Result};

/// What [`nearest`] finds, as lists of the lengths of the first collection's.
#[derive(Debug, Clone)]
pub struct Nearest {
    /// The place of the nearest within its list, counted from 0; null if there is none.
    pub places: ListArray,
    /// How far it is, √(Δη² + Δφ²); null if there is none.
    pub distances: ListArray,
}

/// For each particle of the first collection, given by its columns `eta` and `phi`, the nearest of the second, the first
/// of equally near ones. With a threshold only those count that are nearer than it.
///
/// A row is null if it is null in either collection. What has a null or NaN among its coordinates is near to nothing.
pub fn nearest(of: [&ListArray; 2], among: [&ListArray; 2], threshold: Option<f64>) -> Result<Nearest> {
    let pairs = Pairs::new(of, among)?;
    let limit = threshold.map_or(f64::INFINITY, |t| if t > 0.0 { t * t } else { 0.0 });
    let count = pairs.of.elements();
    let (mut places, mut distances) = (Int32Builder::with_capacity(count), Float64Builder::with_capacity(count));
    pairs.for_each(|candidates| {
        let found = candidates.enumerate().fold((limit, None), |(nearest, place), (other, distance)| {
            if distance < nearest { (distance, Some(other as i32)) } else { (nearest, place) }
        });
        places.append_option(found.1);
        distances.append_option(found.1.map(|_| found.0.sqrt()));
    });
    Ok(Nearest {
        places: pairs.of.wrap(Arc::new(places.finish()))?,
        distances: pairs.of.wrap(Arc::new(distances.finish()))?,
    })
}

/// For each particle of the first collection whether any of the second is nearer than the threshold; otherwise like
/// [`nearest`], and faster, as it stops at the first.
pub fn any_near(of: [&ListArray; 2], among: [&ListArray; 2], threshold: f64) -> Result<ListArray> {
    let pairs = Pairs::new(of, among)?;
    let limit = if threshold > 0.0 { threshold * threshold } else { 0.0 };
    let mut near = Vec::with_capacity(pairs.of.elements());
    pairs.for_each(|candidates| near.push({ candidates }.any(|distance| distance < limit)));
    pairs.of.wrap(Arc::new(BooleanArray::from(near)))
}

/// Two collections of directions, row by row.
struct Pairs {
    of: Collection,
    among: Collection,
    eta: [Vec<f64>; 2],
    phi: [Vec<f64>; 2],
}

impl Pairs {
    fn new(of: [&ListArray; 2], among: [&ListArray; 2]) -> Result<Self> {
        let rows = of[0].len();
        if among[0].len() != rows {
            return Err(Error::Rows { argument: 3, found: among[0].len(), expected: rows });
        }
        let among = Collection::new(&among)?;
        let of = Collection::with_nulls(&of, among.nulls())?;
        let column = |collection: &Collection, place: usize, argument| match collection.members().get(place) {
            Some(member) => numbers(member, argument),
            None => Ok(Vec::new()),
        };
        // Angles within a turn of each other need one addition; others are reduced first.
        let phi = |collection: &Collection, argument| {
            let mut phi = column(collection, 1, argument)?;
            phi.iter_mut().filter(|phi| phi.abs() > PI).for_each(|phi| *phi = Exact.wrap(*phi));
            Ok::<_, Error>(phi)
        };
        Ok(Self { eta: [column(&of, 0, 1)?, column(&among, 0, 3)?], phi: [phi(&of, 2)?, phi(&among, 4)?], of, among })
    }

    /// Squares of the distances to all candidates, for each particle.
    fn for_each(&self, mut visit: impl FnMut(Distances<'_>)) {
        let ([eta, among_eta], [phi, among_phi]) = (&self.eta, &self.phi);
        for (of, among) in self.of.ranges().zip(self.among.ranges()) {
            let among_eta = among_eta.get(among.clone()).unwrap_or_default();
            let among_phi = among_phi.get(among).unwrap_or_default();
            let particles = eta.get(of.clone()).unwrap_or_default().iter().zip(phi.get(of).unwrap_or_default());
            for (eta, phi) in particles {
                visit(Distances { eta: *eta, phi: *phi, others: among_eta.iter().zip(among_phi) });
            }
        }
    }
}

/// Squares of the distances from one direction to others.
struct Distances<'a> {
    eta: f64,
    phi: f64,
    others: std::iter::Zip<std::slice::Iter<'a, f64>, std::slice::Iter<'a, f64>>,
}

impl Iterator for Distances<'_> {
    type Item = f64;

    #[inline]
    fn next(&mut self) -> Option<f64> {
        let (eta, phi) = self.others.next()?;
        let (eta, phi) = (self.eta - eta, (self.phi - phi).abs());
        let phi = if phi > PI { TAU - phi } else { phi };
        Some(eta * eta + phi * phi)
    }
}
