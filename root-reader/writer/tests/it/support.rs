//! What the tests share: files in memory, and uproot to read them with.

use std::io::{Cursor, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::builder::{Float32Builder, Int32Builder, ListBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch};
use root_writer::{FileOptions, FileWriter, TreeOptions};
use serde_json::Value;

/// Runs a Python script with the path of the file and gives what it prints, as JSON.
pub fn python(script: &str, path: &std::path::Path) -> Value {
    let program = std::env::var("ROOT_QUERY_PYTHON").unwrap_or_else(|_| "python3".into());
    let head = "import json, sys\n\
                try:\n    import awkward as ak, hist, numpy as np, uproot\n\
                except ImportError as missing:\n    sys.exit(f'{missing}: run `make test-packages`')\n\
                path = sys.argv[1]\n";
    let mut child = Command::new(&program)
        .args(["-", path.to_str().expect("a path of text")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program} cannot be started ({e}): run `make test-packages`"));
    child.stdin.take().unwrap().write_all(format!("{head}{script}").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "python failed:\n{errors}");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("no JSON ({e}): {}", String::from_utf8_lossy(&output.stdout)))
}

/// Puts bytes into a file and runs a script on it.
pub fn python_on(bytes: &[u8], script: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.root");
    std::fs::write(&path, bytes).unwrap();
    python(script, &path)
}

/// Options with a fixed time, so that files can be compared.
pub fn at_a_fixed_time() -> FileOptions {
    let created = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    FileOptions { created, ..FileOptions::default() }
}

/// A file with one tree, `Events`, of these batches.
pub fn file_of(batches: &[RecordBatch], file: FileOptions, tree: TreeOptions) -> Vec<u8> {
    let mut writer = FileWriter::new(Cursor::new(Vec::new()), "test.root", file).unwrap();
    let events = writer.tree("Events", &batches[0].schema(), tree).unwrap();
    for batch in batches {
        writer.write(events, batch).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// What `root-reader` finds in a tree: its columns, whole.
pub fn read(bytes: &[u8], tree: &str) -> RecordBatch {
    let file = root_reader::RootFile::from_bytes("test.root", bytes.to_vec()).unwrap();
    assert!(file.warnings().is_empty(), "{:?}", file.warnings());
    let tree = file.tree_blocking(tree).unwrap();
    let columns: Vec<usize> = (0..tree.schema().fields().len()).collect();
    let options = root_reader::ScanOptions { batch_rows: 1 << 24, verify: true, ..Default::default() };
    let batches: Vec<RecordBatch> =
        tree.scan(&columns, 0..tree.entries(), options).unwrap().blocking().map(|b| b.unwrap()).collect();
    arrow_select::concat::concat_batches(&tree.schema(), &batches).unwrap()
}

/// The same, with lists of structs and structs.
pub fn read_nested(bytes: &[u8], tree: &str) -> RecordBatch {
    let tree = root_reader::RootFile::from_bytes("test.root", bytes.to_vec()).unwrap().tree_blocking(tree).unwrap();
    let plan = tree.nested().plan(tree.nested().fields());
    let scan = tree.scan(plan.columns(), 0..tree.entries(), root_reader::ScanOptions::default()).unwrap();
    let batches: Vec<RecordBatch> = scan.blocking().map(|batch| plan.assemble(&batch.unwrap()).unwrap()).collect();
    arrow_select::concat::concat_batches(&plan.schema(), &batches).unwrap()
}

pub fn batch(columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

/// A jagged column of `f32` by a formula.
pub fn lists(rows: usize, length: impl Fn(usize) -> usize, value: impl Fn(usize, usize) -> f32) -> ArrayRef {
    let mut builder = ListBuilder::new(Float32Builder::new());
    for row in 0..rows {
        (0..length(row)).for_each(|i| builder.values().append_value(value(row, i)));
        builder.append(true);
    }
    Arc::new(builder.finish())
}

pub fn integers(values: impl IntoIterator<Item = i32>) -> ArrayRef {
    let mut builder = Int32Builder::new();
    values.into_iter().for_each(|value| builder.append_value(value));
    Arc::new(builder.finish())
}

pub fn texts(values: impl IntoIterator<Item = String>) -> ArrayRef {
    let mut builder = StringBuilder::new();
    values.into_iter().for_each(|value| builder.append_value(value));
    Arc::new(builder.finish())
}

/// Asserts that two columns hold the same, whatever their fields say of NULLs and names of list elements.
#[track_caller]
pub fn assert_same(left: &ArrayRef, right: &ArrayRef) {
    match (left.as_list_opt::<i32>(), right.as_list_opt::<i32>()) {
        (Some(left), Some(right)) => {
            assert_eq!(left.offsets(), right.offsets());
            assert_same(left.values(), right.values());
        }
        _ => assert_eq!(left, right),
    }
}
