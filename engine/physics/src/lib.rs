//! The vocabulary of particle physics as kernels over Arrow arrays: kinematics, what is done with the lists of particles
//! of each event, combinations of them, and luminosity. The crate knows no query engine: arrays go in and arrays come
//! out, one row per event.
//!
//! ```
//! # fn main() -> root_physics::Result<()> {
//! use arrow_array::{Float64Array, ListArray, types::{Float32Type, Int32Type}};
//! use root_physics::combinatorics::{Momenta, PairRule, best_pair, distance_to_mass};
//! use root_physics::{Function, lists};
//!
//! let list = |rows: [&[f32]; 2]| {
//!     ListArray::from_iter_primitive::<Float32Type, _, _>(rows.map(|row| Some(row.iter().copied().map(Some))))
//! };
//! let (pt, eta) = (list([&[45.0, 44.0, 9.0], &[30.0]]), list([&[0.1, -0.3, 1.0], &[2.0]]));
//! let (phi, mass) = (list([&[0.2, 3.0, 1.0], &[1.0]]), list([&[0.106, 0.106, 0.106], &[0.106]]));
//! let charges = [Some(vec![Some(1), Some(-1), Some(-1)]), Some(vec![Some(1)])];
//! let charge = ListArray::from_iter_primitive::<Int32Type, _, _>(charges);
//!
//! // A number of each event counts for each of its muons.
//! let met_phi = Float64Array::from(vec![0.5, 1.5]);
//! let angles = Function::DeltaPhi.evaluate(&[&phi, &met_phi])?;
//! assert_eq!(angles.len(), 2);
//!
//! // The pair of opposite charges nearest to the Z, and the hardest muon outside it.
//! let muons = Momenta::new(&pt, &eta, &phi, &mass)?;
//! let rule = PairRule::new(&muons, Some(&charge), None)?;
//! let best = best_pair(&muons, |a, b| rule.allows(a, b), distance_to_mass(91.2));
//! assert_eq!((best.places[0].value(0), best.places[1].value(0)), (0, 1));
//! let rest = lists::without(&pt, &[&best.places[0], &best.places[1]])?;
//! let hardest = lists::reduce(&rest, lists::Reduction::Max)?;
//! assert_eq!(hardest.len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # Rules that hold everywhere
//!
//! - A null row gives null. A number per row, beside lists, counts for each element of the row's list.
//! - Null elements are passed over by what reduces a list, and give null elements where a list comes out.
//! - NaN is passed over where something smallest, largest or nearest is looked for, and otherwise goes on.
//! - Lists that are combined element by element must be of equal lengths in each row that is not null; otherwise it is an
//!   error that names the row.
//! - Slices of arrays, and lists whose values are longer than their offsets say, are as good as any other
//!   ([`Collection`]).
//! - Numbers are computed in double precision, whatever their type. A result depends on its row alone, so that it is the
//!   same in whatever batch the row comes.
//!
//! # Formulas
//!
//! They are those of the kinematics review of the Particle Data Group (section "Kinematics"), in forms that lose no
//! digits where particles are light or close to each other; [`Function`] has each. Signs and limits are those of the
//! Python package `vector`: Δφ in [−π, π), masses with the sign of m².

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod align;
mod collection;
pub mod combinatorics;
mod elementary;
mod error;
mod formula;
#[cfg(fuzzing)]
pub mod fuzzing;
mod kinematics;
pub mod lists;
pub mod lumi;
mod rows;
mod values;

pub use collection::{Collection, taken};
pub use error::{Error, Result};
pub use kinematics::Function;
pub use rows::KeptRows;
pub use values::Values;
