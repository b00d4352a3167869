//! Objects of every kind in files that ROOT itself wrote, against the values that ROOT read back. The files are not part of
//! the project; without them the tests say so and pass.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int8Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Fields, Schema};
use root_reader::{RootFile, ScanOptions, TextAs, Tree};
use serde_json::Value;

use crate::compare::{Leniency, compare};
use crate::json;
use crate::support::{fixtures, index_of, manifest_dir, read_column, read_parquet};

fn folder() -> Option<PathBuf> {
    let folder = manifest_dir().join("../../shared/aod");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("\n*** NO FILES WRITTEN BY ROOT: ../shared/aod is absent, nothing was compared ***\n");
    None
}

fn reference(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn tree(path: &Path, name: &str) -> Tree {
    RootFile::open_local(path).unwrap().tree_blocking(name).unwrap().with_text(TextAs::Binary)
}

fn column(tree: &Tree, name: &str) -> ArrayRef {
    let names = || tree.columns().iter().map(|c| c.name.clone()).collect::<Vec<_>>().join(" ");
    let column = tree.column(name).unwrap_or_else(|| panic!("no column {name} in {}", names()));
    column.field().unwrap_or_else(|reason| panic!("{name}: {reason}"));
    read_column(tree, index_of(tree, column).unwrap(), 0..tree.entries(), ScanOptions::default()).unwrap()
}

/// A number, or a flag as one.
fn number(array: &dyn Array, row: usize) -> Option<f64> {
    match array.data_type() {
        DataType::Boolean => Some(f64::from(u8::from(array.as_boolean().value(row)))),
        _ => json::number(array, row),
    }
}

/// The numbers and texts within a value, from left to right.
fn leaves(array: &dyn Array, row: usize, out: &mut Vec<Value>) {
    match array.data_type() {
        _ if array.is_null(row) => out.push(Value::Null),
        DataType::Struct(_) => array.as_struct().columns().iter().for_each(|c| leaves(c, row, out)),
        DataType::List(_) | DataType::FixedSizeList(..) => {
            let elements = match array.data_type() {
                DataType::List(_) => array.as_list::<i32>().value(row),
                _ => array.as_fixed_size_list().value(row),
            };
            (0..elements.len()).for_each(|i| leaves(&elements, i, out));
        }
        DataType::Binary => {
            out.push(Value::String(String::from_utf8_lossy(array.as_binary::<i32>().value(row)).into_owned()));
        }
        DataType::Utf8 => out.push(Value::from(array.as_string::<i32>().value(row))),
        _ => out.push(number(array, row).map_or(Value::Null, Value::from)),
    }
}

fn flattened(value: &Value, out: &mut Vec<Value>) {
    match value {
        Value::Array(list) => list.iter().for_each(|v| flattened(v, out)),
        other => out.push(other.clone()),
    }
}

fn same_scalar(ours: &Value, theirs: &Value, single: bool) -> bool {
    let real = |v: &Value| v.as_f64().or_else(|| v.as_bool().map(|b| f64::from(u8::from(b))));
    match (real(ours), real(theirs)) {
        (Some(a), Some(b)) if single => a as f32 == b as f32,
        // Reading a decimal number can miss it by one bit.
        (Some(a), Some(b)) => (a - b).abs() <= f64::EPSILON * a.abs(),
        _ => ours == theirs,
    }
}

/// Panics with the way down to it where a value differs from ROOT's.
fn check(array: &dyn Array, row: usize, theirs: &Value, path: &str) {
    match (array.data_type(), theirs) {
        _ if array.is_null(row) => assert!(theirs.is_null(), "{path}: null, not {theirs}"),
        (DataType::Struct(_), Value::Object(members)) => {
            let record = array.as_struct();
            for (name, value) in members {
                // The reference ends each of its objects with this.
                if name == "_" {
                    continue;
                }
                let own = if name == "class" { "_class" } else { name };
                if record.column_by_name(own).is_none()
                    && let Some((outer, inner)) = name.split_once('_')
                    && let Some(column) = record.column_by_name(outer)
                {
                    check(column, row, &serde_json::json!({ inner: value }), &format!("{path}.{outer}"));
                    continue;
                }
                let Some(column) = record.column_by_name(own) else {
                    // The reference has the name of any object under this one.
                    let found = ["fName", "fString"].iter().filter_map(|n| record.column_by_name(n));
                    let mut texts = Vec::new();
                    found.filter(|c| c.is_valid(row)).for_each(|c| leaves(c, row, &mut texts));
                    assert!(name == "name" && texts.contains(value), "{path}: no {name} in {:?}", array.data_type());
                    continue;
                };
                check(column, row, value, &format!("{path}.{name}"));
            }
        }
        // An object that the reference knows by its name.
        (DataType::Struct(_), Value::String(_)) => {
            let mut ours = Vec::new();
            leaves(array, row, &mut ours);
            assert!(ours.contains(theirs), "{path}: {ours:?}, not {theirs}");
        }
        (DataType::Map(..), Value::Array(pairs)) => {
            let entries = array.as_map().value(row);
            assert_eq!(entries.len(), pairs.len(), "{path}");
            for (i, pair) in pairs.iter().enumerate() {
                check(entries.column(0), i, &pair[0], &format!("{path}[{i}].key"));
                check(entries.column(1), i, &pair[1], &format!("{path}[{i}].value"));
            }
        }
        (DataType::Map(..), Value::Number(count)) => {
            assert_eq!(Some(array.as_map().value_length(row).into()), count.as_i64(), "{path}");
        }
        (DataType::List(_), Value::Array(list)) => {
            let elements = array.as_list::<i32>().value(row);
            assert_eq!(elements.len(), list.len(), "{path}");
            list.iter().enumerate().for_each(|(i, v)| check(&elements, i, v, &format!("{path}[{i}]")));
        }
        (DataType::FixedSizeList(..), Value::String(text)) => {
            let bytes = array.as_fixed_size_list().value(row);
            let bytes: Vec<u8> = bytes.as_primitive::<Int8Type>().values().iter().map(|b| *b as u8).collect();
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            assert_eq!(String::from_utf8_lossy(&bytes[..end]), text.as_str(), "{path}");
        }
        (DataType::FixedSizeList(..), Value::Array(list)) if list.iter().all(Value::is_object) => {
            let elements = array.as_fixed_size_list().value(row);
            assert_eq!(elements.len(), list.len(), "{path}");
            list.iter().enumerate().for_each(|(i, v)| check(&elements, i, v, &format!("{path}[{i}]")));
        }
        // Vectors, references and arrays of several dimensions are plain lists of numbers in the reference.
        (_, theirs) => {
            let (mut a, mut b) = (Vec::new(), Vec::new());
            leaves(array, row, &mut a);
            flattened(theirs, &mut b);
            let single = has_single(array.data_type());
            let same = a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same_scalar(a, b, single));
            assert!(same, "{path}: {a:?}, not {theirs}");
        }
    }
}

