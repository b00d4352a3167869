//! Plans that are encoded, decoded by a process that knows nothing of the session, and run: the same rows, and as little
//! sent as is needed.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::{AsExecutionPlan, DefaultPhysicalExtensionCodec};
use datafusion_proto::protobuf::PhysicalPlanNode;
use eos_io::Stores;
use root_engine::wire::{RootCodec, accelerate, to_standard};
use root_engine::{Elsewhere, RootSession, Rules, TableOptions};

use crate::support::sample;

/// Runs what another process would be sent.
#[derive(Debug)]
pub struct OverTheWire;

impl Elsewhere for OverTheWire {
    fn configure(&self, mut config: SessionConfig) -> SessionConfig {
        // Filters that come into being while a query runs are of one process.
        config.options_mut().optimizer.enable_dynamic_filter_pushdown = false;
        config
    }

    fn logical_rules(&self, rules: Rules) -> Rules {
        rules
    }

    fn planner(&self) -> Arc<dyn QueryPlanner + Send + Sync> {
        Arc::new(Self)
    }
}

#[async_trait]
impl QueryPlanner for OverTheWire {
    async fn create_physical_plan(&self, plan: &LogicalPlan, state: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = DefaultPhysicalPlanner::default().create_physical_plan(plan, state).await?;
        if matches!(plan.name(), "ExplainExec" | "DataSinkExec" | "AnalyzeExec") || !reads_files(&plan) {
            return Ok(plan);
        }
        let decoded = decoded(&encoded(plan))?;
        accelerate(decoded, state.config_options())
    }
}

fn reads_files(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.exists(|node| Ok(node.is::<DataSourceExec>())).unwrap()
}

fn codec() -> RootCodec {
    RootCodec::new(Stores::new(), Arc::new(DefaultPhysicalExtensionCodec {}))
}

fn encoded(plan: Arc<dyn ExecutionPlan>) -> Vec<u8> {
    let message = PhysicalPlanNode::try_from_physical_plan(to_standard(plan).unwrap(), &codec()).unwrap();
    let mut bytes = Vec::new();
    message.try_encode(&mut bytes).unwrap();
    bytes
}

fn decoded(bytes: &[u8]) -> Result<Arc<dyn ExecutionPlan>> {
    let context = RootSession::new().context().task_ctx();
    PhysicalPlanNode::try_decode(bytes)?.try_into_physical_plan(&context, &codec())
}

/// Each file is its path, size, times and range; columns and statistics are not told for each of them. The limit is what
/// 10,000 files of a long path take, and leaves room in the largest message.
#[tokio::test]
async fn a_plan_over_ten_thousand_files_is_small() {
    let session = RootSession::builder().threads(64).build();
    let files = vec![sample(); 10_000];
    session.register("t", &files, &TableOptions::default()).await.unwrap();
    let sql = "SELECT \"nMuon\", sum(\"MET_pt\") FROM t WHERE \"nMuon\" > 1 GROUP BY \"nMuon\"";
    let plan = session.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    let per_file = encoded(plan).len() / files.len();
    let path = sample().len();
    assert!(per_file < path + 80, "{per_file} bytes for each file, of which {path} are its path");
}
