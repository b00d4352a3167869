//! Watches executors and jobs: an executor that died is noticed at once, by the connection that ends with it, and not only by
//! its silence; jobs are ended that [`Guard`] does not let go on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{CancelJobParams, MultiTaskDefinition};
use ballista_core::serde::scheduler::ExecutorMetadata;
use ballista_scheduler::cluster::{ClusterState, ClusterStateEvent};
use ballista_scheduler::state::execution_stage::ExecutionStage;
use ballista_scheduler::state::executor_manager::ExecutorManager;
use ballista_scheduler::state::task_manager::TaskLauncher;
use futures::StreamExt;
use root_cluster::Fault;
use root_engine::{ErrorKind, wire};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic::Request;

use crate::guard::{Guard, Suspect, Work};
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::serve::Server;

/// How often it is looked for jobs that take too long.
const LOOK: Duration = Duration::from_millis(500);
/// How long to wait before an executor is connected to again.
const AGAIN: Duration = Duration::from_millis(200);
/// How often nobody has to listen on the port of an executor before it is dead.
const REFUSALS: usize = 3;
/// Files that a message names.
const NAMED: usize = 5;

/// Sends tasks to executors, and tells the guard.
pub(crate) struct Launcher {
    guard: Guard,
    /// How executors call the scheduler.
    endpoint: String,
}

impl Launcher {
    pub(crate) fn new(guard: Guard, endpoint: String) -> Self {
        Self { guard, endpoint }
    }
}

#[async_trait]
impl TaskLauncher for Launcher {
    async fn launch_tasks(
        &self,
        executor: &ExecutorMetadata,
        tasks: Vec<MultiTaskDefinition>,
        executors: &ExecutorManager,
    ) -> ballista_core::error::Result<HashSet<JobId>> {
        self.guard.launched(&executor.id, &tasks);
        executors.launch_multi_task(&executor.id, tasks, self.endpoint.clone()).await
    }
}

/// What watches.
pub(crate) struct Watch {
    pub(crate) server: Server,
    pub(crate) cluster: Arc<dyn ClusterState>,
    pub(crate) guard: Guard,
    pub(crate) jobs: Jobs,
    pub(crate) metrics: Metrics,
}

impl Watch {
    /// Watches until it is dropped.
    pub(crate) async fn run(self) {
        let mut events = match self.server.cluster_state_events().await {
            Ok(events) => events,
            Err(error) => {
                tracing::error!("executors are not watched: {error}");
                return;
            }
        };
        let mut clock = tokio::time::interval(LOOK);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut probes = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(ClusterStateEvent::RegisteredExecutor { executor_id }) => {
                        probes.spawn(probe(self.cluster.clone(), executor_id));
                    }
                    Some(ClusterStateEvent::RemovedExecutor { executor_id }) => self.died(&executor_id).await,
                    None => return,
                },
                Some(_) = probes.join_next() => {}
                _ = clock.tick() => {
                    for job in self.server.state.task_manager.get_running_job_cache().keys() {
                        self.guard.begun(job.as_str(), None);
                    }
                    for job in self.guard.overdue() {
                        self.end(&job).await;
                    }
                }
            }
        }
    }

    async fn died(&self, executor: &str) {
        let (lost, suspect) = self.guard.died(executor);
        self.metrics.lost(lost.len());
        let mut told: Vec<&str> = lost.iter().map(|work| work.job.as_str()).collect();
        told.dedup();
        for job in told {
            tracing::warn!(job, executor, "the executor is lost, its tasks run again");
            self.jobs.warn(job, format!("the executor {executor} was lost, and its tasks ran again"));
        }
        let Some(Suspect { work, out_of_memory }) = suspect else { return };
        let files = self.files(&work).await;
        let over = if files.is_empty() { String::new() } else { format!(" over the files {files}") };
        let message = format!(
            "a task{over} was started on {} executors, and each of them died; {}",
            self.server.state.config.task_max_failures,
            match out_of_memory {
                0 =>
                    "the logs of the executors and of the system tell of what: too little memory, or a mistake in this \
                      program"
                        .to_string(),
                count => format!("{count} of them for want of memory: executors need more of it, or fewer cores"),
            }
        );
        tracing::error!(job = work.job, stage = work.stage, "{message}");
        self.guard.condemn(&work.job, Fault::new(ErrorKind::Query, message));
        self.end(&work.job).await;
    }

    /// The files that a part of a job reads, as messages call them.
    async fn files(&self, work: &Work) -> String {
        let jobs = self.server.state.task_manager.get_running_job_cache();
        let Some(job) = jobs.get(&JobId::new(work.job.as_str())) else { return String::new() };
        let graph = job.execution_graph.read().await;
        let Some(stage) = graph.stages().get(&(work.stage as usize)) else { return String::new() };
        let plan = match stage {
            ExecutionStage::UnResolved(stage) => &stage.plan,
            ExecutionStage::Resolved(stage) => &stage.plan,
            ExecutionStage::Running(stage) => &stage.plan,
            ExecutionStage::Successful(stage) => &stage.plan,
            ExecutionStage::Failed(stage) => &stage.plan,
        };
        let mut files = wire::files_of_partitions(plan, &[work.partition as usize]);
        let more = files.len().saturating_sub(NAMED);
        files.truncate(NAMED);
        let names = files.join(", ");
        if more > 0 { format!("{names} and {more} more") } else { names }
    }

    async fn end(&self, job: &str) {
        if self.server.state.task_manager.get_running_job_cache().contains_key(&JobId::new(job)) {
            let params = Request::new(CancelJobParams { job_id: job.to_string() });
            if let Err(status) = SchedulerGrpc::cancel_job(&self.server, params).await {
                tracing::warn!(job, "not ended: {}", status.message());
            }
        }
    }
}

/// Keeps a connection to an executor, which ends with its process, and has the scheduler know when nobody listens there any
/// more. A machine that is silent is left to the heartbeats that do not come.
async fn probe(cluster: Arc<dyn ClusterState>, executor: String) {
    let mut refusals = 0;
    while refusals < REFUSALS {
        let Ok(metadata) = cluster.get_executor_metadata(&executor).await else { return };
        match TcpStream::connect((metadata.host.as_str(), metadata.grpc_port)).await {
            Ok(mut stream) => {
                refusals = 0;
                // Nothing is said on it.
                let _ = stream.read(&mut [0]).await;
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => refusals += 1,
            Err(_) => refusals = 0,
        }
        tokio::time::sleep(AGAIN).await;
    }
    tracing::warn!(executor, "nobody listens on its port any more");
    give_up(&*cluster, &executor).await;
}

/// Has the scheduler know that an executor is gone, if it does not yet.
pub(crate) async fn give_up(cluster: &dyn ClusterState, executor: &str) {
    // Whoever was not heard of since the beginning of time is lost.
    let Some(mut heartbeat) = cluster.get_executor_heartbeat(executor) else { return };
    heartbeat.timestamp = 0;
    if let Err(error) = cluster.save_executor_heartbeat(heartbeat).await {
        tracing::warn!(executor, "not given up: {error}");
    }
}