/// Whether the reference printed some of the numbers with the digits of a float.
fn has_single(data_type: &DataType) -> bool {
    match data_type {
        DataType::Float32 => true,
        DataType::Struct(fields) => fields.iter().any(|f| has_single(f.data_type())),
        DataType::List(field) | DataType::FixedSizeList(field, _) => has_single(field.data_type()),
        _ => false,
    }
}

#[test]
fn unsplit_muons_have_every_member_that_root_reads() {
    let Some(folder) = folder() else { return };
    let reference = reference(&folder.join("ref_dimuon_full.json"));
    let tree = tree(&folder.join("aod_dimuon_zlib.root"), "EventsUnsplit;9");
    let wrapper = column(&tree, "recoMuons_muons__RECO.");
    let wrapped = wrapper.as_struct().column_by_name("obj").unwrap().clone();
    for (name, array) in [("recoMuonVec", column(&tree, "recoMuonVec")), ("obj", wrapped)] {
        for (row, muons) in reference.as_array().unwrap().iter().enumerate() {
            check(&array, row, muons, &format!("{name} {row}"));
        }
    }
}

#[test]
fn split_muons_have_every_member_that_root_reads() {
    let Some(folder) = folder() else { return };
    let reference = reference(&folder.join("ref_dimuon_full.json"));
    let tree = tree(&folder.join("aod_dimuon_zlib.root"), "Events");
    let of = |member: &str| column(&tree, &format!("recoMuons_muons__RECO.obj.{member}"));
    let product = |member: &str| format!("{member}.product_");
    for member in ["innerTrack_", "outerTrack_", "globalTrack_"] {
        let array = of(&product(member));
        for (row, muons) in reference.as_array().unwrap().iter().enumerate() {
            let theirs: Value = muons.as_array().unwrap().iter().map(|m| m[member].clone()).collect();
            check(&array, row, &theirs, &format!("{member} {row}"));
        }
    }
    // The reference has small objects of numbers as lists, in the order of their members.
    let prefix = "recoMuons_muons__RECO.obj.";
    let members: Vec<&str> = tree.columns().iter().filter_map(|c| c.name.strip_prefix(prefix)).collect();
    let outer = |member: &str| member.rsplit_once('.').map(|(outer, _)| outer.to_string());
    let mut compared = 0;
    for member in members.iter().filter(|member| !member.ends_with("product_")) {
        let array = of(member);
        let place =
            members.iter().filter(|other| outer(other) == outer(member)).position(|other| other == member).unwrap();
        let value = |muon: &Value| {
            member.split('.').fold(muon.clone(), |value, name| match &value {
                Value::Array(list) if name != "fCoordinates" => list[place].clone(),
                Value::Object(members) => members[name].clone(),
                other => other.clone(),
            })
        };
        for (row, muons) in reference.as_array().unwrap().iter().enumerate() {
            let theirs: Value = muons.as_array().unwrap().iter().map(value).collect();
            check(&array, row, &theirs, &format!("{member} {row}"));
        }
        compared += 1;
    }
    assert!(compared > 80, "{compared}");
}

