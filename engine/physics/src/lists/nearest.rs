//! For each particle of one collection the nearest of another.

use std::f64::consts::TAU;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int32Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::Float32Type;
use arrow_array::{Array, BooleanArray, ListArray};
use arrow_buffer::BooleanBufferBuilder;

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
    let (of, among) = collections(of, among)?;
    let pairs = Pairs::of(of, among)?;
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
/// [`nearest`], and faster.
pub fn any_near(of: [&ListArray; 2], among: [&ListArray; 2], threshold: f64) -> Result<ListArray> {
    let (of, among) = collections(of, among)?;
    let limit = if threshold > 0.0 { threshold * threshold } else { 0.0 };
    let mut near = BooleanBufferBuilder::new(of.elements());
    near.append_n(of.elements(), false);
    let members = [&of, &among].map(|collection| match collection.members() {
        [eta, phi] => Some([eta.as_primitive_opt::<Float32Type>()?, phi.as_primitive_opt()?]),
        _ => None,
    });
    match members {
        [Some(directions), Some(others)] if directions.iter().chain(&others).all(|column| column.null_count() == 0) => {
            let [directions, others] =
                [directions, others].map(|columns| columns.map(|column| column.values().as_ref()));
            find_near(&of, &among, directions, others, limit, &mut near);
        }
        _ => {
            let pairs = Pairs::of(of.clone(), among.clone())?;
            let [directions, others] =
                [0, 1].map(|at| [&pairs.eta, &pairs.phi].map(|columns| columns.get(at).map_or(&[][..], Vec::as_slice)));
            find_near::<f64>(&of, &among, directions, others, limit, &mut near);
        }
    }
    of.wrap(Arc::new(BooleanArray::new(near.finish(), None)))
}

/// Flags each direction for which there is another one nearer than the root of `limit`.
fn find_near<T: Copy + Into<f64>>(
    of: &Collection,
    among: &Collection,
    [eta, phi]: [&[T]; 2],
    [other_eta, other_phi]: [&[T]; 2],
    limit: f64,
    near: &mut BooleanBufferBuilder,
) {
    for (of, among) in of.ranges().zip(among.ranges()) {
        // Most events have no lepton.
        if among.is_empty() {
            continue;
        }
        let other_eta = other_eta.get(among.clone()).unwrap_or_default();
        let other_phi = other_phi.get(among).unwrap_or_default();
        let directions = eta.get(of.clone()).unwrap_or_default().iter().zip(phi.get(of.clone()).unwrap_or_default());
        for (place, (eta, phi)) in of.zip(directions) {
            // There are one or two: to stop at the first that is near would cost more than the others.
            let others = other_eta.iter().zip(other_phi);
            let is_near = others.fold(false, |is_near, (other_eta, other_phi)| {
                let (eta, phi) = ((*eta).into() - (*other_eta).into(), turn((*phi).into() - (*other_phi).into()));
                is_near | (eta * eta + phi * phi < limit)
            });
            if is_near {
                near.set_bit(place, true);
            }
        }
    }
}

/// The absolute value of an angle between -π and π.
#[inline]
fn turn(angle: f64) -> f64 {
    let angle = angle.abs();
    // The smaller one is the one up to π.
    if angle <= TAU { angle.min(TAU - angle) } else { Exact.wrap(angle).abs() }
}

/// The columns of both as collections, with the rows that are null in either.
fn collections(of: [&ListArray; 2], among: [&ListArray; 2]) -> Result<(Collection, Collection)> {
    let rows = of[0].len();
    if among[0].len() != rows {
        return Err(Error::Rows { argument: 3, found: among[0].len(), expected: rows });
    }
    let among = Collection::new(&among)?;
    Ok((Collection::with_nulls(&of, among.nulls())?, among))
}

/// Two collections of directions, row by row.
struct Pairs {
    of: Collection,
    among: Collection,
    eta: [Vec<f64>; 2],
    phi: [Vec<f64>; 2],
}

impl Pairs {
    fn of(of: Collection, among: Collection) -> Result<Self> {
        let column = |collection: &Collection, place: usize, argument| match collection.members().get(place) {
            Some(member) => numbers(member, argument),
            None => Ok(Vec::new()),
        };
        let eta = [column(&of, 0, 1)?, column(&among, 0, 3)?];
        let phi = [column(&of, 1, 2)?, column(&among, 1, 4)?];
        Ok(Self { eta, phi, of, among })
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
        let (eta, phi) = (self.eta - eta, turn(self.phi - phi));
        Some(eta * eta + phi * phi)
    }
}
