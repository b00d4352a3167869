//! The client: submits plans to a scheduler, follows them, and cancels what nobody waits for any more.

use std::time::Duration;

use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::get_job_status_result::FlightProxy;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelJobParams, CleanJobDataParams, ExecuteQueryParams, GetJobMetricsParams, GetJobMetricsResult,
    GetJobStatusResult, KeyValuePair, PartitionLocation, job_status,
};
use ballista_core::version;
use datafusion::prelude::SessionConfig;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode};
use root_engine::ErrorKind;
use serde::{Deserialize, Serialize};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};
use url::Url;

use crate::access::Access;
use crate::error::Error;
use crate::fault::Fault;
use crate::note::JobProgress;
use crate::setup::MAX_MESSAGE_BYTES;

/// Where the scheduler tells the name of a job that it has taken.
pub const JOB_HEADER: &str = "root-query-job";

/// Where a client says how many milliseconds a job may take.
pub const JOB_TIMEOUT_HEADER: &str = "root-query-job-timeout";

/// The header by which an executor names what it tells of its tasks, so that what it says again is known.
pub const REPORT_HEADER: &str = "root-query-report";

/// Where executors ask whether rows are still wanted: a POST of names of jobs, answered by those of which they are not.
pub const UNWANTED_PATH: &str = "/v1/executors/unwanted";

/// How long a scheduler that is gone may take to come back, with executors.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a scheduler may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// A connection on which nothing comes is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a cluster consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// Version of the scheduler.
    pub version: String,
    /// Executors that take tasks.
    pub executors: usize,
    /// Tasks that can run at the same time.
    pub cores: usize,
    /// Tasks that could if all executors were there that the scheduler may start.
    pub most_cores: usize,
    /// Why the scheduler has not started as many executors as there should be, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why the scheduler refuses an HTTP request.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// A connection to the scheduler of a cluster. Clones share it.
#[derive(Debug, Clone)]
pub struct Cluster {
    url: Url,
    channel: Channel,
    http: reqwest::Client,
    /// Where HTTP requests go.
    http_url: Url,
    access: Access,
    is_on_this_machine: bool,
    job_timeout: Option<Duration>,
    /// How long its scheduler may be away during a query.
    patience: Duration,
}

