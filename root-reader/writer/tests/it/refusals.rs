//! What cannot be written is an error that says where, and what to do.

use std::io::{Cursor, Seek, SeekFrom, Write};
use std::sync::Arc;

use arrow_array::types::Float32Type;
use arrow_array::{ArrayRef, Int32Array, ListArray, NullArray, RecordBatch, TimestampSecondArray};
use root_writer::{Error, FileOptions, FileWriter, Nulls, TreeOptions};

use crate::support::{at_a_fixed_time, batch, file_of, integers, lists, read};

fn refused(batch: &RecordBatch, options: TreeOptions) -> String {
    let mut writer = FileWriter::new(Cursor::new(Vec::new()), "out.root", FileOptions::default()).unwrap();
    let written = writer.tree("Events", &batch.schema(), options).and_then(|tree| writer.write(tree, batch));
    written.unwrap_err().to_string()
}

#[test]
fn a_null_names_its_column_and_entry() {
    let columns = batch([("x", Arc::new(Int32Array::from(vec![Some(1), Some(2), None])) as ArrayRef)]);
    assert_eq!(
        refused(&columns, TreeOptions::default()),
        "out.root, tree 'Events', column 'x', entry 2: the value is NULL, which a branch cannot hold: replace it in the \
         query (COALESCE), or choose what takes its place (`--null-value -999`, the option null_value of COPY, \
         TreeOptions::nulls)"
    );
    let list =
        ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![Some(1.0)]), Some(vec![Some(1.0), None])]);
    let message = refused(&batch([("list", Arc::new(list) as ArrayRef)]), TreeOptions::default());
    assert!(message.starts_with("out.root, tree 'Events', column 'list', entry 1: the value is NULL"), "{message}");
}

#[test]
fn a_list_that_is_not_as_long_as_its_count_names_both() {
    let columns = batch([("nJet", integers([1, 1])), ("Jet_pt", lists(2, |row| row + 1, |_, _| 0.0))]);
    assert_eq!(
        refused(&columns, TreeOptions::default()),
        "out.root, tree 'Events', column 'Jet_pt', entry 1: the list has 2 elements where 'nJet' counts 1: give 'nJet' \
         another name, or have each list counted by itself (Counters::Own)"
    );
}

#[test]
fn types_without_a_branch_say_what_to_do() {
    let nested = {
        let inner = lists(2, |_| 1, |_, _| 0.0);
        let item = Arc::new(arrow_schema::Field::new_list_field(inner.data_type().clone(), true));
        ListArray::new(item, arrow_buffer::OffsetBuffer::from_lengths([2]), inner, None)
    };
    let cases: [(ArrayRef, &str); 3] = [
        (Arc::new(TimestampSecondArray::from(vec![1])), "(CAST)"),
        (Arc::new(NullArray::new(1)), "it has no type"),
        (Arc::new(nested), "flatten the inner lists"),
    ];
    for (column, advice) in cases {
        let message = refused(&batch([("odd", column)]), TreeOptions::default());
        assert!(message.contains("column 'odd'") && message.contains(advice), "{message}");
    }
}

#[test]
fn names_that_a_branch_cannot_have_are_refused() {
    for name in ["a/b", "muons[1]", ""] {
        let message = refused(&batch([(name, integers([1]))]), TreeOptions::default());
        assert!(message.contains("cannot be a name") && message.contains("(AS)"), "{message}");
    }
    let made_twice = batch([("nlist", lists(1, |_| 1, |_, _| 0.0)), ("list", lists(1, |_| 1, |_, _| 0.0))]);
    let message = refused(&made_twice, TreeOptions::default());
    assert!(message.contains("there is already a branch 'nlist'"), "{message}");
}

#[test]
fn a_value_for_nulls_has_to_be_one_of_the_type() {
    let nulls = Nulls::Replace { integer: -1, float: 0.0 };
    let columns = batch([("u", Arc::new(arrow_array::UInt8Array::from(vec![Some(1), None])) as ArrayRef)]);
    let message = refused(&columns, TreeOptions { nulls, ..TreeOptions::default() });
    assert!(message.contains("column 'u', entry 1: -1 does not fit into uint8_t"), "{message}");
}

#[test]
fn texts_that_say_no_values_for_nulls_are_refused() {
    for text in ["", "nan", "0.5", "-1,", ",1", "1,2,3", "9223372036854775808"] {
        let message = text.parse::<Nulls>().unwrap_err().to_string();
        assert!(message.contains(&format!("'{text}'")) && message.contains("-1,nan"), "{message}");
    }
    assert_eq!(" Refuse".parse::<Nulls>().unwrap(), Nulls::Refuse);
    assert_eq!("3, -1e9".parse::<Nulls>().unwrap(), Nulls::Replace { integer: 3, float: -1e9 });
}

