//! What can be asked for by HTTP: the cluster, and jobs of one's own.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use axum::{Extension, Router};
use ballista_core::serde::protobuf::{CancelJobParams, job_status, scheduler_grpc_server::SchedulerGrpc};
use root_cluster::{ClusterStatus, Fault, JobProgress};
use serde::Serialize;
use serde_json::json;
use tonic::Request;

use crate::auth::User;
use crate::guard::Guard;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::serve::Server;

/// What answers.
#[derive(Clone)]
struct Rest {
    server: Arc<Server>,
    jobs: Jobs,
}

/// A job, as its owner sees it.
#[derive(Debug, Serialize)]
struct JobView {
    id: String,
    state: JobState,
    /// Seconds since 1970.
    submitted: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(flatten)]
    progress: JobProgress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum JobState {
    Queued,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

/// Why there is no answer.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// What can be asked for.
pub(crate) fn routes(server: Arc<Server>, jobs: Jobs, guard: Guard, metrics: Metrics) -> Router {
    let counters = (Arc::clone(&server), metrics, guard);
    Router::new()
        .route("/v1/cluster", get(cluster))
        .route("/v1/jobs", get(all))
        .route("/v1/jobs/{job}", get(one).delete(cancel))
        .with_state(Rest { server, jobs })
        .merge(Router::new().route("/metrics", get(self::metrics)).with_state(counters))
}

async fn metrics(
    State((server, metrics, guard)): State<(Arc<Server>, Metrics, Guard)>,
) -> Result<impl IntoResponse, StatusCode> {
    let text = metrics.to_text(&server, guard.running()).await.map_err(|error| {
        tracing::warn!("{error}");
        StatusCode::INTERNAL_SERVER_ERROR
    })?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text))
}

async fn cluster(State(rest): State<Rest>) -> Result<Json<ClusterStatus>, Failure> {
    let executors = rest.server.state.executor_manager.get_executors_state().await.map_err(|error| {
        tracing::warn!("the executors are not known: {error}");
        Failure(StatusCode::INTERNAL_SERVER_ERROR, "the executors are not known".to_string())
    })?;
    Ok(Json(ClusterStatus {
        version: env!("CARGO_PKG_VERSION").to_string(),
        executors: executors.len(),
        cores: executors.iter().map(|(executor, ..)| executor.specification.vcores as usize).sum(),
    }))
}

async fn all(State(rest): State<Rest>, Extension(user): Extension<User>) -> Result<Json<Vec<JobView>>, Failure> {
    let mut views = Vec::new();
    for (job, submitted) in rest.jobs.of(&user) {
        let mut view = rest.view(job, submitted).await?;
        // Those of one job are told there.
        view.progress.reports.clear();
        views.push(view);
    }
    Ok(Json(views))
}

async fn one(
    State(rest): State<Rest>,
    Extension(user): Extension<User>,
    Path(job): Path<String>,
) -> Result<Json<JobView>, Failure> {
    let (job, submitted) = rest.own(&user, job)?;
    rest.view(job, submitted).await.map(Json)
}

async fn cancel(
    State(rest): State<Rest>,
    Extension(user): Extension<User>,
    Path(job): Path<String>,
) -> Result<Json<JobView>, Failure> {
    let (job, submitted) = rest.own(&user, job)?;
    let params = Request::new(CancelJobParams { job_id: job.clone() });
    let cancelled = SchedulerGrpc::cancel_job(rest.server.as_ref(), params).await;
    cancelled.map_err(|status| Failure(StatusCode::INTERNAL_SERVER_ERROR, status.message().to_string()))?;
    rest.view(job, submitted).await.map(Json)
}

impl Rest {
    /// A job, if it is the user's.
    fn own(&self, user: &User, job: String) -> Result<(String, SystemTime), Failure> {
        let missing = || Failure(StatusCode::NOT_FOUND, "there is no such job".to_string());
        self.jobs.submitted(&job, user).map(|time| (job, time)).ok_or_else(missing)
    }

    async fn view(&self, job: String, submitted: SystemTime) -> Result<JobView, Failure> {
        let status = self.server.state.task_manager.get_job_status(&job.clone().into()).await.map_err(|error| {
            tracing::warn!(job, "its state is not known: {error}");
            Failure(StatusCode::INTERNAL_SERVER_ERROR, "the state of the job is not known".to_string())
        })?;
        let (state, error) = match status.and_then(|status| status.status) {
            None | Some(job_status::Status::Queued(_)) => (JobState::Queued, None),
            Some(job_status::Status::Running(_)) => (JobState::Running, None),
            Some(job_status::Status::Successful(_)) => (JobState::Succeeded, None),
            Some(job_status::Status::Failed(failed)) => match Fault::find(&failed.error) {
                Some(fault) => (JobState::Failed, Some(fault.message)),
                None if failed.error.to_ascii_lowercase().contains("cancelled") => (JobState::Cancelled, None),
                None => (JobState::Failed, Some(failed.error)),
            },
        };
        let submitted = submitted.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let progress = self.jobs.progress(&job);
        Ok(JobView { id: job, state, submitted, error, progress })
    }
}
