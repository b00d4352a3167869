//! Functions of momenta, against the Python package `vector` and against values that follow from the formulas.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, Datum, Float32Array, Float64Array, Int32Array, ListArray, Scalar};
use root_physics::{Error, Function, Values};
use serde_json::json;

use crate::support::{Random, assert_close, double_values, doubles, numbers, python, rows};

fn value(function: Function, arguments: &[f64]) -> f64 {
    let arguments: Vec<Values<'_>> = arguments.iter().map(|v| Values::from(*v)).collect();
    function.evaluate_values(&arguments).unwrap()[0][0]
}

#[test]
fn functions_agree_with_vector_on_random_momenta() {
    let mut random = Random(7);
    let n = 3000;
    let columns: Vec<Vec<f64>> = (0..3)
        .flat_map(|_| {
            let (eta, phi) = (random.column(n, -5.0, 5.0), random.column(n, -3.2, 3.2));
            [random.column(n, 0.1, 200.0), eta, phi, random.column(n, 0.0, 20.0)]
        })
        .collect();
    let theirs = python(
        r#"
c = [np.array(x) for x in data]
a, b, d = (vector.array({"pt": c[i], "eta": c[i+1], "phi": c[i+2], "mass": c[i+3]}) for i in (0, 4, 8))
f = lambda x: [float(v) for v in x]
full = lambda v: [f(v.pt), f(v.eta), f(v.phi), f(v.mass)]
cart = lambda v: [f(v.px), f(v.py), f(v.pz), f(v.E)]
out = {
  "delta_phi": [f(a.deltaphi(b))], "delta_eta": [f(a.deltaeta(b))], "delta_r": [f(a.deltaR(b))],
  "transverse_mass": [f(np.sqrt(2*a.pt*b.pt*(1-np.cos(a.phi-b.phi))))],
  "massless": [f(np.sqrt(2*a.pt*b.pt*(np.cosh(a.eta-b.eta)-np.cos(a.phi-b.phi))))],
  "pair": [f((a+b).mass)], "three": [f((a+b+d).mass)], "p4_sum": full(a+b+d),
  "to_cartesian": cart(a), "to_pt_eta_phi_mass": full(a.to_xyzt()), "rapidity": [f(a.rapidity)],
  "theta": [f(a.theta)], "eta": [f(a.eta)],
  "boost": cart(a.boost_beta3(vector.array({"x": 0.3*np.sin(c[4]), "y": 0.4*np.cos(c[4]), "z": 0.5*np.sin(c[5])}))),
  "boost_to_rest": cart(a.boostCM_of(b + d)), "cos_angle": [f(np.cos(a.deltaangle(b)))],
}"#,
        &json!(columns),
    );
    let check = |function: Function, arguments: &[&[f64]], name: &str, precision: f64| -> Vec<Vec<f64>> {
        let arguments: Vec<Values<'_>> = arguments.iter().map(|c| Values::from(*c)).collect();
        let ours = function.evaluate_values(&arguments).unwrap();
        assert_eq!(ours.len(), function.results().len());
        for (ours, theirs) in ours.iter().zip(theirs[name].as_array().unwrap()) {
            assert_close(ours, &numbers(theirs), precision, 1.0, name);
        }
        ours
    };
    let c: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
    check(Function::DeltaPhi, &[c[2], c[6]], "delta_phi", 1e-15);
    check(Function::DeltaEta, &[c[1], c[5]], "delta_eta", 1e-15);
    check(Function::DeltaR, &[c[1], c[2], c[5], c[6]], "delta_r", 1e-14);
    check(Function::TransverseMass, &[c[0], c[2], c[4], c[6]], "transverse_mass", 1e-9);
    check(Function::InvariantMass, &[c[0], c[1], c[2], c[4], c[5], c[6]], "massless", 1e-9);
    check(Function::InvariantMass, &c[..8], "pair", 1e-7);
    check(Function::InvariantMass, &c, "three", 1e-8);
    check(Function::Sum, &c, "p4_sum", 1e-8);
    let cartesian = check(Function::ToCartesian, &c[..4], "to_cartesian", 1e-13);
    let second = Function::Sum.evaluate_values(&c[4..].iter().map(|x| Values::from(*x)).collect::<Vec<_>>()).unwrap();
    let second: Vec<Values<'_>> = second.iter().map(|c| Values::from(c.as_slice())).collect();
    let frame = Function::ToCartesian.evaluate_values(&second).unwrap();
    let p: Vec<&[f64]> = cartesian.iter().map(Vec::as_slice).collect();
    let q: Vec<&[f64]> = frame.iter().map(Vec::as_slice).collect();
    check(Function::ToPtEtaPhiMass, &p, "to_pt_eta_phi_mass", 1e-6);
    check(Function::Rapidity, &[p[2], p[3]], "rapidity", 1e-9);
    check(Function::Rapidity, &[c[0], c[1], c[3]], "rapidity", 1e-9);
    check(Function::Pseudorapidity, &[&numbers(&theirs["theta"][0])], "eta", 1e-11);
    check(Function::Pseudorapidity, &[p[0], p[1], p[2]], "eta", 1e-13);
    let velocity: Vec<Vec<f64>> = vec![
        c[4].iter().map(|x| 0.3 * x.sin()).collect(),
        c[4].iter().map(|x| 0.4 * x.cos()).collect(),
        c[5].iter().map(|x| 0.5 * x.sin()).collect(),
    ];
    let boost: Vec<&[f64]> = p.iter().copied().chain(velocity.iter().map(Vec::as_slice)).collect();
    check(Function::Boost, &boost, "boost", 1e-11);
    check(Function::BoostToRest, &[p.clone(), q].concat(), "boost_to_rest", 1e-6);
    let other =
        Function::ToCartesian.evaluate_values(&c[4..8].iter().map(|x| Values::from(*x)).collect::<Vec<_>>()).unwrap();
    check(Function::CosAngle, &[p[0], p[1], p[2], &other[0], &other[1], &other[2]], "cos_angle", 1e-12);
}

