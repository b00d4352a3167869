//! A SQL function made of a name, its documentation, the type of its result, and what it computes.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_datafusion_err, plan_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

type Returns = dyn Fn(&ReturnFieldArgs<'_>) -> Result<DataType> + Send + Sync;
type Run = dyn Fn(&ScalarFunctionArgs) -> Result<ArrayRef> + Send + Sync;

/// The function. Its name tells it from others.
pub(super) struct Kernel {
    name: &'static str,
    signature: Signature,
    documentation: Documentation,
    returns: Arc<Returns>,
    run: Arc<Run>,
}

impl Kernel {
    /// A function, by its name and arguments in words, and what it does.
    pub(super) fn function(
        name: &'static str,
        arguments: &str,
        description: &str,
        returns: impl Fn(&ReturnFieldArgs<'_>) -> Result<DataType> + Send + Sync + 'static,
        run: impl Fn(&ScalarFunctionArgs) -> Result<ArrayRef> + Send + Sync + 'static,
    ) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self {
            name,
            signature: Signature::user_defined(Volatility::Immutable),
            documentation: documentation(name, arguments, description),
            returns: Arc::new(returns),
            run: Arc::new(run),
        })
    }
}

const SECTION: DocSection = DocSection {
    include: true,
    label: "Particle Physics Functions",
    description: Some("Energies, momenta and masses have one unit; angles are in radians."),
};

pub(in crate::functions) fn documentation(name: &str, arguments: &str, description: &str) -> Documentation {
    Documentation::builder(SECTION, description, format!("{name}({arguments})")).build()
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Kernel {}

impl Hash for Kernel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Kernel {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.iter().map(kernel_type).collect())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("the type of {} depends on its arguments", self.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let data_type = (self.returns)(&args).map_err(|e| e.context(self.name))?;
        Ok(Arc::new(Field::new(self.name, data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        (self.run)(&args).map(ColumnarValue::Array).map_err(|e| e.context(self.name))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// The type that kernels take instead of one that they do not: lists with 32-bit offsets, binary numbers.
pub(in crate::functions) fn kernel_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::LargeList(element) | DataType::FixedSizeList(element, _) | DataType::ListView(element) => {
            DataType::List(element.clone())
        }
        DataType::Float16 => DataType::Float32,
        decimal if decimal.is_decimal() => DataType::Float64,
        other => other.clone(),
    }
}

/// A list type as results have it.
pub(in crate::functions) fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

/// The type of an argument, by its place.
pub(super) fn type_at<'a>(args: &'a ReturnFieldArgs<'_>, at: usize) -> Result<&'a DataType> {
    let field = args.arg_fields.get(at);
    field.map(|f| f.data_type()).ok_or_else(|| plan_datafusion_err!("argument {} is missing", at + 1))
}

/// The elements of an argument that must be a list.
pub(super) fn element_at<'a>(args: &'a ReturnFieldArgs<'_>, at: usize) -> Result<&'a DataType> {
    match type_at(args, at)? {
        DataType::List(element) => Ok(element.data_type()),
        other => plan_err!("argument {} is {other}, but a list is needed", at + 1),
    }
}

/// A whole number that must be written out in the query, as it decides the type of the result.
pub(super) fn literal_count(args: &ReturnFieldArgs<'_>, at: usize) -> Result<usize> {
    let value = args.scalar_arguments.get(at).copied().flatten();
    let value = value.and_then(|value| value.to_string().parse().ok());
    value.ok_or_else(|| plan_datafusion_err!("argument {} must be a whole number that is written out", at + 1))
}

/// That there are so many arguments.
pub(super) fn check_count(args: &ReturnFieldArgs<'_>, counts: std::ops::RangeInclusive<usize>) -> Result<()> {
    if counts.contains(&args.arg_fields.len()) {
        return Ok(());
    }
    let (least, most) = counts.into_inner();
    plan_err!("{} arguments were given, but {least} to {most} are needed", args.arg_fields.len())
}

/// An argument as an array of all rows.
pub(super) fn array_at(args: &ScalarFunctionArgs, at: usize) -> Result<ArrayRef> {
    let value = args.args.get(at).ok_or_else(|| exec_datafusion_err!("argument {} is missing", at + 1))?;
    value.to_array(args.number_rows)
}

/// An argument as lists of all rows.
pub(super) fn list_at(args: &ScalarFunctionArgs, at: usize) -> Result<ListArray> {
    let array = array_at(args, at)?;
    as_list(&array, at)
}

/// An array as lists.
pub(super) fn as_list(array: &ArrayRef, at: usize) -> Result<ListArray> {
    let found = || exec_datafusion_err!("argument {} is {}, but a list is needed", at + 1, array.data_type());
    array.as_list_opt::<i32>().cloned().ok_or_else(found)
}

/// A number that is one for all rows.
pub(super) fn constant_at(args: &ScalarFunctionArgs, at: usize) -> Result<Option<f64>> {
    let Some(ColumnarValue::Scalar(value)) = args.args.get(at) else {
        return datafusion::common::exec_err!("argument {} must be one number for all rows", at + 1);
    };
    let value = value.cast_to(&DataType::Float64)?;
    match value {
        datafusion::common::ScalarValue::Float64(value) => Ok(value),
        _ => Ok(None),
    }
}

/// A member of structs, or of structs in lists; null where the struct is.
pub(in crate::functions) fn member_of(array: &ArrayRef, name: &str) -> Result<ArrayRef> {
    if let Some(list) = array.as_list_opt::<i32>() {
        let values = member_of(list.values(), name)?;
        let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        return Ok(Arc::new(ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned())?));
    }
    let missing = || exec_datafusion_err!("{} has no member '{name}'", array.data_type());
    let objects = array.as_struct_opt().ok_or_else(missing)?;
    let member = objects.column_by_name(name).ok_or_else(missing)?;
    match objects.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => Ok(member.clone()),
        Some(nulls) => {
            let nulls = datafusion::arrow::buffer::NullBuffer::union(Some(nulls), member.nulls());
            let data = member.to_data().into_builder().nulls(nulls).build()?;
            Ok(datafusion::arrow::array::make_array(data))
        }
    }
}
