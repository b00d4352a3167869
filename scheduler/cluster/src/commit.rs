//! Files that executors have written become the result of a statement at once, when all of them are there.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, UInt64Array};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{TryStreamExt, stream};
use root_engine::{WriteParts, message_of};

use crate::exec::ClusterExec;

/// Has files written on a cluster, and gives them their names. Its one row is how many rows they have.
#[derive(Debug)]
pub(crate) struct CommitExec {
    parts: Arc<WriteParts>,
    written: Arc<ClusterExec>,
    properties: Arc<PlanProperties>,
}

impl CommitExec {
    /// `written` runs `parts`; `schema` is that of the number.
    pub(crate) fn new(parts: Arc<WriteParts>, written: Arc<ClusterExec>, schema: SchemaRef) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { parts, written, properties: Arc::new(properties) }
    }
}

/// The files of a run that did not come to its end: they are removed when nobody waits for it any more.
struct Unfinished(Option<Arc<WriteParts>>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let (Some(parts), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(async move {
            if let Err(error) = parts.clear().await {
                tracing::warn!("files of a statement that was given up are left: {error}");
            }
        });
    }
}

async fn run(parts: Arc<WriteParts>, written: Arc<ClusterExec>, context: Arc<TaskContext>) -> Result<u64> {
    let mut unfinished = Unfinished(Some(parts.clone()));
    let work = async {
        let rows: Vec<RecordBatch> = written.execute(0, context)?.try_collect().await?;
        let mut files = Vec::new();
        for batch in &rows {
            files.extend(WriteParts::parts(batch)?);
        }
        parts.commit(&files).await
    };
    let result = work.await;
    unfinished.0 = None;
    // Also where all is well: a task that ran twice has left a file.
    if let (Err(error), Some(observers)) = (parts.clear().await, written.observers()) {
        observers.warn(format!("files without a name are left: {}", message_of(&error)));
    }
    result
}

impl DisplayAs for CommitExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommitExec")
    }
}

impl ExecutionPlan for CommitExec {
    fn name(&self) -> &str {
        "CommitExec"
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
        if children.is_empty() { Ok(self) } else { internal_err!("CommitExec has no children") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("CommitExec has one partition, and {partition} was asked for");
        }
        let (parts, written, schema) = (self.parts.clone(), self.written.clone(), self.schema());
        let counted = schema.clone();
        let count = async move {
            let rows = run(parts, written, context).await?;
            Ok(RecordBatch::try_new(counted, vec![Arc::new(UInt64Array::from(vec![rows]))])?)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(count))))
    }
}