#[test]
fn angles_are_those_of_vector_to_the_last_bit() {
    let mut random = Random(3);
    let (mut a, mut b) = (random.column(5000, -3.2, 3.2), random.column(5000, -3.2, 3.2));
    a.extend([100.0, -1e6, 3.0, f64::from(std::f32::consts::PI), -0.0]);
    b.extend([-100.0, 1e6, -3.0, -f64::from(std::f32::consts::PI), 0.0]);
    let bits = python(
        "a, b = (vector.array({'rho': np.ones(len(p)), 'phi': np.array(p)}) for p in data)\n\
         out = a.deltaphi(b).view(np.int64).tolist()",
        &json!([a, b]),
    );
    let ours = Function::DeltaPhi.evaluate_values(&[Values::from(a.as_slice()), Values::from(b.as_slice())]).unwrap();
    for (row, (ours, theirs)) in ours[0].iter().zip(bits.as_array().unwrap()).enumerate() {
        assert_eq!(ours.to_bits() as i64, theirs.as_i64().unwrap(), "row {row}: {} and {}", a[row], b[row]);
        assert!((-std::f64::consts::PI..std::f64::consts::PI).contains(ours));
    }
}

#[test]
fn masses_of_close_and_light_pairs_keep_their_digits() {
    // For small angles m² is pT₁ pT₂ (Δη² + Δφ²) to the next order, Δ² / 12.
    for angle in [1e-3, 1e-6, 1e-9] {
        let mass = value(Function::InvariantMass, &[1000.0, 2.5, 1.0, 1000.0, 2.5 + angle, 1.0]);
        let exact = 1000.0 * ((2.5 + angle) - 2.5);
        assert!((mass / exact - 1.0).abs() < 1e-7, "{angle:e}: {mass:e}");
    }
    // Two collinear particles of mass m and equal momentum have the mass 2 m, however fast they are.
    for pt in [1.0, 1e3, 1e6] {
        let electron = [pt, 2.0, 0.5, 0.000_511];
        let mass = value(Function::InvariantMass, &[electron, electron].concat());
        assert!((mass / 0.001_022 - 1.0).abs() < 1e-12, "{pt:e}: {mass:e}");
    }
}

