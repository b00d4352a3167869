//! The same values in the same bins as boost-histogram, and the same numbers in files that `hist` reads and writes.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use root_hist::{Axis, AxisKind, Entries, Histogram, Storage, read_uhi, write_uhi};
use serde_json::{Value, json};

use crate::support::Random;

struct Case {
    name: &'static str,
    axes: Vec<Axis>,
    storage: Storage,
    columns: Vec<ArrayRef>,
    weight: Option<Vec<f64>>,
    sample: Option<Vec<f64>>,
}

const ROWS: usize = 5000;

#[test]
fn every_bin_is_that_of_boost_histogram_and_the_files_go_both_ways() {
    let filled: Vec<(Case, Histogram)> =
        cases().into_iter().map(|case| (fill(&case), case)).map(|(h, c)| (c, h)).collect();
    let request: Vec<Value> = filled.iter().map(|(case, histogram)| request(case, histogram)).collect();

    let answers = python(&json!(request));

    for (case, histogram) in &filled {
        let (_, theirs) = read_uhi(answers[case.name].as_str().unwrap()).unwrap().remove(0);
        assert_eq!(theirs.storage(), histogram.storage(), "{}", case.name);
        for (mine, theirs) in histogram.axes().iter().zip(theirs.axes()) {
            assert_eq!(mine.edges(), theirs.edges(), "{}", case.name);
            assert_eq!(mine.extent(), theirs.extent(), "{}", case.name);
        }
        close(&histogram.values(), &theirs.values(), case.name);
        close(&histogram.variances(), &theirs.variances(), case.name);
        let own = write_uhi(&[("h", histogram)], &[]).unwrap();
        let (_, again) = read_uhi(&own).unwrap().remove(0);
        assert_eq!(again.axes(), histogram.axes(), "{}", case.name);
        assert_eq!(again.tally(), histogram.tally(), "{}", case.name);
        assert_eq!(again.values(), histogram.values(), "{}", case.name);
        close(&again.variances(), &histogram.variances(), case.name);
    }
}

fn close(found: &[f64], expected: &[f64], name: &str) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        let near = (found - expected).abs() <= 1e-11 * expected.abs() + 1e-13;
        assert!(near || found.is_nan() && expected.is_nan(), "{name}: {found} is not {expected}");
    }
}

/// Values around each edge of an axis, far from all of them, and none at all.
fn awkward(axis: &Axis, random: &mut Random) -> Vec<f64> {
    let edges = axis.edges();
    let (low, high) = (edges[0], *edges.last().unwrap());
    let around = edges.iter().flat_map(|&edge| [edge.next_down(), edge, edge.next_up()]);
    let special = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MAX, f64::MIN, 5e-324];
    let mut values: Vec<f64> = around.chain(special).collect();
    while values.len() < ROWS {
        values.push(low + (high - low) * (1.2 * random.uniform() - 0.1));
    }
    values
}

fn cases() -> Vec<Case> {
    let mut random = Random::new(1);
    let numeric =
        |axis: &Axis, random: &mut Random| -> ArrayRef { Arc::new(Float64Array::from(awkward(axis, random))) };
    let mut cases = Vec::new();
    let axes = [
        ("regular", Axis::regular(100, 0.0, 200.0)),
        ("a width without exact representation", Axis::regular(7, -0.1, 0.6)),
        ("many bins", Axis::regular(997, -3.3, 12.7)),
        ("log", Axis::log(50, 0.1, 1000.0)),
        ("few edges", Axis::variable(vec![-1.0, 0.0, 0.3, 4.0, 100.0])),
        ("many edges", Axis::variable((0..60).map(|edge| f64::from(edge).powf(1.7)).collect())),
        ("an infinite edge", Axis::variable(vec![0.0, 1.0, f64::MAX])),
    ];
    for (name, axis) in axes {
        let axis = axis.unwrap().with_name("a0");
        let columns = vec![numeric(&axis, &mut random)];
        cases.push(Case { name, axes: vec![axis], storage: Storage::Count, columns, weight: None, sample: None });
    }
    for (name, axis) in [
        ("regular without flow", Axis::regular(10, 0.0, 1.0)),
        ("variable without flow", Axis::variable(vec![0.0, 0.5, 1.0, 2.0])),
    ] {
        let axis = axis.unwrap().without_flow().with_name("a0");
        let columns = vec![numeric(&axis, &mut random)];
        cases.push(Case { name, axes: vec![axis], storage: Storage::Count, columns, weight: None, sample: None });
    }
    let weights = |random: &mut Random| (0..ROWS).map(|_| 2.0 * random.uniform() - 0.4).collect::<Vec<f64>>();
    let positive = |random: &mut Random| (0..ROWS).map(|_| 0.1 + random.uniform()).collect::<Vec<f64>>();
    let sample = |random: &mut Random| (0..ROWS).map(|_| 90.0 + 5.0 * random.normal()).collect::<Vec<f64>>();
    for (name, storage) in
        [("weights", Storage::Weight), ("profile", Storage::Mean), ("weighted profile", Storage::WeightedMean)]
    {
        let axis = Axis::regular(20, -1.0, 1.0).unwrap().with_name("a0").with_label("x").with_unit("GeV");
        let columns = vec![numeric(&axis, &mut random)];
        let weight = match storage {
            Storage::Weight => Some(weights(&mut random)),
            Storage::WeightedMean => Some(positive(&mut random)),
            _ => None,
        };
        let sample = storage.is_mean().then(|| sample(&mut random));
        cases.push(Case { name, axes: vec![axis], storage, columns, weight, sample });
    }
    let words = |random: &mut Random| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..ROWS).map(|_| ["data", "qcd", "ttbar", "wjets"][random.below(4)])))
    };
    let numbers = |random: &mut Random| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values((0..ROWS).map(|_| random.below(6) as i64 - 2)))
    };
    let booleans = |random: &mut Random| -> ArrayRef {
        Arc::new(BooleanArray::from_iter((0..ROWS).map(|_| Some(random.below(3) == 0))))
    };
    let grown = |axis: Axis, column: &dyn Array| {
        let mut histogram = Histogram::new(vec![axis], Storage::Count).unwrap();
        histogram.fill(&Entries::new(&[column])).unwrap();
        histogram.axes()[0].clone()
    };
    let fixed = vec![
        Axis::str_category(["ttbar", "data"]).unwrap().with_name("a0"),
        Axis::int_category(vec![3, -1, 2]).unwrap().with_name("a1"),
        Axis::boolean().with_name("a2"),
    ];
    let columns = vec![words(&mut random), numbers(&mut random), booleans(&mut random)];
    let weight = Some(weights(&mut random));
    cases.push(Case { name: "categories", axes: fixed, storage: Storage::Weight, columns, weight, sample: None });
    let (word, number) = (words(&mut random), numbers(&mut random));
    let growing = vec![
        grown(Axis::growing_str_category(), &word).with_name("a0"),
        grown(Axis::growing_int_category(), &number).with_name("a1"),
    ];
    let columns = vec![word, number];
    cases.push(Case { name: "growing", axes: growing, storage: Storage::Count, columns, weight: None, sample: None });
    let three: Vec<Axis> = vec![
        Axis::regular(5, 0.0, 1.0).unwrap().with_name("a0"),
        Axis::log(4, 1.0, 10.0).unwrap().with_name("a1"),
        Axis::variable(vec![0.0, 0.1, 1.0]).unwrap().without_flow().with_name("a2"),
    ];
    let columns = three.iter().map(|axis| numeric(axis, &mut random)).collect();
    let (weight, sample) = (Some(positive(&mut random)), Some(sample(&mut random)));
    cases.push(Case { name: "three axes", axes: three, storage: Storage::WeightedMean, columns, weight, sample });
    cases
}

