//! Rows of a result that come through the scheduler, for clients that cannot or may not reach its executors.

use arrow_flight::Ticket;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::Any;
use ballista_core::serde::protobuf::{self, PartitionLocation};
use ballista_core::serde::scheduler::{Action, ShuffleFileKind};
use datafusion::arrow::datatypes::Schema;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};
use prost::Message;

use crate::client::Cluster;
use crate::error::Error;
use crate::setup::MAX_MESSAGE_BYTES;

/// What a ticket for a part of a result says that it is.
pub const PARTITION_TICKET: &str = "type.googleapis.com/root_query.Partition";

impl Cluster {
    /// The rows of one partition of a result, through the scheduler.
    pub(crate) async fn rows_of(&self, location: PartitionLocation) -> Result<SendableRecordBatchStream> {
        let job = location.partition_id.as_ref().map(|id| id.job_id.clone());
        let incomplete = || {
            let reason = "a part of the result without its name or its executor".to_string();
            DataFusionError::from(Error::Protocol { scheduler: self.name(), reason })
        };
        let layout = location.layout();
        let executor = location.executor_meta.ok_or_else(incomplete)?;
        let partition = location.partition_id.ok_or_else(incomplete)?;
        let action = Action::FetchPartition {
            job_id: partition.job_id.into(),
            stage_id: partition.stage_id as usize,
            partition_id: partition.partition_id as usize,
            host: executor.host,
            port: u16::try_from(executor.port).map_err(|_| incomplete())?,
            file_id: location.file_id,
            layout,
            file_kind: ShuffleFileKind::Data,
            byte_ranges: Vec::new(),
        };
        let action: protobuf::Action = action.try_into().map_err(|error| DataFusionError::External(Box::new(error)))?;
        let named = Any { type_url: PARTITION_TICKET.to_string(), value: action.encode_to_vec().into() };
        let request = self.request(Ticket { ticket: named.encode_to_vec().into() })?;
        let mut client = FlightServiceClient::new(self.channel())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let answer = client.do_get(request).await;
        let answer = answer.map_err(|status| DataFusionError::from(self.refusal(job.as_deref(), &status)))?;
        let cluster = self.clone();
        let lost = move |error: FlightError| match error {
            FlightError::Tonic(status) => DataFusionError::from(cluster.refusal(job.as_deref(), &status)),
            error => DataFusionError::from(Error::Lost { job: job.clone(), reason: error.to_string() }),
        };
        let data = answer.into_inner().map_err(|status| FlightError::Tonic(Box::new(status)));
        let mut rows = FlightRecordBatchStream::new_from_flight_data(data).map_err(lost);
        // The schema comes before the rows.
        let first = rows.try_next().await?;
        let Some(first) = first else {
            let schema = rows.get_ref().schema().cloned().unwrap_or_else(|| Schema::empty().into());
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::empty())));
        };
        let schema = first.schema();
        let rows = futures::stream::iter([Ok(first)]).chain(rows);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
