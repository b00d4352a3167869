//! `nearest_mass`: the particles of each event whose invariant mass is nearest to a value.

use std::sync::Arc;

use datafusion::arrow::array::builder::{Float64Builder, Int32Builder};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StructArray, UInt32Array};
use datafusion::arrow::buffer::{BooleanBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature,
    HigherOrderUDF, HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};
use root_physics::combinatorics::{Best, Momenta, Momentum, Tuples, best_tuple, distance_to_mass};
use root_physics::{Collection, lists, taken};

use super::failed;
use super::kernel::{as_list, documentation, kernel_type, list_of, member_of};
use super::tuples::LARGEST;

const NAME: &str = "nearest_mass";

/// The member of the result with the indices.
pub(crate) const NEAREST_INDICES: &str = "indices";

/// What the result has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Parts {
    All,
    Indices,
    Particles,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NearestMass {
    parts: Parts,
    signature: HigherOrderSignature,
    documentation: Documentation,
}

pub(super) fn nearest_mass() -> HigherOrderUDF {
    of_parts(Parts::All)
}

/// The functions that the optimizer puts in place of `nearest_mass` where nobody looks at more: the one whose result has
/// the indices only, and the one whose result has the particles only.
pub(crate) fn nearest_mass_parts() -> [HigherOrderUDF; 2] {
    [Parts::Indices, Parts::Particles].map(of_parts)
}

fn of_parts(parts: Parts) -> HigherOrderUDF {
    let description = "The k particles of each list whose invariant mass is nearest to a value, of those for which the \
                       condition holds: a struct of the particles, '0', '1' and so on, of their mass, and of their indices, \
                       counted from 1; null where there are none. Particles are structs of pt, eta, phi and mass; of pt, \
                       eta and phi, without masses; or of px, py, pz and e.";
    HigherOrderUDF::new_from_impl(NearestMass {
        parts,
        signature: HigherOrderSignature::user_defined(Volatility::Immutable),
        documentation: documentation(NAME, "list, k, mass[, (a, b, ...) -> condition]", description),
    })
}

