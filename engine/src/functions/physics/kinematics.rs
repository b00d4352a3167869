//! Functions of momenta. Where several numbers belong to one particle, a struct (or list of structs) that has them as
//! members can be given instead.

use datafusion::arrow::array::{ArrayRef, Datum, Float64Array, Scalar};
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use root_physics::Function;

use super::failed;
use super::kernel::{Kernel, list_of, member_of};

/// All functions of momenta that there are.
pub(super) fn functions() -> Vec<ScalarUDF> {
    let function = |function: Function| {
        Kernel::function(
            function.name(),
            &function.signatures().join(") or ("),
            &describe(function),
            move |args| returns(function, args),
            move |args| run(function, args),
        )
    };
    Function::ALL.into_iter().map(function).collect()
}

/// The members that a function reads of structs; `None` if there is no such function.
pub(crate) fn members_needed(name: &str) -> Option<Vec<&'static str>> {
    let function = Function::ALL.into_iter().find(|f| f.name() == name)?;
    Some(choices(function).iter().flat_map(|(members, _)| members.iter().copied()).collect())
}

const CYLINDER: &[&str] = &["pt", "eta", "phi", "mass"];
const CARTESIAN: &[&str] = &["px", "py", "pz", "e"];

/// The members that structs must have, and what is computed of them: the first that all structs have.
fn choices(function: Function) -> &'static [(&'static [&'static str], Function)] {
    match function {
        Function::DeltaPhi => &[(&["phi"], Function::DeltaPhi)],
        Function::DeltaEta => &[(&["eta"], Function::DeltaEta)],
        Function::DeltaR => &[(&["eta", "phi"], Function::DeltaR)],
        Function::TransverseMass => &[(&["pt", "phi"], Function::TransverseMass)],
        Function::InvariantMass => &[
            (CYLINDER, Function::InvariantMass),
            (&["pt", "eta", "phi"], Function::InvariantMass),
            (CARTESIAN, Function::CartesianMass),
        ],
        Function::Sum => &[(CYLINDER, Function::Sum)],
        Function::CartesianMass => &[(CARTESIAN, Function::CartesianMass)],
        Function::ToCartesian => &[(CYLINDER, Function::ToCartesian)],
        Function::ToPtEtaPhiMass => &[(CARTESIAN, Function::ToPtEtaPhiMass)],
        Function::Rapidity => &[(&["pt", "eta", "mass"], Function::Rapidity), (&["pz", "e"], Function::Rapidity)],
        Function::Pseudorapidity => &[(&["px", "py", "pz"], Function::Pseudorapidity)],
        Function::Boost => &[(CARTESIAN, Function::Boost)],
        Function::BoostToRest => &[(CARTESIAN, Function::BoostToRest)],
        Function::CosAngle => &[(&["px", "py", "pz"], Function::CosAngle)],
        _ => &[],
    }
}

/// What a function does, in words and as a formula.
fn describe(function: Function) -> String {
    let formula = match function {
        Function::DeltaPhi => "The difference of two azimuthal angles, φ₁ − φ₂, in [−π, π).",
        Function::DeltaEta => "The difference of two pseudorapidities, η₁ − η₂.",
        Function::DeltaR => "The distance of two directions, √(Δη² + Δφ²).",
        Function::TransverseMass => "The transverse mass of two particles, √(2 pT₁ pT₂ (1 − cos Δφ)).",
        Function::InvariantMass => {
            "The invariant mass of particles, √(E² − p²) of the sum of their momenta, with the sign of the square; without \
             masses √(2 pT₁ pT₂ (cosh Δη − cos Δφ))."
        }
        Function::Sum => "The sum of momenta, as a struct of pt, eta, phi and mass.",
        Function::CartesianMass => "The mass of the sum of momenta, √(E² − p²).",
        Function::ToCartesian => "A momentum as a struct of px, py, pz and e.",
        Function::ToPtEtaPhiMass => "A momentum as a struct of pt, eta, phi and mass.",
        Function::Rapidity => "The rapidity, ½ ln((E + pz) / (E − pz)).",
        Function::Pseudorapidity => "The pseudorapidity, −ln tan(θ/2), or arsinh(pz / pT).",
        Function::Boost => {
            "The momentum seen from a frame in which the old one moves with velocity (bx, by, bz), in units of the speed of \
             light; a struct of px, py, pz and e."
        }
        Function::BoostToRest => {
            "The first momentum in the frame where the second rests; a struct of px, py, pz and e."
        }
        Function::CosAngle => "The cosine of the angle between two momenta.",
        _ => "A function of momenta.",
    };
    let members = choices(function).iter().map(|(members, _)| members.join(", ")).collect::<Vec<_>>().join("; or ");
    format!(
        "{formula} Lists, columns and constants can be mixed. A struct with these members can stand for each particle: {members}."
    )
}

