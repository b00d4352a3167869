//! What the tests share: short ways to write arrays, random numbers, and Python.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{Array, ArrayRef, Float64Array, Int32Array, ListArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field};

/// A list of doubles.
pub fn doubles(rows: &[Option<&[f64]>]) -> ListArray {
    let rows = rows.iter().map(|row| row.map(|row| row.iter().copied().map(Some).collect::<Vec<_>>()));
    ListArray::from_iter_primitive::<Float64Type, _, _>(rows)
}

/// A list of integers.
pub fn integers(rows: &[Option<&[i32]>]) -> ListArray {
    let rows = rows.iter().map(|row| row.map(|row| row.iter().copied().map(Some).collect::<Vec<_>>()));
    ListArray::from_iter_primitive::<Int32Type, _, _>(rows)
}

/// A list of booleans.
pub fn booleans(rows: &[Option<&[Option<bool>]>]) -> ListArray {
    let values: Vec<Option<bool>> = rows.iter().flatten().flat_map(|row| row.iter().copied()).collect();
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.map_or(0, <[_]>::len)));
    let nulls = NullBuffer::from(rows.iter().map(Option::is_some).collect::<Vec<_>>());
    let field = Arc::new(Field::new_list_field(DataType::Boolean, true));
    ListArray::new(field, offsets, Arc::new(arrow_array::BooleanArray::from(values)), Some(nulls))
}

/// A list of given lengths.
pub fn list(values: ArrayRef, lengths: &[usize]) -> ListArray {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    ListArray::new(field, OffsetBuffer::from_lengths(lengths.iter().copied()), values, None)
}

/// The rows of a list of doubles.
pub fn rows(array: &dyn Array) -> Vec<Option<Vec<Option<f64>>>> {
    let list = array.as_list::<i32>();
    list.iter().map(|row| row.map(|row| row.as_primitive::<Float64Type>().iter().collect())).collect()
}

/// The rows of a list of 32-bit integers.
pub fn int_rows(array: &dyn Array) -> Vec<Option<Vec<Option<i32>>>> {
    let list = array.as_list::<i32>();
    list.iter().map(|row| row.map(|row| row.as_primitive::<Int32Type>().iter().collect())).collect()
}

pub fn double_values(array: &dyn Array) -> Vec<Option<f64>> {
    array.as_primitive::<Float64Type>().iter().collect()
}

pub fn int_values(array: &Int32Array) -> Vec<Option<i32>> {
    array.iter().collect()
}

/// Numbers that are the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (high - low) * ((self.0 >> 11) as f64 / (1u64 << 53) as f64)
    }

    pub fn column(&mut self, length: usize, low: f64, high: f64) -> Vec<f64> {
        (0..length).map(|_| self.uniform(low, high)).collect()
    }

    /// Lengths of lists, from 0 to `longest`.
    pub fn lengths(&mut self, rows: usize, longest: usize) -> Vec<usize> {
        (0..rows).map(|_| self.uniform(0.0, longest as f64 + 1.0) as usize).collect()
    }
}

pub fn double_array(values: &[f64]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

/// Runs a Python program on JSON and gives what it prints, also JSON. The program finds the input as `data`, puts the
/// answer into `out`, and has numpy, awkward and vector.
pub fn python(program: &str, input: &serde_json::Value) -> serde_json::Value {
    let interpreter = std::env::var("ROOT_QUERY_PYTHON").unwrap_or_else(|_| "python3".into());
    let program = format!(
        "import json, sys\nimport numpy as np, awkward as ak, vector, uproot\ndata = json.load(sys.stdin)\n{program}\nprint(json.dumps(out))"
    );
    let mut child = Command::new(&interpreter)
        .args(["-c", &program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{interpreter}: {e}; `make test-packages` installs what tests need"));
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{interpreter} failed; `make test-packages` installs the packages that tests need"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Numbers of a JSON array, NaN where Python has none.
pub fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

/// Compares to a relative precision, and to the same absolute one times `scale`.
pub fn assert_close(ours: &[f64], theirs: &[f64], precision: f64, scale: f64, what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (row, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let same = a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= precision * b.abs().max(scale);
        assert!(same, "{what}, row {row}: {a:e} is not {b:e}");
    }
}
