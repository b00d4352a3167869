//! A plan that runs on a cluster, as a leaf of a plan that runs here.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::client::BallistaClient;
use ballista_core::serde::protobuf::get_job_status_result::FlightProxy;
use ballista_core::serde::protobuf::{GetJobMetricsResult, PartitionLocation};
use datafusion::arrow::array::RecordBatch;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use datafusion_proto::physical_plan::{AsExecutionPlan, PhysicalExtensionCodec};
use datafusion_proto::protobuf::PhysicalPlanNode;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, future, stream};
use root_engine::wire::{Observers, TaskReport, check_portable};
use tokio::runtime::Handle;

use crate::client::{Cluster, Finished};
use crate::error::Error;
use crate::note::JobProgress;
use crate::setup::MAX_MESSAGE_BYTES;

/// How often the progress of a job is asked for.
const ASK: Duration = Duration::from_millis(500);
/// Partitions of a result that are asked for ahead.
const AHEAD: usize = 8;
/// How often a plan is submitted again whose job or rows were lost, by no fault of its own.
const RESUBMITS: usize = 3;
/// How long the end of a query waits for executors to be told that their rows are fetched.
const RELEASE: Duration = Duration::from_secs(2);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(500);

/// Runs a plan on a cluster. It has one partition: the rows of the plan's partitions, one after the other.
pub(crate) struct ClusterExec {
    plan: Arc<dyn ExecutionPlan>,
    cluster: Cluster,
    codec: Arc<dyn PhysicalExtensionCodec>,
    properties: Arc<PlanProperties>,
}

impl ClusterExec {
    pub(crate) fn new(plan: Arc<dyn ExecutionPlan>, cluster: Cluster, codec: Arc<dyn PhysicalExtensionCodec>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(plan.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { plan, cluster, codec, properties: Arc::new(properties) }
    }

    /// Runs the plan, but leaves its rows where they are; what each step has done is the answer.
    pub(crate) async fn measure(&self, context: Arc<TaskContext>) -> Result<GetJobMetricsResult> {
        let mut run = self.run(context)?;
        let (job, _) = run.finish().await?;
        let kept = Kept { cluster: self.cluster.clone(), job: Some(job.clone()) };
        run.tell();
        let metrics = self.cluster.metrics(&job).await?;
        kept.release().await;
        Ok(metrics)
    }

    /// Whom to tell of what happens on the way.
    pub(crate) fn observers(&self) -> Option<Observers> {
        Observers::of(&self.plan)
    }

    fn run(&self, context: Arc<TaskContext>) -> Result<Run> {
        check_portable(&self.plan)?;
        let message = PhysicalPlanNode::try_from_physical_plan(self.plan.clone(), self.codec.as_ref());
        let mut plan = Vec::new();
        message.map_err(not_portable)?.try_encode(&mut plan)?;
        let (cluster, observers) = (self.cluster.clone(), self.observers());
        Ok(Run { cluster, observers, plan, context, seen: JobProgress::default(), reports: Vec::new(), resubmits: 0 })
    }
}

impl fmt::Debug for ClusterExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterExec").field("plan", &self.plan).field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl DisplayAs for ClusterExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterExec: {}", self.cluster.name())
    }
}

impl ExecutionPlan for ClusterExec {
    fn name(&self) -> &str {
        "ClusterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// A leaf: rules of this process must not change what runs in others.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { internal_err!("ClusterExec has no children") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("ClusterExec has one partition, and {partition} was asked for");
        }
        let mut run = self.run(context)?;
        let rows = async move {
            loop {
                let (job, finished) = run.finish().await?;
                let kept = Kept { cluster: run.cluster.clone(), job: Some(job) };
                let mut rows = run.rows(finished);
                match rows.next().await {
                    // Nobody has seen rows of this job yet, so that those of another one can take their place.
                    Some(Err(error)) => run.may_run_again(error).await?,
                    first => {
                        run.tell();
                        let released =
                            stream::once(kept.release()).filter_map(|()| future::ready(None::<Result<RecordBatch>>));
                        return Ok::<_, DataFusionError>(stream::iter(first).chain(rows).chain(released));
                    }
                }
            }
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.plan.schema(), stream::once(rows).try_flatten())))
    }
}

/// Whether a step of a plan runs on a cluster.
pub fn is_on_cluster(plan: &dyn ExecutionPlan) -> bool {
    matches!(plan.name(), "ClusterExec" | "AnalyzeOnCluster")
}

fn not_portable(error: DataFusionError) -> DataFusionError {
    let reason = error.strip_backtrace();
    // The plan behind it, in the form that programmers read, is long.
    let reason = reason.split(". Plan: ").next().unwrap_or(&reason).to_string();
    Error::NotPortable { reason }.into()
}

/// The rows of a job that its executors keep, until they are fetched or nobody wants them any more.
struct Kept {
    cluster: Cluster,
    /// The job, if they were not given up.
    job: Option<String>,
}

impl Kept {
    /// Waits until executors are told. Where they cannot be, they find out by themselves.
    async fn release(mut self) {
        if let Some(job) = self.job.take() {
            release(&self.cluster, &job).await;
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(job) = self.job.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let cluster = self.cluster.clone();
            runtime.spawn(async move { release(&cluster, &job).await });
        }
    }
}

async fn release(cluster: &Cluster, job: &str) {
    let released = tokio::time::timeout(RELEASE, cluster.release(job)).await;
    if !matches!(released, Ok(Ok(()))) {
        tracing::debug!(job, "its rows stay until the executors ask whether they are wanted");
    }
}

