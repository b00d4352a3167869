//! `CASE WHEN condition THEN value END`: a value that is computed for some rows only. DataFusion copies the rows on both
//! sides of the condition, lists element by element; here those that pass are copied, by runs.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array,
};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::CaseExpr;
use datafusion::physical_expr::utils::collect_columns;
use root_physics::{KeptRows, taken};

/// A value where a condition holds, else null.
#[derive(Debug, Eq)]
pub(super) struct OnlyWhere {
    condition: Arc<dyn PhysicalExpr>,
    value: Arc<dyn PhysicalExpr>,
    /// The columns that the value is computed of, in order.
    columns: Vec<usize>,
}

impl OnlyWhere {
    /// The same as a CASE, if it has one condition and nothing behind ELSE.
    pub(super) fn of(case: &CaseExpr) -> Option<Self> {
        match (case.expr(), case.when_then_expr(), case.else_expr()) {
            (None, [(condition, value)], None) => Some(Self::new(condition.clone(), value.clone())),
            _ => None,
        }
    }

    /// The CASE that it is the same as.
    pub(super) fn as_case(&self) -> Result<CaseExpr> {
        CaseExpr::try_new(None, vec![(self.condition.clone(), self.value.clone())], None)
    }

    fn new(condition: Arc<dyn PhysicalExpr>, value: Arc<dyn PhysicalExpr>) -> Self {
        let mut columns: Vec<usize> = collect_columns(&value).iter().map(|column| column.index()).collect();
        columns.sort_unstable();
        Self { condition, value, columns }
    }

    /// The rows that are flagged. Columns that the value does not need have any rows, as many.
    fn rows(&self, batch: &RecordBatch, flags: &BooleanBuffer, count: usize) -> Result<RecordBatch> {
        let kept = KeptRows::new(flags.clone());
        let columns = batch.columns().iter().enumerate().map(|(at, column)| match self.columns.binary_search(&at) {
            Ok(_) => kept.of(column).map_err(|error| DataFusionError::External(Box::new(error))),
            Err(_) => Ok(column.slice(0, count)),
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
    }
}

impl PartialEq for OnlyWhere {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition) && self.value.eq(&other.value)
    }
}

impl Hash for OnlyWhere {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
        self.value.hash(state);
    }
}

impl fmt::Display for OnlyWhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CASE WHEN {} THEN {} END", self.condition, self.value)
    }
}

impl PhysicalExpr for OnlyWhere {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.value.data_type(schema)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let condition = self.condition.evaluate(batch)?.into_array(batch.num_rows())?;
        let condition = condition.as_boolean_opt().ok_or_else(|| exec_datafusion_err!("CASE needs a condition"))?;
        let flags = match condition.nulls() {
            Some(nulls) => condition.values() & nulls.inner(),
            None => condition.values().clone(),
        };
        let count = flags.count_set_bits();
        if count == 0 {
            let data_type = self.value.data_type(batch.schema_ref())?;
            return Ok(ColumnarValue::Array(new_null_array(&data_type, batch.num_rows())));
        }
        if count == batch.num_rows() {
            return self.value.evaluate(batch);
        }
        let values = self.value.evaluate(&self.rows(batch, &flags, count)?)?.into_array(count)?;
        let mut next = 0;
        let places: UInt32Array = flags
            .iter()
            .map(|passes| {
                let place = next;
                next += u32::from(passes);
                passes.then_some(place)
            })
            .collect();
        let spread = taken(&values, &places).map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(ColumnarValue::Array(spread))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition, &self.value]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let [condition, value] = <[_; 2]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("a condition and a value are two children".into()))?;
        Ok(Arc::new(Self::new(condition, value)))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CASE WHEN ")?;
        self.condition.fmt_sql(f)?;
        f.write_str(" THEN ")?;
        self.value.fmt_sql(f)?;
        f.write_str(" END")
    }
}
