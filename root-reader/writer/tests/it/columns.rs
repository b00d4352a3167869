//! Every form of column, as uproot and `root-reader` read it back.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int16Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, LargeListArray, LargeStringArray, ListArray, RecordBatch, StringArray, StringViewArray, StructArray,
    UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use root_writer::{Counters, Nulls, TreeOptions};
use serde_json::json;

use crate::support::{assert_same, at_a_fixed_time, batch, file_of, integers, lists, python_on, read, texts};

fn written(batch: &RecordBatch, options: TreeOptions) -> Vec<u8> {
    file_of(std::slice::from_ref(batch), at_a_fixed_time(), options)
}

/// What uproot says of each branch: its C++ type and its values.
const TYPES_AND_VALUES: &str = r#"
tree = uproot.open(path)["Events"]
print(json.dumps({b.name: [b.typename, b.array().to_list()] for b in tree.branches}))
"#;

#[test]
fn numbers_of_every_type_keep_their_extremes() {
    let columns = batch([
        ("yes", Arc::new(BooleanArray::from(vec![true, false, true])) as ArrayRef),
        ("i8", Arc::new(Int8Array::from(vec![i8::MIN, -1, i8::MAX]))),
        ("u8", Arc::new(UInt8Array::from(vec![0, 1, u8::MAX]))),
        ("i16", Arc::new(Int16Array::from(vec![i16::MIN, -1, i16::MAX]))),
        ("u16", Arc::new(UInt16Array::from(vec![0, 1, u16::MAX]))),
        ("i32", Arc::new(Int32Array::from(vec![i32::MIN, -1, i32::MAX]))),
        ("u32", Arc::new(UInt32Array::from(vec![0, 1, u32::MAX]))),
        ("i64", Arc::new(Int64Array::from(vec![i64::MIN, -1, i64::MAX]))),
        ("u64", Arc::new(UInt64Array::from(vec![0, 1, u64::MAX]))),
        ("f32", Arc::new(Float32Array::from(vec![-1.5, 0.25, 16_777_215.0]))),
        ("f64", Arc::new(Float64Array::from(vec![-1.5, 1e-300, f64::MAX]))),
    ]);
    let bytes = written(&columns, TreeOptions::default());

    assert_eq!(
        python_on(&bytes, TYPES_AND_VALUES),
        json!({
            "yes": ["bool", [true, false, true]],
            "i8": ["int8_t", [-128, -1, 127]],
            "u8": ["uint8_t", [0, 1, 255]],
            "i16": ["int16_t", [-32768, -1, 32767]],
            "u16": ["uint16_t", [0, 1, 65535]],
            "i32": ["int32_t", [i32::MIN, -1, i32::MAX]],
            "u32": ["uint32_t", [0, 1, u32::MAX]],
            "i64": ["int64_t", [i64::MIN, -1, i64::MAX]],
            "u64": ["uint64_t", [0, 1, u64::MAX]],
            "f32": ["float", [-1.5, 0.25, 16_777_215.0]],
            "f64": ["double", [-1.5, 1e-300, f64::MAX]],
        })
    );
    assert_eq!(read(&bytes, "Events").columns(), columns.columns());
}

#[test]
fn arrays_of_fixed_size_keep_their_dimensions() {
    let item = |data_type| Arc::new(Field::new_list_field(data_type, true));
    let inner = FixedSizeListArray::new(item(DataType::Int32), 3, integers(0..12), None);
    let outer = FixedSizeListArray::new(item(inner.data_type().clone()), 2, Arc::new(inner), None);
    let flat = FixedSizeListArray::new(item(DataType::Int32), 2, integers(5..9), None);
    let columns = batch([("matrix", Arc::new(outer) as ArrayRef), ("pair", Arc::new(flat))]);
    let bytes = written(&columns, TreeOptions::default());

    assert_eq!(
        python_on(&bytes, TYPES_AND_VALUES),
        json!({
            "matrix": ["int32_t[2][3]", [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]],
            "pair": ["int32_t[2]", [[5, 6], [7, 8]]],
        })
    );
    let back = read(&bytes, "Events");
    assert_eq!(back.column(1).as_fixed_size_list().value(1).as_primitive::<Int32Type>().values(), &[7, 8]);
}

