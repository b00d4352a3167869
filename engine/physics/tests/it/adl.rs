//! Queries 5 to 8 of the ADL benchmark on 1,000 real CMS events, by these kernels alone. The reference histograms were
//! computed event by event in plain Python and agree with those that other systems published for these events.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, ListArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use root_physics::Function;
use root_physics::combinatorics::{Momenta, PairRule, any_pair, best_pair, best_tuple, distance_to_mass, mass_between};
use root_physics::lists::{
    Extreme, Reduction, any_near, arg_extreme, concat, concat_sources, filter, reduce, take, without,
};
use serde_json::json;

use crate::support::{double_values, numbers, python};

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// The columns of the sample, as uproot reads them.
struct Sample {
    columns: BTreeMap<String, ArrayRef>,
}

impl Sample {
    fn read() -> Self {
        let program = r#"
tree = uproot.open(data + ":Events")
out = {}
for name in ["MET_pt", "MET_phi"]:
    out[name] = [[], tree[name].array(library="np").tolist()]
for collection, members in (("Muon", "pt eta phi mass charge"), ("Electron", "pt eta phi mass charge"), ("Jet", "pt eta phi mass btag")):
    for member in members.split():
        values = tree[f"{collection}_{member}"].array()
        out[f"{collection}_{member}"] = [ak.num(values).tolist(), ak.to_numpy(ak.flatten(values)).tolist()]
"#;
        let file = project("examples/data/Run2012B_SingleMu_1000.root");
        let read = python(program, &json!(file.to_str().unwrap()));
        let columns = read.as_object().unwrap().iter().map(|(name, column)| {
            let values = numbers(&column[1]);
            let lengths: Vec<usize> =
                column[0].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
            let values: ArrayRef = if name.ends_with("_charge") {
                Arc::new(values.iter().map(|v| Some(*v as i32)).collect::<Int32Array>())
            } else {
                Arc::new(values.iter().map(|v| Some(*v as f32)).collect::<Float32Array>())
            };
            let column: ArrayRef = if lengths.is_empty() {
                values
            } else {
                let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
                Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths), values, None))
            };
            (name.clone(), column)
        });
        Self { columns: columns.collect() }
    }

    fn list(&self, name: &str) -> &ListArray {
        self.columns[name].as_list()
    }

    fn lists(&self, collection: &str, members: [&str; 4]) -> [&ListArray; 4] {
        members.map(|member| self.list(&format!("{collection}_{member}")))
    }

    fn momenta(&self, collection: &str) -> Momenta {
        let [pt, eta, phi, mass] = self.lists(collection, ["pt", "eta", "phi", "mass"]);
        Momenta::new(pt, eta, phi, mass).unwrap()
    }
}

/// The condition that elements are larger than a number.
fn above(list: &ListArray, threshold: f32) -> ListArray {
    let values = list.values().as_primitive::<Float32Type>();
    let field = Arc::new(Field::new_list_field(DataType::Boolean, true));
    let truth = values.iter().map(|v| v.map(|v| v > threshold)).collect::<BooleanArray>();
    ListArray::new(field, list.offsets().clone(), Arc::new(truth), None)
}

/// A histogram of 100 bins as the references are: bin index and count, -1 below and 100 above.
fn histogram(values: impl IntoIterator<Item = f64>, low: f64, high: f64) -> Vec<(i64, i64)> {
    let mut bins = BTreeMap::new();
    for value in values {
        let bin = match value {
            v if v < low => -1,
            v if v > high => 100,
            v => ((v - low) / ((high - low) / 100.0)).floor() as i64,
        };
        *bins.entry(bin).or_insert(0) += 1;
    }
    bins.into_iter().collect()
}