impl Cluster {
    /// Connects to a scheduler that lets everybody in: `http://host:port`.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn connect(address: &str) -> Result<Self, Error> {
        Self::connect_with(address, Access::default()).await
    }

    /// Connects to a scheduler: `http://host:port` or `https://host:port`.
    ///
    /// # Errors
    /// Where there is none, or nobody vouches for it.
    pub async fn connect_with(address: &str, access: Access) -> Result<Self, Error> {
        let bad = |reason: String| Error::Address { given: address.to_string(), reason };
        let url = Url::parse(address).map_err(|error| bad(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(bad("its scheme is neither http nor https".to_string()));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            let given = url.host_str().unwrap_or_default().to_string();
            let reason = "a token stands in a file, not in a URL; see --cluster-token-file".to_string();
            return Err(Error::Address { given, reason });
        }
        let unreachable =
            |error: &dyn std::error::Error| Error::Unreachable { scheduler: shown(&url), reason: innermost(error) };
        let endpoint = Endpoint::from_shared(url.to_string()).map_err(|error| unreachable(&error))?;
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let channel = access.channel(endpoint, &shown(&url)).await?;
        let http = reqwest::Client::builder().connect_timeout(CONNECT).timeout(2 * CONNECT).no_proxy();
        let (http_url, http) = access.named(&url, access.trusted(http)?).await?;
        let http = http.build().map_err(|error| unreachable(&error))?;
        Ok(Self {
            url,
            channel,
            http,
            http_url,
            access,
            is_on_this_machine: false,
            job_timeout: None,
            patience: PATIENCE,
        })
    }

    /// The same cluster, where queries are stopped that take longer.
    #[must_use]
    pub fn with_job_timeout(mut self, time: Option<Duration>) -> Self {
        self.job_timeout = time;
        self
    }

    /// The same cluster, whose scheduler may be away for so long during a query, which then runs again; by default 30 s.
    #[must_use]
    pub fn with_patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// The scheduler as messages call it.
    pub fn name(&self) -> String {
        shown(&self.url)
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A request that shows who asks.
    pub(crate) fn request<T>(&self, message: T) -> Result<tonic::Request<T>, Error> {
        let mut request = tonic::Request::new(message);
        for (name, value) in self.access.headers()? {
            request.metadata_mut().insert(name, value);
        }
        Ok(request)
    }

    /// The same connection, of a cluster whose executors have the files of this machine.
    pub(crate) fn on_this_machine(self) -> Self {
        Self { is_on_this_machine: true, ..self }
    }

    pub(crate) fn is_on_this_machine(&self) -> bool {
        self.is_on_this_machine
    }

    /// What the cluster consists of now.
    pub async fn status(&self) -> Result<ClusterStatus, Error> {
        self.get("v1/cluster").await
    }

    /// How far a job is.
    pub(crate) async fn progress(&self, job: &str) -> Result<JobProgress, Error> {
        self.get(&format!("v1/jobs/{job}")).await
    }

    /// Of the jobs whose rows an executor has those of which nobody will want them any more.
    pub async fn unwanted(&self, jobs: &[String]) -> Result<Vec<String>, Error> {
        let names = serde_json::to_vec(jobs);
        let names = names.map_err(|error| Error::Protocol { scheduler: self.name(), reason: error.to_string() })?;
        let with = |request: RequestBuilder| request.header(CONTENT_TYPE, "application/json").body(names);
        self.ask(Method::POST, UNWANTED_PATH.trim_start_matches('/'), with).await
    }

    async fn get<T: for<'a> Deserialize<'a>>(&self, path: &str) -> Result<T, Error> {
        self.ask(Method::GET, path, |request| request).await
    }

    async fn ask<T: for<'a> Deserialize<'a>>(
        &self,
        method: Method,
        path: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, Error> {
        let protocol = |reason: String| Error::Protocol { scheduler: self.name(), reason };
        let url = self.http_url.join(path).map_err(|error| protocol(error.to_string()))?;
        let mut request = with(self.http.request(method, url));
        for (name, value) in self.access.headers()? {
            let value = HeaderValue::from_bytes(value.as_bytes());
            let mut value = value.map_err(|error| protocol(error.to_string()))?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| Error::Unreachable { scheduler: self.name(), reason: innermost(&error) })?;
        if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let reason = answer.text().await.map_err(|error| protocol(innermost(&error)))?;
            let reason = serde_json::from_str(&reason).map(|Refusal { error }| error).unwrap_or(reason);
            return Err(Error::Refused { scheduler: self.name(), reason });
        }
        if !answer.status().is_success() {
            return Err(protocol(format!("{} for /{path}", answer.status())));
        }
        let body = answer.bytes().await.map_err(|error| protocol(innermost(&error)))?;
        serde_json::from_slice(&body).map_err(|error| protocol(error.to_string()))
    }

    /// Has a physical plan run, which was encoded by the codec of [`setup`](crate::setup).
    pub(crate) async fn submit(&self, plan: Vec<u8>, session: &str, config: &SessionConfig) -> Result<Job, Error> {
        let settings =
            config.options().entries().into_iter().map(|entry| KeyValuePair { key: entry.key, value: entry.value });
        let mut request = self.request(ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(plan)),
            settings: settings.collect(),
            session_id: session.to_string(),
            operation_id: uuid::Uuid::new_v4().to_string(),
        })?;
        version::insert_version_header(request.metadata_mut());
        if let Some(time) = self.job_timeout {
            request.metadata_mut().insert(JOB_TIMEOUT_HEADER, (time.as_millis().min(u64::MAX.into()) as u64).into());
        }
        let mut client = self.grpc();
        let answer = client.execute_query_push(request).await.map_err(|status| self.refusal(None, &status))?;
        let id = answer.metadata().get(JOB_HEADER).and_then(|id| id.to_str().ok()).map(str::to_string);
        let id = id.ok_or_else(|| Error::Protocol {
            scheduler: self.name(),
            reason: "it gives jobs no name; is it a root-scheduler?".to_string(),
        })?;
        Ok(Job { id, updates: answer.into_inner(), cluster: self.clone(), is_over: false })
    }

    /// What each step of a job has done.
    pub(crate) async fn metrics(&self, job: &str) -> Result<GetJobMetricsResult, Error> {
        let params = self.request(GetJobMetricsParams { job_id: job.to_string() })?;
        let answer = self.grpc().get_job_metrics(params).await.map_err(|status| self.refusal(Some(job), &status))?;
        Ok(answer.into_inner())
    }

    /// Stops a job.
    pub async fn cancel(&self, job: &str) -> Result<(), Error> {
        let params = self.request(CancelJobParams { job_id: job.to_string() })?;
        self.grpc().cancel_job(params).await.map_err(|status| self.refusal(Some(job), &status))?;
        Ok(())
    }

    /// Has executors remove the rows of a job.
    pub(crate) async fn release(&self, job: &str) -> Result<(), Error> {
        let params = self.request(CleanJobDataParams { job_id: job.to_string(), remove_stage_ids: Vec::new() })?;
        self.grpc().clean_job_data(params).await.map_err(|status| self.refusal(Some(job), &status))?;
        Ok(())
    }

    fn grpc(&self) -> SchedulerGrpcClient<Channel> {
        SchedulerGrpcClient::new(self.channel.clone())
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// What a call that failed means.
    pub(crate) fn refusal(&self, job: Option<&str>, status: &tonic::Status) -> Error {
        let (scheduler, reason) = (self.name(), status.message().to_string());
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Error::Refused { scheduler, reason },
            Code::InvalidArgument | Code::Unimplemented | Code::FailedPrecondition => {
                Error::Protocol { scheduler, reason }
            }
            _ if job.is_some() => Error::Lost { job: job.map(str::to_string), reason },
            Code::Unavailable => Error::Unreachable { scheduler, reason },
            _ => Error::Lost { job: None, reason },
        }
    }
}

