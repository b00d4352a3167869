//! How a task runs: with our operators, its faults told so that whoever asked understands them, and what it found out told
//! with its result.

use std::fmt;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::error::BallistaError;
use ballista_core::serde::protobuf::{RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport};
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::{Count, Metric, MetricValue, MetricsSet};
use datafusion::prelude::SessionConfig;
use futures::FutureExt;
use root_cluster::{Fault, TaskNote};
use root_engine::wire::{self, TaskReport};
use root_engine::{ErrorKind, kind_of, may_pass, message_of};
use tracing::Instrument;

use crate::metrics::Metrics;
use crate::pool::Connections;

/// Ballista's way to run tasks, with ours around it.
pub(crate) struct Stages {
    inner: DefaultExecutionEngine,
    /// The executor as messages call it.
    executor: Arc<str>,
    metrics: Metrics,
}

impl Stages {
    pub(crate) fn new(executor: String, metrics: Metrics) -> Self {
        let inner = DefaultExecutionEngine::with_client_pool(Arc::new(Connections::default()));
        Self { inner, executor: executor.into(), metrics }
    }
}

impl ExecutionEngine for Stages {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        partitions: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let plan = wire::accelerate(plan, config.options())?;
        let name = format!("job {job_id}, stage {stage_id}, task {task_id}");
        let span = tracing::info_span!("task", job = %job_id, stage = stage_id, task = task_id);
        let place = Place {
            executor: Arc::clone(&self.executor),
            work_dir: work_dir.into(),
            stage: Path::new(work_dir).join(job_id.as_str()).join(stage_id.to_string()),
        };
        let inner = self.inner.create_query_stage_exec(
            job_id,
            stage_id,
            task_id,
            partitions.clone(),
            plan.clone(),
            work_dir,
            config,
        )?;
        Ok(Arc::new(Stage { name, span, place, metrics: self.metrics.clone(), partitions, plan, inner }))
    }
}

/// Where a task runs.
struct Place {
    executor: Arc<str>,
    work_dir: PathBuf,
    /// The rows of all tasks of its stage.
    stage: PathBuf,
}

impl Place {
    /// Removes what an attempt has written that failed: rows lie there as long as the job runs, and where it failed for want of
    /// room, the next attempt would find none either.
    fn forget(&self, task_id: usize) {
        // Rows in the order of their partitions are in files of each task, those by hash in a directory of its own.
        let file = format!("data-{task_id}.arrow");
        for partition in fs::read_dir(&self.stage).into_iter().flatten().flatten() {
            let _ = fs::remove_file(partition.path().join(&file));
        }
        let folder = self.stage.join(task_id.to_string());
        for name in ["data.arrow", "data.arrow.index"] {
            let _ = fs::remove_file(folder.join(name));
        }
    }
}

/// A task.
struct Stage {
    name: String,
    span: tracing::Span,
    place: Place,
    metrics: Metrics,
    partitions: Vec<usize>,
    plan: Arc<dyn ExecutionPlan>,
    inner: Arc<dyn QueryStageExecutor>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("name", &self.name).field("partitions", &self.partitions).finish_non_exhaustive()
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.inner)
    }
}

impl Stage {
    async fn run(&self, task_id: usize, context: Arc<TaskContext>) -> Result<Vec<ShuffleWritePartition>> {
        let run = AssertUnwindSafe(self.inner.execute_query_stage(task_id, context)).catch_unwind();
        match run.await {
            Ok(Ok(written)) => Ok(written),
            Ok(Err(error)) => {
                self.place.forget(task_id);
                Err(told(error, &self.place))
            }
            Err(panic) => {
                self.place.forget(task_id);
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                let files = wire::files_of(&self.plan).join(", ");
                let message = format!("a task failed by a mistake in this program, over the files {files}: {text}");
                Err(DataFusionError::Execution(Fault::new(ErrorKind::Query, message).to_text()))
            }
        }
    }
}

