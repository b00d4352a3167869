//! A scheduler from its options to a port that answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use axum::Router;
use axum::middleware::from_fn_with_state;
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::error::BallistaError;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::serde::{BallistaCodec, BallistaLogicalExtensionCodec, BallistaPhysicalExtensionCodec};
use ballista_scheduler::api::get_routes;
use ballista_scheduler::cluster::{BallistaCluster, ClusterState};
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use datafusion::arrow::error::ArrowError;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use eos_io::Stores;
use futures::FutureExt;
use futures::future::{BoxFuture, pending, select_all};
use root_cluster::setup::{self, MAX_MESSAGE_BYTES};
use root_kubernetes::{ClusterSpec, Kubernetes, Names, SpecError};
use tokio::net::{TcpListener, TcpSocket};
use tonic::service::Routes;
use uuid::Uuid;

use crate::auth::{self, AuthOptions};
use crate::cores::Cores;
use crate::doors::{Door, For, enter};
use crate::flight::{FlightSql, OwnDoor, Parts, Sessions};
use crate::front::{Front, JobIds};
use crate::guard::Guard;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::placing::Placing;
use crate::pool::{BadSize, Keeper, Limits, Pods, Pool, PoolSize, ProcessOptions, Processes};
use crate::rest::{self, Facts};
use crate::tls::{self, TlsFiles, TlsListener};
use crate::watch::{Launcher, Watch};

/// Where executors are listened to, if that is a port of its own and nothing else is said.
const FOR_EXECUTORS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50051);

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
    /// Those who are let in are not known.
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// It has no certificate.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// What drivers are told cannot be put together.
    #[error("the answers for drivers cannot be put together: {0}")]
    Metadata(#[from] ArrowError),
    /// Its cluster cannot be as it is described.
    #[error("the cluster {name} cannot be as it is described: {source}")]
    Cluster {
        /// Its name.
        name: String,
        /// What is wrong.
        source: SpecError,
    },
    /// The number of its executors is none.
    #[error(transparent)]
    Size(#[from] BadSize),
    /// It is not known which Kubernetes executors are to live in.
    #[error("executors cannot be started: {0}")]
    Kubernetes(#[from] root_kubernetes::Error),
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
    /// Who is let in.
    pub auth: AuthOptions,
    /// The certificate, if connections of users are encrypted.
    pub tls: Option<TlsFiles>,
    /// Where executors are listened to, if that is a port of its own. It is if users need tokens or connections are
    /// encrypted; executors need neither, so that others must not reach it.
    pub executors_address: Option<SocketAddr>,
    /// Folders of this machine whose files SQL by other programs may name.
    pub offered: Vec<PathBuf>,
    /// The executors that the scheduler starts itself, if any.
    pub pool: Option<PoolOptions>,
}

/// Executors that the scheduler starts itself.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// How many there are.
    pub size: PoolSize,
    /// Tasks that each runs at the same time.
    pub cores: usize,
    /// How long one is without tasks before it goes, if there are more than the fewest.
    pub idle: Duration,
    /// How long one may take from its start until it registers.
    pub start: Duration,
    /// Where they live.
    pub place: PoolPlace,
}

/// Where executors live that the scheduler starts.
#[derive(Debug, Clone)]
pub enum PoolPlace {
    /// They are processes of this machine.
    Processes(ProcessOptions),
    /// They are pods of a cluster, in the Kubernetes that this process runs in, or that `KUBECONFIG` says.
    Kubernetes(Box<ClusterSpec>),
}

impl PoolOptions {
    /// Executors as pods, as their cluster is described.
    ///
    /// # Errors
    /// Where it cannot be so.
    pub fn of_cluster(spec: ClusterSpec) -> Result<Self, Error> {
        spec.check().map_err(|source| Error::Cluster { name: spec.name.to_string(), source })?;
        let executors = &spec.executors;
        Ok(Self {
            size: executors.count.parse()?,
            cores: executors.resources.cores,
            idle: Duration::from_secs(executors.idle_seconds),
            start: Duration::from_secs(executors.start_seconds.max(1)),
            place: PoolPlace::Kubernetes(Box::new(spec)),
        })
    }
}

impl SchedulerOptions {
    /// Whether users and executors come in by different ports.
    fn is_split(&self) -> bool {
        self.executors_address.is_some()
            || self.tls.is_some()
            || self.auth.token_file.is_some()
            || self.auth.jwt.is_some()
    }
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
            auth: AuthOptions::default(),
            tls: None,
            executors_address: None,
            offered: Vec::new(),
            pool: None,
        }
    }
}

