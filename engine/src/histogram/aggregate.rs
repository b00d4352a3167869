//! The aggregates. Partial results are the states of histograms, and merging them gives the same whatever the order.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;
use root_hist::{Entries, Histogram};

use super::call::{Kind, repeated, value_of};
use super::like::hist_like;
use super::{HISTOGRAM_TYPE, histogram_field};

/// The aggregates that fill histograms.
pub(crate) fn aggregates() -> Vec<AggregateUDF> {
    let make =
        |kind| AggregateUDF::new_from_impl(Fill { kind, signature: Signature::user_defined(Volatility::Immutable) });
    Kind::ALL.map(make).into_iter().chain([hist_like()]).collect()
}

/// An aggregate that fills a histogram.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Fill {
    kind: Kind,
    signature: Signature,
}

impl AggregateUDFImpl for Fill {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.kind.accepts(arguments)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(HISTOGRAM_TYPE)
    }

    fn return_field(&self, _: &[FieldRef]) -> Result<FieldRef> {
        Ok(Arc::new(histogram_field(self.name(), self.kind.axes())))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(histogram_field(&format!("{}[state]", args.name), self.kind.axes()))])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    /// Constants are checked here, before anything is read.
    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let kind = self.kind;
        Some(Box::new(move |call: AggregateFunction, info| {
            let AggregateFunction { func, params } = call;
            let weighted = kind.is_weighted(params.args.len())?;
            let values = params.args.first().map(|values| info.get_data_type(values)).transpose()?;
            let place = kind.columns()..kind.columns() + kind.constants();
            let constant = |(at, argument): (usize, Expr)| match argument {
                Expr::Literal(value, metadata) if place.contains(&at) => Ok(Expr::Literal(repeated(value), metadata)),
                other if place.contains(&at) => plan_err!(
                    "{}: {other} must be a constant, as the bins are the same for all rows; it is called as {}",
                    kind.name(),
                    kind.form()
                ),
                column => Ok(column),
            };
            let args = params.args.into_iter().enumerate().map(constant).collect::<Result<Vec<_>>>()?;
            let constants = args.iter().skip(place.start).take(place.len());
            let constants: Vec<_> = constants.filter_map(|argument| argument.as_literal().map(value_of)).collect();
            kind.histogram(&values.unwrap_or(DataType::Null), &constants, weighted)?;
            Ok(Expr::AggregateFunction(AggregateFunction { func, params: AggregateFunctionParams { args, ..params } }))
        }))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return plan_err!("{} takes all values; DISTINCT has no meaning here", self.name());
        }
        let kind = self.kind;
        let weighted = kind.is_weighted(args.exprs.len())?;
        let constants = args.exprs.iter().skip(kind.columns()).take(kind.constants());
        let constants: Vec<_> = constants
            .filter_map(|constant| constant.downcast_ref::<Literal>().map(|literal| value_of(literal.value())))
            .collect();
        if constants.len() != kind.constants() {
            return plan_err!("{}: the bins must be constants; it is called as {}", kind.name(), kind.form());
        }
        let values = args.expr_fields.first().map_or(DataType::Null, |field| field.data_type().clone());
        let histogram = kind.histogram(&values, &constants, weighted)?;
        Ok(Box::new(Filling { kind, histogram }))
    }
}

/// A histogram under way.
#[derive(Debug)]
struct Filling {
    kind: Kind,
    histogram: Histogram,
}

impl Filling {
    fn fault(&self, error: &root_hist::Error) -> DataFusionError {
        DataFusionError::Execution(format!("{}: {error}", self.kind.name()))
    }
}

impl Accumulator for Filling {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut columns: Vec<&dyn Array> = values.iter().take(self.kind.columns()).map(AsRef::as_ref).collect();
        let sample = if self.kind == Kind::Profile { columns.pop() } else { None };
        let mut entries = Entries::new(&columns);
        if let Some(sample) = sample {
            entries = entries.sample(sample);
        }
        if let Some(weights) = values.get(self.kind.columns() + self.kind.constants()) {
            entries = entries.weights(weights.as_ref());
        }
        self.histogram.fill(&entries).map_err(|error| self.fault(&error))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        merge(&mut self.histogram, states, self.kind.name())
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

/// Adds partial results to a histogram.
pub(super) fn merge(histogram: &mut Histogram, states: &[ArrayRef], function: &str) -> Result<()> {
    let fault = |error: root_hist::Error| DataFusionError::Execution(format!("{function}: {error}"));
    let states = states.first().and_then(|states| states.as_binary_opt::<i64>());
    let Some(states) = states else {
        return Err(DataFusionError::Internal("the state of a histogram is LargeBinary".into()));
    };
    for state in states.iter().flatten() {
        histogram.merge(&Histogram::from_bytes(state).map_err(fault)?).map_err(fault)?;
    }
    Ok(())
}

/// A histogram as a value, which is its partial result as well.
pub(super) fn value(histogram: &Histogram) -> ScalarValue {
    ScalarValue::LargeBinary(Some(histogram.to_bytes()))
}
