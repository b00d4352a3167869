//! Rows in the order of the files, on all cores: partitions are ranges of entries that follow each other, some of them are
//! computed ahead, and they are handed out one after the other.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{SchemaRef, UInt64Type};
use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::file_format::format_as_file_type;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::stream::{RecordBatchReceiverStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, collect};
use futures::stream::{self, StreamExt};

use crate::copy_to::resolve;
use crate::error::Error;
use crate::session::RootSession;

/// Batches of a partition that wait to be taken.
const WAITING: usize = 32;

/// A selection of the rows and columns of a table that keeps their order.
#[derive(Debug, Clone)]
pub struct Ordered {
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
}

impl Ordered {
    /// Plans a query that takes rows as they come, in about so many partitions. What has to see other rows first, such as a
    /// join, is an error.
    pub async fn new(frame: DataFrame, partitions: usize) -> Result<Self, Error> {
        let (mut state, query) = frame.into_parts();
        state.config_mut().options_mut().execution.target_partitions = partitions.max(1);
        keep_order(&mut state);
        let plan = state.create_physical_plan(&query).await?;
        if !keeps_order(plan.as_ref()) {
            return Err(Error::NotInOrder);
        }
        Ok(Self { plan, context: state.task_ctx() })
    }

    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.plan.schema()
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> usize {
        self.plan.output_partitioning().partition_count()
    }

    /// The rows of one partition, which are computed by a task of their own.
    pub fn partition(&self, index: usize) -> SendableRecordBatchStream {
        let mut rows = RecordBatchReceiverStream::builder(self.plan.schema(), WAITING);
        let (plan, context, to) = (self.plan.clone(), self.context.clone(), rows.tx());
        rows.spawn(async move {
            let mut batches = plan.execute(index, context)?;
            while let Some(batch) = batches.next().await {
                // Nobody takes them any more where this fails.
                if to.send(Ok(batch?)).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        rows.build()
    }

    /// All rows, with so many partitions computed at the same time.
    pub fn all(self, at_once: usize) -> SendableRecordBatchStream {
        let schema = self.schema();
        let partitions = stream::iter(0..self.partitions());
        let started = partitions.map(move |index| std::future::ready(self.partition(index)));
        Box::pin(RecordBatchStreamAdapter::new(schema, started.buffered(at_once.max(1)).flatten()))
    }
}

/// Writes rows into a directory that ends in `/`, a file for each partition, which hold the entries in the order of their
/// names. For sessions that run [elsewhere](crate::Elsewhere): the files are written where their rows are computed. Returns
/// the number of rows.
///
/// # Errors
/// Where there is no such format or option, or the files cannot be written; then there are none.
pub async fn copy_in_order(
    session: &RootSession,
    frame: DataFrame,
    directory: &str,
    format: &str,
    options: HashMap<String, String>,
) -> Result<u64, Error> {
    let (mut state, query) = frame.into_parts();
    keep_order(&mut state);
    let Some(factory) = state.get_file_format_factory(format) else {
        let expected = "root and parquet files can be written by several machines".to_string();
        return Err(Error::Option { name: "format".into(), value: format.into(), expected });
    };
    let plan = LogicalPlanBuilder::copy_to(query, directory.into(), format_as_file_type(factory), options, Vec::new())?;
    let plan = resolve(plan.build()?, session.stores(), &session.context().runtime_env())?;
    let plan = state.create_physical_plan(&plan).await?;
    let counts = collect(plan, state.task_ctx()).await?;
    let counts = counts.iter().filter_map(|batch| batch.columns().first()?.as_primitive_opt::<UInt64Type>());
    Ok(counts.flat_map(|counts| counts.iter().flatten()).sum())
}

fn keep_order(state: &mut SessionState) {
    let options = state.config_mut().options_mut();
    // Rows that are dealt out to other partitions lose their order.
    options.optimizer.enable_round_robin_repartition = false;
    // So do those of files that a partition with nothing left to do takes over from another.
    options.execution.enable_file_stream_work_stealing = false;
}

/// Whether every step makes each of its partitions of one partition, in its order.
fn keeps_order(plan: &dyn ExecutionPlan) -> bool {
    let partitions = plan.output_partitioning().partition_count();
    plan.children().len() <= 1
        && plan.maintains_input_order().into_iter().all(|keeps| keeps)
        && plan
            .children()
            .into_iter()
            .all(|child| child.output_partitioning().partition_count() == partitions && keeps_order(child.as_ref()))
}