impl HigherOrderUDFImpl for NearestMass {
    fn name(&self) -> &str {
        match self.parts {
            Parts::All => NAME,
            Parts::Indices => "nearest_mass/indices",
            Parts::Particles => "nearest_mass/particles",
        }
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [list, size, mass] if size.is_integer() && mass.is_numeric() => {
                Ok(vec![kernel_type(list), DataType::Int64, DataType::Float64])
            }
            // The optimizer gives the condition a list of its own.
            [list, size, mass, of_condition] if size.is_integer() && mass.is_numeric() => {
                Ok(vec![kernel_type(list), DataType::Int64, DataType::Float64, kernel_type(of_condition)])
            }
            _ => plan_err!("{NAME} takes a list, how many of its elements, a mass, and a condition if there is one"),
        }
    }

    fn lambda_parameters(
        &self,
        _: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let lambdas = fields.iter().filter(|f| matches!(f, ValueOrLambda::Lambda(_))).count();
        let particle = match (fields.first(), fields.get(3)) {
            (_, Some(ValueOrLambda::Value(list))) | (Some(ValueOrLambda::Value(list)), _) => {
                element_of(list)?.as_ref().clone().with_nullable(true)
            }
            _ => return plan_err!("{NAME} takes a list first"),
        };
        Ok(LambdaParametersProgress::Complete(vec![vec![Arc::new(particle); LARGEST]; lambdas]))
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        let particle = match args.arg_fields {
            [ValueOrLambda::Value(list), ValueOrLambda::Value(_), ValueOrLambda::Value(_), rest @ ..] => {
                match rest {
                    [] => {}
                    [ValueOrLambda::Lambda(body)] | [ValueOrLambda::Value(_), ValueOrLambda::Lambda(body)]
                        if *body.data_type() == DataType::Boolean => {}
                    _ => return plan_err!("{NAME} takes a condition behind the mass"),
                }
                element_of(list)?
            }
            _ => return plan_err!("{NAME} takes a list, how many of its elements, and a mass"),
        };
        coordinates(particle.data_type())?;
        let size = match args.scalar_arguments.get(1).copied().flatten() {
            Some(ScalarValue::Int64(Some(size))) => usize::try_from(*size).unwrap_or(0),
            _ => return plan_err!("{NAME}: how many particles make the mass must be written out"),
        };
        if !(1..=LARGEST).contains(&size) {
            return plan_err!("{NAME} of {size} particles; 1 to {LARGEST} can be combined");
        }
        let particles = (0..size).map(|at| Field::new(at.to_string(), particle.data_type().clone(), true));
        let mass = Field::new("mass", DataType::Float64, true);
        let indices = Field::new(NEAREST_INDICES, list_of(DataType::Int64), true);
        let members = match self.parts {
            Parts::All => particles.chain([mass, indices]).collect(),
            Parts::Indices => vec![indices].into(),
            Parts::Particles => particles.collect(),
        };
        Ok(Arc::new(Field::new("", DataType::Struct(members), true)))
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Struct(fields) = args.return_type() else { return exec_err!("{NAME} gives structs") };
        use ValueOrLambda::{Lambda, Value};
        let array = |value: &ColumnarValue| value.to_array(args.number_rows);
        let (list, size, target, condition) = match args.args.as_slice() {
            [
                Value(list),
                Value(ColumnarValue::Scalar(ScalarValue::Int64(Some(size)))),
                Value(ColumnarValue::Scalar(mass)),
                rest @ ..,
            ] => {
                let list = array(list)?;
                let condition = match rest {
                    [Lambda(condition)] => Some((condition, list.clone())),
                    [Value(of_condition), Lambda(condition)] => Some((condition, array(of_condition)?)),
                    _ => None,
                };
                (list, usize::try_from(*size).unwrap_or(0), mass.clone(), condition)
            }
            _ => return exec_err!("{NAME}: the mass must be one number for all rows"),
        };
        let ScalarValue::Float64(target) = target else { return exec_err!("{NAME}: the mass must be a number") };
        let momenta = momenta(&list)?;
        let list = as_list(&list, 0)?;
        let score = distance_to_mass(target.unwrap_or(f64::NAN));
        let best = match condition {
            None => best_tuple(&momenta, size, score).map_err(failed)?,
            Some((condition, of_condition)) => {
                let collection = Collection::new(&[&as_list(&of_condition, 3)?]).map_err(failed)?;
                if collection.offsets() != momenta.offsets() {
                    return exec_err!("{NAME}: the condition's list has other lengths");
                }
                Allowed::evaluate(condition, &collection, size)?.best(&momenta, score)
            }
        };
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(fields.len());
        if self.parts != Parts::Indices {
            for places in &best.places {
                columns.push(lists::take(&list, places).map_err(failed)?);
            }
        }
        if self.parts == Parts::All {
            columns.push(Arc::new(momenta.sums_of(&best.places).map_err(failed)?.mass()));
        }
        if self.parts != Parts::Particles {
            columns.push(Arc::new(indices(&best)?));
        }
        let found = best.scores.nulls().cloned();
        Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(fields.clone(), columns, found)?)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// How momenta are given.
#[derive(Debug, Clone, Copy)]
enum Coordinates {
    Cylindrical,
    Massless,
    Cartesian,
}

fn coordinates(particle: &DataType) -> Result<Coordinates> {
    let has = |names: &[&str]| match particle {
        DataType::Struct(fields) => names.iter().all(|name| fields.iter().any(|f| f.name() == name)),
        _ => false,
    };
    match () {
        () if has(&["pt", "eta", "phi", "mass"]) => Ok(Coordinates::Cylindrical),
        () if has(&["pt", "eta", "phi"]) => Ok(Coordinates::Massless),
        () if has(&["px", "py", "pz", "e"]) => Ok(Coordinates::Cartesian),
        () => plan_err!(
            "{NAME} needs structs of pt, eta, phi and mass, or of px, py, pz and e, but elements are {particle}"
        ),
    }
}

fn momenta(list: &ArrayRef) -> Result<Momenta> {
    let DataType::List(element) = list.data_type() else { return exec_err!("{NAME} takes a list") };
    let member = |name: &str| as_list(&member_of(list, name)?, 0);
    let momenta = match coordinates(element.data_type())? {
        Coordinates::Cylindrical => Momenta::new(&member("pt")?, &member("eta")?, &member("phi")?, &member("mass")?),
        Coordinates::Massless => Momenta::massless(&member("pt")?, &member("eta")?, &member("phi")?),
        Coordinates::Cartesian => Momenta::cartesian(&member("px")?, &member("py")?, &member("pz")?, &member("e")?),
    };
    momenta.map_err(failed)
}

fn element_of(list: &FieldRef) -> Result<FieldRef> {
    match list.data_type() {
        DataType::List(element) => Ok(element.clone()),
        other => plan_err!("{NAME} takes a list, but got {other}"),
    }
}

/// How many tuples a condition can be asked about at once.
const MOST_TUPLES: u32 = 1 << 26;

