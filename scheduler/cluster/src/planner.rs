//! Which part of a plan runs on the cluster: all that reads files and computes. What writes a result, explains a plan, or
//! looks at what only this process knows, stays here.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Result, internal_err};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, replace_children_if_necessary};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::PhysicalExtensionCodec;
use eos_io::Stores;
use root_engine::wire::{scans_files, to_standard};
use root_engine::{Elsewhere, Rules, WriteParts};

use crate::analyze::AnalyzeOnCluster;
use crate::client::Cluster;
use crate::commit::CommitExec;
use crate::error::Error;
use crate::exec::ClusterExec;
use crate::fit::fit;
use crate::setup;

/// Runs the plans of a session on a cluster.
#[derive(Clone)]
struct OnCluster {
    cluster: Cluster,
    codec: Arc<dyn PhysicalExtensionCodec>,
    cores: usize,
}

impl Cluster {
    /// What a session is built with to run its queries here, in as many partitions as the cluster has cores.
    ///
    /// # Errors
    /// Where the scheduler does not answer or has no executors.
    pub async fn elsewhere(&self) -> Result<Arc<dyn Elsewhere>, Error> {
        let status = self.status().await?;
        if status.most_cores == 0 {
            return Err(Error::NoExecutors { scheduler: self.name() });
        }
        let codec = setup::codec(&Stores::new());
        Ok(Arc::new(OnCluster { cluster: self.clone(), codec, cores: status.most_cores }))
    }
}

impl fmt::Debug for OnCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnCluster").field("cluster", &self.cluster).field("cores", &self.cores).finish_non_exhaustive()
    }
}

impl Elsewhere for OnCluster {
    fn configure(&self, config: SessionConfig) -> SessionConfig {
        setup::configure(config.with_target_partitions(self.cores))
    }

    fn logical_rules(&self, rules: Rules) -> Rules {
        ballista_core::optimizer::with_ballista_optimizer_rules(&rules)
    }

    fn planner(&self) -> Arc<dyn QueryPlanner + Send + Sync> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl QueryPlanner for OnCluster {
    async fn create_physical_plan(&self, plan: &LogicalPlan, state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = DefaultPhysicalPlanner::default().create_physical_plan(plan, state).await?;
        self.place(plan)
    }
}

impl OnCluster {
    fn place(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        if !scans_files(&plan) {
            return Ok(plan);
        }
        match plan.name() {
            "ExplainExec" => Ok(plan),
            "DataSinkExec" => {
                if let Some(parts) = WriteParts::of(plan.as_ref()).filter(|parts| self.can_write(parts)) {
                    let parts = Arc::new(parts);
                    let run = self.on_cluster(parts.clone())?;
                    return Ok(Arc::new(CommitExec::new(parts, Arc::new(run), plan.schema())));
                }
                // The result is written by this process.
                let children = plan.children().into_iter().cloned().map(|child| self.place(child));
                let children = children.collect::<Result<Vec<_>>>()?;
                replace_children_if_necessary(plan, children)
            }
            "AnalyzeExec" => match plan.children().as_slice() {
                [measured] => {
                    let run = self.on_cluster(Arc::clone(measured))?;
                    Ok(Arc::new(AnalyzeOnCluster::new(Arc::new(run), plan.schema())))
                }
                _ => internal_err!("AnalyzeExec has one child"),
            },
            _ => Ok(Arc::new(self.on_cluster(plan)?)),
        }
    }

    /// Whether executors reach the place of a result.
    fn can_write(&self, parts: &WriteParts) -> bool {
        self.cluster.is_on_this_machine() || !parts.is_of_this_machine()
    }

    fn on_cluster(&self, plan: Arc<dyn ExecutionPlan>) -> Result<ClusterExec> {
        Ok(ClusterExec::new(fit(to_standard(plan)?)?, self.cluster.clone(), self.codec.clone()))
    }
}