#[test]
fn what_belongs_to_an_event_is_the_same_split_and_unsplit() {
    let Some(folder) = folder() else { return };
    let file = folder.join("aod_dimuon_zlib.root");
    let (split, unsplit) = (tree(&file, "Events"), tree(&file, "EventsUnsplit;9"));
    let whole = column(&unsplit, "EventAuxiliary");
    let text = std::fs::read_to_string(folder.join("ref_dimuon_events.jsonl")).unwrap();
    let events: Vec<Value> = text.lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect();
    let split = |name: &str| column(&split, name);
    let plain =
        ["luminosityBlock_", "isRealData_", "experimentType_", "bunchCrossing_", "orbitNumber_", "storeNumber_"];
    for name in plain {
        let (one, other) = (split(name), whole.as_struct().column_by_name(name).unwrap());
        for (row, event) in events.iter().enumerate() {
            check(&one, row, &event[name], name);
            check(other, row, &event[name], name);
        }
    }
    let id = whole.as_struct().column_by_name("id_").unwrap();
    let parts = [("run_", "run"), ("luminosityBlock_", "lumi"), ("event_", "event")];
    for (member, name) in parts {
        let one = split(&format!("id_.{member}"));
        for (row, event) in events.iter().enumerate() {
            check(&one, row, &event[name], name);
            check(id.as_struct().column_by_name(member).unwrap(), row, &event[name], name);
        }
    }
    let corrections = split("recoPFMETs_pfMet__RECO.obj.corr");
    let strings = split("Strings_z__RECO.obj");
    for (row, event) in events.iter().enumerate() {
        check(&corrections.as_list::<i32>().value(row), 0, &event["corr"], "corr");
        check(&strings, row, &event["strings"], "strings");
    }
}

#[test]
fn every_kind_of_branch_has_the_values_that_root_reads() {
    let Some(folder) = folder() else { return };
    let reference = reference(&folder.join("sink/ref_sink.json"));
    let tree = tree(&folder.join("sink/sink.root"), "sink");
    let events = reference.as_array().unwrap();
    let names = ["p4u", "cu", "cb", "vs", "vvf", "vf", "vb", "vpu", "vnu", "ss", "ts", "si", "x", "a34"];
    for name in names {
        let array = column(&tree, name);
        events.iter().enumerate().for_each(|(row, event)| check(&array, row, &event[name], name));
    }
    let array = column(&tree, "smallu");
    events.iter().enumerate().for_each(|(row, event)| check(&array, row, &event["small"], &format!("smallu {row}")));
    for member in ["vd", "vi", "parr[3]", "hitp", "hita", "dq", "poly", "vpoly", "tobj", "oarr", "vf", "sstr"] {
        let array = column(&tree, &format!("sink.{member}"));
        let name = member.split('[').next().unwrap();
        events.iter().enumerate().for_each(|(row, e)| check(&array, row, &e["sink"][name], &format!("{member} {row}")));
    }
    for member in ["vp", "vn", "hits", "msd", "vx", "p4"] {
        let array = column(&tree, &format!("small1.{member}"));
        events
            .iter()
            .enumerate()
            .for_each(|(row, e)| check(&array, row, &e["small"][member], &format!("{member} {row}")));
    }
}

/// A schema of one column, without some of its members.
fn without(tree: &Tree, name: &str, unwanted: &[&str]) -> Schema {
    let schema = tree.schema();
    let field = schema.field_with_name(name).unwrap();
    let DataType::Struct(members) = field.data_type() else { panic!("{name} is no object") };
    let wanted = members.iter().filter(|f| !unwanted.contains(&f.name().as_str())).cloned();
    Schema::new(vec![field.clone().with_data_type(DataType::Struct(wanted.collect()))])
}