/// All tuples, and for which of them the condition holds.
struct Allowed {
    /// The first members of all tuples, the second ones and so on, as places among the elements of all rows.
    members: Vec<Vec<u32>>,
    /// Where the tuples of each row begin and end.
    offsets: Vec<u32>,
    flags: BooleanBuffer,
}

impl Allowed {
    fn evaluate(condition: &LambdaArgument, collection: &Collection, size: usize) -> Result<Self> {
        let tuples =
            Tuples::combinations(collection, size).and_then(|tuples| tuples.all(MOST_TUPLES)).map_err(failed)?;
        let count = tuples.len();
        let (offsets, members) = tuples.into_parts();
        let Some(particles) = collection.members().first() else { return exec_err!("{NAME} takes a list") };
        let places: Vec<UInt32Array> = members.iter().map(|places| places.clone().into()).collect();
        let given: Vec<_> = places.iter().map(|places| move || taken(particles, places).map_err(failed)).collect();
        let mut given: Vec<&dyn Fn() -> Result<ArrayRef>> = given.iter().map(|member| member as _).collect();
        let beyond = || exec_err!("the condition of {NAME} has more than {size} parameters");
        given.resize(LARGEST, &beyond);
        let spread = |captured: &[ArrayRef]| {
            let ends = offsets.iter().skip(1);
            let counts = offsets.iter().zip(ends).map(|(start, end)| (end - start) as usize);
            let rows: Vec<u32> =
                (0u32..).zip(counts).flat_map(|(row, count)| std::iter::repeat_n(row, count)).collect();
            let rows = UInt32Array::from(rows);
            captured.iter().map(|column| taken(column, &rows).map_err(failed)).collect()
        };
        let flags = condition.evaluate(&given, spread)?.into_array(count)?;
        let flags = flags.as_boolean_opt().ok_or_else(|| exec_datafusion_err!("{NAME} needs a condition"))?;
        let flags = match flags.nulls() {
            Some(nulls) => flags.values() & nulls.inner(),
            None => flags.values().clone(),
        };
        Ok(Self { members, offsets, flags })
    }

    /// The tuple of each row with the smallest score, of those for which the condition holds.
    fn best(&self, momenta: &Momenta, score: impl Fn(Momentum) -> f64) -> Best {
        let rows = momenta.len();
        let particles: Vec<Momentum> = momenta.iter().collect();
        let sum = |tuple: usize| match self.members.as_slice() {
            [firsts, seconds] => {
                let particle = |places: &[u32]| particles.get(*places.get(tuple)? as usize).copied();
                Some(particle(firsts)? + particle(seconds)?)
            }
            columns => columns
                .iter()
                .try_fold(Momentum::default(), |sum, places| Some(sum + *particles.get(*places.get(tuple)? as usize)?)),
        };
        let mut places: Vec<Int32Builder> = self.members.iter().map(|_| Int32Builder::with_capacity(rows)).collect();
        let mut scores = Float64Builder::with_capacity(rows);
        let ranges = self.offsets.iter().zip(self.offsets.iter().skip(1));
        for (start, (from, to)) in momenta.offsets().iter().zip(ranges) {
            let mut best: Option<(f64, usize)> = None;
            for tuple in (*from as usize..*to as usize).filter(|tuple| self.flags.value(*tuple)) {
                let Some(sum) = sum(tuple) else { continue };
                let score = score(sum);
                if score < best.map_or(f64::INFINITY, |(lowest, _)| lowest) {
                    best = Some((score, tuple));
                }
            }
            scores.append_option(best.map(|(score, _)| score));
            for (builder, members) in places.iter_mut().zip(&self.members) {
                let place = best.and_then(|(_, tuple)| members.get(tuple));
                builder.append_option(place.map(|place| *place as i32 - start));
            }
        }
        Best { places: places.into_iter().map(|mut builder| builder.finish()).collect(), scores: scores.finish() }
    }
}

/// Where in their lists the particles are, counted from 1.
fn indices(best: &Best) -> Result<ListArray> {
    let nulls = best.scores.nulls().cloned();
    let found = |row: usize| best.scores.is_valid(row);
    let rows = best.scores.len();
    let lengths = (0..rows).map(|row| if found(row) { best.places.len() } else { 0 });
    let offsets = OffsetBuffer::from_lengths(lengths);
    let indices = (0..rows)
        .filter(|row| found(*row))
        .flat_map(|row| best.places.iter().map(move |places| i64::from(places.value(row)) + 1));
    let field = Arc::new(Field::new_list_field(DataType::Int64, true));
    Ok(ListArray::try_new(field, offsets, Arc::new(Int64Array::from_iter_values(indices)), nulls)?)
}