/// A job on a cluster. It is cancelled if it is dropped before it is over.
pub(crate) struct Job {
    id: String,
    updates: Streaming<GetJobStatusResult>,
    cluster: Cluster,
    is_over: bool,
}

/// Where the rows of a finished job are.
pub(crate) struct Finished {
    /// Partitions of the result, in order.
    pub partitions: Vec<PartitionLocation>,
    /// Who hands them out, if executors do not themselves.
    pub proxy: Option<FlightProxy>,
}

impl Job {
    /// Its name.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The next change; `None` as long as the job is not over.
    pub(crate) async fn next(&mut self) -> Result<Option<Finished>, Error> {
        let lost = |job: &Self, reason: String| Error::Lost { job: Some(job.id.clone()), reason };
        let update = match self.updates.message().await {
            Ok(Some(update)) => update,
            Ok(None) => {
                self.is_over = true;
                return Err(lost(self, "it told nothing more of it".to_string()));
            }
            Err(status) => {
                self.is_over = true;
                return Err(self.cluster.refusal(Some(&self.id), &status));
            }
        };
        let Some(status) = update.status else { return Ok(None) };
        match status.status {
            None | Some(job_status::Status::Queued(_) | job_status::Status::Running(_)) => Ok(None),
            Some(job_status::Status::Successful(done)) => {
                self.is_over = true;
                let mut partitions = done.partition_location;
                // Of a partition that was computed again, because an executor was lost, the last is told last.
                partitions.reverse();
                partitions.sort_by_key(|location| location.partition_id.as_ref().map(|id| id.partition_id));
                partitions.dedup_by_key(|location| location.partition_id.as_ref().map(|id| id.partition_id));
                Ok(Some(Finished { partitions, proxy: update.flight_proxy }))
            }
            Some(job_status::Status::Failed(failed)) => {
                self.is_over = true;
                Err(self.failure(&failed.error))
            }
        }
    }

    fn failure(&self, text: &str) -> Error {
        let job = self.id.clone();
        if let Some(fault) = Fault::find(text) {
            return Error::Job { job, kind: fault.kind(), message: fault.message };
        }
        if text.contains("Cancelled") || text.contains("cancelled") {
            return Error::Cancelled { job };
        }
        Error::Job { job, kind: ErrorKind::Query, message: format!("the query failed on the cluster: {text}") }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let (false, Ok(runtime)) = (self.is_over, tokio::runtime::Handle::try_current()) else { return };
        let id = std::mem::take(&mut self.id);
        let cluster = self.cluster.clone();
        runtime.spawn(async move {
            if let Err(error) = cluster.cancel(&id).await {
                tracing::debug!(job = id, "not cancelled: {error}");
            }
        });
    }
}

fn shown(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_string()
}

/// What an error says that is behind all others, which says most.
pub fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}
