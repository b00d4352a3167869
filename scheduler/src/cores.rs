//! Which cores of executors are free. Ballista gives a core back when a task ends that its stage still knows; a task that ends
//! after its stage was begun anew would keep its core for ever, and a cluster with few of them would wait for ever. So it is
//! counted here: an executor's cores are free but for those of tasks that were given to it and have not ended.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::error::Result;
use ballista_core::serde::protobuf::{ExecutorHeartbeat, TaskStatus, task_status};
use ballista_core::serde::scheduler::{ExecutorData, ExecutorMetadata};
use ballista_scheduler::cluster::{BoundTask, ClusterState, ClusterStateEventStream, ExecutorSlot};
use ballista_scheduler::config::TaskDistributionPolicy;
use ballista_scheduler::state::task_manager::JobInfoCache;
use parking_lot::Mutex;

/// The executors of a cluster, whose cores are counted. Clones share what they count.
#[derive(Clone)]
pub(crate) struct Cores {
    executors: Arc<dyn ClusterState>,
    rooms: Arc<Mutex<HashMap<String, Room>>>,
}

/// What is known of the cores of an executor.
#[derive(Debug, Default)]
struct Room {
    total: u32,
    /// As [`Cores::executors`] has it.
    free: u32,
    /// Tasks that were given to it and have not ended, with the cores that they have.
    tasks: HashMap<Task, u32>,
}

/// A task: its job, stage, attempt of the stage, and number.
type Task = (String, usize, usize, usize);

impl Cores {
    pub(crate) fn new(executors: Arc<dyn ClusterState>) -> Self {
        Self { executors, rooms: Arc::default() }
    }

    /// An executor tells of its tasks.
    pub(crate) fn heard(&self, executor: &str, statuses: &[TaskStatus]) {
        let mut rooms = self.rooms.lock();
        let Some(room) = rooms.get_mut(executor) else { return };
        for status in statuses {
            if !matches!(status.status, Some(task_status::Status::Running(_)) | None) {
                let (stage, attempt) = (status.stage_id as usize, status.stage_attempt_num as usize);
                room.tasks.remove(&(status.job_id.clone(), stage, attempt, status.task_id as usize));
            }
        }
    }

    /// A job has ended, and nobody waits for what its tasks come to.
    pub(crate) fn ended(&self, job: &str) {
        for room in self.rooms.lock().values_mut() {
            room.tasks.retain(|(of, ..), _| of != job);
        }
    }

    /// Cores that have become free since this was asked last.
    fn freed(&self) -> Vec<ExecutorSlot> {
        let mut rooms = self.rooms.lock();
        let freed = rooms.iter_mut().filter_map(|(executor, room)| {
            let free = room.total.saturating_sub(room.tasks.values().sum());
            let more = free.saturating_sub(room.free);
            room.free += more;
            (more > 0).then(|| (executor.clone(), more))
        });
        freed.collect()
    }

    fn given(&self, tasks: &[BoundTask]) {
        let mut rooms = self.rooms.lock();
        for (executor, task) in tasks {
            let Some(room) = rooms.get_mut(executor) else { continue };
            room.free = room.free.saturating_sub(task.vcores_consumed);
            let name = (task.key.job_id.to_string(), task.key.stage_id, task.stage_attempt_num, task.key.task_id);
            room.tasks.insert(name, task.vcores_consumed);
        }
    }
}

#[async_trait]
impl ClusterState for Cores {
    async fn init(&self) -> Result<()> {
        self.executors.init().await
    }

    async fn bind_schedulable_tasks(
        &self,
        distribution: TaskDistributionPolicy,
        active_jobs: Arc<HashMap<JobId, JobInfoCache>>,
        executors: Option<HashSet<String>>,
    ) -> Result<Vec<BoundTask>> {
        let freed = self.freed();
        if !freed.is_empty() {
            self.executors.unbind_tasks(freed).await?;
        }
        let tasks = self.executors.bind_schedulable_tasks(distribution, active_jobs, executors).await?;
        self.given(&tasks);
        Ok(tasks)
    }

    /// What Ballista gives back is known already, from those who say that their tasks have ended. Of tasks that never come to
    /// their executor, the job ends or the executor is lost.
    async fn unbind_tasks(&self, _: Vec<ExecutorSlot>) -> Result<()> {
        Ok(())
    }

    async fn register_executor(&self, metadata: ExecutorMetadata, spec: ExecutorData) -> Result<()> {
        let (executor, cores) = (spec.executor_id.clone(), spec.available_vcores);
        self.executors.register_executor(metadata, spec).await?;
        self.rooms.lock().insert(executor, Room { total: cores, free: cores, tasks: HashMap::new() });
        Ok(())
    }

    async fn save_executor_metadata(&self, metadata: ExecutorMetadata) -> Result<()> {
        self.executors.save_executor_metadata(metadata).await
    }

    async fn get_executor_metadata(&self, executor_id: &str) -> Result<ExecutorMetadata> {
        self.executors.get_executor_metadata(executor_id).await
    }

    async fn registered_executor_metadata(&self) -> Vec<ExecutorMetadata> {
        self.executors.registered_executor_metadata().await
    }

    async fn save_executor_heartbeat(&self, heartbeat: ExecutorHeartbeat) -> Result<()> {
        self.executors.save_executor_heartbeat(heartbeat).await
    }