#[test]
fn a_class_that_writes_itself_is_an_error_only_where_its_members_are_wanted() {
    let Some(folder) = folder() else { return };
    let reference = reference(&folder.join("sink/ref_sink.json"));
    let whole = tree(&folder.join("sink/sink.root"), "sink");
    let index = index_of(&whole, whole.column("sinku").unwrap()).unwrap();
    let error = read_column(&whole, index, 0..whole.entries(), ScanOptions::default()).unwrap_err().to_string();
    assert!(
        error.contains("branch 'sinku', basket 0") && error.contains("Custom goes on for 1 bytes beyond"),
        "{error}"
    );

    // Base class `Custom` has a streamer function of its own.
    let some = whole.narrowed(without(&whole, "sinku", &["u", "v"]).fields()).unwrap();

    let array = column(&some, "sinku");
    for (row, event) in reference.as_array().unwrap().iter().enumerate() {
        let mut theirs = event["sink"].clone();
        theirs.as_object_mut().unwrap().retain(|name, _| !["u", "v"].contains(&name.as_str()));
        check(&array, row, &theirs, &format!("sinku {row}"));
    }
}

#[test]
fn members_that_nobody_wants_are_passed_over() {
    let Some(folder) = folder() else { return };
    let reference = reference(&folder.join("ref_dimuon_full.json"));
    let whole = tree(&folder.join("aod_dimuon_zlib.root"), "EventsUnsplit;9");
    let schema = whole.schema();
    let field = schema.field_with_name("recoMuonVec").unwrap();
    let DataType::List(item) = field.data_type() else { panic!("no list") };
    let DataType::Struct(members) = item.data_type() else { panic!("no objects") };
    for name in ["pt_", "globalTrack_", "refittedTrackMap_", "muMatches_", "isolationR05_", "type_", "pfP4_"] {
        let one: Fields = members.iter().filter(|f| f.name() == name).cloned().collect();
        let item = item.as_ref().clone().with_data_type(DataType::Struct(one));
        let narrow = field.clone().with_data_type(DataType::List(Arc::new(item)));

        let array = column(&whole.narrowed(&vec![narrow.clone()].into()).unwrap(), "recoMuonVec");

        assert_eq!(array.data_type(), narrow.data_type());
        for (row, muons) in reference.as_array().unwrap().iter().enumerate() {
            let one = |muon: &Value| serde_json::json!({ name: muon[name] });
            check(&array, row, &muons.as_array().unwrap().iter().map(one).collect(), &format!("{name} {row}"));
        }
    }
}

#[test]
fn a_vector_of_pointers_that_is_split_by_class_has_the_members_of_each() {
    let Some(folder) = folder() else { return };
    let reference = reference(&folder.join("sink/ref_sink.json"));
    let tree = tree(&folder.join("sink/sink.root"), "sink");
    for (branch, class, member) in
        [("vpoly.Poly.p", "Poly", "p"), ("vpoly.PolyD.p", "PolyD", "p"), ("vpoly.PolyD.d", "PolyD", "d")]
    {
        let array = column(&tree, branch);
        for (row, event) in reference.as_array().unwrap().iter().enumerate() {
            let all = event["vpoly"].as_array().unwrap().iter();
            let theirs: Value = all.filter(|o| o["class"] == class).map(|o| o[member].clone()).collect();
            // The branch begins where its class first turned up.
            if array.is_null(row) {
                assert_eq!(theirs, Value::Array(Vec::new()), "{branch} {row}");
            } else {
                check(&array, row, &theirs, &format!("{branch} {row}"));
            }
        }
    }
}

#[test]
fn each_version_of_a_class_is_read_as_it_was_written() {
    let Some(folder) = folder() else { return };
    for version in ["v1", "v2"] {
        let reference = reference(&folder.join(format!("evo/ref_{version}_as_{version}.json")));
        let tree = tree(&folder.join(format!("evo/evo_{version}.root")), "t");
        let array = column(&tree, "evou");
        for (row, event) in reference.as_array().unwrap().iter().enumerate() {
            check(&array, row, &event["evou"], &format!("{version} {row}"));
        }
    }
}

#[test]
fn objects_have_the_values_that_uproot_reads() {
    let folder = fixtures().join("objects");
    let mut columns = 0;
    let files =
        [("bitsets", "tree"), ("event_nosplit", "tree"), ("lorentz_vectors", "t1"), ("nested_vectors", "TestTree")];
    for (name, tree) in files {
        let reference = read_parquet(&folder.join(format!("{name}__{tree}.parquet")));
        let tree = RootFile::open_local(folder.join(format!("{name}.root"))).unwrap().tree_blocking(tree).unwrap();
        for (field, theirs) in reference.schema().fields().iter().zip(reference.columns()) {
            let ours = column(&tree, field.name());
            // uproot takes every member that counts others for unsigned.
            let leniency = Leniency { signed_for_unsigned: true, flat_dimensions: true, ..Leniency::default() };
            compare(&ours, theirs, leniency).unwrap_or_else(|how| panic!("{name} {}: {how}", field.name()));
            columns += 1;
        }
    }
    assert!(columns > 10, "{columns}");
}
