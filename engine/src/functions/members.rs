//! Some members of structs, or of the structs of lists, as structs with no others: nothing is copied. The optimizer puts it
//! where elements or rows would be copied with members that nobody looks at.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, exec_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What [`members_of`] is called.
pub(crate) const MEMBERS: &str = "members_of";

/// `members_of(structs, name, ...)`.
pub(crate) fn members_of() -> ScalarUDF {
    ScalarUDF::new_from_impl(MembersOf { signature: Signature::variadic_any(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct MembersOf {
    signature: Signature,
}

impl ScalarUDFImpl for MembersOf {
    fn name(&self) -> &str {
        MEMBERS
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("the type of {MEMBERS} depends on its arguments")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let Some((value, names)) = args.arg_fields.first().zip(args.scalar_arguments.get(1..)) else {
            return plan_err!("{MEMBERS} takes structs and the names of members");
        };
        let names: Option<Vec<&str>> = names.iter().map(|name| (*name)?.try_as_str()?).collect();
        let names = names.ok_or_else(|| plan_datafusion_err!("{MEMBERS} takes names that are written out"))?;
        let data_type = match value.data_type() {
            DataType::Struct(fields) => DataType::Struct(named(fields, &names)?),
            DataType::List(element) => match element.data_type() {
                DataType::Struct(fields) => {
                    let fields = DataType::Struct(named(fields, &names)?);
                    DataType::List(Arc::new(element.as_ref().clone().with_data_type(fields)))
                }
                other => return plan_err!("{MEMBERS} takes lists of structs, but elements are {other}"),
            },
            other => return plan_err!("{MEMBERS} takes structs, or lists of them, but got {other}"),
        };
        Ok(Arc::new(Field::new(self.name(), data_type, value.is_nullable())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(value) = args.args.first() else { return exec_err!("{MEMBERS} takes structs") };
        let array = value.to_array(args.number_rows)?;
        let Some(list) = array.as_list_opt::<i32>() else {
            return Ok(ColumnarValue::Array(narrowed(&array, args.return_type())?));
        };
        let DataType::List(element) = args.return_type() else { return exec_err!("{MEMBERS} gives lists of lists") };
        let values = narrowed(list.values(), element.data_type())?;
        let list = ListArray::try_new(element.clone(), list.offsets().clone(), values, list.nulls().cloned())?;
        Ok(ColumnarValue::Array(Arc::new(list)))
    }
}

/// The fields with these names, in their order.
fn named(fields: &Fields, names: &[&str]) -> Result<Fields> {
    let named: Fields = fields.iter().filter(|field| names.contains(&field.name().as_str())).cloned().collect();
    if named.len() == names.len() { Ok(named) } else { plan_err!("{fields:?} have not all of {names:?}") }
}

/// Structs with the members of a narrower type only.
fn narrowed(structs: &ArrayRef, narrower: &DataType) -> Result<ArrayRef> {
    let (Some(structs), DataType::Struct(fields)) = (structs.as_struct_opt(), narrower) else {
        return exec_err!("{MEMBERS} of {}", structs.data_type());
    };
    let columns = fields.iter().filter_map(|field| structs.column_by_name(field.name()).cloned()).collect();
    Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), columns, structs.nulls().cloned(), structs.len())?))
}