#[test]
fn a_refused_batch_leaves_the_tree_as_it_was() {
    let good = batch([("a", integers([1])), ("x", Arc::new(Int32Array::from(vec![Some(1)])) as ArrayRef)]);
    let bad = batch([("a", integers([2])), ("x", Arc::new(Int32Array::from(vec![None])) as ArrayRef)]);
    let other = batch([("a", integers([3]))]);
    let mut writer = FileWriter::new(Cursor::new(Vec::new()), "out.root", FileOptions::default()).unwrap();
    let tree = writer.tree("Events", &good.schema(), TreeOptions::default()).unwrap();
    writer.write(tree, &good).unwrap();
    assert!(matches!(writer.write(tree, &bad), Err(Error::Null { .. })));
    assert!(matches!(writer.write(tree, &other), Err(Error::Schema { .. })));
    writer.write(tree, &good).unwrap();
    let bytes = writer.finish().unwrap().into_inner();
    assert_eq!(read(&bytes, "Events").column(0), &integers([1, 1]));
}

#[test]
fn names_are_used_once() {
    let columns = batch([("x", integers([1]))]);
    let mut writer = FileWriter::new(Cursor::new(Vec::new()), "out.root", FileOptions::default()).unwrap();
    writer.tree("dir/t", &columns.schema(), TreeOptions::default()).unwrap();
    for taken in ["dir/t", "dir", "dir/t/x"] {
        let error = writer.tree(taken, &columns.schema(), TreeOptions::default()).unwrap_err();
        assert!(matches!(error, Error::Duplicate { .. }), "{error}");
    }
    for wrong in ["", "/t", "dir/", "a;1"] {
        let error = writer.tree(wrong, &columns.schema(), TreeOptions::default()).unwrap_err();
        assert!(matches!(error, Error::BadName { .. }), "{wrong}: {error}");
    }
}

#[test]
fn a_file_that_is_not_finished_is_no_root_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unfinished.root");
    let columns = batch([("x", integers(0..1000))]);
    let mut writer = FileWriter::create(&path, FileOptions::default()).unwrap();
    let tree = writer.tree("Events", &columns.schema(), TreeOptions::default()).unwrap();
    writer.write(tree, &columns).unwrap();
    drop(writer);
    assert!(root_reader::RootFile::open_local(&path).is_err());
}

#[test]
fn a_tree_of_another_file_is_refused() {
    let columns = batch([("x", integers([1]))]);
    let new = || FileWriter::new(Cursor::new(Vec::new()), "out.root", FileOptions::default()).unwrap();
    let (mut one, mut other) = (new(), new());
    let tree = one.tree("Events", &columns.schema(), TreeOptions::default()).unwrap();
    assert!(matches!(other.write(tree, &columns), Err(Error::ForeignTree { .. })));
}

#[test]
fn a_tree_without_entries_or_without_columns_is_a_tree() {
    let columns = batch([("x", integers([])), ("list", lists(0, |_| 0, |_, _| 0.0))]);
    let bytes = file_of(&[columns], at_a_fixed_time(), TreeOptions::default());
    assert_eq!(read(&bytes, "Events").num_rows(), 0);
    let script = r#"
tree = uproot.open(path)["Events"]
print(json.dumps([tree.num_entries, tree.keys(), tree["x"].array().to_list(), tree["list"].array().to_list()]))
"#;
    assert_eq!(crate::support::python_on(&bytes, script), serde_json::json!([0, ["x", "nlist", "list"], [], []]));
}

/// Takes so many bytes and no more.
struct Full(Cursor<Vec<u8>>, usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.get_ref().len() + bytes.len() > self.1 {
            return Err(std::io::Error::other("no room"));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seek for Full {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_file_whose_output_failed_cannot_be_finished() {
    let columns = batch([("x", integers(0..100_000))]);
    let options = FileOptions { compression: root_writer::Codec::None.into(), ..FileOptions::default() };
    let mut writer = FileWriter::new(Full(Cursor::new(Vec::new()), 10_000), "full.root", options).unwrap();
    let small = TreeOptions { cluster_entries: Some(1000), ..TreeOptions::default() };
    let tree = writer.tree("Events", &columns.schema(), small).unwrap();
    let error = writer.write(tree, &columns).unwrap_err().to_string();
    assert_eq!(error, "full.root: cannot be written: no room");
    assert!(matches!(writer.finish().err(), Some(Error::Broken { .. })));
}

#[test]
fn a_tree_that_cannot_be_leaves_its_name_free() {
    let mut writer = FileWriter::new(Cursor::new(Vec::new()), "out.root", FileOptions::default()).unwrap();
    let bad = batch([("odd", Arc::new(NullArray::new(1)) as ArrayRef)]);
    assert!(writer.tree("Events", &bad.schema(), TreeOptions::default()).is_err());
    let good = batch([("x", integers([1]))]);
    writer.tree("Events", &good.schema(), TreeOptions::default()).unwrap();
}

#[test]
fn a_writer_may_go_to_another_thread() {
    fn can_be_sent<T: Send>(_: &T) {}
    can_be_sent(&FileWriter::new(Cursor::new(Vec::new()), "out.root", FileOptions::default()).unwrap());
}