fn reference(name: &str, low: f64, high: f64) -> Vec<(i64, i64)> {
    let text = std::fs::read_to_string(project("engine/tests/data/adl").join(format!("{name}.csv"))).unwrap();
    let width = (high - low) / 100.0;
    let row = |line: &str| {
        let (x, y) = line.split_once(',').unwrap();
        (((x.parse::<f64>().unwrap() - low) / width).floor() as i64, y.trim().parse().unwrap())
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn queries_5_to_8_give_the_published_histograms() {
    let sample = Sample::read();
    let met = sample.columns["MET_pt"].as_primitive::<Float32Type>();

    // 5: events with an opposite-charge pair of muons between 60 and 120.
    let [pt, eta, phi, charge] = sample.lists("Muon", ["pt", "eta", "phi", "charge"]);
    let muons = Momenta::massless(pt, eta, phi).unwrap();
    let rule = PairRule::new(&muons, Some(charge), None).unwrap();
    let found = any_pair(&muons, |a, b| rule.allows(a, b), mass_between(60.0, 120.0));
    let values = met.values().iter().zip(&found).filter(|(_, found)| *found == Some(true)).map(|(v, _)| f64::from(*v));
    assert_eq!(histogram(values, 0.0, 2000.0), reference("q5", 0.0, 2000.0), "q5");

    // 6: the trijet nearest to the top's mass, its transverse momentum and the largest tag of its jets.
    let jets = sample.momenta("Jet");
    let best = best_tuple(&jets, 3, distance_to_mass(172.5)).unwrap();
    let pt = jets.sums_of(&best.places).unwrap().pt();
    assert_eq!(histogram(pt.iter().flatten(), 15.0, 40.0), reference("q6-1", 15.0, 40.0), "q6-1");
    let tags = sample.list("Jet_btag");
    let tags: Vec<ArrayRef> = best.places.iter().map(|places| take(tags, places).unwrap()).collect();
    let largest = (0..met.len()).filter(|row| best.scores.is_valid(*row)).map(|row| {
        tags.iter().map(|tag| f64::from(tag.as_primitive::<Float32Type>().value(row))).fold(f64::MIN, f64::max)
    });
    assert_eq!(histogram(largest, 0.0, 1.0), reference("q6-2", 0.0, 1.0), "q6-2");

    // 7: the sum of jets above 30 that have no lepton above 10 near.
    let [pt, eta, phi, _] = sample.lists("Jet", ["pt", "eta", "phi", "mass"]);
    let lepton = |member: &str| {
        let selected = ["Muon", "Electron"].map(|collection| {
            let pt = sample.list(&format!("{collection}_pt"));
            filter(sample.list(&format!("{collection}_{member}")), &above(pt, 10.0)).unwrap()
        });
        concat(&[&selected[0], &selected[1]]).unwrap()
    };
    let near = any_near([eta, phi], [&lepton("eta"), &lepton("phi")], 0.4).unwrap();
    let hard = above(pt, 30.0);
    let far = near.values().as_boolean().values();
    let keep = BooleanArray::new(&!far & hard.values().as_boolean().values(), None);
    let keep = ListArray::new(
        Arc::new(Field::new_list_field(DataType::Boolean, true)),
        hard.offsets().clone(),
        Arc::new(keep),
        None,
    );
    let good = filter(pt, &keep).unwrap();
    let sums = reduce(&good, Reduction::Sum).unwrap();
    let sums = double_values(&sums).into_iter().enumerate().filter(|(row, _)| !good.value(*row).is_empty());
    assert_eq!(histogram(sums.filter_map(|(_, sum)| sum), 15.0, 200.0), reference("q7", 15.0, 200.0), "q7");

    // 8: the transverse mass of the missing momentum and the hardest lepton outside the pair nearest to the Z.
    let both = |member: &str| [sample.list(&format!("Muon_{member}")), sample.list(&format!("Electron_{member}"))];
    let [pt, eta, phi, mass, charge] = ["pt", "eta", "phi", "mass", "charge"].map(|m| concat(&both(m)).unwrap());
    let leptons = Momenta::new(&pt, &eta, &phi, &mass).unwrap();
    let rule = PairRule::new(&leptons, Some(&charge), Some(&concat_sources(&both("pt")).unwrap())).unwrap();
    let pair = best_pair(&leptons, |a, b| rule.allows(a, b), distance_to_mass(91.2));
    let places = [&pair.places[0], &pair.places[1]];
    let (rest_pt, rest_phi) = (without(&pt, &places).unwrap(), without(&phi, &places).unwrap());
    let hardest = arg_extreme(&rest_pt, Extreme::Max).unwrap();
    let (lepton_pt, lepton_phi) = (take(&rest_pt, &hardest).unwrap(), take(&rest_phi, &hardest).unwrap());
    let masses = Function::TransverseMass.evaluate(&[
        met,
        &sample.columns["MET_phi"].as_primitive::<Float32Type>(),
        &lepton_pt,
        &lepton_phi,
    ]);
    let masses = masses.unwrap();
    let masses: &Float64Array = masses.as_primitive::<Float64Type>();
    let values =
        (0..met.len()).filter(|row| pair.scores.is_valid(*row) && masses.is_valid(*row)).map(|row| masses.value(row));
    assert_eq!(histogram(values, 15.0, 250.0), reference("q8", 15.0, 250.0), "q8");
}
