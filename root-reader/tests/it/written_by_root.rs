//! Files written by ROOT itself, with what ROOT reads back from them. Not part of the project; without them the tests say
//! so and pass.

use std::path::PathBuf;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int32Type};
use arrow_array::{Array, ArrayRef};
use root_reader::{RootFile, ScanOptions, Tree};
use serde_json::Value;

use crate::support::{manifest_dir, read_column};

fn folder() -> Option<PathBuf> {
    let folder = manifest_dir().join("../../shared/aod");
    if !folder.is_dir() {
        eprintln!("\n*** ../shared/aod is absent: nothing was compared with what ROOT reads ***\n");
        return None;
    }
    Some(folder)
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn column(tree: &Tree, name: &str) -> ArrayRef {
    let index = tree.schema().index_of(name).unwrap_or_else(|e| panic!("{e}"));
    read_column(tree, index, 0..tree.entries(), ScanOptions::default()).unwrap()
}

fn ints(array: &ArrayRef) -> Vec<i64> {
    array.as_primitive::<Int32Type>().values().iter().map(|v| i64::from(*v)).collect()
}

fn expected(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
}

#[test]
fn directories_cycles_and_clusters_are_what_root_sees() {
    let Some(folder) = folder() else { return };
    let reference = json(folder.join("sink/ref_layout.json"));
    let file = RootFile::open_local(folder.join("sink/layout.root")).unwrap();
    let mut keys: Vec<String> = file.keys().iter().map(|k| format!("{};{}", k.path, k.cycle)).collect();
    let mut theirs: Vec<String> =
        reference["keys"].as_array().unwrap().iter().map(|k| k["path"].as_str().unwrap().into()).collect();
    keys.sort();
    theirs.sort();
    assert_eq!(keys, theirs);
    for name in ["dirA/t", "dirA/sub/t", "cyc;1", "cyc;2", "cyc;3", "clusters", "inmem"] {
        let tree = file.tree_blocking(name).unwrap();
        assert_eq!(ints(&column(&tree, "v")), expected(&reference[name]), "{name}");
    }
    assert_eq!(file.find_tree("cyc").unwrap().cycle, 3);
    let clusters = file.tree_blocking("clusters").unwrap().clusters();
    let starts: Vec<i64> = clusters.iter().map(|c| c.start as i64).collect();
    assert_eq!(starts, expected(&reference["clusters_starts"]));
    let many = file.tree_blocking("manybaskets").unwrap();
    assert_eq!(many.branches()[many.column("v").unwrap().branch].basket_count(), 97);
    assert_eq!(ints(&column(&many, "v")).iter().sum::<i64>(), reference["manybaskets"]["sum_v"].as_i64().unwrap());
    let z = column(&many, "z");
    assert_eq!(z.as_list::<i32>().values().len() as i64, reference["manybaskets"]["n_z"].as_i64().unwrap());
}

#[test]
fn what_was_saved_before_the_writer_died_is_recovered() {
    let Some(folder) = folder() else { return };
    let reference = json(folder.join("sink/ref_layout.json"));
    for (name, warned) in [("recovered.root", true), ("uncompressed.root", false)] {
        let file = RootFile::open_local(folder.join("sink").join(name)).unwrap();
        assert_eq!(!file.warnings().is_empty(), warned, "{name}: {:?}", file.warnings());
        let (tree, theirs) = (file.tree_blocking("t").unwrap(), &reference[name]);
        assert_eq!(tree.entries(), theirs["entries"].as_u64().unwrap(), "{name}");
        let sum: i64 = ["v", "small.i"].map(|c| ints(&column(&tree, c)).iter().sum::<i64>()).iter().sum();
        assert_eq!(sum, theirs["sum_v_plus_i"].as_i64().unwrap(), "{name}");
        let hits = column(&tree, "small.hits.x");
        let hits = hits.as_list::<i32>().values();
        assert_eq!(hits.len() as u64, theirs["n_hits"].as_u64().unwrap(), "{name}");
        let sum: f64 = match hits.data_type() {
            arrow_schema::DataType::Float32 => {
                hits.as_primitive::<Float32Type>().values().iter().map(|v| f64::from(*v)).sum()
            }
            _ => hits.as_primitive::<Float64Type>().values().iter().sum(),
        };
        assert_eq!(sum, theirs["sum_hit_x"].as_f64().unwrap(), "{name}");
    }
}

#[test]
fn muons_have_the_values_that_root_reads() {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join("ref_dimuon_muons.csv")).unwrap();
    let rows: Vec<Vec<f64>> =
        text.lines().skip(1).map(|line| line.split(',').map(|v| v.parse().unwrap()).collect()).collect();
    let names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let tree = RootFile::open_local(folder.join("aod_dimuon_zlib.root")).unwrap().tree_blocking("Events").unwrap();
    for (at, name) in names.iter().enumerate().skip(2) {
        let isolation = name.starts_with("sum");
        let member = if isolation { format!("pfIsolationR04_.{name}") } else { (*name).to_string() };
        let array = column(&tree, &format!("recoMuons_muons__RECO.obj.{member}"));
        let values = array.as_list::<i32>().values().clone();
        assert_eq!(values.len(), rows.len(), "{name}");
        for (row, expected) in rows.iter().enumerate() {
            // The reference was printed with nine digits: enough for a float, which it is then rounded to.
            let same = match values.data_type() {
                arrow_schema::DataType::Float32 => {
                    values.as_primitive::<Float32Type>().value(row) == expected[at] as f32
                }
                arrow_schema::DataType::Float64 => {
                    let ours = values.as_primitive::<Float64Type>().value(row);
                    ours as f32 == expected[at] as f32
                }
                arrow_schema::DataType::Int32 => {
                    f64::from(values.as_primitive::<Int32Type>().value(row)) == expected[at]
                }
                _ => format!("{:?}", values.slice(row, 1)).contains(&format!("{}", expected[at])),
            };
            assert!(same, "{name} {row}: {:?}, not {}", values.slice(row, 1), expected[at]);
        }
    }
}

#[test]
fn friends_stand_beside_their_tree() {
    let Some(folder) = folder() else { return };
    let file = RootFile::open_local(folder.join("sink/layout.root")).unwrap();
    let main = file.tree_blocking("main").unwrap();
    let listed: Vec<Value> = main
        .listed_friends()
        .iter()
        .map(|f| serde_json::json!({"name": f.alias, "tree": f.tree, "file": f.file}))
        .collect();
    assert_eq!(Value::from(listed), json(folder.join("sink/ref_layout.json"))["main"]["friends"]);
    let tree = main.with_friend("fr", &file.tree_blocking("fr").unwrap()).unwrap();
    assert_eq!(ints(&column(&tree, "v")), (0..30).collect::<Vec<_>>());
    let w = column(&tree, "fr.w");
    assert!(w.as_primitive::<Float32Type>().values().iter().copied().eq((0..30).map(|i| i as f32 * 1.5)));
    // The other friend that the tree lists has more entries: ROOT would read it all the same.
    let other = RootFile::open_local(folder.join("sink/chain_0.root")).unwrap().tree_blocking("t").unwrap();
    let error = main.with_friend("ext", &other).unwrap_err().to_string();
    for part in ["layout.root", "'main' has 30", "chain_0.root", "'t' has 40"] {
        assert!(error.contains(part), "{error}");
    }
}
