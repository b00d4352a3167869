//! A predicate of DataFusion as row filters of the scan, one for each of the conditions that AND joins: they are evaluated
//! in turn, on the columns that they name, before any other column is decoded.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::utils::{collect_columns, split_conjunction};
use root_reader::{RowFilter, Tree};

use crate::options::Layout;
use crate::shape::Shape;

/// A condition over the table's columns, bound to one file of the table.
pub(crate) struct PredicateFilter {
    /// The condition over [`Self::schema`].
    predicate: Arc<dyn PhysicalExpr>,
    /// The columns that it names, as the table has them.
    schema: SchemaRef,
    /// How the file's columns become these.
    shape: Shape,
}

impl PredicateFilter {
    /// Binds `predicate`, which is over `table`, to a file with this tree and these values of the columns of its sample: a
    /// filter per condition, in the order in which they were written. `None` if no row of the file can pass.
    pub(crate) fn bind_all(
        predicate: &Arc<dyn PhysicalExpr>,
        table: &TableSchema,
        tree: &Tree,
        layout: Layout,
        values: &[ScalarValue],
    ) -> Result<Option<Vec<Arc<dyn RowFilter>>>, DataFusionError> {
        let mut filters: Vec<Arc<dyn RowFilter>> = Vec::new();
        for condition in split_conjunction(predicate) {
            let known = with_values(condition, table, values)?;
            if known.transformed && collect_columns(&known.data).is_empty() {
                let options = RecordBatchOptions::new().with_row_count(Some(1));
                let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
                match holds(&known.data, &row)? {
                    true => continue,
                    false => return Ok(None),
                }
            }
            filters.push(Arc::new(Self::bind(&known.data, table.table_schema(), tree, layout)?));
        }
        Ok(Some(filters))
    }

    fn bind(
        predicate: &Arc<dyn PhysicalExpr>,
        table: &SchemaRef,
        tree: &Tree,
        layout: Layout,
    ) -> Result<Self, DataFusionError> {
        let mut named: Vec<usize> = collect_columns(predicate).iter().map(Column::index).collect();
        named.sort_unstable();
        let schema: SchemaRef = Arc::new(table.project(&named)?);
        let shape = Shape::of(tree, layout, schema.fields());
        let predicate = Arc::clone(predicate)
            .transform(|node| {
                let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
                let index = named.iter().position(|n| *n == column.index()).unwrap_or_default();
                Ok(Transformed::yes(Arc::new(Column::new(column.name(), index)) as Arc<dyn PhysicalExpr>))
            })
            .data()?;
        Ok(Self { predicate, schema: nullable(&schema), shape })
    }
}

impl RowFilter for PredicateFilter {
    fn columns(&self) -> &[usize] {
        self.shape.columns()
    }

    fn keep(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let rows = batch.num_rows();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), self.shape.arrays(batch)?, &options)?;
        let external = |e: DataFusionError| ArrowError::ExternalError(Box::new(e));
        let mask = self.predicate.evaluate(&batch).and_then(|v| v.into_array(rows)).map_err(external)?;
        mask.as_boolean_opt().cloned().ok_or_else(|| ArrowError::CastError("a filter that is not boolean".into()))
    }
}

/// The condition with the sample's values in place of its columns.
fn with_values(
    condition: &Arc<dyn PhysicalExpr>,
    table: &TableSchema,
    values: &[ScalarValue],
) -> Result<Transformed<Arc<dyn PhysicalExpr>>, DataFusionError> {
    let first = table.file_schema().fields().len();
    Arc::clone(condition).transform(|node| {
        let at = node.downcast_ref::<Column>().and_then(|column| column.index().checked_sub(first));
        Ok(match at.and_then(|at| values.get(at)) {
            Some(value) => Transformed::yes(Arc::new(Literal::new(value.clone())) as Arc<dyn PhysicalExpr>),
            None => Transformed::no(node),
        })
    })
}

/// Whether a condition holds for the only row of `row`.
pub(crate) fn holds(condition: &Arc<dyn PhysicalExpr>, row: &RecordBatch) -> Result<bool, DataFusionError> {
    let verdict = condition.evaluate(row)?.into_array(1)?;
    let verdict = verdict.as_boolean_opt().ok_or_else(|| {
        DataFusionError::Internal(format!("a condition of type {} instead of Boolean", verdict.data_type()))
    })?;
    Ok(!verdict.is_empty() && verdict.is_valid(0) && verdict.value(0))
}

/// Columns of a table are nullable as they are declared; nothing needs to be copied then.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    if schema.fields().iter().all(|f| f.is_nullable()) {
        return schema.clone();
    }
    let fields: Vec<_> = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}
