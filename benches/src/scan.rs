//! The scan: the columns of a query into Arrow, on one thread.

use std::hint::black_box;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int32Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use root_reader::ScanOptions;

use crate::baskets;
use crate::kernels::{Block, fill};
use crate::measure::Outcome;
use crate::queries::Query;

#[allow(dead_code, reason = "a program of its own, whose main is not called here")]
#[path = "../../examples/dimuon_reduction_aod.rs"]
mod reduction;

/// Only opens the file and its tree.
pub fn open(path: &Path, query: &Query) -> Outcome {
    Outcome { entries: black_box(baskets::open(path, query.tree)).entries(), ..Outcome::default() }
}

/// Opens the file, reads the columns of the query batch by batch, and drops the batches.
pub fn scan(path: &Path, query: &Query) -> Outcome {
    run(path, query, |_, _| {})
}

/// The same, and fills the histogram of the query: what was read must be right.
pub fn checked(path: &Path, query: &Query) -> Outcome {
    let mut histogram = query.histogram();
    let outcome = run(path, query, |query, batch| fill(query.name, &block(query, batch), &mut histogram));
    Outcome { histogram: Some(histogram), ..outcome }
}

/// The reduction of CMS AOD through the Rust API, the file opened.
pub fn reduce(path: &Path, query: &Query) -> Outcome {
    let tree = baskets::open(path, query.tree);
    let mut masses = Vec::new();
    reduction::reduce(&tree, &mut masses).unwrap();
    Outcome { entries: tree.entries(), column_bytes: 4 * black_box(masses).len() as u64, ..Outcome::default() }
}

fn run(path: &Path, query: &Query, mut each: impl FnMut(&Query, &RecordBatch)) -> Outcome {
    let tree = baskets::open(path, query.tree);
    let schema = tree.schema();
    let columns: Vec<usize> = query.columns.iter().map(|c| schema.index_of(c).unwrap()).collect();
    let options = ScanOptions::default();
    let metrics = options.metrics.clone();
    let mut outcome = Outcome::default();
    for batch in tree.scan(&columns, 0..tree.entries(), options).unwrap().blocking() {
        let batch = black_box(batch.unwrap());
        outcome.entries += batch.num_rows() as u64;
        outcome.column_bytes += batch.columns().iter().map(|c| value_bytes(c.as_ref())).sum::<u64>();
        each(query, &batch);
    }
    outcome.stored_bytes = metrics.bytes_read();
    outcome
}

/// Bytes of values and list offsets.
fn value_bytes(array: &dyn Array) -> u64 {
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            4 * list.len() as u64 + value_bytes(list.values().as_ref())
        }
        DataType::Struct(_) => array.as_struct().columns().iter().map(|c| value_bytes(c.as_ref())).sum(),
        other => (array.len() * other.primitive_width().unwrap_or(0)) as u64,
    }
}

fn block<'a>(query: &Query, batch: &'a RecordBatch) -> Block<'a> {
    let mut block = Block { rows: batch.num_rows(), ..Block::default() };
    block.offsets = query.firsts().map(|at| batch.column(at).as_list::<i32>().value_offsets()).collect();
    for (name, array) in query.columns.iter().zip(batch.columns()) {
        let values = array.as_list_opt::<i32>().map_or(array, |list| list.values());
        if name.ends_with("_charge") {
            block.integers.push(values.as_primitive::<Int32Type>().values());
        } else {
            block.floats.push(values.as_primitive::<Float32Type>().values());
        }
    }
    block
}
