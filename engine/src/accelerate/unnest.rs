//! Unnesting of lists. The lists of one collection share their lengths, and then the flattened values are a slice of
//! what was decoded: nothing is copied.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, RecordBatchOptions, UInt32Array};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, NullHandling, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;
use root_physics::taken;

/// Most rows of a batch that is passed on; longer ones are cut without copying.
const MAX_ROWS: usize = 1 << 16;

/// Unnests list columns, one level deep.
#[derive(Debug)]
pub(crate) struct ListUnnestExec {
    /// What this replaces; its properties are this operator's.
    replaced: UnnestExec,
    metrics: ExecutionPlanMetricsSet,
}

impl ListUnnestExec {
    /// Whether `unnest` only unnests lists, each once and one level deep.
    pub(crate) fn can_replace(unnest: &UnnestExec) -> bool {
        let input = unnest.input().schema();
        let is_list =
            |index: usize| matches!(input.fields().get(index).map(|f| f.data_type()), Some(DataType::List(_)));
        let lists = unnest.list_column_indices();
        let mut indices: Vec<usize> = lists.iter().map(|l| l.index_in_input_schema).collect();
        indices.sort_unstable();
        indices.dedup();
        unnest.struct_column_indices().is_empty()
            && !lists.is_empty()
            && unnest.options().null_handling != NullHandling::PreserveAndExpandEmpty
            && indices.len() == lists.len()
            && unnest.schema().fields().len() == input.fields().len()
            && lists.iter().all(|l| l.depth == 1 && is_list(l.index_in_input_schema))
    }

    pub(crate) fn new(replaced: UnnestExec) -> Self {
        Self { replaced, metrics: ExecutionPlanMetricsSet::new() }
    }

    /// What this stands for.
    pub(crate) fn replaced(&self) -> &UnnestExec {
        &self.replaced
    }
}

impl DisplayAs for ListUnnestExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListUnnestExec")
    }
}

