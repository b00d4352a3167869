//! What executors and clients speak with: Ballista's service, with a guard on each job that ends it when its client is gone.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{
    CancelJobParams, CancelJobResult, CleanJobDataParams, CleanJobDataResult, CreateUpdateSessionParams,
    CreateUpdateSessionResult, ExecuteQueryParams, ExecuteQueryResult, ExecutorStoppedParams, ExecutorStoppedResult,
    GetJobMetricsParams, GetJobMetricsResult, GetJobStatusParams, GetJobStatusResult, HeartBeatParams, HeartBeatResult,
    PollWorkParams, PollWorkResult, RegisterExecutorParams, RegisterExecutorResult, RemoveSessionParams,
    RemoveSessionResult, TaskStatus, UpdateTaskStatusParams, UpdateTaskStatusResult, job_status, task_status,
};
use ballista_scheduler::scheduler_server::JobIdGenerator;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use futures::{Stream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use root_cluster::{JOB_HEADER, JOB_TIMEOUT_HEADER, REPORT_HEADER};
use tonic::{Request, Response, Status};

use crate::auth::User;
use crate::cores::Cores;
use crate::doors::FromItself;
use crate::guard::Guard;
use crate::jobs::Jobs;
use crate::measured::Measured;
use crate::serve::Server;

/// Ballista's service as others see it.
#[derive(Clone)]
pub(crate) struct Front {
    server: Server,
    jobs: Jobs,
    guard: Guard,
    cores: Cores,
    measured: Arc<Mutex<Measured>>,
    reports: Arc<Mutex<Reports>>,
}

/// What executors have told lately: they tell it again as long as they do not know that it was heard.
#[derive(Debug, Default)]
struct Reports {
    names: HashSet<String>,
    in_order: VecDeque<String>,
}

impl Reports {
    /// Whether nothing was told by this name before.
    fn is_new(&mut self, name: &str) -> bool {
        let is_new = self.names.insert(name.to_string());
        if is_new {
            self.in_order.push_back(name.to_string());
            if self.in_order.len() > REPORTS
                && let Some(oldest) = self.in_order.pop_front()
            {
                self.names.remove(&oldest);
            }
        }
        is_new
    }
}

impl Front {
    pub(crate) fn new(server: Server, jobs: Jobs, guard: Guard, cores: Cores) -> Self {
        Self { server, jobs, guard, cores, measured: Arc::default(), reports: Arc::default() }
    }

    /// Adds up what tasks of large stages have measured.
    async fn add_up(&self, statuses: &mut [TaskStatus]) {
        let jobs = self.server.state.task_manager.get_running_job_cache();
        for status in
            statuses.iter_mut().filter(|status| matches!(status.status, Some(task_status::Status::Successful(_))))
        {
            let Some(job) = jobs.get(&JobId::new(status.job_id.as_str())) else { continue };
            let graph = job.execution_graph.read().await;
            let Some(ExecutionStage::Running(stage)) = graph.stages().get(&(status.stage_id as usize)) else {
                continue;
            };
            let Some(task) = stage.task_infos.get(status.task_id as usize) else { continue };
            let attempt = (status.job_id.clone(), status.stage_id, status.stage_attempt_num);
            let steps = std::mem::take(&mut status.metrics);
            let partitions = &task.global_input_partition_ids;
            status.metrics = self.measured.lock().said(attempt, stage.partitions, partitions, steps);
        }
    }

    /// Hears what tasks of an executor have come to.
    async fn hear(
        &self,
        mut request: Request<UpdateTaskStatusParams>,
    ) -> Result<Response<UpdateTaskStatusResult>, Status> {
        let UpdateTaskStatusParams { executor_id, task_status } = request.get_mut();
        self.guard.heard(executor_id, task_status);
        self.cores.heard(executor_id, task_status);
        self.jobs.take_notes(executor_id, task_status);
        self.add_up(task_status).await;
        self.server.update_task_status(request).await
    }

    /// That a job is of whoever asks for it.
    fn own<T>(&self, request: &Request<T>, job: &str) -> Result<(), Status> {
        let is_own = self.jobs.is_of(job, &user_of(request)?);
        if is_own { Ok(()) } else { Err(Status::not_found(format!("there is no job {job}"))) }
    }

    /// Waits until the jobs that run now have ended. An executor that is to stop takes no more tasks, but has rows that these
    /// jobs need; it waits for the answer, as long as it may.
    async fn jobs_ended(&self) {
        let jobs = &self.server.state.task_manager;
        let running: Vec<_> = jobs.get_running_job_cache().keys().cloned().collect();
        while running.iter().any(|job| jobs.get_running_job_cache().contains_key(job)) {
            tokio::time::sleep(LOOK).await;
        }
        if !running.is_empty() {
            tokio::time::sleep(BEGIN_TO_FETCH).await;
        }
    }
}

/// Who sends a request; all have passed the door, which has written it there.
pub(crate) fn user_of<T>(request: &Request<T>) -> Result<User, Status> {
    let user = request.extensions().get::<User>().cloned();
    user.ok_or_else(|| Status::unauthenticated("it is not known who asks"))
}

/// Statements are planned by clients and by `flight`, whose sessions know what they may do; Ballista's own would not.
fn only_plans(params: &ExecuteQueryParams) -> Result<(), Status> {
    match &params.query {
        Some(Query::PhysicalPlan(_)) => Ok(()),
        _ => Err(Status::invalid_argument("only physical plans are taken here; SQL is by Arrow Flight SQL")),
    }
}

tokio::task_local! {
    /// The name of the job that is being submitted.
    static NAME: String;
}

/// Names jobs as [`Front`] has told their clients: Ballista tells them the name only when the job is over.
pub(crate) struct JobIds;

#[async_trait]
impl JobIdGenerator for JobIds {
    async fn next_id(&self) -> String {
        NAME.try_with(Clone::clone).unwrap_or_else(|_| new_id())
    }
}

/// A name that no other job has, in the order of time.
fn new_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// What executors tell that is remembered.
const REPORTS: usize = 10_000;
/// How long a client has to begin to fetch the rows of a job that has ended.
const BEGIN_TO_FETCH: Duration = Duration::from_secs(2);
/// How often it is looked whether jobs have ended.
const LOOK: Duration = Duration::from_millis(200);

type Updates = Pin<Box<dyn Stream<Item = Result<GetJobStatusResult, Status>> + Send>>;

/// The updates of a job. When they are dropped before the job is over, its client has gone away, and nobody will want its
/// rows.
struct Watched {
    updates: Updates,
    server: Server,
    jobs: Jobs,
    guard: Guard,
    cores: Cores,
    job: String,
    is_over: bool,
}

impl Stream for Watched {
    type Item = Result<GetJobStatusResult, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut next = self.updates.poll_next_unpin(context);
        match &mut next {
            Poll::Ready(Some(Ok(GetJobStatusResult { status: Some(status), .. }))) => {
                if let Some(job_status::Status::Failed(failed)) = &mut status.status
                    && let Some(verdict) = self.guard.verdict(&self.job)
                {
                    failed.error = verdict.to_text();
                }
                if let Some(end @ (job_status::Status::Successful(_) | job_status::Status::Failed(_))) = &status.status
                {
                    self.jobs.ended(&self.job, end);
                    self.is_over = true;
                }
            }
            Poll::Ready(None) => self.is_over = true,
            _ => {}
        }
        next
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.guard.ended(&self.job);
        self.cores.ended(&self.job);
        if self.is_over {
            return;
        }
        let (server, job) = (self.server.clone(), std::mem::take(&mut self.job));
        tokio::spawn(async move {
            tracing::info!(job, "the client is gone, the job is cancelled");
            let params = Request::new(CancelJobParams { job_id: job.clone() });
            if let Err(status) = SchedulerGrpc::cancel_job(&server, params).await {
                tracing::warn!(job, "not cancelled: {}", status.message());
            }
        });
    }
}

