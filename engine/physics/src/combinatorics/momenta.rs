//! Momenta of all particles of a collection, converted once, so that a tuple costs additions only.

use std::sync::Arc;

use arrow_array::builder::Float64Builder;
use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, ListArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields};

use crate::align::numbers;
use crate::collection::Collection;
use crate::error::{Error, Result};
use crate::kinematics::{from_cartesian, mass_squared, signed_root, to_cartesian};
use crate::values::Values;

/// A four-momentum.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Momentum {
    /// Its x component.
    pub px: f64,
    /// Its y component.
    pub py: f64,
    /// Its z component, along the beam.
    pub pz: f64,
    /// Its energy.
    pub e: f64,
}

impl Momentum {
    /// E² − p².
    #[inline(always)]
    pub fn mass_squared(self) -> f64 {
        mass_squared(self.px, self.py, self.pz, self.e)
    }

    /// √|m²| with the sign of m².
    #[inline(always)]
    pub fn mass(self) -> f64 {
        signed_root(self.mass_squared())
    }

    /// The component across the beam.
    #[inline(always)]
    pub fn pt(self) -> f64 {
        (self.px * self.px + self.py * self.py).sqrt()
    }
}

impl std::ops::Add for Momentum {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self { px: self.px + other.px, py: self.py + other.py, pz: self.pz + other.pz, e: self.e + other.e }
    }
}

/// The momenta of all particles of each row.
#[derive(Debug, Clone)]
pub struct Momenta {
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
    components: [Vec<f64>; 4],
}

impl Momenta {
    /// Of columns of one collection. Particles with a null or NaN among their numbers are in no tuple that is found.
    pub fn new(pt: &ListArray, eta: &ListArray, phi: &ListArray, mass: &ListArray) -> Result<Self> {
        Self::of(Collection::new(&[pt, eta, phi, mass])?, true)
    }

    /// Of particles whose masses are neglected.
    pub fn massless(pt: &ListArray, eta: &ListArray, phi: &ListArray) -> Result<Self> {
        Self::of(Collection::new(&[pt, eta, phi])?, true)
    }

    /// Of columns in cartesian coordinates.
    pub fn cartesian(px: &ListArray, py: &ListArray, pz: &ListArray, e: &ListArray) -> Result<Self> {
        Self::of(Collection::new(&[px, py, pz, e])?, false)
    }

    fn of(collection: Collection, cylindrical: bool) -> Result<Self> {
        let mut columns = [Values::Constant(0.0), Values::Constant(0.0), Values::Constant(0.0), Values::Constant(0.0)];
        for ((argument, column), member) in (1..).zip(columns.iter_mut()).zip(collection.members()) {
            *column = match member.null_count() {
                0 => Values::of(member.as_ref(), argument)?,
                _ => Values::Float64(numbers(member, argument)?.into()),
            };
        }
        let elements = collection.elements();
        let components = if cylindrical {
            to_cartesian(columns.each_ref(), elements)
        } else {
            columns.each_ref().map(|column| column.to_f64(elements).into_owned())
        };
        Ok(Self { offsets: collection.offsets().clone(), nulls: collection.nulls().cloned(), components })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which rows are null.
    pub fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref()
    }

    /// Where the particles of each row are, from 0 on.
    pub fn offsets(&self) -> &OffsetBuffer<i32> {
        &self.offsets
    }

    /// The components of the particles of one row; each slice as long as the range.
    pub(super) fn row(&self, range: std::ops::Range<usize>) -> [&[f64]; 4] {
        self.components.each_ref().map(|component| component.get(range.clone()).unwrap_or_default())
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        self.offsets.iter().zip(self.offsets.iter().skip(1)).map(|(start, end)| *start as usize..*end as usize)
    }

    /// One particle, by its place among those of all rows.
    pub fn get(&self, place: usize) -> Option<Momentum> {
        at(&self.components.each_ref().map(Vec::as_slice), place)
    }

