//! Where the test data lie, and short ways to run a query.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::physical_plan::{ExecutionPlan, collect};
use root_engine::RootSession;

/// A path in the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path).canonicalize().expect(path)
}

/// The sample of real CMS events that the project ships.
pub(crate) fn sample() -> String {
    format!("{}:Events", project("examples/data/Run2012B_SingleMu_1000.root").display())
}

/// A file of `tests/data`, which `tests/data/make.py` writes and describes.
pub(crate) fn data(path: &str) -> String {
    project("engine/tests/data").join(path).display().to_string()
}

/// A directory with copies of files under new names.
pub(crate) fn directory_of(files: &[(&str, &Path)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, file) in files {
        std::fs::copy(file, directory.path().join(name)).unwrap();
    }
    directory
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

/// A query that ran, with its plan.
pub(crate) struct Ran {
    pub batches: Vec<RecordBatch>,
    plan: Arc<dyn ExecutionPlan>,
}

impl Ran {
    pub(crate) async fn of(session: &RootSession, sql: &str) -> Self {
        let plan = session.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let batches = collect(plan.clone(), session.context().task_ctx()).await.unwrap();
        Self { batches, plan }
    }

    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// A counter of the scans, over all of their partitions.
    pub(crate) fn counter(&self, name: &str) -> usize {
        let counted =
            self.scans().into_iter().filter_map(|scan| scan.metrics()?.sum_by_name(name)).map(|v| v.as_usize());
        counted.sum()
    }

    /// Partitions of the only scan.
    pub(crate) fn partitions(&self) -> usize {
        let scans = self.scans();
        assert_eq!(scans.len(), 1);
        scans[0].properties().output_partitioning().partition_count()
    }

    /// Scans in the plan.
    pub(crate) fn scan_count(&self) -> usize {
        self.scans().len()
    }

    fn scans(&self) -> Vec<Arc<dyn ExecutionPlan>> {
        let mut scans = Vec::new();
        let mut open = vec![self.plan.clone()];
        while let Some(node) = open.pop() {
            open.extend(node.children().into_iter().cloned());
            if node.name() == "DataSourceExec" {
                scans.push(node);
            }
        }
        scans
    }
}
