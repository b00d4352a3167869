//! The door by which others fetch the rows that tasks here have written. It is Ballista's, but for two things: rows that are few
//! are read in one go into as much memory as they need, where Ballista (55.0) takes ten megabytes for each file; and what is
//! said to be a job is no path to somewhere else.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};

use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, PollInfo, SchemaResult, Ticket,
};
use async_trait::async_trait;
use ballista_core::error::BallistaError;
use ballista_core::execution_plans::create_shuffle_path;
use ballista_core::execution_plans::sort_shuffle::{ShuffleIndex, get_index_path, is_sort_shuffle_output};
use ballista_core::serde::decode_protobuf;
use ballista_core::serde::scheduler::{Action as Wanted, ShuffleFileKind, ShuffleLayout};
use ballista_core::utils::{GrpcServerConfig, create_grpc_server};
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::shutdown::Shutdown;
use futures::{StreamExt, stream};
use root_cluster::setup::MAX_MESSAGE_BYTES;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status, Streaming};

/// Bytes of rows that are read in one go.
const FEW: u64 = 1 << 20;

/// Answers those who want rows, until it is told to stop.
pub(crate) fn serve(
    work_dir: String,
    address: SocketAddr,
    mut stop: Shutdown,
    config: GrpcServerConfig,
) -> JoinHandle<Result<(), BallistaError>> {
    let rows = FlightServiceServer::new(Rows { inner: BallistaFlightService::new(work_dir.clone()), work_dir })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    tokio::spawn(async move {
        let served = create_grpc_server(&config).add_service(rows).serve_with_shutdown(address, stop.recv()).await;
        served.map_err(BallistaError::TonicError)
    })
}

/// The rows of an executor.
struct Rows {
    work_dir: String,
    inner: BallistaFlightService,
}

impl Rows {
    /// The rows that are wanted, if they are few.
    async fn few(&self, wanted: Wanted) -> Result<Option<Vec<u8>>, Status> {
        let Wanted::FetchPartition { job_id, stage_id, partition_id, file_id, layout, file_kind, byte_ranges, .. } =
            wanted;
        if !matches!(file_kind, ShuffleFileKind::Data) || !byte_ranges.is_empty() {
            return Ok(None);
        }
        let is_sorted = matches!(layout, ShuffleLayout::Sort);
        let path = create_shuffle_path(&self.work_dir, &job_id, stage_id, partition_id, file_id, is_sorted);
        let path = path.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let read = move || if is_sort_shuffle_output(&path) { part(&path, partition_id) } else { whole(&path) };
        // What cannot be read here cannot be read there, and Ballista's words are those that the scheduler knows.
        Ok(tokio::task::spawn_blocking(read).await.ok().and_then(io::Result::ok).flatten())
    }
}

/// A file, if it is small.
fn whole(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if fs::metadata(path)?.len() > FEW { Ok(None) } else { fs::read(path).map(Some) }
}

/// The part of a file that is a partition, behind what all of its partitions begin with, if that is little.
fn part(path: &Path, partition: usize) -> io::Result<Option<Vec<u8>>> {
    let index = ShuffleIndex::read_from_file(&get_index_path(path)).map_err(io::Error::other)?;
    if partition >= index.partition_count() {
        return Ok(None);
    }
    let (start, end) = index.get_partition_range(partition);
    let offset = |number: i64| u64::try_from(number).map_err(io::Error::other);
    let (head, start, end) = (offset(index.header_end_offset())?, offset(start)?, offset(end)?);
    let length = end.saturating_sub(start);
    let sizes = (usize::try_from(head), usize::try_from(length));
    let (Ok(head), Ok(length)) = sizes else { return Ok(None) };
    if head.saturating_add(length) as u64 > FEW {
        return Ok(None);
    }
    let file = File::open(path)?;
    let mut bytes = vec![0; head + length];
    let (first, rest) = bytes.split_at_mut(head);
    file.read_exact_at(first, 0)?;
    file.read_exact_at(rest, start)?;
    Ok(Some(bytes))
}

/// What is wanted, if it may be.
fn understood(message: &[u8]) -> Result<Wanted, Status> {
    let wanted = decode_protobuf(message).map_err(|error| Status::invalid_argument(error.to_string()))?;
    let Wanted::FetchPartition { job_id, .. } = &wanted;
    let mut parts = Path::new(job_id.as_str()).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None) => Ok(wanted),
        _ => Err(Status::invalid_argument(format!("{:?} is no job", job_id.as_str()))),
    }
}

