//! A scheduler from its options to a port that answers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec, BallistaPhysicalExtensionCodec};
use ballista_scheduler::api::get_routes;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use eos_io::Stores;
use root_cluster::setup::{self, MAX_MESSAGE_BYTES};
use tokio::net::{TcpListener, TcpSocket};
use tonic::service::Routes;

use crate::front::{Front, JobIds};
use crate::guard::Guard;
use crate::jobs::{self, Jobs};
use crate::metrics::Metrics;
use crate::placing::Placing;
use crate::watch::{Launcher, Watch};

/// Ballista's server with DataFusion's forms of plans.
pub(crate) type Server = ballista_scheduler::scheduler_server::SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// A scheduler could not be started, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The port is taken, or the address is not of this machine.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// Why it cannot.
        source: std::io::Error,
    },
    /// Ballista does not start.
    #[error("the scheduler does not start: {0}")]
    Start(#[from] BallistaError),
    /// It cannot count.
    #[error("the counters of the scheduler cannot be made: {0}")]
    Metrics(#[from] prometheus::Error),
    /// It stopped answering.
    #[error("the scheduler stopped: {0}")]
    Stopped(#[source] std::io::Error),
}

/// What can be chosen.
#[derive(Debug, Clone)]
pub struct SchedulerOptions {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// How executors and clients call this machine; by default the address.
    pub host: Option<String>,
    /// An executor that said nothing for so long is lost.
    pub executor_timeout: Duration,
    /// How long jobs wait for executors if there are none.
    pub no_executors_grace: Duration,
    /// How often a task is tried before its job fails.
    pub task_attempts: usize,
    /// How long a job may take.
    pub max_job_time: Option<Duration>,
    /// How long the rows of a job are kept that has ended.
    pub keep_results: Duration,
    /// Where a log of each job is kept, if anywhere.
    pub event_log: Option<PathBuf>,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 50050)),
            host: None,
            executor_timeout: Duration::from_secs(10),
            no_executors_grace: Duration::from_secs(60),
            task_attempts: 4,
            max_job_time: None,
            keep_results: Duration::from_secs(300),
            event_log: None,
        }
    }
}

/// A scheduler that listens.
pub struct Scheduler {
    listener: TcpListener,
    address: SocketAddr,
    routes: axum::Router,
    watch: Watch,
}

impl Scheduler {
    /// Listens; nobody is answered before [`Scheduler::run`].
    ///
    /// # Errors
    /// Where the address cannot be listened on, or Ballista does not start.
    pub async fn bind(options: SchedulerOptions, stores: Stores) -> Result<Self, Error> {
        let listener = listen(options.address).map_err(|source| Error::Listen { address: options.address, source })?;
        let address = listener.local_addr().map_err(|source| Error::Listen { address: options.address, source })?;
        let config = Arc::new(config(&options, address, &stores));
        let cluster = BallistaCluster::new_from_config(&config).await?;
        let guard = Guard::new(options.task_attempts, options.max_job_time);
        let executors = cluster.cluster_state();
        let metrics = Metrics::new()?;
        let server = start(cluster, config, &guard, &metrics).await?;
        let jobs = Jobs::new(metrics.clone());
        let watch =
            Watch { server: server.clone(), cluster: executors, guard: guard.clone(), jobs: jobs.clone(), metrics };
        Ok(Self { listener, address, routes: routes(server, jobs, guard), watch })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is over.
    ///
    /// # Errors
    /// Where the port fails.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        let service = self.routes.into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(self.listener, service).into_future();
        // Connections of executors never end by themselves, so that there is nothing to wait for.
        tokio::select! {
            result = serving => result.map_err(Error::Stopped),
            () = self.watch.run() => Err(Error::Stopped(std::io::Error::other("nobody tells of executors any more"))),
            () = stop => Ok(()),
        }
    }
}

/// A listener whose connections send small messages at once: they have it from the listener.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn config(options: &SchedulerOptions, address: SocketAddr, stores: &Stores) -> SchedulerConfig {
    let seconds = |time: Duration| time.as_secs().max(1);
    SchedulerConfig {
        external_host: options.host.clone().unwrap_or_else(|| address.ip().to_string()),
        bind_host: address.ip().to_string(),
        bind_port: address.port(),
        scheduling_policy: TaskSchedulingPolicy::PushStaged,
        task_distribution: TaskDistributionPolicy::Custom(Arc::new(Placing::default())),
        grpc_server_max_decoding_message_size: MAX_MESSAGE_BYTES as u32,
        grpc_server_max_encoding_message_size: MAX_MESSAGE_BYTES as u32,
        grpc_client_max_message_size: MAX_MESSAGE_BYTES as u32,
        executor_timeout_seconds: seconds(options.executor_timeout),
        expire_dead_executor_interval_seconds: 1,
        no_executors_grace_period_seconds: seconds(options.no_executors_grace),
        executor_termination_grace_period: 30,
        finished_job_data_clean_up_interval_seconds: seconds(options.keep_results),
        task_max_failures: options.task_attempts,
        stage_max_failures: options.task_attempts,
        override_config_producer: Some(setup::config()),
        override_session_builder: Some(Arc::new(setup::state)),
        override_physical_codec: Some(setup::codec(stores)),
        job_id_generator: Some(Arc::new(JobIds)),
        event_log_dir: options.event_log.as_ref().map(|folder| folder.display().to_string()),
        ..SchedulerConfig::default()
    }
}

/// Ballista's server, with a launcher of tasks that tells the guard.
async fn start(
    cluster: BallistaCluster,
    config: Arc<SchedulerConfig>,
    guard: &Guard,
    metrics: &Metrics,
) -> Result<Server, BallistaError> {
    let physical = config.override_physical_codec.clone();
    let physical = physical.unwrap_or_else(|| Arc::new(BallistaPhysicalExtensionCodec::default()));
    let codec = BallistaCodec::new(Arc::new(BallistaLogicalExtensionCodec::default()), physical);
    let endpoint = config.scheduler_endpoint();
    let launcher = Arc::new(Launcher::new(guard.clone(), endpoint.clone()));
    let metrics = Arc::new(metrics.clone());
    let mut server = Server::new_with_task_launcher(endpoint, cluster, codec, config, metrics, launcher);
    server.init().await?;
    Ok(server)
}

fn routes(server: Server, jobs: Jobs, guard: Guard) -> axum::Router {
    let grpc = SchedulerGrpcServer::new(Front::new(server.clone(), jobs.clone(), guard.clone()))
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut services = Routes::builder();
    services.add_service(grpc);
    let server = Arc::new(server);
    services.routes().into_axum_router().merge(jobs::routes(server.clone(), jobs, guard)).merge(get_routes(server))
}