#[async_trait]
impl SchedulerGrpc for Front {
    type ExecuteQueryPushStream = Updates;

    async fn execute_query_push(
        &self,
        request: Request<ExecuteQueryParams>,
    ) -> Result<Response<Self::ExecuteQueryPushStream>, Status> {
        let user = user_of(&request)?;
        let is_own = request.extensions().get::<FromItself>().is_some();
        only_plans(request.get_ref())?;
        let job = new_id();
        self.jobs.begin(&job, &user);
        let limit = request.metadata().get(JOB_TIMEOUT_HEADER).and_then(|millis| millis.to_str().ok()?.parse().ok());
        self.guard.begun(&job, limit.map(Duration::from_millis));
        let mut answer = NAME.scope(job.clone(), self.server.execute_query_push(request)).await.inspect_err(|_| {
            self.guard.ended(&job);
            self.cores.ended(&job);
        })?;
        let name = job.parse().map_err(|_| Status::internal("the name of a job is no header"))?;
        answer.metadata_mut().insert(JOB_HEADER, name);
        let (server, jobs, guard, cores) =
            (self.server.clone(), self.jobs.clone(), self.guard.clone(), self.cores.clone());
        Ok(answer.map(|updates| {
            // What the scheduler wants itself it fetches without a detour.
            let updates: Updates = match is_own {
                true => Box::pin(updates.map_ok(|update| GetJobStatusResult { flight_proxy: None, ..update })),
                false => Box::pin(updates),
            };
            Box::pin(Watched { updates, server, jobs, guard, cores, job, is_over: false }) as Updates
        }))
    }