    async fn remove_executor(&self, executor_id: &str) -> Result<()> {
        self.rooms.lock().remove(executor_id);
        self.executors.remove_executor(executor_id).await
    }

    fn executor_heartbeats(&self) -> HashMap<String, ExecutorHeartbeat> {
        self.executors.executor_heartbeats()
    }

    fn get_executor_heartbeat(&self, executor_id: &str) -> Option<ExecutorHeartbeat> {
        self.executors.get_executor_heartbeat(executor_id)
    }

    async fn cluster_state_events(&self) -> Result<ClusterStateEventStream> {
        self.executors.cluster_state_events().await
    }
}

#[cfg(test)]
mod tests {
    use ballista_core::serde::protobuf::{AvailableVcores, SuccessfulTask};
    use ballista_core::serde::scheduler::{ExecutorOperatingSystemSpecification, ExecutorSpecification, TaskKey};
    use ballista_scheduler::cluster::DistributionPolicy;
    use ballista_scheduler::cluster::memory::InMemoryClusterState;
    use ballista_scheduler::state::execution_graph::TaskDescription;
    use datafusion::arrow::datatypes::Schema;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::prelude::SessionConfig;

    use super::*;

    /// Gives a task of one core to each executor that has room: the same one, of another attempt each time.
    #[derive(Debug, Default)]
    struct Greedy {
        attempts: Mutex<usize>,
    }

    #[async_trait]
    impl DistributionPolicy for Greedy {
        async fn bind_tasks(
            &self,
            budgets: Vec<&mut AvailableVcores>,
            _: Arc<HashMap<JobId, JobInfoCache>>,
        ) -> datafusion::common::Result<Vec<BoundTask>> {
            let mut attempts = self.attempts.lock();
            let mut tasks = Vec::new();
            for budget in budgets {
                budget.vcores -= 1;
                tasks.push((budget.executor_id.clone(), task(*attempts)));
                *attempts += 1;
            }
            Ok(tasks)
        }

        fn name(&self) -> &str {
            "greedy"
        }
    }

    fn task(attempt: usize) -> TaskDescription {
        TaskDescription {
            session_id: "session".to_string(),
            key: TaskKey { job_id: JobId::new("job"), stage_id: 2, task_id: 0 },
            stage_attempt_num: attempt,
            task_attempt: 0,
            global_input_partition_ids: vec![0],
            vcores_consumed: 1,
            plan: Arc::new(EmptyExec::new(Arc::new(Schema::empty()))),
            session_config: Arc::new(SessionConfig::new()),
        }
    }

    fn ended(attempt: u32) -> TaskStatus {
        TaskStatus {
            job_id: "job".to_string(),
            stage_id: 2,
            stage_attempt_num: attempt,
            task_id: 0,
            status: Some(task_status::Status::Successful(SuccessfulTask::default())),
            ..TaskStatus::default()
        }
    }

    /// An executor of one core.
    async fn cores() -> Cores {
        let cores = Cores::new(Arc::new(InMemoryClusterState::default()));
        let metadata = ExecutorMetadata {
            id: "one".to_string(),
            host: String::new(),
            port: 0,
            grpc_port: 0,
            specification: ExecutorSpecification::default().with_vcores(1),
            os_info: ExecutorOperatingSystemSpecification::default(),
        };
        let data = ExecutorData { executor_id: "one".to_string(), total_vcores: 1, available_vcores: 1 };
        cores.register_executor(metadata, data).await.unwrap();
        cores
    }

    async fn given(cores: &Cores, policy: &Arc<Greedy>) -> usize {
        let policy = TaskDistributionPolicy::Custom(policy.clone());
        cores.bind_schedulable_tasks(policy, Arc::default(), None).await.unwrap().len()
    }

    #[tokio::test]
    async fn a_core_is_free_again_when_its_task_has_ended_whatever_became_of_the_stage() {
        let (cores, policy) = (cores().await, Arc::default());
        assert_eq!(given(&cores, &policy).await, 1);
        assert_eq!(given(&cores, &policy).await, 0);
        cores.heard("one", &[ended(0)]);
        assert_eq!(given(&cores, &policy).await, 1);
        cores.heard("one", &[ended(0), ended(7)]);
        assert_eq!(given(&cores, &policy).await, 0, "another attempt's end says nothing of this one");
        cores.heard("one", &[ended(1)]);
        assert_eq!(given(&cores, &policy).await, 1);
    }

    #[tokio::test]
    async fn a_core_that_is_given_back_twice_is_one_core() {
        let (cores, policy) = (cores().await, Arc::default());
        assert_eq!(given(&cores, &policy).await, 1);
        cores.heard("one", &[ended(0)]);
        cores.unbind_tasks(vec![("one".to_string(), 1)]).await.unwrap();
        assert_eq!((given(&cores, &policy).await, given(&cores, &policy).await), (1, 0));
    }

    #[tokio::test]
    async fn the_cores_of_a_job_that_has_ended_are_free() {
        let (cores, policy) = (cores().await, Arc::default());
        assert_eq!(given(&cores, &policy).await, 1);
        cores.ended("other");
        assert_eq!(given(&cores, &policy).await, 0);
        cores.ended("job");
        assert_eq!(given(&cores, &policy).await, 1);
    }
}