/// A scheduler that listens.
pub struct Scheduler {
    address: SocketAddr,
    executors_address: SocketAddr,
    /// What answers at each port.
    answering: Vec<BoxFuture<'static, std::io::Result<()>>>,
    sessions: Sessions,
    watch: Watch,
    keeping: Option<BoxFuture<'static, ()>>,
    /// Keeps the logs of jobs, where there are such.
    remembering: Option<BoxFuture<'static, ()>>,
}

impl Scheduler {
    /// Listens; nobody is answered before [`Scheduler::run`].
    ///
    /// # Errors
    /// Where an address cannot be listened on, a file cannot be used, or Ballista does not start.
    pub async fn bind(options: SchedulerOptions, stores: Stores) -> Result<Self, Error> {
        let (users, address) = listen(options.address)?;
        let for_executors = match options.is_split() {
            true => Some(listen(options.executors_address.unwrap_or(FOR_EXECUTORS))?),
            false => None,
        };
        let (own, own_address) = listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let executors_address = for_executors.as_ref().map_or(address, |(_, address)| *address);
        let access = Arc::new(auth::Guard::new(&options.auth).await?);
        let secret: Arc<str> = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()).into();

        let config = Arc::new(config(&options, executors_address, &stores));
        let cluster = BallistaCluster::new_from_config(&config).await?;
        let guard = Guard::new(options.task_attempts, options.max_job_time);
        let cores = Cores::new(cluster.cluster_state());
        let executors: Arc<dyn ClusterState> = Arc::new(cores.clone());
        let cluster = BallistaCluster::new(executors.clone(), cluster.job_state());
        let metrics = Metrics::new()?;
        let server = start(cluster, config, &guard, &metrics).await?;
        let jobs = Jobs::new(metrics.clone());
        let keeper = match options.pool.clone() {
            Some(pool) => Some(keeper(pool, executors_address).await?),
            None => None,
        };
        let remembering = match options.pool.as_ref().map(|pool| &pool.place) {
            Some(PoolPlace::Kubernetes(spec)) => Some(keep_logs(spec.as_ref().clone()).await?),
            Some(PoolPlace::Processes(_)) | None => None,
        };
        let pool = keeper.as_ref().map(Keeper::view);
        let keeping = keeper.map(|keeper| keeper.run(server.clone(), executors.clone(), guard.clone()).boxed());
        let watch = Watch {
            server: server.clone(),
            cluster: executors,
            guard: guard.clone(),
            jobs: jobs.clone(),
            metrics: metrics.clone(),
        };
        let mut settings = stores.settings().clone();
        settings.local.only = Some(options.offered.clone());
        let offered = Stores::builder().settings(settings).build();
        let sessions = Sessions::new(OwnDoor { address: own_address, secret: Arc::clone(&secret) }, offered);
        let facts =
            Facts { server, jobs: jobs.clone(), guard: guard.clone(), metrics, pool, keep: options.keep_results };
        let routes = routes(facts, cores, sessions.clone())?;
        let door = |is_for, guard: &Arc<auth::Guard>| {
            let door = Door { is_for, guard: Arc::clone(guard), jobs: jobs.clone() };
            routes.clone().layer(from_fn_with_state(door, enter))
        };

        let mut answering = vec![plain(own, door(For::Users, &Arc::new(auth::Guard::Own(secret))))];
        let of_users = door(if for_executors.is_some() { For::Users } else { For::Everybody }, &access);
        answering.push(match options.tls {
            Some(files) => axum::serve(TlsListener::new(users, files)?, of_users).into_future().boxed(),
            None => plain(users, of_users),
        });
        if let Some((listener, _)) = for_executors {
            answering.push(plain(listener, door(For::Executors, &access)));
        }
        Ok(Self { address, executors_address, answering, sessions, watch, keeping, remembering })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens to executors, which may be the same.
    pub fn executors_address(&self) -> SocketAddr {
        self.executors_address
    }