#[test]
fn a_column_of_counts_counts_the_lists_of_its_name() {
    let columns = batch([
        ("Muon_pt", lists(3, |row| row, |row, i| (10 * row + i) as f32)),
        ("nMuon", integers([0, 1, 2])),
        ("Muon_eta", lists(3, |row| row, |_, i| -(i as f32))),
        ("other", lists(3, |row| 2 - row, |_, _| 1.0)),
    ]);
    let bytes = written(&columns, TreeOptions::default());

    let script = r#"
tree = uproot.open(path)["Events"]
counts = {b.name: (c.member("fName") if (c := b.member("fLeaves")[0].member("fLeafCount")) else None) for b in tree.branches}
largest = {n: tree[n].member("fLeaves")[0].member("fMaximum") for n in ("nMuon", "nother")}
print(json.dumps([counts, largest, {b.name: b.array().to_list() for b in tree.branches}]))
"#;
    assert_eq!(
        python_on(&bytes, script),
        json!([
            {"nMuon": null, "Muon_pt": "nMuon", "Muon_eta": "nMuon", "nother": null, "other": "nother"},
            {"nMuon": 2, "nother": 2},
            {
                "nMuon": [0, 1, 2],
                "Muon_pt": [[], [10.0], [20.0, 21.0]],
                "Muon_eta": [[], [0.0], [0.0, -1.0]],
                "nother": [2, 1, 0],
                "other": [[1.0, 1.0], [1.0], []],
            },
        ])
    );
    let back = read(&bytes, "Events");
    assert_same(back.column_by_name("Muon_pt").unwrap(), columns.column(0));
    assert_same(back.column_by_name("other").unwrap(), columns.column(3));
}

#[test]
fn counts_of_64_bits_become_those_that_readers_expect() {
    let columns = batch([
        ("nJet", Arc::new(UInt64Array::from(vec![2, 0])) as ArrayRef),
        ("Jet_pt", lists(2, |row| 2 - 2 * row, |_, i| i as f32)),
    ]);
    let bytes = written(&columns, TreeOptions::default());
    assert_eq!(
        python_on(&bytes, TYPES_AND_VALUES),
        json!({"nJet": ["int32_t", [2, 0]], "Jet_pt": ["float[]", [[0.0, 1.0], []]]})
    );
}

#[test]
fn lists_are_counted_by_themselves_on_request() {
    let columns = batch([("nMuon", integers([7, 7])), ("Muon_pt", lists(2, |row| row, |_, _| 1.0))]);
    let bytes = written(&columns, TreeOptions { counters: Counters::Own, ..TreeOptions::default() });
    assert_eq!(
        python_on(&bytes, TYPES_AND_VALUES),
        json!({
            "nMuon": ["int32_t", [7, 7]],
            "nMuon_pt": ["int32_t", [0, 1]],
            "Muon_pt": ["float[]", [[], [1.0]]],
        })
    );
}

fn muons(large: bool) -> ArrayRef {
    let pt = Arc::new(Float32Array::from(vec![30.0, 20.0, 10.0])) as ArrayRef;
    let charge = Arc::new(Int16Array::from(vec![1, -1, 1])) as ArrayRef;
    let fields = vec![Field::new("pt", DataType::Float32, true), Field::new("charge", DataType::Int16, true)];
    let elements = Arc::new(StructArray::new(fields.clone().into(), vec![pt, charge], None));
    let item = Arc::new(Field::new_list_field(DataType::Struct(fields.into()), true));
    match large {
        true => Arc::new(LargeListArray::new(item, OffsetBuffer::from_lengths([2, 0, 1]), elements, None)),
        false => Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([2, 0, 1]), elements, None)),
    }
}

