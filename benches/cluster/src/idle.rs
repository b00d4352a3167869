//! Executors that compute nothing: they take tasks, and say after a while that these are done. Each has a port of its own, as
//! the scheduler does not say to whom it speaks.

use std::time::Duration;

use ballista_core::BALLISTA_PROTOCOL_VERSION;
use ballista_core::serde::protobuf::executor_grpc_server::{ExecutorGrpc, ExecutorGrpcServer};
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{
    CancelTasksParams, CancelTasksResult, ExecutorOperatingSystemSpecification, ExecutorRegistration, ExecutorStatus,
    HeartBeatParams, LaunchMultiTaskParams, LaunchMultiTaskResult, LaunchTaskParams, LaunchTaskResult,
    MultiTaskDefinition, RegisterExecutorParams, RemoveJobDataParams, RemoveJobDataResult, StopExecutorParams,
    StopExecutorResult, SuccessfulTask, TaskId, TaskStatus, UpdateTaskStatusParams, executor_status, task_status,
};
use ballista_core::serde::scheduler::ExecutorSpecification;
use root_cluster::setup::MAX_MESSAGE_BYTES;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

/// How often each says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// An executor.
#[derive(Clone)]
struct Idle {
    id: String,
    scheduler: SchedulerGrpcClient<Channel>,
    task_time: Duration,
}

/// Starts so many of them.
pub async fn start(scheduler: &str, executors: usize, cores: u32, task_time: Duration) {
    let channel = Channel::from_shared(scheduler.to_string()).unwrap().connect().await.unwrap();
    let scheduler = SchedulerGrpcClient::new(channel).max_encoding_message_size(MAX_MESSAGE_BYTES);
    for number in 0..executors {
        let idle = Idle { id: format!("idle-{number}"), scheduler: scheduler.clone(), task_time };
        idle.register(cores).await;
    }
}

impl Idle {
    async fn register(mut self, cores: u32) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = u32::from(listener.local_addr().unwrap().port());
        let service = ExecutorGrpcServer::new(self.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let incoming = futures::stream::unfold(listener, |listener| async {
            Some((listener.accept().await.map(|(stream, _)| stream), listener))
        });
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        let metadata = ExecutorRegistration {
            id: self.id.clone(),
            host: Some("127.0.0.1".to_string()),
            port,
            grpc_port: port,
            specification: Some(ExecutorSpecification::default().with_vcores(cores).into()),
            os_info: Some(ExecutorOperatingSystemSpecification::default()),
            ballista_protocol_version: BALLISTA_PROTOCOL_VERSION,
        };
        self.scheduler
            .register_executor(RegisterExecutorParams { metadata: Some(metadata.clone()) })
            .await
            .expect("the scheduler takes executors");
        tokio::spawn(async move {
            loop {
                let status = ExecutorStatus { status: Some(executor_status::Status::Active(String::new())) };
                let (executor_id, metadata) = (metadata.id.clone(), Some(metadata.clone()));
                let beat = HeartBeatParams { executor_id, metrics: Vec::new(), status: Some(status), metadata };
                self.scheduler.heart_beat_from_executor(beat).await.expect("the scheduler hears that it is there");
                tokio::time::sleep(HEARTBEAT).await;
            }
        });
    }

    /// Says that tasks are done, when they would be.
    async fn report(mut self, tasks: Vec<MultiTaskDefinition>) {
        tokio::time::sleep(self.task_time).await;
        let status = |task: &MultiTaskDefinition, id: &TaskId| TaskStatus {
            task_id: id.task_id,
            job_id: task.job_id.clone(),
            stage_id: task.stage_id,
            stage_attempt_num: task.stage_attempt_num,
            launch_time: task.launch_time,
            start_exec_time: task.launch_time,
            end_exec_time: task.launch_time + self.task_time.as_millis() as u64,
            metrics: Vec::new(),
            status: Some(task_status::Status::Successful(SuccessfulTask {
                executor_id: self.id.clone(),
                ..SuccessfulTask::default()
            })),
        };
        let task_status = tasks.iter().flat_map(|task| task.task_ids.iter().map(|id| status(task, id))).collect();
        let params = UpdateTaskStatusParams { executor_id: self.id.clone(), task_status };
        self.scheduler.update_task_status(params).await.expect("the scheduler hears of tasks");
    }
}

#[tonic::async_trait]
impl ExecutorGrpc for Idle {
    async fn launch_task(&self, _: Request<LaunchTaskParams>) -> Result<Response<LaunchTaskResult>, Status> {
        Err(Status::unimplemented("tasks come several at a time"))
    }

    async fn launch_multi_task(
        &self,
        request: Request<LaunchMultiTaskParams>,
    ) -> Result<Response<LaunchMultiTaskResult>, Status> {
        tokio::spawn(self.clone().report(request.into_inner().multi_tasks));
        Ok(Response::new(LaunchMultiTaskResult::default()))
    }

    async fn stop_executor(&self, _: Request<StopExecutorParams>) -> Result<Response<StopExecutorResult>, Status> {
        Ok(Response::new(StopExecutorResult {}))
    }

    async fn cancel_tasks(&self, _: Request<CancelTasksParams>) -> Result<Response<CancelTasksResult>, Status> {
        Ok(Response::new(CancelTasksResult { cancelled: true }))
    }

    async fn remove_job_data(&self, _: Request<RemoveJobDataParams>) -> Result<Response<RemoveJobDataResult>, Status> {
        Ok(Response::new(RemoveJobDataResult {}))
    }
}
