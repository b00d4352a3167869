//! A predicate of DataFusion as row filters of the scan, one for each of the conditions that AND joins: they are evaluated
//! in turn, on the columns that they name, before any other column is decoded.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
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
    /// Binds `predicate`, which is over `table`, to a file with this tree: a filter per condition, in the order in which
    /// they were written.
    pub(crate) fn bind_all(
        predicate: &Arc<dyn PhysicalExpr>,
        table: &SchemaRef,
        tree: &Tree,
        layout: Layout,
    ) -> Result<Vec<Arc<dyn RowFilter>>, DataFusionError> {
        let conditions = split_conjunction(predicate).into_iter();
        conditions.map(|c| Ok(Arc::new(Self::bind(c, table, tree, layout)?) as Arc<dyn RowFilter>)).collect()
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

/// Columns of a table are nullable as they are declared; nothing needs to be copied then.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    if schema.fields().iter().all(|f| f.is_nullable()) {
        return schema.clone();
    }
    let fields: Vec<_> = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}
