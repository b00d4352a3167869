//! Running what is booked: one plan, a callback that hears how far it is, and an end from outside.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::common::runtime::SpawnedTask;
use datafusion::dataframe::DataFrame;
use datafusion::physical_plan::displayable;
use futures::future::BoxFuture;
use tokio::time::{MissedTickBehavior, interval};

use super::compile::compile;
use super::graph::Graph;
use super::results::Results;
use crate::error::Error;
use crate::progress::{Progress, ProgressSnapshot};

/// How often the callback is called.
const BETWEEN_CALLS: Duration = Duration::from_millis(100);

type Callback = Box<dyn FnMut(ProgressSnapshot) + Send>;

/// A run that begins when it is awaited. Whoever drops it in between ends it.
#[must_use = "nothing runs before it is awaited"]
pub struct Run {
    graph: Arc<Graph>,
    callback: Option<Callback>,
    cancel: Option<BoxFuture<'static, ()>>,
}

impl Run {
    pub(super) fn new(graph: Arc<Graph>) -> Self {
        Self { graph, callback: None, cancel: None }
    }

    /// Tells a function how far the run is, about ten times a second and at the end. Entries and bytes of other queries
    /// that the session runs at the same time are in it.
    pub fn progress(mut self, callback: impl FnMut(ProgressSnapshot) + Send + 'static) -> Self {
        self.callback = Some(Box::new(callback));
        self
    }

    /// Ends the run with [`Error::Cancelled`] as soon as a future is ready, such as `tokio::signal::ctrl_c()`.
    pub fn cancel_when<F>(mut self, signal: F) -> Self
    where
        F: Future + Send + 'static,
    {
        self.cancel = Some(Box::pin(async move {
            signal.await;
        }));
        self
    }

    /// The plan of the run as text: what the scan reads, and what is computed once.
    ///
    /// # Errors
    /// Where nothing is booked, or planning fails.
    pub async fn explain(self) -> Result<String, Error> {
        let plan = self.graph.session.context().state().create_physical_plan(&compile(&self.graph)?.plan).await?;
        Ok(displayable(plan.as_ref()).indent(false).to_string())
    }

    async fn finish(self) -> Result<Results, Error> {
        let compiled = compile(&self.graph)?;
        let context = self.graph.session.context();
        let frame = DataFrame::new(context.state(), compiled.plan);
        let progress = Since::now(self.graph.session.progress());
        // A task of its own, so that a scan that never has to wait does not keep the others here from their turn.
        let rows = SpawnedTask::spawn(frame.collect());
        let rows = watch(rows, progress, self.callback, self.cancel).await?;
        let row = rows
            .iter()
            .find(|batch| batch.num_rows() > 0)
            .ok_or_else(|| DataFusionError::Internal("the plan of an analysis has no result".into()))?;
        Results::read(&self.graph, row, compiled.results)
    }
}

impl IntoFuture for Run {
    type Output = Result<Results, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.finish())
    }
}

/// Counters from the beginning of a run on.
struct Since {
    progress: Progress,
    before: ProgressSnapshot,
}

impl Since {
    fn now(progress: Progress) -> Self {
        Self { before: progress.snapshot(), progress }
    }

    fn snapshot(&self) -> ProgressSnapshot {
        let now = self.progress.snapshot();
        ProgressSnapshot {
            files_total: now.files_total.saturating_sub(self.before.files_total),
            entries_total: now.entries_total.saturating_sub(self.before.entries_total),
            entries_done: now.entries_done.saturating_sub(self.before.entries_done),
            bytes_read: now.bytes_read.saturating_sub(self.before.bytes_read),
        }
    }
}

/// Waits for the rows, which nobody computes any more when this is dropped.
async fn watch(
    mut rows: SpawnedTask<Result<Vec<RecordBatch>, DataFusionError>>,
    progress: Since,
    mut callback: Option<Callback>,
    cancel: Option<BoxFuture<'static, ()>>,
) -> Result<Vec<RecordBatch>, Error> {
    let mut cancel = cancel.unwrap_or_else(|| Box::pin(std::future::pending()));
    let mut ticks = interval(BETWEEN_CALLS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = &mut cancel => return Err(Error::Cancelled),
            ended = &mut rows => {
                let rows = ended.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))??;
                if let Some(callback) = &mut callback {
                    callback(progress.snapshot());
                }
                return Ok(rows);
            }
            _ = ticks.tick(), if callback.is_some() => {
                if let Some(callback) = &mut callback {
                    callback(progress.snapshot());
                }
            }
        }
    }
}