    /// Answers until `stop` is over.
    ///
    /// # Errors
    /// Where a port fails.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        // Connections of executors never end by themselves, so that there is nothing to wait for.
        tokio::select! {
            (result, ..) = select_all(self.answering) => result.map_err(Error::Stopped),
            () = self.sessions.tidy() => Ok(()),
            () = self.keeping.unwrap_or_else(|| pending().boxed()) => Ok(()),
            () = self.remembering.unwrap_or_else(|| pending().boxed()) => Ok(()),
            () = self.watch.run() => Err(Error::Stopped(std::io::Error::other("nobody tells of executors any more"))),
            () = stop => Ok(()),
        }
    }
}

fn plain(listener: TcpListener, routes: Router) -> BoxFuture<'static, std::io::Result<()>> {
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).into_future().boxed()
}

/// A listener whose connections send small messages at once: they have it from the listener.
fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.set_nodelay(true)?;
        socket.bind(address)?;
        let listener = socket.listen(1024)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    listen().map_err(|source| Error::Listen { address, source })
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
        // What is left of it to know, `Jobs` knows.
        finished_job_state_clean_up_interval_seconds: seconds(options.keep_results),
        task_max_failures: options.task_attempts,
        stage_max_failures: options.task_attempts,
        override_config_producer: Some(setup::config()),
        override_session_builder: Some(Arc::new(setup::state)),
        override_physical_codec: Some(setup::codec(stores)),
        job_id_generator: Some(Arc::new(JobIds)),
        // Users of a port of their own do not reach executors.
        enable_embedded_flight_proxy: options.is_split(),
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

/// Has executors started where they are to live.
async fn keeper(options: PoolOptions, address: SocketAddr) -> Result<Keeper, Error> {
    let PoolOptions { size, cores, idle, start, place } = options;
    let (pool, prefix, memory_steps): (Arc<dyn Pool>, String, u32) = match place {
        PoolPlace::Processes(processes) => {
            // They call the scheduler where it listens to them.
            let scheduler = match address.ip() {
                ip if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
                _ => address,
            };
            let processes = Processes::new(processes, &format!("http://{scheduler}"), cores);
            (Arc::new(processes), "executor".to_string(), 0)
        }
        PoolPlace::Kubernetes(spec) => {
            let (kubernetes, _) = Kubernetes::connect(None).await?;
            let (prefix, memory_steps) = (Names::of(&spec.name).executor_prefix(), spec.executors.memory_steps());
            (Arc::new(Pods::new(kubernetes, *spec)), prefix, memory_steps)
        }
    };
    Ok(Keeper::new(pool, Limits { size, cores, idle, start, memory_steps, prefix }))
}

/// Keeps the logs of jobs that were submitted to a cluster, which would go with their pods.
async fn keep_logs(spec: ClusterSpec) -> Result<BoxFuture<'static, ()>, Error> {
    let (kubernetes, _) = Kubernetes::connect(None).await?;
    let tell = |error: &root_kubernetes::Error| tracing::warn!("logs of jobs are not kept for the moment: {error}");
    Ok(async move { kubernetes.keep_logs(&spec, tell).await }.boxed())
}

fn routes(facts: Facts, cores: Cores, sessions: Sessions) -> Result<Router, ArrowError> {
    let Facts { server, jobs, guard, .. } = &facts;
    let grpc = SchedulerGrpcServer::new(Front::new(server.clone(), jobs.clone(), guard.clone(), cores))
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let flight = FlightServiceServer::new(FlightSql::new(sessions, Parts::new(server.clone(), jobs.clone()))?)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut services = Routes::builder();
    services.add_service(grpc).add_service(flight);
    let server = Arc::new(server.clone());
    Ok(services.routes().into_axum_router().merge(rest::routes(facts)).merge(get_routes(server)))
}
