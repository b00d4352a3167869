//! `list[i]`. DataFusion's own copies element by element through a generic builder; for a list of numbers or objects and
//! one index for all rows, which is what physics queries write, a gather is many times faster.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanBufferBuilder, ListArray, PrimitiveArray, UInt32Array,
};
use datafusion::arrow::buffer::{NullBuffer, ScalarBuffer};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::downcast_primitive_array;
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_nested::extract::array_element_udf;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, GetFieldAccess, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
};
use root_physics::taken;

/// `array_element` with a fast path; everything else is left to DataFusion's function, which it replaces by name.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ListElement {
    general: Arc<ScalarUDF>,
}

/// The function, to be registered over DataFusion's.
pub(crate) fn list_element() -> ScalarUDF {
    ScalarUDF::new_from_impl(ListElement { general: array_element_udf() })
}

impl ScalarUDFImpl for ListElement {
    replaces_general!();

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<datafusion::arrow::datatypes::FieldRef> {
        self.general.inner().return_field_from_args(arguments)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.general.inner().coerce_types(arguments)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let [ColumnarValue::Array(list), ColumnarValue::Scalar(ScalarValue::Int64(Some(index)))] =
            args.args.as_slice()
            && let Some(list) = list.as_list_opt::<i32>()
            && let Some(elements) = gather(list, *index)
        {
            return Ok(ColumnarValue::Array(elements));
        }
        self.general.inner().invoke_with_args(args)
    }
}

/// Element `index` of each list, counted from 1, or from the end if negative; null where there is none. `None` if the
/// list does not hold plain numbers or structs.
fn gather(list: &ListArray, index: i64) -> Option<ArrayRef> {
    let values = list.values();
    let index = i32::try_from(index).ok()?;
    if matches!(values.data_type(), DataType::Struct(_)) {
        return taken(values, &places(list, index).collect::<UInt32Array>()).ok();
    }
    if values.null_count() > 0 {
        return None;
    }
    downcast_primitive_array! {
        values => Some(gather_numbers(list, values, index)),
        _ => None,
    }
}

fn gather_numbers<T: ArrowPrimitiveType>(list: &ListArray, values: &PrimitiveArray<T>, index: i32) -> ArrayRef {
    let numbers = values.values();
    let starts_and_ends = || list.offsets().iter().zip(list.offsets().iter().skip(1));
    // Mostly a filter has left only lists that are long enough, and a null list is empty.
    let needed = i64::from(index).abs();
    let short = starts_and_ends().filter(|(start, end)| i64::from(**end - **start) < needed).count();
    if short == 0 && index != 0 && list.null_count() == 0 {
        let at = |place: i32| numbers.get(place as usize).copied().unwrap_or_default();
        let out: ScalarBuffer<T::Native> = match index {
            1.. => starts_and_ends().map(|(start, _)| at(start + (index - 1))).collect(),
            _ => starts_and_ends().map(|(_, end)| at(end + index)).collect(),
        };
        return Arc::new(PrimitiveArray::<T>::new(out, None));
    }
    let mut out: Vec<T::Native> = Vec::with_capacity(list.len());
    let mut valid = BooleanBufferBuilder::new(list.len());
    for place in places(list, index) {
        let value = place.and_then(|p| numbers.get(p as usize));
        valid.append(value.is_some());
        out.push(value.copied().unwrap_or_default());
    }
    let nulls = Some(NullBuffer::new(valid.finish())).filter(|n| n.null_count() > 0);
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(out), nulls))
}

/// Where among the values element `index` of each list is; `None` where there is none.
fn places(list: &ListArray, index: i32) -> impl Iterator<Item = Option<u32>> {
    let starts_and_ends = list.offsets().iter().zip(list.offsets().iter().skip(1));
    starts_and_ends.enumerate().map(move |(row, (start, end))| {
        let place = match index {
            0 => None,
            1.. => start.checked_add(index - 1).filter(|p| p < end),
            _ => end.checked_add(index).filter(|p| p >= start),
        };
        place.filter(|_| list.is_valid(row)).map(|p| p as u32)
    })
}

/// Makes `list[i]` in SQL call our function.
#[derive(Debug)]
pub(crate) struct ElementPlanner {
    element: Arc<ScalarUDF>,
}

impl ElementPlanner {
    pub(crate) fn new(element: Arc<ScalarUDF>) -> Self {
        Self { element }
    }
}

impl ExprPlanner for ElementPlanner {
    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &datafusion::common::DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        use datafusion::logical_expr::ExprSchemable;
        let GetFieldAccess::ListIndex { key } = &access.field_access else {
            return Ok(PlannerResult::Original(access));
        };
        // Maps and the results of array_agg mean something else by an index.
        let is_list = matches!(access.expr.get_type(schema), Ok(DataType::List(_)));
        if !is_list || matches!(access.expr, Expr::AggregateFunction(_)) {
            return Ok(PlannerResult::Original(access));
        }
        let arguments = vec![access.expr, key.as_ref().clone()];
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(self.element.clone(), arguments))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::StructArray;
    use datafusion::arrow::datatypes::{Field, Int32Type};

    fn list() -> ListArray {
        let rows = [Some(vec![Some(1), Some(2)]), Some(vec![]), None, Some(vec![Some(3)])];
        ListArray::from_iter_primitive::<Int32Type, _, _>(rows)
    }

    fn elements(index: i64) -> Vec<Option<i32>> {
        let array = gather(&list().slice(0, 4), index).unwrap();
        array.as_primitive::<Int32Type>().iter().collect()
    }

    #[test]
    fn elements_are_counted_from_one_or_from_the_end() {
        assert_eq!(elements(1), [Some(1), None, None, Some(3)]);
        assert_eq!(elements(2), [Some(2), None, None, None]);
        assert_eq!(elements(-1), [Some(2), None, None, Some(3)]);
        assert_eq!(elements(0), [None; 4]);
        assert_eq!(elements(-3), [None; 4]);
        assert_eq!(elements(i64::from(i32::MAX)), [None; 4]);
        assert_eq!(elements(i64::from(i32::MIN)), [None; 4]);
    }

    #[test]
    fn elements_that_are_objects_keep_their_members_together() {
        let numbers = list();
        let fields = vec![Field::new("x", DataType::Int32, true)];
        let objects = StructArray::new(fields.into(), vec![numbers.values().clone()], None);
        let element = Arc::new(Field::new("item", objects.data_type().clone(), true));
        let lists = ListArray::new(element, numbers.offsets().clone(), Arc::new(objects), numbers.nulls().cloned());

        let second = gather(&lists, 2).unwrap();

        assert_eq!(second.null_count(), 3);
        let member = second.as_struct().column(0).as_primitive::<Int32Type>().iter();
        assert_eq!(member.collect::<Vec<_>>(), [Some(2), None, None, None]);
    }

    #[test]
    fn lists_that_are_all_long_enough_give_elements_without_nulls() {
        let rows = [vec![9], vec![1, 2], vec![3, 4, 5], vec![6, 7]].map(|row| Some(row.into_iter().map(Some)));
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(rows).slice(1, 3);
        for (index, expected) in [(1, [1, 3, 6]), (2, [2, 4, 7]), (-1, [2, 5, 7]), (-2, [1, 4, 6])] {
            let array = gather(&lists, index).unwrap();
            assert_eq!(array.as_primitive::<Int32Type>().values(), &expected);
            assert_eq!(array.null_count(), 0);
        }
        assert_eq!(gather(&lists, i64::from(i32::MIN)).unwrap().null_count(), 3);
    }
}