#[async_trait]
impl QueryStageExecutor for Stage {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let _running = self.metrics.running();
        let result = self.run(task_id, context).instrument(self.span.clone()).await;
        self.metrics.ended(result.is_ok(), &self.inner.collect_plan_metrics());
        self.span.in_scope(|| match &result {
            Ok(_) => tracing::debug!("the task has ended"),
            Err(error) => {
                let fault = Fault::find(&error.to_string()).map_or_else(|| message_of(error), |fault| fault.message);
                tracing::warn!("the task failed: {fault}");
            }
        });
        result
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        let mut sets = self.inner.collect_plan_metrics();
        let Ok(report) = TaskReport::of(&self.plan) else { return sets };
        let (entries, bytes) = wire::read_by(&self.plan);
        let note = TaskNote { partitions: self.partitions.clone(), entries, bytes, report };
        if let Some(first) = sets.first_mut() {
            let value = MetricValue::Count { name: note.to_name().into(), count: Count::new() };
            first.push(Arc::new(Metric::new(value, None)));
        }
        sets
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.inner.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.inner.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.inner.collect_column_stats()
    }
}

/// The error as the scheduler has to see it: what passes is tried again, elsewhere, and the rest goes to who asked.
fn told(error: DataFusionError, place: &Place) -> DataFusionError {
    if let Some(reason) = is_full(&error) {
        let Place { executor, work_dir, .. } = place;
        let message = format!(
            "the executor {executor} has no room left in {}: {reason}; give it more, or another place with --work-dir",
            work_dir.display()
        );
        // Another executor may have room.
        let fault = Fault::new(ErrorKind::Query, message).to_text();
        return DataFusionError::IoError(std::io::Error::other(fault));
    }
    let fault = match cause(&error) {
        Cause::Query(own) if matches!(own.find_root(), DataFusionError::ResourcesExhausted(_)) => {
            let message = format!(
                "a task needs more memory than the executor {} gives it, and cannot spill to disk: {}; start executors with \
                 more --memory, or with fewer --cores, which share it",
                place.executor,
                message_of(own)
            );
            Fault::new(ErrorKind::Query, message).to_text()
        }
        Cause::Query(own) => {
            let fault = Fault::new(kind_of(own), message_of(own)).to_text();
            if may_pass(own) {
                return DataFusionError::IoError(std::io::Error::other(fault));
            }
            fault
        }
        Cause::Kernel(own) => Fault::new(ErrorKind::Query, own.to_string()).to_text(),
        // Rows that cannot be fetched are made again; Ballista knows these errors by their type.
        Cause::Ballista => return error,
    };
    DataFusionError::Execution(fault)
}

/// What the system said, where it did not let a task write because the disk or a quota is full. The layers between pass on
/// only its text.
fn is_full(error: &DataFusionError) -> Option<&'static str> {
    let text = error.to_string();
    // ENOSPC, EDQUOT and EFBIG.
    let reasons = [
        ("(os error 28)", "the disk is full"),
        ("(os error 122)", "a quota is used up"),
        ("(os error 27)", "a file may not grow as large"),
    ];
    reasons.into_iter().find(|(number, _)| text.contains(number)).map(|(_, reason)| reason)
}

/// Who an error is of.
enum Cause<'a> {
    /// Of what computes, below the layers of Ballista.
    Query(&'a DataFusionError),
    /// Of a function of Arrow, such as a conversion that cannot be made.
    Kernel(&'a ArrowError),
    /// Of Ballista itself.
    Ballista,
}

/// Ballista's errors do not tell their causes as others do.
fn cause(error: &DataFusionError) -> Cause<'_> {
    let inner = match error.find_root() {
        DataFusionError::Shared(inner) => return cause(inner),
        DataFusionError::External(inner) => inner,
        DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
            ArrowError::ExternalError(inner) => inner,
            _ => return Cause::Query(error),
        },
        _ => return Cause::Query(error),
    };
    match inner.downcast_ref::<BallistaError>() {
        Some(BallistaError::DataFusionError(own)) => cause(own),
        Some(BallistaError::ArrowError(own)) => match own.as_ref() {
            ArrowError::ExternalError(inner) => inner.downcast_ref().map_or(Cause::Ballista, cause),
            ArrowError::IoError(..) | ArrowError::IpcError(_) => Cause::Ballista,
            own => Cause::Kernel(own),
        },
        Some(_) => Cause::Ballista,
        None => Cause::Query(error),
    }
}
