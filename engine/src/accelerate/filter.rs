//! Filtering of rows that have lists, by runs of rows and not element by element.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::TryStreamExt;
use root_physics::KeptRows;

/// Passes on the rows for which a condition holds.
#[derive(Debug)]
pub(crate) struct ListFilterExec {
    /// What this replaces; its properties are this operator's.
    replaced: FilterExec,
    metrics: ExecutionPlanMetricsSet,
}

impl ListFilterExec {
    /// Whether rows that pass have lists.
    pub(crate) fn can_replace(filter: &FilterExec) -> bool {
        let schema = filter.schema();
        filter.fetch().is_none() && schema.fields().iter().any(|field| matches!(field.data_type(), DataType::List(_)))
    }

    pub(crate) fn new(replaced: FilterExec) -> Self {
        Self { replaced, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// What this stands for.
    pub(crate) fn replaced(&self) -> &FilterExec {
        &self.replaced
    }
}

impl DisplayAs for ListFilterExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListFilterExec: {}", self.replaced.predicate())
    }
}

impl ExecutionPlan for ListFilterExec {
    fn name(&self) -> &str {
        "ListFilterExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.replaced.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.replaced.input()]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        visit(self.replaced.predicate())
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("ListFilterExec has one child".into()))?;
        let replaced = FilterExecBuilder::new(self.replaced.predicate().clone(), input)
            .apply_projection_by_ref(self.replaced.projection().as_ref())?
            .with_default_selectivity(self.replaced.default_selectivity())
            .with_batch_size(self.replaced.batch_size())
            .build()?;
        Ok(Arc::new(Self::new(replaced)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let filter = Filter {
            input: self.replaced.input().execute(partition, context)?,
            predicate: self.replaced.predicate().clone(),
            columns: self.replaced.projection().as_ref().map(|columns| columns.to_vec()),
            schema: self.schema(),
            enough: self.replaced.batch_size() / 2,
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        let batches = futures::stream::try_unfold(filter, |mut filter| async move {
            Ok(filter.next().await?.map(|batch| (batch, filter)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

struct Filter {
    input: SendableRecordBatchStream,
    predicate: Arc<dyn PhysicalExpr>,
    /// The columns that are passed on, if not all are.
    columns: Option<Vec<usize>>,
    schema: SchemaRef,
    /// Rows that make a batch, because every batch costs the nodes above something.
    enough: usize,
    metrics: BaselineMetrics,
}

impl Filter {
    /// The next rows that pass, of as many batches as it takes.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let (mut parts, mut rows) = (Vec::new(), 0);
        while let Some(batch) = self.input.try_next().await? {
            let _timer = self.metrics.elapsed_compute().timer();
            let passed = self.passed(&batch)?;
            rows += passed.num_rows();
            if passed.num_rows() > 0 {
                parts.push(passed);
            }
            if rows >= self.enough.max(1) {
                break;
            }
        }
        let batch = match parts.as_slice() {
            [] => return Ok(None),
            [only] => only.clone(),
            several => concat_batches(&self.schema, several)?,
        };
        self.metrics.record_output(batch.num_rows());
        Ok(Some(batch))
    }

    fn passed(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let flags = self.predicate.evaluate(batch)?.into_array(batch.num_rows())?;
        let flags = flags.as_boolean_opt().ok_or_else(|| exec_datafusion_err!("a filter needs a condition"))?;
        let flags = match flags.nulls() {
            Some(nulls) => flags.values() & nulls.inner(),
            None => flags.values().clone(),
        };
        let batch = match &self.columns {
            Some(columns) => batch.project(columns)?,
            None => batch.clone(),
        };
        let count = flags.count_set_bits();
        if count == batch.num_rows() {
            return Ok(batch.with_schema(self.schema.clone())?);
        }
        let kept = KeptRows::new(flags);
        let failed = |error| DataFusionError::External(Box::new(error));
        let columns = batch.columns().iter().map(|column| kept.of(column).map_err(failed));
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}