/// A run of a plan.
struct Run {
    cluster: Cluster,
    observers: Option<Observers>,
    /// The plan as bytes.
    plan: Vec<u8>,
    context: Arc<TaskContext>,
    /// What was told already.
    seen: JobProgress,
    /// What the tasks of the last job have found out.
    reports: Vec<TaskReport>,
    resubmits: usize,
}

impl Run {
    /// Waits until a job has computed the plan, whose name is the first part of the answer.
    async fn finish(&mut self) -> Result<(String, Finished)> {
        loop {
            match self.attempt().await {
                Err(error @ (Error::Lost { .. } | Error::Unreachable { .. })) => {
                    self.may_run_again(error.into()).await?;
                }
                result => return Ok(result?),
            }
        }
    }

    async fn attempt(&mut self) -> Result<(String, Finished), Error> {
        let (session, config) = (self.context.session_id(), self.context.session_config());
        let mut job = self.cluster.submit(self.plan.clone(), &session, config).await?;
        let mut clock = tokio::time::interval(ASK);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        clock.tick().await;
        let finished = loop {
            tokio::select! {
                update = job.next() => if let Some(finished) = update? {
                    break finished;
                },
                _ = clock.tick() => {
                    let progress = self.cluster.progress(job.id()).await;
                    self.advance(progress);
                },
            }
        };
        if self.observers.is_some() {
            let mut progress = self.cluster.progress(job.id()).await?;
            self.reports = std::mem::take(&mut progress.reports);
            self.advance(Ok(progress));
        }
        Ok((job.id().to_string(), finished))
    }

    /// Tells what the tasks have found out whose rows are used.
    fn tell(&mut self) {
        let reports = std::mem::take(&mut self.reports);
        if let Some(observers) = &self.observers {
            reports.into_iter().for_each(|report| observers.tell(report));
        }
    }

    /// Waits until the cluster is there again, for another attempt.
    ///
    /// # Errors
    /// The one of the last attempt, where there were enough of them or the cluster stays away.
    async fn may_run_again(&mut self, error: DataFusionError) -> Result<()> {
        self.resubmits += 1;
        if self.resubmits > RESUBMITS {
            return Err(error);
        }
        let since = Instant::now();
        // A way that was cut may fail once more for each attempt to use it, although it is there again.
        tokio::time::sleep(LOOK * 2_u32.saturating_pow(self.resubmits as u32)).await;
        while !self.cluster.status().await.is_ok_and(|status| status.most_cores > 0) {
            if since.elapsed() > self.cluster.patience() {
                return Err(error);
            }
            tokio::time::sleep(LOOK).await;
        }
        if let Some(observers) = &self.observers {
            observers.warn(format!("the query was submitted again: {}", root_engine::message_of(&error)));
        }
        Ok(())
    }

    /// The rows of the partitions of a result, one after the other.
    fn rows(&self, finished: Finished) -> BoxStream<'static, Result<RecordBatch>> {
        let Finished { partitions, proxy } = finished;
        let cluster = self.cluster.clone();
        let fetched = stream::iter(partitions).map(move |location| fetch(location, proxy.clone(), cluster.clone()));
        fetched.buffered(AHEAD).try_flatten().boxed()
    }

    /// Progress is told where it is known; a question that failed is asked again.
    fn advance(&mut self, progress: Result<JobProgress, Error>) {
        let (Ok(progress), Some(observers)) = (progress, &self.observers) else { return };
        let entries = progress.entries.saturating_sub(self.seen.entries);
        let bytes = progress.bytes.saturating_sub(self.seen.bytes);
        observers.advance(entries, bytes);
        self.seen.entries += entries;
        self.seen.bytes += bytes;
    }
}

/// The rows of one partition of a result, from the executor that has them or through the scheduler.
async fn fetch(
    location: PartitionLocation,
    proxy: Option<FlightProxy>,
    cluster: Cluster,
) -> Result<SendableRecordBatchStream> {
    if let Some(FlightProxy::Local(true)) = proxy {
        return cluster.rows_of(location).await;
    }
    let incomplete = |what: &str| {
        DataFusionError::from(Error::Protocol {
            scheduler: cluster.name(),
            reason: format!("a part of the result without {what}"),
        })
    };
    let layout = location.layout();
    let executor = location.executor_meta.ok_or_else(|| incomplete("its executor"))?;
    let partition = location.partition_id.ok_or_else(|| incomplete("its name"))?;
    let port = u16::try_from(executor.port).map_err(|_| incomplete("a port"))?;
    let (host, at) = match proxy {
        Some(FlightProxy::External(address)) => {
            let (host, at) = address.rsplit_once(':').ok_or_else(|| incomplete("a place"))?;
            (host.to_string(), at.parse().map_err(|_| incomplete("a place"))?)
        }
        _ => (executor.host.clone(), port),
    };
    let lost = |error: ballista_core::error::BallistaError| {
        DataFusionError::from(Error::RowsLost {
            job: partition.job_id.clone(),
            executor: executor.id.clone(),
            host: executor.host.clone(),
            port,
            reason: error.to_string(),
        })
    };
    let client = BallistaClient::try_new(&host, at, MAX_MESSAGE_BYTES, false, None, 3, 100, 0, 0);
    let mut client = client.await.map_err(lost)?;
    let named = partition.clone().into();
    let rows =
        client.fetch_partition_proxied(&executor.id, &named, location.file_id, layout, &executor.host, port, true);
    rows.await.map_err(lost)
}
