//! A predicate of DataFusion as row filters of the scan, one for each of the conditions that AND joins: they are evaluated
//! in turn, on the columns that they name, before any other column is decoded.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, split_conjunction};
use root_reader::RowFilter;

/// A condition over the table's columns, bound to one file of the table.
pub(crate) struct PredicateFilter {
    /// The condition over [`Self::schema`].
    predicate: Arc<dyn PhysicalExpr>,
    /// The columns that it names.
    schema: SchemaRef,
    /// For each of them its place in the filter's batch; `None` where the file has no such column.
    places: Vec<Option<usize>>,
    columns: Vec<usize>,
}

impl PredicateFilter {
    /// Binds `predicate`, which is over `table`, to a file with the columns of `file`: a filter per condition, in the
    /// order in which they were written.
    pub(crate) fn bind_all(
        predicate: &Arc<dyn PhysicalExpr>,
        table: &SchemaRef,
        file: &SchemaRef,
    ) -> Result<Vec<Arc<dyn RowFilter>>, DataFusionError> {
        let conditions = split_conjunction(predicate).into_iter();
        conditions.map(|c| Ok(Arc::new(Self::bind(c, table, file)?) as Arc<dyn RowFilter>)).collect()
    }

    fn bind(predicate: &Arc<dyn PhysicalExpr>, table: &SchemaRef, file: &SchemaRef) -> Result<Self, DataFusionError> {
        let mut named: Vec<usize> = collect_columns(predicate).iter().map(Column::index).collect();
        named.sort_unstable();
        let schema: SchemaRef = Arc::new(table.project(&named)?);
        let mut columns = Vec::new();
        let mut places = Vec::new();
        for field in schema.fields() {
            places.push(file.index_of(field.name()).ok().map(|index| {
                columns.push(index);
                columns.len() - 1
            }));
        }
        let predicate = Arc::clone(predicate)
            .transform(|node| {
                let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
                let index = named.iter().position(|n| *n == column.index()).unwrap_or_default();
                Ok(Transformed::yes(Arc::new(Column::new(column.name(), index)) as Arc<dyn PhysicalExpr>))
            })
            .data()?;
        Ok(Self { predicate, schema, places, columns })
    }
}

impl RowFilter for PredicateFilter {
    fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn keep(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let rows = batch.num_rows();
        let absent = |i: usize| new_null_array(self.schema.field(i).data_type(), rows);
        let arrays: Vec<ArrayRef> = self
            .places
            .iter()
            .enumerate()
            .map(|(i, place)| place.and_then(|p| batch.columns().get(p).cloned()).unwrap_or_else(|| absent(i)))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(nullable(&self.schema), arrays, &options)?;
        let external = |e: DataFusionError| ArrowError::ExternalError(Box::new(e));
        let mask = self.predicate.evaluate(&batch).and_then(|v| v.into_array(rows)).map_err(external)?;
        mask.as_boolean_opt().cloned().ok_or_else(|| ArrowError::CastError("a filter that is not boolean".into()))
    }
}

/// Columns of a table are nullable as they are declared; nothing needs to be copied then.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    if schema.fields().iter().all(|f| f.is_nullable()) {
        return schema.clone();
    }
    let fields: Vec<_> = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}
