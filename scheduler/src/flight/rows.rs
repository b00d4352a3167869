//! Rows on their way to clients: of a query, and parts of results that executors have.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::encode::{DictionaryHandling, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{FlightData, Ticket};
use ballista_core::flight_proxy_service::BallistaFlightProxyService;
use ballista_core::serde::protobuf::{self, action::ActionType};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use prost::Message;
use root_cluster::setup::MAX_MESSAGE_BYTES;
use root_engine::{kind_of, message_of};
use tokio::time::Instant;
use tonic::{Code, Request, Status};

use super::sessions::{Session, status};
use crate::auth::User;
use crate::jobs::Jobs;
use crate::serve::Server;

/// What names no files runs in the scheduler, and not for longer.
const HERE: Duration = Duration::from_secs(30);

pub(crate) type Rows = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

/// The rows of a query, computed as they are fetched. When they are dropped, so is what computes them.
pub(crate) async fn of_query(session: Arc<Session>, plan: LogicalPlan) -> Result<Rows, Status> {
    let context = session.root.context();
    let frame = context.execute_logical_plan(plan).await.map_err(|error| failed(&error))?;
    let task = Arc::new(frame.task_ctx());
    let plan = frame.create_physical_plan().await.map_err(|error| failed(&error))?;
    let is_here = !runs_on_cluster(&plan);
    let rows = execute_stream(plan, task).map_err(|error| failed(&error))?;
    let schema = rows.schema();
    let rows = rows.map_err(|error| failed(&error));
    let rows = match is_here {
        true => within(HERE, rows).boxed(),
        false => rows.boxed(),
    };
    Ok(encode(schema, rows.inspect(move |_| session.touch())))
}

/// The rows of a table that is at hand.
pub(crate) fn of_batch(batch: RecordBatch) -> Rows {
    encode(batch.schema(), stream::iter([Ok(batch)]))
}

/// No rows.
pub(crate) fn none(schema: SchemaRef) -> Rows {
    encode(schema, stream::empty())
}

fn encode(schema: SchemaRef, rows: impl Stream<Item = Result<RecordBatch, Status>> + Send + 'static) -> Rows {
    let rows = rows.map_err(|status| FlightError::Tonic(Box::new(status)));
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(schema)
        // What was announced is what comes.
        .with_dictionary_handling(DictionaryHandling::Resend)
        .build(rows);
    Box::pin(encoder.map_err(|error| match error {
        FlightError::Tonic(status) => *status,
        error => Status::internal(error.to_string()),
    }))
}

fn failed(error: &DataFusionError) -> Status {
    status(kind_of(error), message_of(error), Code::Internal)
}

/// Whether the work of a plan is done by executors.
fn runs_on_cluster(plan: &Arc<dyn ExecutionPlan>) -> bool {
    root_cluster::is_on_cluster(plan.as_ref()) || plan.children().into_iter().any(runs_on_cluster)
}

fn within(
    time: Duration,
    rows: impl Stream<Item = Result<RecordBatch, Status>> + Send + Unpin,
) -> impl Stream<Item = Result<RecordBatch, Status>> + Send {
    let end = Instant::now() + time;
    stream::unfold(Some(rows), move |rows| async move {
        let mut rows = rows?;
        match tokio::time::timeout_at(end, rows.next()).await {
            Ok(next) => next.map(|batch| (batch, Some(rows))),
            Err(_) => {
                let text =
                    format!("a query without files runs in the scheduler, and there for {} s only", time.as_secs());
                Some((Err(Status::deadline_exceeded(text)), None))
            }
        }
    })
}

/// Passes parts of results on, for clients that do not reach executors.
pub(crate) struct Parts {
    server: Server,
    jobs: Jobs,
    proxy: BallistaFlightProxyService,
}

impl Parts {
    pub(crate) fn new(server: Server, jobs: Jobs) -> Self {
        let proxy = BallistaFlightProxyService::new(MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES, false, None);
        Self { server, jobs, proxy }
    }

    /// The rows that a ticket is for: of a job of the user, from an executor of this cluster and nobody else.
    pub(crate) async fn rows(&self, ticket: &[u8], user: &User) -> Result<Rows, Status> {
        let action = protobuf::Action::decode(ticket);
        let action = action.map_err(|error| Status::invalid_argument(format!("this is no ticket: {error}")))?;
        let Some(ActionType::FetchPartition(part)) = &action.action_type else {
            return Err(Status::invalid_argument("this is a ticket for something else than rows"));
        };
        if !self.jobs.is_of(&part.job_id, user) {
            return Err(Status::not_found("there is no such job"));
        }
        let executors = self.server.state.executor_manager.get_executors_state().await;
        let executors = executors.map_err(|error| Status::unavailable(error.to_string()))?;
        let is_known =
            executors.iter().any(|(executor, ..)| executor.host == part.host && u32::from(executor.port) == part.port);
        if !is_known {
            return Err(Status::unavailable("the executor that has these rows is gone"));
        }
        let ticket = Request::new(Ticket { ticket: ticket.to_vec().into() });
        Ok(Box::pin(self.proxy.do_get(ticket).await?.into_inner()))
    }
}

impl Session {
    /// The schema of what a plan gives.
    pub(crate) fn schema_of(plan: &LogicalPlan) -> SchemaRef {
        Arc::clone(plan.schema().inner())
    }

    /// Carries out a definition.
    pub(crate) async fn define(&self, plan: LogicalPlan) -> Result<(), Status> {
        let context = self.root.context();
        let frame = context.execute_logical_plan(plan).await.map_err(|error| failed(&error))?;
        let rows: SendableRecordBatchStream = frame.execute_stream().await.map_err(|error| failed(&error))?;
        rows.try_for_each(|_| async { Ok(()) }).await.map_err(|error| failed(&error))
    }
}
