//! Looks at jobs and executors, and has the pool do what the rules say.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::task_status;
use ballista_scheduler::cluster::ClusterState;
use ballista_scheduler::state::execution_graph::ExecutionGraphBox;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;
use root_cluster::Fault;
use root_engine::ErrorKind;

use super::rules::{Action, Limits, Rules, View};
use super::{End, MemberState, Pool, PoolError};
use crate::guard::Guard;
use crate::placing::comes_together;
use crate::serve::Server;
use crate::watch::give_up;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(250);
/// How long it waits where the pool does not say what is there.
const PAUSE: Duration = Duration::from_secs(1);

/// What others may know of a pool. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct PoolView {
    /// Tasks that all executors together could run if there were as many as there may be.
    pub(crate) most_cores: usize,
    reason: Arc<Mutex<Option<String>>>,
}

impl PoolView {
    /// Why there are fewer executors than there should be, if it is known.
    pub(crate) fn reason(&self) -> Option<String> {
        self.reason.lock().clone()
    }
}

/// Keeps the executors of a pool.
pub(crate) struct Keeper {
    pool: Arc<dyn Pool>,
    rules: Rules,
    view: PoolView,
    /// How long jobs wait for the first executor.
    patience: Duration,
    /// Since when there is none though there should be.
    missing: Option<Instant>,
    /// Those that there were when it looked last.
    there: HashSet<String>,
    /// What the pool last said that was wrong.
    trouble: Option<PoolError>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("pool", &self.pool).field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Keeper {
    pub(crate) fn new(pool: Arc<dyn Pool>, limits: Limits) -> Self {
        let view = PoolView { most_cores: limits.size.most() * limits.cores, reason: Arc::default() };
        // Two that do not come, and what is between them.
        let patience = 2 * limits.start + LOOK;
        Self { pool, rules: Rules::new(limits), view, patience, missing: None, there: HashSet::new(), trouble: None }
    }

    pub(crate) fn view(&self) -> PoolView {
        self.view.clone()
    }

    /// Keeps them until it is dropped.
    pub(crate) async fn run(mut self, server: Server, cluster: Arc<dyn ClusterState>, guard: Guard) {
        let mut clock = tokio::time::interval(LOOK);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            let members = match self.pool.members().await {
                Ok(members) => members,
                Err(error) => {
                    self.troubled(error);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            self.trouble = None;
            // Whoever removed one has told nobody, and where a pod ends its address ends without a word.
            let there: HashSet<String> = members.iter().map(|member| member.name.clone()).collect();
            for gone in self.there.difference(&there) {
                give_up(&*cluster, gone).await;
            }
            self.there = there;
            let executors = match server.state.executor_manager.get_executors_state().await {
                Ok(executors) => executors,
                Err(error) => {
                    tracing::warn!("the executors are not known: {error}");
                    continue;
                }
            };
            let load = guard.load();
            let executors: HashMap<String, usize> = (executors.into_iter())
                .map(|(executor, ..)| (executor.id.clone(), load.get(&executor.id).copied().unwrap_or_default()))
                .collect();
            let (waiting_tasks, keeping) = wanted(&server).await;
            self.give_up(&server, &guard, executors.is_empty() && waiting_tasks > 0);
            for member in members.iter().filter(|member| member.state == MemberState::Ended(End::OutOfMemory)) {
                guard.out_of_memory(&member.name, self.rules.has_more_memory(member.memory_step));
            }
            for action in self.rules.decide(Instant::now(), &View { members, executors, keeping, waiting_tasks }) {
                self.act(&action, &*cluster).await;
            }
            *self.view.reason.lock() = self.rules.reason().map(str::to_string);
        }
    }

    async fn act(&mut self, action: &Action, cluster: &dyn ClusterState) {
        let done = match action {
            Action::Start(order) => {
                tracing::info!(executor = order.name, memory_step = order.memory_step, "an executor is started");
                self.pool.start(order).await
            }
            Action::Stop { name, reason } => {
                tracing::info!(executor = name, "the executor is told to stop: {reason}");
                self.pool.stop(name).await
            }
            Action::Remove { name, end } => {
                match end {
                    End::Done => tracing::info!(executor = name, "the executor has ended"),
                    End::OutOfMemory => tracing::warn!(executor = name, "the executor ran out of memory"),
                    End::Failed(how) => tracing::warn!(executor = name, "the executor failed: {how}"),
                }
                give_up(cluster, name).await;
                self.pool.remove(name, end).await
            }
        };
        if let Err(error) = done {
            tracing::warn!("{error}");
            self.rules.failed(Instant::now(), action, &error.to_string());
        }
    }

    /// What is there stays as it is until the pool answers again.
    fn troubled(&mut self, error: PoolError) {
        if self.trouble.as_ref() != Some(&error) {
            tracing::warn!("executors are neither started nor stopped: {error}");
            *self.view.reason.lock() = Some(error.to_string());
            self.trouble = Some(error);
        }
    }

    /// Ends jobs that have waited for the first executor for too long, and says why there is none.
    fn give_up(&mut self, server: &Server, guard: &Guard, is_missing: bool) {
        if !is_missing {
            self.missing = None;
            return;
        }
        let since = *self.missing.get_or_insert_with(Instant::now);
        if since.elapsed() < self.patience {
            return;
        }
        let why = self.rules.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
        let message = format!("no executor has come within {} s{why}", self.patience.as_secs());
        for job in server.state.task_manager.get_running_job_cache().keys() {
            guard.condemn(job.as_str(), Fault::new(ErrorKind::Query, message.clone()));
        }
    }
}

/// What running jobs want: cores for tasks that could run at once, and executors that have run tasks of theirs and keep the rows.
async fn wanted(server: &Server) -> (usize, HashSet<String>) {
    let (mut waiting, mut keeping) = (0, HashSet::new());
    for job in server.state.task_manager.get_running_job_cache().values() {
        let graph = job.execution_graph.read().await;
        waiting += of_job(&graph);
        for keeper in graph.stages().values().flat_map(keepers) {
            if !keeping.contains(keeper) {
                keeping.insert(keeper.to_string());
            }
        }
    }
    (waiting, keeping)
}

/// Executors that have run tasks of a stage.
fn keepers(stage: &ExecutionStage) -> impl Iterator<Item = &str> {
    let tasks = match stage {
        ExecutionStage::Running(stage) => stage.task_infos.as_slice(),
        ExecutionStage::Successful(stage) => stage.task_infos.as_slice(),
        _ => &[],
    };
    tasks.iter().filter_map(|task| match &task.task_status {
        task_status::Status::Successful(task) => Some(task.executor_id.as_str()),
        _ => None,
    })
}

fn of_job(graph: &ExecutionGraphBox) -> usize {
    let of_stage = |plan: &Arc<dyn ExecutionPlan>, partitions: usize| match partitions {
        // All of them are one task, of one core.
        1.. if comes_together(plan) => 1,
        partitions => partitions,
    };
    let stages = graph.stages().values().map(|stage| match stage {
        ExecutionStage::Running(stage) => of_stage(&stage.plan, stage.available_tasks()),
        ExecutionStage::Resolved(stage) => of_stage(&stage.plan, stage.partitions),
        _ => 0,
    });
    stages.sum()
}