#[test]
fn a_mass_has_the_sign_of_its_square() {
    assert_eq!(value(Function::CartesianMass, &[3.0, 0.0, 4.0, 13.0]), 12.0);
    assert_eq!(value(Function::CartesianMass, &[0.0, 13.0, 0.0, 5.0]), -12.0);
    let momentum = Function::ToCartesian.evaluate_values(&[13.0, 0.0, 0.0, -12.0].map(Values::from)).unwrap();
    assert_eq!(momentum[3][0], 5.0);
}

#[test]
fn a_particle_is_at_rest_in_its_own_frame() {
    let p = [3.0, -4.0, 12.0, 85.0];
    let rest = Function::BoostToRest
        .evaluate_values(&[p, p].concat().into_iter().map(Values::from).collect::<Vec<_>>())
        .unwrap();
    for (component, expected) in rest.iter().zip([0.0, 0.0, 0.0, 84.0]) {
        assert!((component[0] - expected).abs() < 1e-12);
    }
}

#[test]
fn what_is_undefined_is_nan_and_limits_are_reached() {
    assert_eq!(value(Function::Pseudorapidity, &[0.0, 0.0, 5.0]), f64::INFINITY);
    assert_eq!(value(Function::Pseudorapidity, &[0.0, 0.0, 0.0]), 0.0);
    assert!(value(Function::Rapidity, &[6.0, 5.0]).is_nan());
    assert!(value(Function::CosAngle, &[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]).is_nan());
    assert!(value(Function::DeltaPhi, &[f64::INFINITY, 0.0]).is_nan());
    assert!(value(Function::DeltaR, &[f64::NAN, 0.0, 0.0, 0.0]).is_nan());
    assert_eq!(value(Function::InvariantMass, &[1.0, 1000.0, 0.0, 1.0, -1000.0, 0.0]), f64::INFINITY);
    assert_eq!(value(Function::InvariantMass, &[0.0; 8]), 0.0);
}

#[test]
fn a_mass_that_is_no_number_gives_no_number() {
    let (none, back) = (f64::NAN, std::f64::consts::PI);
    assert!(value(Function::InvariantMass, &[40.0, 0.0, 0.0, none, 40.0, 0.0, back, 0.0]).is_nan());
    assert!(value(Function::InvariantMass, &[40.0, 0.0, 0.0, 0.0, 40.0, 0.0, back, none]).is_nan());
    let energy =
        |arguments: [f64; 4]| Function::ToCartesian.evaluate_values(&arguments.map(Values::from)).unwrap()[3][0];
    assert!(energy([40.0, 0.5, 1.0, none]).is_nan());
    // A negative mass beyond the momentum has no real energy, and gets none.
    assert_eq!(energy([1.0, 0.0, 0.0, -2.0]), 0.0);
}

#[test]
fn a_result_does_not_depend_on_its_neighbours() {
    let mut random = Random(5);
    let mut eta = random.column(1000, -5.0, 5.0);
    let phi = random.column(1000, -9.0, 9.0);
    let mass = |eta: &[f64], phi: &[f64]| {
        let one = Values::from(10.0);
        let arguments = [one.clone(), Values::from(eta), Values::from(phi), one, Values::from(0.5), Values::from(0.25)];
        Function::InvariantMass.evaluate_values(&arguments).unwrap().remove(0)
    };
    let before = mass(&eta, &phi);
    eta[300] = 1e9;
    eta[301] = f64::NAN;
    let after = mass(&eta, &phi);
    let alone: Vec<f64> = (0..1000).map(|i| mass(&eta[i..=i], &phi[i..=i])[0]).collect();
    for i in (0..1000).filter(|i| !(300..302).contains(i)) {
        assert_eq!(before[i].to_bits(), after[i].to_bits());
        assert_eq!(before[i].to_bits(), alone[i].to_bits());
    }
}

