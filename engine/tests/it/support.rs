//! Where the test data lie, and short ways to run a query.

use std::path::{Path, PathBuf};

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use root_engine::RootSession;

/// A path in the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path).canonicalize().expect(path)
}

/// The sample of real CMS events that the project ships.
pub(crate) fn sample() -> String {
    format!("{}:Events", project("examples/data/Run2012B_SingleMu_1000.root").display())
}

pub(crate) async fn rows(session: &RootSession, sql: &str) -> Vec<RecordBatch> {
    let frame = session.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"))
}

/// A column of a result as floats, nulls left out.
pub(crate) fn floats(batches: &[RecordBatch], column: usize) -> Vec<f64> {
    let array = |b: &RecordBatch| cast(b.column(column), &DataType::Float64).unwrap();
    batches.iter().flat_map(|b| array(b).as_primitive::<Float64Type>().iter().flatten().collect::<Vec<_>>()).collect()
}

/// The only value of a result.
pub(crate) async fn count(session: &RootSession, sql: &str) -> i64 {
    let batches = rows(session, sql).await;
    let values: Vec<i64> = batches
        .iter()
        .flat_map(|b| cast(b.column(0), &DataType::Int64).unwrap().as_primitive::<Int64Type>().values().to_vec())
        .collect();
    assert_eq!(values.len(), 1, "{sql}");
    values[0]
}