impl ExecutionPlan for ListUnnestExec {
    fn name(&self) -> &str {
        "ListUnnestExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.replaced.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![self.replaced.input()]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = <[_; 1]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("ListUnnestExec has one child".into()))?;
        let replaced = UnnestExec::new(
            input,
            self.replaced.list_column_indices().to_vec(),
            Vec::new(),
            self.replaced.schema(),
            self.replaced.options().clone(),
        )?;
        Ok(Arc::new(Self::new(replaced)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.replaced.input().execute(partition, context)?;
        let lists: Vec<usize> = self.replaced.list_column_indices().iter().map(|l| l.index_in_input_schema).collect();
        let unnest = Unnest { schema: self.schema(), lists, keep_null: self.replaced.options().preserve_nulls() };
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let schema = self.schema();
        let batches = input.flat_map(move |batch| {
            let timer = metrics.elapsed_compute().timer();
            let unnested = batch.and_then(|batch| unnest.apply(&batch));
            timer.done();
            let parts: Vec<Result<RecordBatch>> = match unnested {
                Ok(batch) => {
                    metrics.record_output(batch.num_rows());
                    let starts = (0..batch.num_rows()).step_by(MAX_ROWS);
                    starts.map(|s| Ok(batch.slice(s, MAX_ROWS.min(batch.num_rows() - s)))).collect()
                }
                Err(fault) => vec![Err(fault)],
            };
            futures::stream::iter(parts)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

struct Unnest {
    schema: SchemaRef,
    /// Indices of the list columns.
    lists: Vec<usize>,
    /// Whether a null list makes a row of null.
    keep_null: bool,
}

impl Unnest {
    fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let list = |index: &usize| batch.columns().get(*index).and_then(|c| c.as_list_opt::<i32>());
        let lists: Vec<&ListArray> = self.lists.iter().filter_map(list).collect();
        let Some(first) = lists.first() else {
            return Err(DataFusionError::Internal("an unnested column is not a list".into()));
        };
        let aligned = lists.iter().all(|l| l.null_count() == 0 && same_lengths(l, first));
        if aligned { self.flatten(batch, first) } else { self.pad(batch, &lists) }
    }

    /// All lists have the same lengths: their values stand one after the other already.
    fn flatten(&self, batch: &RecordBatch, first: &ListArray) -> Result<RecordBatch> {
        let mut repeated: Option<UInt32Array> = None;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
        for (index, column) in batch.columns().iter().enumerate() {
            columns.push(match column.as_list_opt::<i32>().filter(|_| self.lists.contains(&index)) {
                Some(list) => {
                    let (start, end) = bounds(list);
                    list.values().slice(start, end - start)
                }
                None => rows_of(column, repeated.get_or_insert_with(|| row_of_each(first)))?,
            });
        }
        let (start, end) = bounds(first);
        self.batch(columns, end - start)
    }

    /// Shorter lists are padded with null.
    fn pad(&self, batch: &RecordBatch, lists: &[&ListArray]) -> Result<RecordBatch> {
        let null_length = i32::from(self.keep_null);
        let length = |l: &ListArray, row: usize| if l.is_null(row) { null_length } else { l.value_length(row) };
        let longest: Vec<i32> =
            (0..batch.num_rows()).map(|row| lists.iter().map(|l| length(l, row)).max().unwrap_or(0)).collect();
        let rows: usize = longest.iter().map(|n| *n as usize).sum();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
        for (index, column) in batch.columns().iter().enumerate() {
            columns.push(match column.as_list_opt::<i32>().filter(|_| self.lists.contains(&index)) {
                Some(list) => {
                    let places = list.offsets().iter().zip(&longest).enumerate().flat_map(|(row, (start, longest))| {
                        let own = if list.is_null(row) { 0 } else { list.value_length(row) };
                        let start = *start;
                        (0..*longest).map(move |i| (i < own).then(|| (start + i) as u32))
                    });
                    rows_of(list.values(), &places.collect())?
                }
                None => {
                    let rows =
                        longest.iter().enumerate().flat_map(|(row, n)| std::iter::repeat_n(row as u32, *n as usize));
                    rows_of(column, &UInt32Array::from_iter_values(rows))?
                }
            });
        }
        self.batch(columns, rows)
    }

    fn batch(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

fn rows_of(column: &ArrayRef, rows: &UInt32Array) -> Result<ArrayRef> {
    taken(column, rows).map_err(|error| DataFusionError::External(error.into()))
}

fn bounds(list: &ListArray) -> (usize, usize) {
    let ends = list.offsets();
    let at = |offset: Option<&i32>| offset.map_or(0, |o| *o as usize);
    (at(ends.first()), at(ends.last()))
}

fn same_lengths(a: &ListArray, b: &ListArray) -> bool {
    let (a, b) = (a.offsets(), b.offsets());
    let (Some(first_a), Some(first_b)) = (a.first(), b.first()) else { return a.len() == b.len() };
    a.len() == b.len() && a.iter().zip(b.iter()).filter(|(x, y)| *x - first_a != *y - first_b).count() == 0
}

/// For each element the row of its list.
fn row_of_each(list: &ListArray) -> UInt32Array {
    let offsets = list.offsets();
    let lengths = offsets.iter().zip(offsets.iter().skip(1)).map(|(a, b)| (b - a) as usize);
    let (start, end) = bounds(list);
    let mut rows: Vec<u32> = Vec::with_capacity(end - start);
    for (row, length) in lengths.enumerate() {
        rows.extend(std::iter::repeat_n(row as u32, length));
    }
    rows.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Float32Array, Int32Array};
    use datafusion::arrow::datatypes::{Field, Float32Type, Schema};

    fn unnest(lists: &[&[Option<Vec<f32>>]], keep_null: bool) -> RecordBatch {
        let mut fields = vec![Field::new("row", DataType::Int32, true)];
        let mut output = fields.clone();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(Int32Array::from_iter_values(0..lists[0].len() as i32))];
        for (i, list) in lists.iter().enumerate() {
            let rows = list.iter().map(|l| l.as_ref().map(|l| l.iter().map(|v| Some(*v)).collect::<Vec<_>>()));
            let array = ListArray::from_iter_primitive::<Float32Type, _, _>(rows);
            fields.push(Field::new(format!("l{i}"), array.data_type().clone(), true));
            output.push(Field::new(format!("l{i}"), DataType::Float32, true));
            columns.push(Arc::new(array));
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let unnest = Unnest { schema: Arc::new(Schema::new(output)), lists: (1..=lists.len()).collect(), keep_null };
        // A slice, so that offsets do not start at zero.
        unnest.apply(&batch.slice(1, batch.num_rows() - 1)).unwrap()
    }

    fn rows(batch: &RecordBatch) -> Vec<i32> {
        batch.column(0).as_any().downcast_ref::<Int32Array>().unwrap().values().to_vec()
    }

    fn floats(batch: &RecordBatch, column: usize) -> Vec<Option<f32>> {
        batch.column(column).as_any().downcast_ref::<Float32Array>().unwrap().iter().collect()
    }

    #[test]
    fn lists_of_one_collection_are_flattened_together() {
        let pt = [Some(vec![9.0]), Some(vec![1.0, 2.0]), Some(vec![]), Some(vec![3.0])];
        let eta = [Some(vec![]), Some(vec![0.1, 0.2]), Some(vec![]), Some(vec![0.3])];
        let batch = unnest(&[&pt, &eta], false);
        assert_eq!(rows(&batch), [1, 1, 3]);
        assert_eq!(floats(&batch, 1), [Some(1.0), Some(2.0), Some(3.0)]);
        assert_eq!(floats(&batch, 2), [Some(0.1), Some(0.2), Some(0.3)]);
    }

    #[test]
    fn shorter_lists_are_padded_and_null_lists_dropped_or_kept() {
        let pt = [None, Some(vec![1.0, 2.0]), None, Some(vec![])];
        let eta = [None, Some(vec![0.1]), None, Some(vec![0.3])];
        let dropped = unnest(&[&pt, &eta], false);
        assert_eq!(rows(&dropped), [1, 1, 3]);
        assert_eq!(floats(&dropped, 2), [Some(0.1), None, Some(0.3)]);
        let kept = unnest(&[&pt, &eta], true);
        assert_eq!(rows(&kept), [1, 1, 2, 3]);
        assert_eq!(floats(&kept, 1), [Some(1.0), Some(2.0), None, None]);
    }
}
