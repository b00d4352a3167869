//! Operators on lists: `Jet_pt * 2`, `Jet_pt > 30` and `Jet_pt / Jet_mass` element by element, as `array_transform` does.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::{HigherOrderFunction, LambdaVariable};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, HigherOrderUDF, Operator, binary_expr, lambda};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::physics::kernel_type;

/// Names that no parameter of a lambda around an operator has.
const LEFT: &str = "left element";
const RIGHT: &str = "right element";

/// Plans operators of which one side is a list. What DataFusion says of lists as a whole stays: `=` and `<>` between two
/// of them, and `||`.
#[derive(Debug)]
pub(crate) struct ListOperators {
    transform: Arc<HigherOrderUDF>,
}

impl ListOperators {
    pub(crate) fn new(transform: Arc<HigherOrderUDF>) -> Self {
        Self { transform }
    }
}

impl ExprPlanner for ListOperators {
    fn plan_binary_op(&self, raw: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let Some(operator) = by_element(&raw.op) else { return Ok(PlannerResult::Original(raw)) };
        let (left, right) = (elements(&raw.left, schema), elements(&raw.right, schema));
        let of_whole_lists = matches!(operator, Operator::Eq | Operator::NotEq);
        let parameter =
            |name: &str, element: FieldRef| Expr::LambdaVariable(LambdaVariable::new(name.to_string(), Some(element)));
        let (lists, parameters, body) = match (left, right) {
            (Some(_), Some(_)) if of_whole_lists => return Ok(PlannerResult::Original(raw)),
            (Some(a), Some(b)) => {
                let body = binary_expr(parameter(LEFT, a), operator, parameter(RIGHT, b));
                (vec![raw.left, raw.right], vec![LEFT, RIGHT], body)
            }
            (Some(a), None) => (vec![raw.left], vec![LEFT], binary_expr(parameter(LEFT, a), operator, raw.right)),
            (None, Some(b)) => (vec![raw.right], vec![RIGHT], binary_expr(raw.left, operator, parameter(RIGHT, b))),
            (None, None) => return Ok(PlannerResult::Original(raw)),
        };
        let arguments = lists.into_iter().chain([lambda(parameters, body)]).collect();
        let function = HigherOrderFunction::new(self.transform.clone(), arguments);
        Ok(PlannerResult::Planned(Expr::HigherOrderFunction(function)))
    }
}

/// The elements of an expression that is a list of numbers or conditions.
fn elements(expression: &Expr, schema: &DFSchema) -> Option<FieldRef> {
    match kernel_type(&expression.get_type(schema).ok()?) {
        DataType::List(element) if element.data_type().is_numeric() || *element.data_type() == DataType::Boolean => {
            Some(element)
        }
        _ => None,
    }
}

fn by_element(operator: &BinaryOperator) -> Option<Operator> {
    Some(match operator {
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        BinaryOperator::Modulo => Operator::Modulo,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::And => Operator::And,
        BinaryOperator::Or => Operator::Or,
        _ => return None,
    })
}