    async fn poll_work(&self, request: Request<PollWorkParams>) -> Result<Response<PollWorkResult>, Status> {
        self.server.poll_work(request).await
    }

    async fn register_executor(
        &self,
        request: Request<RegisterExecutorParams>,
    ) -> Result<Response<RegisterExecutorResult>, Status> {
        self.server.register_executor(request).await
    }

    async fn heart_beat_from_executor(
        &self,
        request: Request<HeartBeatParams>,
    ) -> Result<Response<HeartBeatResult>, Status> {
        self.server.heart_beat_from_executor(request).await
    }

    async fn update_task_status(
        &self,
        request: Request<UpdateTaskStatusParams>,
    ) -> Result<Response<UpdateTaskStatusResult>, Status> {
        let name = request.metadata().get(REPORT_HEADER).and_then(|name| name.to_str().ok());
        if name.is_some_and(|name| !self.reports.lock().is_new(name)) {
            return Ok(Response::new(UpdateTaskStatusResult { success: true }));
        }
        // It is heard to its end although who tells it may be gone by then: what is told again is taken to be known.
        let front = self.clone();
        let heard = tokio::spawn(async move { front.hear(request).await }).await;
        heard.map_err(|error| Status::internal(error.to_string()))?
    }

    async fn create_update_session(
        &self,
        request: Request<CreateUpdateSessionParams>,
    ) -> Result<Response<CreateUpdateSessionResult>, Status> {
        self.server.create_update_session(request).await
    }

    async fn remove_session(
        &self,
        request: Request<RemoveSessionParams>,
    ) -> Result<Response<RemoveSessionResult>, Status> {
        self.server.remove_session(request).await
    }

    async fn execute_query(
        &self,
        request: Request<ExecuteQueryParams>,
    ) -> Result<Response<ExecuteQueryResult>, Status> {
        only_plans(request.get_ref())?;
        let job = new_id();
        self.jobs.begin(&job, &user_of(&request)?);
        NAME.scope(job, self.server.execute_query(request)).await
    }

    async fn get_job_status(
        &self,
        request: Request<GetJobStatusParams>,
    ) -> Result<Response<GetJobStatusResult>, Status> {
        self.own(&request, &request.get_ref().job_id)?;
        self.server.get_job_status(request).await
    }

    async fn get_job_metrics(
        &self,
        request: Request<GetJobMetricsParams>,
    ) -> Result<Response<GetJobMetricsResult>, Status> {
        self.own(&request, &request.get_ref().job_id)?;
        self.server.get_job_metrics(request).await
    }

    async fn executor_stopped(
        &self,
        request: Request<ExecutorStoppedParams>,
    ) -> Result<Response<ExecutorStoppedResult>, Status> {
        tracing::info!(executor = request.get_ref().executor_id, "it is to stop, and waits for the jobs that run");
        self.jobs_ended().await;
        self.server.executor_stopped(request).await
    }

    async fn cancel_job(&self, request: Request<CancelJobParams>) -> Result<Response<CancelJobResult>, Status> {
        self.own(&request, &request.get_ref().job_id)?;
        SchedulerGrpc::cancel_job(&self.server, request).await
    }

    async fn clean_job_data(
        &self,
        request: Request<CleanJobDataParams>,
    ) -> Result<Response<CleanJobDataResult>, Status> {
        self.own(&request, &request.get_ref().job_id)?;
        self.server.clean_job_data(request).await
    }
}