fn fill(case: &Case) -> Histogram {
    let mut histogram = Histogram::new(case.axes.clone(), case.storage).unwrap();
    let columns: Vec<&dyn Array> = case.columns.iter().map(AsRef::as_ref).collect();
    let weights = case.weight.clone().map(Float64Array::from);
    let sample = case.sample.clone().map(Float64Array::from);
    let mut entries = Entries::new(&columns);
    if let Some(weights) = &weights {
        entries = entries.weights(weights);
    }
    if let Some(sample) = &sample {
        entries = entries.sample(sample);
    }
    histogram.fill(&entries).unwrap();
    histogram
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn request(case: &Case, histogram: &Histogram) -> Value {
    let axes: Vec<Value> = case.axes.iter().map(axis).collect();
    let columns: Vec<Value> = case.columns.iter().map(|column| values(column.as_ref())).collect();
    json!({
        "name": case.name,
        "axes": axes,
        "storage": format!("{:?}", case.storage),
        "columns": columns,
        "weight": case.weight.as_deref().map(bits),
        "sample": case.sample.as_deref().map(bits),
        "variances": histogram.variances().iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect::<Vec<f64>>(),
        "sum": histogram.sum(),
        "moments": (0..case.axes.len()).map(|n| histogram.moments(n).map(|m| bits(&[m.mean, m.deviation]))).collect::<Vec<_>>(),
        "uhi": write_uhi(&[("h", histogram)], &[("query", json!("a test"))]).unwrap(),
    })
}

fn axis(axis: &Axis) -> Value {
    let flow = axis.overflow();
    match axis.kind() {
        AxisKind::Regular { bins, lower, upper } => {
            json!({ "kind": "regular", "flow": flow, "bins": bins, "range": bits(&[*lower, *upper]) })
        }
        AxisKind::Log { bins, lower, upper } => {
            json!({ "kind": "log", "flow": flow, "bins": bins, "range": bits(&[*lower, *upper]) })
        }
        AxisKind::Variable { edges } => json!({ "kind": "variable", "flow": flow, "edges": bits(edges) }),
        AxisKind::IntCategory { categories, growing } => {
            json!({ "kind": "int", "flow": flow, "categories": categories, "growing": growing })
        }
        AxisKind::StrCategory { categories, growing } => {
            json!({ "kind": "str", "flow": flow, "categories": categories, "growing": growing })
        }
        _ => json!({ "kind": "boolean", "flow": flow }),
    }
}

fn values(column: &dyn Array) -> Value {
    let any = column.as_any();
    if let Some(numbers) = any.downcast_ref::<Float64Array>() {
        json!(bits(numbers.values()))
    } else if let Some(numbers) = any.downcast_ref::<Int64Array>() {
        json!(numbers.values().to_vec())
    } else if let Some(words) = any.downcast_ref::<StringArray>() {
        json!(words.iter().collect::<Vec<_>>())
    } else {
        json!(any.downcast_ref::<BooleanArray>().unwrap().iter().collect::<Vec<_>>())
    }
}

fn python(request: &Value) -> Value {
    let interpreter = std::env::var("ROOT_QUERY_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/boost.py");
    let mut child = Command::new(&interpreter)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{interpreter}: {error}; `make test-packages` installs what the tests need"));
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("ModuleNotFoundError"), "{errors}\n`make test-packages` installs what the tests need");
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}
