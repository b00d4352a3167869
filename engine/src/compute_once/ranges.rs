//! The rule that makes one condition of the two that say a range, where the value between them is costly. `BETWEEN`
//! becomes two comparisons before, and in lambdas nothing else finds out that both compute the same.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::and_kleene;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, TypeSignature, Volatility, lit,
};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_expr_common::datum::apply_cmp;

use super::is_costly;

/// `low <= value AND value <= high`, as a function that computes the value once.
pub(crate) fn is_within() -> ScalarUDF {
    ScalarUDF::new_from_impl(IsWithin { signature: Signature::new(TypeSignature::Any(3), Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct IsWithin {
    signature: Signature,
}

impl ScalarUDFImpl for IsWithin {
    fn name(&self) -> &str {
        "is_within"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), DataType::Boolean, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, low, high] = args.args.as_slice() else {
            return Err(exec_datafusion_err!("is_within takes a value and two limits"));
        };
        let compared = |operator, limit: &ColumnarValue| -> Result<ArrayRef> {
            apply_cmp(operator, value, limit)?.into_array(args.number_rows)
        };
        let (above, below) = (compared(Operator::GtEq, low)?, compared(Operator::LtEq, high)?);
        Ok(ColumnarValue::Array(Arc::new(and_kleene(above.as_boolean(), below.as_boolean())?)))
    }
}

/// Puts [`is_within`] where it spares a computation.
#[derive(Debug)]
pub(crate) struct ComputeRangesOnce {
    is_within: Arc<ScalarUDF>,
}

impl Default for ComputeRangesOnce {
    fn default() -> Self {
        Self { is_within: Arc::new(is_within()) }
    }
}

impl OptimizerRule for ComputeRangesOnce {
    fn name(&self) -> &str {
        "compute_ranges_once"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expression| {
            if !expression.exists(|part| Ok(has_range(part)))? {
                return Ok(Transformed::no(expression));
            }
            let name = names.save(&expression);
            let rewritten = expression.transform_down(|part| self.joined(part))?;
            Ok(rewritten.update_data(|expression| name.restore(expression)))
        })
    }
}

impl ComputeRangesOnce {
    /// A conjunction with a call in place of each range.
    fn joined(&self, expression: Expr) -> Result<Transformed<Expr>> {
        if !has_range(&expression) {
            return Ok(Transformed::no(expression));
        }
        let mut conditions = split_conjunction_owned(expression);
        while let Some((at, behind, call)) = first_range(&conditions.iter().collect::<Vec<_>>()) {
            let call = self.is_within.call(call.map(Clone::clone).to_vec());
            conditions.remove(behind);
            conditions.splice(at..=at, [call]);
        }
        let joined = conditions.into_iter().reduce(Expr::and).unwrap_or_else(|| lit(true));
        Ok(Transformed::yes(joined))
    }
}

/// Whether this is a conjunction with a range of something costly.
fn has_range(expression: &Expr) -> bool {
    let is_conjunction = matches!(expression, Expr::BinaryExpr(BinaryExpr { op: Operator::And, .. }));
    is_conjunction && first_range(&split_conjunction(expression)).is_some()
}

/// The places of two conditions that are the limits of something costly, and it with the limits.
fn first_range<'a>(conditions: &[&'a Expr]) -> Option<(usize, usize, [&'a Expr; 3])> {
    let mut pairs = conditions.iter().enumerate().flat_map(|(at, one)| {
        conditions.iter().enumerate().skip(at + 1).map(move |(behind, other)| (at, behind, *one, *other))
    });
    pairs.find_map(|(at, behind, one, other)| Some((at, behind, costly_range(one, other)?)))
}

/// The value and the limits, if two conditions are those of a range.
fn costly_range<'a>(one: &'a Expr, other: &'a Expr) -> Option<[&'a Expr; 3]> {
    let limit = |expression: &'a Expr| match expression {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::GtEq | Operator::LtEq), right }) => {
            Some((left.as_ref(), *op, right.as_ref()))
        }
        _ => None,
    };
    let (value, low, high) = match (limit(one)?, limit(other)?) {
        ((value, Operator::GtEq, low), (same, Operator::LtEq, high)) if value == same => (value, low, high),
        ((value, Operator::LtEq, high), (same, Operator::GtEq, low)) if value == same => (value, low, high),
        _ => return None,
    };
    is_costly(value).unwrap_or(false).then_some([value, low, high])
}
