//! `EXPLAIN ANALYZE` of a plan that runs on a cluster: its stages, and what each step of them has done.

use std::fmt::{self, Write};
use std::sync::Arc;

use ballista_core::error::BallistaError;
use ballista_core::serde::protobuf::{GetJobMetricsResult, OperatorMetricsSet};
use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::stream;

use crate::exec::ClusterExec;

/// Runs a plan on a cluster and tells how that went.
#[derive(Debug)]
pub(crate) struct AnalyzeOnCluster {
    run: Arc<ClusterExec>,
    properties: Arc<PlanProperties>,
}

impl AnalyzeOnCluster {
    /// The columns are a name and a text.
    pub(crate) fn new(run: Arc<ClusterExec>, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { run, properties: Arc::new(properties) }
    }
}

impl DisplayAs for AnalyzeOnCluster {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnalyzeOnCluster")
    }
}

impl ExecutionPlan for AnalyzeOnCluster {
    fn name(&self) -> &str {
        "AnalyzeOnCluster"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

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
        if children.is_empty() { Ok(self) } else { internal_err!("AnalyzeOnCluster has no children") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("AnalyzeOnCluster has one partition, and {partition} was asked for");
        }
        let (run, schema) = (self.run.clone(), self.schema());
        let columns = schema.clone();
        let rows = stream::once(async move {
            let text = as_text(&run.measure(context).await?)?;
            let (name, text) = (StringArray::from(vec!["Plan with Metrics"]), StringArray::from(vec![text]));
            Ok(RecordBatch::try_new(columns, vec![Arc::new(name), Arc::new(text)])?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// The stages of a job, one below the other.
fn as_text(job: &GetJobMetricsResult) -> Result<String> {
    let failed = |error: BallistaError| DataFusionError::Execution(format!("the counters of a step: {error}"));
    let mut text = String::new();
    for stage in &job.stages {
        let tasks = match stage.partitions {
            1 => "1 partition".to_string(),
            more => format!("{more} partitions"),
        };
        writeln!(text, "stage {} ({tasks})", stage.stage_id).map_err(|e| DataFusionError::External(e.into()))?;
        for step in &stage.operators {
            let set = OperatorMetricsSet { metrics: step.metrics.clone() };
            let metrics: MetricsSet = set.try_into().map_err(failed)?;
            let metrics = metrics.aggregate_by_name().sorted_for_display().timestamps_removed();
            let indent = "  ".repeat(step.depth as usize + 1);
            writeln!(text, "{indent}{}, metrics=[{metrics}]", step.operator_desc)
                .map_err(|e| DataFusionError::External(e.into()))?;
        }
    }
    Ok(text)
}
