//! What can be asked for by HTTP: the cluster, jobs of one's own, and by executors whether rows are still wanted.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use ballista_core::JobId;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{CancelJobParams, JobStatus, job_status};
use root_cluster::{ClusterStatus, JobProgress, UNWANTED_PATH};
use serde::Serialize;
use serde_json::json;
use tonic::Request;

use crate::auth::User;
use crate::guard::Guard;
use crate::jobs::{JobState, Jobs, Outcome};
use crate::metrics::Metrics;
use crate::pool::PoolView;
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

/// Why there is no answer.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// What answers are put together from.
#[derive(Clone)]
pub(crate) struct Facts {
    pub(crate) server: Server,
    pub(crate) jobs: Jobs,
    pub(crate) guard: Guard,
    pub(crate) metrics: Metrics,
    /// The executors that the scheduler starts itself, if it does.
    pub(crate) pool: Option<PoolView>,
    /// How long rows are kept of jobs that have ended.
    pub(crate) keep: Duration,
}

/// Where it is asked whether the scheduler answers.
pub(crate) const HEALTH_PATH: &str = "/healthz";

/// What can be asked for.
pub(crate) fn routes(facts: Facts) -> Router {
    let (server, jobs) = (Arc::new(facts.server.clone()), facts.jobs.clone());
    let wanted = Wanted { server: Arc::clone(&server), keep: facts.keep, since: Instant::now() };
    Router::new()
        // Whoever looks after processes wants to know no more than that this one answers.
        .route(HEALTH_PATH, get(async || "ok"))
        .route("/v1/jobs", get(all))
        .route("/v1/jobs/{job}", get(one).delete(cancel))
        .with_state(Rest { server, jobs })
        .merge(Router::new().route("/metrics", get(metrics)).route("/v1/cluster", get(cluster)).with_state(facts))
        .merge(Router::new().route(UNWANTED_PATH, post(unwanted)).with_state(wanted))
}

/// Knows whose rows are wanted.
#[derive(Clone)]
struct Wanted {
    server: Arc<Server>,
    /// How long rows are kept of jobs that have ended.
    keep: Duration,
    /// The start of this scheduler. Rows of jobs of another one before it may still be fetched for as long.
    since: Instant,
}

impl Wanted {
    async fn wants(&self, job: &str) -> bool {
        let jobs = &self.server.state.task_manager;
        if jobs.get_running_job_cache().contains_key(&JobId::new(job)) {
            return true;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_recent = |ended: u64| Duration::from_millis(ended) + self.keep > now;
        match jobs.get_job_status(&JobId::new(job)).await {
            Ok(Some(JobStatus { status: Some(job_status::Status::Successful(done)), .. })) => is_recent(done.ended_at),
            Ok(Some(JobStatus { status: Some(job_status::Status::Failed(_)), .. })) => false,
            Ok(Some(_)) | Err(_) => true,
            Ok(None) => self.since.elapsed() < self.keep,
        }
    }
}

/// An executor that was not there when it was to remove rows asks later.
async fn unwanted(State(wanted): State<Wanted>, Json(jobs): Json<Vec<String>>) -> Json<Vec<String>> {
    let mut unwanted = Vec::new();
    for job in jobs {
        if !wanted.wants(&job).await {
            unwanted.push(job);
        }
    }
    Json(unwanted)
}

async fn metrics(State(facts): State<Facts>) -> Result<impl IntoResponse, StatusCode> {
    let text = facts.metrics.to_text(&facts.server, facts.guard.running()).await.map_err(|error| {
        tracing::warn!("{error}");
        StatusCode::INTERNAL_SERVER_ERROR
    })?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text))
}

async fn cluster(State(facts): State<Facts>) -> Result<Json<ClusterStatus>, Failure> {
    let executors = facts.server.state.executor_manager.get_executors_state().await.map_err(|error| {
        tracing::warn!("the executors are not known: {error}");
        Failure(StatusCode::INTERNAL_SERVER_ERROR, "the executors are not known".to_string())
    })?;
    let cores = executors.iter().map(|(executor, ..)| executor.specification.vcores as usize).sum();
    Ok(Json(ClusterStatus {
        version: env!("CARGO_PKG_VERSION").to_string(),
        executors: executors.len(),
        cores,
        most_cores: facts.pool.as_ref().map_or(cores, |pool| pool.most_cores.max(cores)),
        reason: facts.pool.as_ref().and_then(PoolView::reason),
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
        let outcome = match self.jobs.outcome(&job) {
            Some(outcome) => outcome,
            None => {
                let status = self.server.state.task_manager.get_job_status(&job.clone().into()).await;
                let status = status.map_err(|error| {
                    tracing::warn!(job, "its state is not known: {error}");
                    Failure(StatusCode::INTERNAL_SERVER_ERROR, "the state of the job is not known".to_string())
                })?;
                Outcome::of(status.and_then(|status| status.status).as_ref())
            }
        };
        let Outcome { state, error } = outcome;
        let submitted = submitted.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let progress = self.jobs.progress(&job);
        Ok(JobView { id: job, state, submitted, error, progress })
    }
}
