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
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::utils::{collect_columns, split_conjunction};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use root_reader::{RowFilter, Tree};

use crate::functions::IN_LUMI_MASK;
use crate::options::TableOptions;
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
        options: &TableOptions,
        values: &[ScalarValue],
    ) -> Result<Option<Vec<Arc<dyn RowFilter>>>, DataFusionError> {
        let mut filters: Vec<Arc<dyn RowFilter>> = Vec::new();
        let mut conditions = split_conjunction(predicate);
        // A mask is asked first: about all events that are read, and runs stand together, so that it spares whole baskets.
        conditions.sort_by_key(|condition| !asks_mask(condition));
        for condition in conditions {
            let known = with_values(condition, table, values)?;
            if known.transformed && collect_columns(&known.data).is_empty() {
                let options = RecordBatchOptions::new().with_row_count(Some(1));
                let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
                match holds(&known.data, &row)? {
                    true => continue,
                    false => return Ok(None),
                }
            }
            filters.push(Arc::new(Self::bind(&known.data, table.table_schema(), tree, options)?));
        }
        Ok(Some(filters))
    }

    fn bind(
        predicate: &Arc<dyn PhysicalExpr>,
        table: &SchemaRef,
        tree: &Tree,
        options: &TableOptions,
    ) -> Result<Self, DataFusionError> {
        let mut named: Vec<usize> = collect_columns(predicate).iter().map(Column::index).collect();
        named.sort_unstable();
        let schema: SchemaRef = Arc::new(table.project(&named)?);
        let shape = Shape::of(tree, options, schema.fields())?;
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

fn asks_mask(condition: &Arc<dyn PhysicalExpr>) -> bool {
    condition.downcast_ref::<ScalarFunctionExpr>().is_some_and(|call| call.name() == IN_LUMI_MASK)
}

/// The condition with the sample's values in place of its columns. What they decide alone of an OR is decided, so that
/// nothing is read for the rest of it.
fn with_values(
    condition: &Arc<dyn PhysicalExpr>,
    table: &TableSchema,
    values: &[ScalarValue],
) -> Result<Transformed<Arc<dyn PhysicalExpr>>, DataFusionError> {
    let first = table.file_schema().fields().len();
    Arc::clone(condition).transform_up(|node| {
        if let Some(binary) = node.downcast_ref::<BinaryExpr>() {
            return decide(&node, binary);
        }
        let at = node.downcast_ref::<Column>().and_then(|column| column.index().checked_sub(first));
        Ok(match at.and_then(|at| values.get(at)) {
            Some(value) => Transformed::yes(Arc::new(Literal::new(value.clone())) as Arc<dyn PhysicalExpr>),
            None => Transformed::no(node),
        })
    })
}

/// Shortens what is known without any row: two values that are compared, and an OR with one side that is decided.
fn decide(
    node: &Arc<dyn PhysicalExpr>,
    binary: &BinaryExpr,
) -> Result<Transformed<Arc<dyn PhysicalExpr>>, DataFusionError> {
    let is_value = |side: &Arc<dyn PhysicalExpr>| side.downcast_ref::<Literal>().is_some();
    let (left, right) = (binary.left(), binary.right());
    if is_value(left) && is_value(right) {
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let row = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
        let value = ScalarValue::try_from_array(&node.evaluate(&row)?.into_array(1)?, 0)?;
        return Ok(Transformed::yes(Arc::new(Literal::new(value))));
    }
    if *binary.op() != Operator::Or {
        return Ok(Transformed::no(node.clone()));
    }
    let truth = |side: &Arc<dyn PhysicalExpr>| match side.downcast_ref::<Literal>()?.value() {
        ScalarValue::Boolean(value) => *value,
        _ => None,
    };
    Ok(match (truth(left), truth(right)) {
        (Some(true), _) => Transformed::yes(left.clone()),
        (_, Some(true)) => Transformed::yes(right.clone()),
        (Some(false), _) => Transformed::yes(right.clone()),
        (_, Some(false)) => Transformed::yes(left.clone()),
        _ => Transformed::no(node.clone()),
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
