//! Tuples of particles: as places, as lists of structs, or searched without being formed.

mod lists;
mod momenta;
mod search;
mod tuples;

pub use lists::{cartesian, combinations};
pub use momenta::{Momenta, Momentum, Sums};
pub use search::{Best, PairRule, any_pair, best_pair, best_tuple, distance_to_mass, mass_between};
pub use tuples::{Chunk, Tuples};