#[async_trait]
impl FlightService for Rows {
    type HandshakeStream = <BallistaFlightService as FlightService>::HandshakeStream;
    type ListFlightsStream = <BallistaFlightService as FlightService>::ListFlightsStream;
    type DoGetStream = <BallistaFlightService as FlightService>::DoGetStream;
    type DoPutStream = <BallistaFlightService as FlightService>::DoPutStream;
    type DoActionStream = <BallistaFlightService as FlightService>::DoActionStream;
    type ListActionsStream = <BallistaFlightService as FlightService>::ListActionsStream;
    type DoExchangeStream = <BallistaFlightService as FlightService>::DoExchangeStream;

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let wanted = understood(&request.get_ref().body)?;
        if request.get_ref().r#type == "IO_BLOCK_TRANSPORT"
            && let Some(rows) = self.few(wanted).await?
        {
            let rows = stream::once(async { Ok(arrow_flight::Result { body: rows.into() }) });
            return Ok(Response::new(rows.boxed()));
        }
        self.inner.do_action(request).await
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        understood(&request.get_ref().ticket)?;
        self.inner.do_get(request).await
    }

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        self.inner.handshake(request).await
    }

    async fn list_flights(&self, request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        self.inner.list_flights(request).await
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        self.inner.get_flight_info(request).await
    }

    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        self.inner.poll_flight_info(request).await
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        self.inner.get_schema(request).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        self.inner.do_put(request).await
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        self.inner.list_actions(request).await
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        self.inner.do_exchange(request).await
    }
}

#[cfg(test)]
mod tests {
    use ballista_core::JobId;
    use ballista_core::serde::protobuf;
    use prost::Message;
    use tempfile::TempDir;

    use super::*;

    const JOB: &str = "01a2099aea6373ab90069e79f7579c59";

    fn wanted(job: &str, partition_id: usize) -> Wanted {
        Wanted::FetchPartition {
            job_id: JobId::new(job),
            stage_id: 1,
            partition_id,
            host: String::new(),
            port: 0,
            file_id: Some(7),
            layout: ShuffleLayout::Passthrough,
            file_kind: ShuffleFileKind::Data,
            byte_ranges: Vec::new(),
        }
    }

    fn rows(folder: &TempDir) -> Rows {
        let work_dir = folder.path().display().to_string();
        Rows { inner: BallistaFlightService::new(work_dir.clone()), work_dir }
    }

    fn message(wanted: Wanted) -> Vec<u8> {
        let message: protobuf::Action = wanted.try_into().unwrap();
        message.encode_to_vec()
    }

    async fn fetched(rows: &Rows, partition: usize) -> Result<Vec<u8>, Status> {
        let body = message(wanted(JOB, partition)).into();
        let action = Action { r#type: "IO_BLOCK_TRANSPORT".to_string(), body };
        let parts = rows.do_action(Request::new(action)).await?.into_inner();
        let parts: Vec<_> = parts.collect().await;
        Ok(parts.into_iter().flat_map(|part| part.unwrap().body).collect())
    }

    #[tokio::test]
    async fn rows_arrive_as_they_were_written_however_many_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let rows = rows(&folder);
        for (partition, length) in [0, 1, FEW as usize, FEW as usize + 1, 3 << 20].into_iter().enumerate() {
            let place = folder.path().join(JOB).join("1").join(partition.to_string());
            fs::create_dir_all(&place).unwrap();
            let bytes: Vec<u8> = (0..length).map(|number| number as u8).collect();
            fs::write(place.join("data-7.arrow"), &bytes).unwrap();
            assert!(fetched(&rows, partition).await.unwrap() == bytes, "{length} bytes");
        }
        let missing = fetched(&rows, 9).await.unwrap_err();
        assert!(missing.message().contains("Failed to open file"), "{missing}");
    }

    #[test]
    fn a_path_is_no_job() {
        let told = |job: &str| understood(&message(wanted(job, 0)));
        assert!(told(JOB).is_ok());
        for path in ["", ".", "..", "/etc", "../other", "a/b", "/"] {
            assert_eq!(told(path).unwrap_err().code(), tonic::Code::InvalidArgument, "{path:?}");
        }
    }
}
