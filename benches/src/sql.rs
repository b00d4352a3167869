//! The engine: a new session, the file opened, the query planned and run.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use root_engine::{RootSession, TableOptions};
use tokio::runtime::Builder;

use crate::measure::Outcome;
use crate::queries::Query;

/// Runs a query.
pub fn sql(path: &Path, query: &Query, threads: usize) -> Outcome {
    let text = query.sql.unwrap_or_else(|| panic!("{} is not written in SQL", query.name));
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    let file = format!("{}:Events", path.display());
    let batches = runtime.block_on(async {
        let session = RootSession::builder().threads(threads).build();
        session.register("t", &[file], &TableOptions::default()).await.unwrap();
        session.sql(text).await.unwrap().collect().await.unwrap()
    });
    let mut histogram = query.histogram();
    for batch in &batches {
        let bins = arrow_cast_f64(batch.column(0));
        let counts = batch.column(1).as_primitive::<Int64Type>();
        for (bin, count) in bins.iter().zip(counts.values()) {
            histogram.add(*bin, *count as u64);
        }
    }
    Outcome { histogram: Some(histogram), ..Outcome::default() }
}

fn arrow_cast_f64(array: &arrow_array::ArrayRef) -> Vec<f64> {
    match array.as_primitive_opt::<Float64Type>() {
        Some(values) => values.values().to_vec(),
        None => {
            array.as_primitive::<arrow_array::types::Float32Type>().values().iter().map(|v| f64::from(*v)).collect()
        }
    }
}