#[test]
fn members_of_lists_of_structs_share_a_counter() {
    for large in [false, true] {
        let bytes = written(&batch([("Muon", muons(large))]), TreeOptions::default());
        assert_eq!(
            python_on(&bytes, TYPES_AND_VALUES),
            json!({
                "nMuon": ["int32_t", [2, 0, 1]],
                "Muon_pt": ["float[]", [[30.0, 20.0], [], [10.0]]],
                "Muon_charge": ["int16_t[]", [[1, -1], [], [1]]],
            })
        );
        let file = root_reader::RootFile::from_bytes("x", bytes).unwrap();
        let tree = file.tree_blocking("Events").unwrap();
        let expected = match large {
            false => format!("{}", muons(false).data_type()),
            true => continue,
        };
        assert_eq!(tree.nested().schema().field_with_name("Muon").unwrap().data_type().to_string(), expected);
    }
}

#[test]
fn members_of_structs_are_branches_of_their_own() {
    let position = StructArray::from(vec![
        (Arc::new(Field::new("x", DataType::Int32, true)), integers([1, 2])),
        (Arc::new(Field::new("name", DataType::Utf8, true)), texts(["a".into(), "b".into()])),
        (
            Arc::new(Field::new("hits", lists(2, |_| 0, |_, _| 0.0).data_type().clone(), true)),
            lists(2, |row| row, |_, _| 5.0),
        ),
    ]);
    let bytes = written(&batch([("pv", Arc::new(position) as ArrayRef)]), TreeOptions::default());
    assert_eq!(
        python_on(&bytes, TYPES_AND_VALUES),
        json!({
            "pv_x": ["int32_t", [1, 2]],
            "pv_name": ["char*", ["a", "b"]],
            "npv_hits": ["int32_t", [0, 1]],
            "pv_hits": ["float[]", [[], [5.0]]],
        })
    );
}

#[test]
fn lists_of_arrays_keep_the_inner_dimension() {
    let inner =
        FixedSizeListArray::new(Arc::new(Field::new_list_field(DataType::Int32, true)), 2, integers(0..6), None);
    let item = Arc::new(Field::new_list_field(inner.data_type().clone(), true));
    let list = ListArray::new(item, OffsetBuffer::from_lengths([1, 0, 2]), Arc::new(inner), None);
    let bytes = written(&batch([("pairs", Arc::new(list) as ArrayRef)]), TreeOptions::default());
    let values = python_on(&bytes, TYPES_AND_VALUES);
    assert_eq!(values["pairs"][1], json!([[[0, 1]], [], [[2, 3], [4, 5]]]));
}

#[test]
fn texts_of_any_length_are_c_strings() {
    let values = ["".to_string(), "µ⁺µ⁻".into(), "x".repeat(254), "y".repeat(255), "z".repeat(70_000)];
    let columns = batch([
        ("plain", Arc::new(StringArray::from_iter_values(&values)) as ArrayRef),
        ("large", Arc::new(LargeStringArray::from_iter_values(&values))),
        ("view", Arc::new(StringViewArray::from_iter_values(&values))),
    ]);
    let bytes = written(&columns, TreeOptions::default());
    let expected = json!(["char*", values]);
    assert_eq!(
        python_on(&bytes, TYPES_AND_VALUES),
        json!({"plain": expected.clone(), "large": expected.clone(), "view": expected})
    );
    let back = read(&bytes, "Events");
    (0..3).for_each(|column| assert_eq!(back.column(column), columns.column(0)));
}

#[test]
fn lists_of_texts_are_vectors_of_strings() {
    let mut builder = ListBuilder::new(StringBuilder::new());
    for row in [vec!["HLT_Mu".to_string(), String::new()], vec![], vec!["w".repeat(300)]] {
        row.iter().for_each(|text| builder.values().append_value(text));
        builder.append(true);
    }
    let column = Arc::new(builder.finish()) as ArrayRef;
    let bytes = written(&batch([("paths", column.clone())]), TreeOptions::default());
    assert_eq!(
        python_on(&bytes, TYPES_AND_VALUES),
        json!({"paths": ["std::vector<std::string>", [["HLT_Mu", ""], [], ["w".repeat(300)]]]})
    );
    assert_same(read(&bytes, "Events").column(0), &column);
}