#[test]
fn numbers_of_any_type_and_constants_can_be_mixed() {
    let phi1 = Float32Array::from(vec![Some(0.5), None, Some(1.5)]);
    let phi2 = Int32Array::from(vec![Some(0), Some(1), Some(1)]);
    assert_eq!(double_values(&Function::DeltaPhi.evaluate(&[&phi1, &phi2]).unwrap()), [Some(0.5), None, Some(0.5)]);
    let half = Scalar::new(Float64Array::from(vec![0.5]));
    assert_eq!(
        double_values(&Function::DeltaEta.evaluate(&[&phi2, &half]).unwrap()),
        [Some(-0.5), Some(0.5), Some(0.5)]
    );
    assert_eq!(double_values(&Function::DeltaEta.evaluate(&[&half, &half]).unwrap()), [Some(0.0)]);
}

#[test]
fn a_number_per_row_counts_for_each_element_of_a_list() {
    let phi = doubles(&[Some(&[1.0, 2.0]), Some(&[]), None, Some(&[3.0]), Some(&[0.5])]);
    let met = Float64Array::from(vec![Some(0.5), Some(1.0), Some(1.0), Some(1.0), None]);
    let angles = Function::DeltaPhi.evaluate(&[&phi, &met]).unwrap();
    assert_eq!(rows(&angles), [Some(vec![Some(0.5), Some(1.5)]), Some(vec![]), None, Some(vec![Some(2.0)]), None]);
}

#[test]
fn several_results_are_members_of_structs_also_in_lists() {
    let one = doubles(&[Some(&[1.0, 2.0]), None]);
    let zero = Scalar::new(Float64Array::from(vec![0.0]));
    let arguments: [&dyn Datum; 4] = [&one, &zero, &zero, &zero];
    let result = Function::ToCartesian.evaluate(&arguments).unwrap();
    let list: &ListArray = result.as_list();
    let momenta = list.values().as_struct();
    assert_eq!(momenta.column_names(), ["px", "py", "pz", "e"]);
    assert_eq!(momenta.column(0).as_primitive::<Float64Type>().values()[..], [1.0, 2.0]);
    assert!(list.is_null(1));
}

#[test]
fn lists_of_other_lengths_and_wrong_arguments_are_errors_that_say_where() {
    let (a, b) = (doubles(&[Some(&[1.0]), Some(&[1.0, 2.0])]), doubles(&[Some(&[1.0]), Some(&[1.0])]));
    let error = Function::DeltaPhi.evaluate(&[&a, &b]).unwrap_err();
    assert!(matches!(error, Error::ListLengths { row: 1, first: 2, argument: 2, found: 1 }), "{error}");
    let error = Function::DeltaR.evaluate(&[&a, &b]).unwrap_err();
    assert!(error.to_string().contains("delta_r takes (eta1, phi1, eta2, phi2)"), "{error}");
    let text = arrow_array::StringArray::from(vec!["a", "b"]);
    let error = Function::DeltaPhi.evaluate(&[&text, &text]).unwrap_err();
    assert!(matches!(error, Error::Type { argument: 1, .. }), "{error}");
    let large: Arc<dyn Array> = Arc::new(arrow_array::Int64Array::from(vec![(1i64 << 53) + 1, 0]));
    let error = Function::DeltaPhi.evaluate(&[&large, &large]).unwrap_err();
    assert!(matches!(error, Error::Inexact { argument: 1, .. }), "{error}");
}

#[test]
fn every_function_says_how_it_is_called() {
    for function in Function::ALL {
        for signature in function.signatures() {
            let arguments = signature.split(", ").filter(|a| *a != "...").count();
            assert!(function.takes(arguments), "{} ({signature})", function.name());
            assert!(!function.takes(arguments + 9), "{}", function.name());
        }
    }
}