    /// All particles, those of all rows one behind the other.
    pub fn iter(&self) -> impl Iterator<Item = Momentum> + '_ {
        let [px, py, pz, e] = &self.components;
        px.iter().zip(py).zip(pz.iter().zip(e)).map(|((px, py), (pz, e))| Momentum { px: *px, py: *py, pz: *pz, e: *e })
    }

    /// The sum of all particles of each row.
    pub fn sums(&self) -> Sums {
        self.sum_rows(|_, row| {
            let components = row.map(|component| component.iter().fold(0.0, |sum, value| sum + value));
            let [px, py, pz, e] = components;
            Some(Momentum { px, py, pz, e })
        })
    }

    /// The sum of some particles of each row, by their places within the row as [`best_tuple`](super::best_tuple) gives
    /// them; null where a place is null or nothing is there.
    pub fn sums_of(&self, places: &[Int32Array]) -> Result<Sums> {
        for (argument, column) in (1..).zip(places) {
            if column.len() != self.len() {
                return Err(Error::Rows { argument, found: column.len(), expected: self.len() });
            }
        }
        Ok(self.sum_rows(|row, particles| {
            let mut total: Option<Momentum> = None;
            for column in places {
                let place = if column.is_valid(row) { usize::try_from(column.value(row)).ok()? } else { return None };
                let particle = at(&particles, place)?;
                total = Some(total.map_or(particle, |total| total + particle));
            }
            total
        }))
    }

    fn sum_rows(&self, sum: impl Fn(usize, [&[f64]; 4]) -> Option<Momentum>) -> Sums {
        let mut components: [Float64Builder; 4] = std::array::from_fn(|_| Float64Builder::with_capacity(self.len()));
        for (row, range) in self.ranges().enumerate() {
            let valid = self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
            let momentum = if valid { sum(row, self.row(range)) } else { None };
            let values = momentum.map(|Momentum { px, py, pz, e }| [px, py, pz, e]);
            for (place, builder) in components.iter_mut().enumerate() {
                builder.append_option(values.and_then(|values| values.get(place).copied()));
            }
        }
        Sums { components: components.map(|mut builder| builder.finish()) }
    }
}

fn at(components: &[&[f64]; 4], place: usize) -> Option<Momentum> {
    let [px, py, pz, e] = components;
    Some(Momentum { px: *px.get(place)?, py: *py.get(place)?, pz: *pz.get(place)?, e: *e.get(place)? })
}

/// One momentum per row.
#[derive(Debug, Clone)]
pub struct Sums {
    components: [Float64Array; 4],
}

impl Sums {
    /// px, py, pz and energy.
    pub fn components(&self) -> &[Float64Array; 4] {
        &self.components
    }

    /// The components across the beam.
    pub fn pt(&self) -> Float64Array {
        let [px, py, _, _] = &self.components;
        px.iter().zip(py).map(|(px, py)| px.zip(py).map(|(px, py)| (px * px + py * py).sqrt())).collect()
    }

    /// √|m²| with the sign of m².
    pub fn mass(&self) -> Float64Array {
        let [px, py, pz, e] = &self.components;
        let rows = px.values().iter().zip(py.values()).zip(pz.values().iter().zip(e.values()));
        let masses = rows.map(|((px, py), (pz, e))| signed_root(mass_squared(*px, *py, *pz, *e)));
        Float64Array::new(masses.collect(), px.nulls().cloned())
    }

    /// Structs of `pt`, `eta`, `phi` and `mass`.
    pub fn to_pt_eta_phi_mass(&self) -> Result<StructArray> {
        let [px, ..] = &self.components;
        let values = self.components.each_ref().map(|component| Values::from(&component.values()[..]));
        let columns = from_cartesian(values.each_ref(), px.len());
        structs(["pt", "eta", "phi", "mass"], columns.map(|c| Float64Array::new(c.into(), px.nulls().cloned())))
    }

    /// Structs of `px`, `py`, `pz` and `e`.
    pub fn to_cartesian(&self) -> Result<StructArray> {
        structs(["px", "py", "pz", "e"], self.components.clone())
    }
}

fn structs(names: [&str; 4], columns: [Float64Array; 4]) -> Result<StructArray> {
    let [first, ..] = &columns;
    let nulls = first.nulls().cloned();
    let fields: Fields = names.iter().map(|name| Field::new(*name, DataType::Float64, true)).collect();
    let columns = columns.into_iter().map(|column| Arc::new(column) as ArrayRef).collect();
    Ok(StructArray::try_new(fields, columns, nulls)?)
}