#[test]
fn slices_of_batches_are_what_is_written() {
    let whole = batch([
        ("x", integers(0..10)),
        ("list", lists(10, |row| row % 3, |row, i| (10 * row + i) as f32)),
        ("text", texts((0..10).map(|i| format!("t{i}")))),
        (
            "pair",
            Arc::new(FixedSizeListArray::new(
                Arc::new(Field::new_list_field(DataType::Int32, true)),
                2,
                integers(0..20),
                None,
            )) as ArrayRef,
        ),
    ]);
    let bytes = written(&whole.slice(4, 3), TreeOptions::default());
    let values = python_on(&bytes, TYPES_AND_VALUES);
    assert_eq!(values["x"][1], json!([4, 5, 6]));
    assert_eq!(values["list"][1], json!([[40.0], [50.0, 51.0], []]));
    assert_eq!(values["text"][1], json!(["t4", "t5", "t6"]));
    assert_eq!(values["pair"][1], json!([[8, 9], [10, 11], [12, 13]]));
}

#[test]
fn nulls_become_the_values_that_were_asked_for() {
    let list =
        ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![Some(1.0), None]), None, Some(vec![Some(2.0)])]);
    let pairs = FixedSizeListArray::from_iter_primitive::<Int16Type, _, _>(
        [Some(vec![Some(1), None]), None, Some(vec![Some(3), Some(4)])],
        2,
    );
    let columns = batch([
        ("i", Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])) as ArrayRef),
        ("f", Arc::new(Float64Array::from(vec![Some(1.0), None, Some(3.0)]))),
        ("yes", Arc::new(BooleanArray::from(vec![Some(false), None, Some(true)]))),
        ("text", Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]))),
        ("list", Arc::new(list)),
        ("pairs", Arc::new(pairs)),
    ]);
    let nulls = Nulls::Replace { integer: -99, float: -0.5 };
    let bytes = written(&columns, TreeOptions { nulls, ..TreeOptions::default() });
    assert_eq!(
        python_on(&bytes, TYPES_AND_VALUES),
        json!({
            "i": ["int32_t", [1, -99, 3]],
            "f": ["double", [1.0, -0.5, 3.0]],
            "yes": ["bool", [false, true, true]],
            "text": ["char*", ["a", "", "c"]],
            "nlist": ["int32_t", [2, 0, 1]],
            "list": ["float[]", [[1.0, -0.5], [], [2.0]]],
            "pairs": ["int16_t[2]", [[1, -99], [-99, -99], [3, 4]]],
        })
    );
}

#[test]
fn a_null_struct_has_null_members() {
    let fields = vec![Field::new("x", DataType::Int32, true), Field::new("t", DataType::Utf8, true)];
    let column = StructArray::new(
        fields.into(),
        vec![integers([1, 2]), texts(["a".into(), "hidden".into()])],
        Some(vec![true, false].into()),
    );
    let nulls = Nulls::Replace { integer: 0, float: f64::NAN };
    let bytes = written(&batch([("s", Arc::new(column) as ArrayRef)]), TreeOptions { nulls, ..TreeOptions::default() });
    let values = python_on(&bytes, TYPES_AND_VALUES);
    assert_eq!(values, json!({"s_x": ["int32_t", [1, 0]], "s_t": ["char*", ["a", ""]]}));
}

#[test]
fn structs_in_lists_of_structs_are_taken_apart() {
    let field = |name: &str, data_type: &DataType| Arc::new(Field::new(name, data_type.clone(), true));
    let position = StructArray::from(vec![(field("x", &DataType::Int32), integers([1, 2, 3]))]);
    let elements = StructArray::from(vec![(field("pos", position.data_type()), Arc::new(position) as ArrayRef)]);
    let item = Arc::new(Field::new_list_field(elements.data_type().clone(), true));
    let hits = ListArray::new(item, OffsetBuffer::from_lengths([1, 2]), Arc::new(elements), None);
    let bytes = written(&batch([("hit", Arc::new(hits) as ArrayRef)]), TreeOptions::default());
    assert_eq!(
        python_on(&bytes, TYPES_AND_VALUES),
        json!({"nhit": ["int32_t", [1, 2]], "hit_pos_x": ["int32_t[]", [[1], [2, 3]]]})
    );
}