/// What one argument of a kernel is.
enum Part {
    /// An argument of the function.
    Whole(usize),
    /// A member of an argument.
    Member(usize, &'static str),
    /// The mass of a particle whose mass is neglected.
    Massless,
}

/// The function that is computed, and its arguments.
fn arrange(function: Function, types: &[&DataType]) -> Result<(Function, Vec<Part>)> {
    let objects = || types.iter().enumerate().filter_map(|(at, t)| Some((at, members(t)?)));
    let has = |fields: &Fields, wanted: &[&str]| wanted.iter().all(|name| field_of(fields, name).is_some());
    let (mut wanted, mut computed): (&[&str], _) = (&[], function);
    if objects().next().is_some() {
        let choice = choices(function).iter().find(|(wanted, _)| objects().all(|(_, fields)| has(fields, wanted)));
        let Some(choice) = choice else {
            let needed: Vec<String> = choices(function).iter().map(|(members, _)| members.join(", ")).collect();
            let found: Vec<String> = objects()
                .map(|(at, fields)| {
                    let names: Vec<&str> = fields.iter().map(|f| f.name().as_str()).collect();
                    format!("argument {} has {}", at + 1, names.join(", "))
                })
                .collect();
            return plan_err!("each particle needs the members {}, but {}", needed.join("; or "), found.join("; "));
        };
        (wanted, computed) = *choice;
    }
    // Two massless particles have a formula of their own, more do not.
    let pads = function == Function::InvariantMass && wanted.len() == 3 && objects().count() != 2;
    let mut parts = Vec::new();
    for (at, data_type) in types.iter().enumerate() {
        if members(data_type).is_none() {
            parts.push(Part::Whole(at));
            continue;
        }
        parts.extend(wanted.iter().map(|name| Part::Member(at, name)));
        if pads {
            parts.push(Part::Massless);
        }
    }
    if !computed.takes(parts.len()) {
        let forms: Vec<String> = function.signatures().iter().map(|s| format!("({s})")).collect();
        let note = if wanted.is_empty() { "" } else { " when particles are taken apart" };
        return plan_err!("it takes {}, but got {} arguments{note}", forms.join(" or "), parts.len());
    }
    Ok((computed, parts))
}

fn field_of<'a>(fields: &'a Fields, name: &str) -> Option<&'a Field> {
    fields.iter().find(|f| f.name() == name).map(AsRef::as_ref)
}

/// The fields of a struct, or of the structs of a list.
fn members(data_type: &DataType) -> Option<&Fields> {
    match data_type {
        DataType::Struct(fields) => Some(fields),
        DataType::List(element) => match element.data_type() {
            DataType::Struct(fields) => Some(fields),
            _ => None,
        },
        _ => None,
    }
}

fn returns(function: Function, args: &ReturnFieldArgs<'_>) -> Result<DataType> {
    let types: Vec<&DataType> = args.arg_fields.iter().map(|f| f.data_type()).collect();
    let (function, parts) = arrange(function, &types)?;
    for part in &parts {
        let (at, found) = match part {
            Part::Whole(at) => (*at, types.get(*at).map(|t| element_of(t))),
            Part::Member(at, name) => {
                let fields = types.get(*at).and_then(|t| members(t));
                (*at, fields.and_then(|fields| field_of(fields, name)).map(|f| f.data_type()))
            }
            Part::Massless => continue,
        };
        if let Some(found) = found.filter(|found| !found.is_numeric() && !found.is_null()) {
            return plan_err!("argument {} is {found}, but numbers are needed", at + 1);
        }
    }
    let result = match function.results() {
        [_] => DataType::Float64,
        names => DataType::Struct(names.iter().map(|name| Field::new(*name, DataType::Float64, true)).collect()),
    };
    Ok(if types.iter().any(|t| matches!(t, DataType::List(_))) { list_of(result) } else { result })
}

fn element_of(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::List(element) => element.data_type(),
        other => other,
    }
}

fn run(function: Function, args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let types: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
    let (function, parts) = arrange(function, &types.iter().collect::<Vec<_>>())?;
    let is_constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
    let datum = |part: &Part| -> Result<Box<dyn Datum>> {
        let (at, member) = match part {
            Part::Whole(at) => (*at, None),
            Part::Member(at, name) => (*at, Some(*name)),
            Part::Massless => return Ok(Box::new(Scalar::new(Float64Array::from(vec![0.0])))),
        };
        let array: (ArrayRef, bool) = match args.args.get(at) {
            Some(ColumnarValue::Scalar(value)) if !is_constant && !matches!(value.data_type(), DataType::List(_)) => {
                (value.to_array()?, true)
            }
            _ => (super::kernel::array_at(args, at)?, false),
        };
        let array = match member {
            Some(name) => (member_of(&array.0, name)?, array.1),
            None => array,
        };
        Ok(match array {
            (array, true) => Box::new(Scalar::new(array)),
            (array, false) => Box::new(array),
        })
    };
    let data = parts.iter().map(datum).collect::<Result<Vec<_>>>()?;
    let data: Vec<&dyn Datum> = data.iter().map(AsRef::as_ref).collect();
    function.evaluate(&data).map_err(failed)
}
