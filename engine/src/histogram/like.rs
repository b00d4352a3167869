//! `hist_like`: the aggregate that fills a histogram whose axes are given as an empty histogram, and not by numbers. So
//! axes of every kind, with names, labels and units, can be filled; and a condition can be an argument, which costs less
//! than the FILTER of an aggregate, for which all columns of the plan are copied.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::filter;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;
use root_hist::{Axis, Entries, Histogram};

use super::aggregate::{merge, value};
use super::call::{repeated, taken_as, value_of};
use super::{HISTOGRAM_TYPE, histogram_field};

const NAME: &str = "hist_like";

/// `hist_like(empty, x, …[, sample][, weight][, condition])`. A sample is there if the histogram is a profile, a weight if
/// it holds weights, and behind them a condition may be.
pub(super) fn hist_like() -> AggregateUDF {
    AggregateUDF::new_from_impl(Like { signature: Signature::user_defined(Volatility::Immutable) })
}

/// The call of [`hist_like`] that fills a histogram such as this one, which is empty.
pub(crate) fn fill_like(empty: &Histogram, columns: Vec<Expr>) -> Expr {
    let state = repeated(value(empty));
    hist_like().call(std::iter::once(Expr::Literal(state, None)).chain(columns).collect())
}

/// Whether values of this type have a place on an axis.
pub(crate) fn has_place_on(axis: &Axis, values: &DataType) -> bool {
    taken_as(values, !axis.is_numeric()).is_some()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Like {
    signature: Signature,
}

impl AggregateUDFImpl for Like {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let Some((state, columns)) = arguments.split_first() else {
            return plan_err!("{NAME} takes an empty histogram, and what is filled into it");
        };
        let taken = columns.iter().map(|column| match taken_as(column, false).or_else(|| taken_as(column, true)) {
            Some(taken) => Ok(taken),
            None => plan_err!("{NAME}: {column} cannot be filled into a histogram"),
        });
        std::iter::once(Ok(state.clone())).chain(taken).collect()
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(HISTOGRAM_TYPE)
    }

    fn return_field(&self, _: &[FieldRef]) -> Result<FieldRef> {
        Ok(Arc::new(histogram_field(NAME, NO_AXES)))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(histogram_field(&format!("{}[state]", args.name), NO_AXES))])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let state = args.exprs.first().and_then(|state| state.downcast_ref::<Literal>()).map(Literal::value);
        let Some(ScalarValue::LargeBinary(Some(state))) = state.map(value_of) else {
            return plan_err!("{NAME}: the histogram must be a constant");
        };
        let histogram =
            Histogram::from_bytes(state).map_err(|error| DataFusionError::Plan(format!("{NAME}: {error}")))?;
        let storage = histogram.storage();
        let filled = histogram.axes().len();
        let (sample, weight) = (usize::from(storage.is_mean()), usize::from(storage.is_weighted()));
        let conditions = args.exprs.len().checked_sub(1 + filled + sample + weight);
        let Some(conditions @ (0 | 1)) = conditions else {
            return plan_err!("{NAME} has {} arguments for {filled} axes", args.exprs.len());
        };
        Ok(Box::new(Filling { histogram, is_conditional: conditions == 1 }))
    }
}

/// What the metadata of the column say of the axes, which are known only when it is filled.
const NO_AXES: &str = r#"{"axes":[]}"#;

/// A histogram under way.
#[derive(Debug)]
struct Filling {
    histogram: Histogram,
    is_conditional: bool,
}

impl Accumulator for Filling {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let columns = values.get(1..).unwrap_or_default();
        let kept;
        let columns = match columns.split_last() {
            Some((condition, columns)) if self.is_conditional => {
                let Some(condition) = condition.as_boolean_opt() else {
                    return Err(DataFusionError::Internal(format!("the condition of {NAME} is a truth value")));
                };
                if condition.true_count() == condition.len() {
                    columns
                } else {
                    kept = columns.iter().map(|column| filter(column, condition)).collect::<Result<Vec<_>, _>>()?;
                    kept.as_slice()
                }
            }
            _ => columns,
        };
        let axes = self.histogram.axes().len();
        let storage = self.histogram.storage();
        let mut rest = columns.iter().skip(axes);
        let columns: Vec<&dyn Array> = columns.iter().take(axes).map(AsRef::as_ref).collect();
        let mut entries = Entries::new(&columns);
        if storage.is_mean()
            && let Some(sample) = rest.next()
        {
            entries = entries.sample(sample.as_ref());
        }
        if storage.is_weighted()
            && let Some(weights) = rest.next()
        {
            entries = entries.weights(weights.as_ref());
        }
        self.histogram.fill(&entries).map_err(|error| DataFusionError::Execution(error.to_string()))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        merge(&mut self.histogram, states, NAME)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![value(&self.histogram)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(value(&self.histogram))
    }

    fn size(&self) -> usize {
        self.histogram.memory()
    }
}
