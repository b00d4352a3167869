//! Functions of lists and a lambda: `array_filter`, `array_transform`, `array_any_match`, `array_all_match` and
//! `array_count`. They take several parallel lists, whose elements at one place are the parameters of the lambda; one
//! parameter more is the index. The lambda is evaluated once for all rows, and rows are told apart by running totals.
//!
//! They replace DataFusion's by name. Of tuples, such as `combinations` makes, a lambda may name the members. As a function
//! is not told how many parameters a lambda has, the names are rewritten ([`named_for`]): `array_filter/2` is the
//! `array_filter` whose lambda has two parameters for one list.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion::arrow::compute::{cast, filter};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature,
    HigherOrderUDF, HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};
use root_physics::{Collection, taken};

use super::physics::{documentation, failed, kernel_type, list_of, member_of};
use super::ranks::Ranks;

/// What becomes of the elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Filter,
    Transform,
    AnyMatch,
    AllMatch,
    Count,
}

const KINDS: [Kind; 5] = [Kind::Filter, Kind::Transform, Kind::AnyMatch, Kind::AllMatch, Kind::Count];
/// The most parameters of a lambda over one list.
const MOST_PARAMETERS: usize = 8;

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ListFunction {
    kind: Kind,
    /// How many parameters the lambda has for one list, if more than one.
    parameters: Option<usize>,
    name: String,
    aliases: Vec<String>,
    signature: HigherOrderSignature,
    documentation: Documentation,
}

/// The functions, to be registered over DataFusion's, but for those below.
pub(super) fn list_functions() -> impl Iterator<Item = HigherOrderUDF> {
    let plain = [Kind::Filter, Kind::AnyMatch, Kind::AllMatch].map(|kind| list_function(kind, None));
    let of_one_list = |kind| (2..=MOST_PARAMETERS).map(move |n| list_function(kind, Some(n)));
    plain.into_iter().chain(KINDS.into_iter().flat_map(of_one_list))
}

/// `array_transform`.
pub(super) fn list_transform() -> HigherOrderUDF {
    list_function(Kind::Transform, None)
}

/// `array_count`, which counts without making the shorter lists.
pub(super) fn list_count() -> HigherOrderUDF {
    list_function(Kind::Count, None)
}

fn list_function(kind: Kind, parameters: Option<usize>) -> HigherOrderUDF {
    let (name, aliases, result) = kind.described();
    let description = format!(
        "{result} The lambda's parameters are the elements of the lists at one place, and the index, counted from 1, if \
         there is one parameter more. For one list of tuples they are the members, if there are as many. Without a lambda \
         the last list has the conditions or values."
    );
    HigherOrderUDF::new_from_impl(ListFunction {
        kind,
        parameters,
        name: parameters.map_or_else(|| name.to_string(), |n| format!("{name}/{n}")),
        aliases: if parameters.is_none() { aliases.iter().map(|a| a.to_string()).collect() } else { Vec::new() },
        signature: HigherOrderSignature::user_defined(Volatility::Immutable),
        documentation: documentation(name, "list1[, list2, ...], (x1, x2, ..., index) -> ...", &description),
    })
}

/// What a function is called if its lambda has so many parameters for one list; `None` for other functions.
pub(crate) fn named_for(function: &str, parameters: usize) -> Option<String> {
    let function = function.to_ascii_lowercase();
    if !(2..=MOST_PARAMETERS).contains(&parameters) {
        return None;
    }
    KINDS.iter().find_map(|kind| {
        let (name, aliases, _) = kind.described();
        (name == function || aliases.contains(&function.as_str())).then(|| format!("{name}/{parameters}"))
    })
}

impl Kind {
    /// Name, other names, and result.
    fn described(self) -> (&'static str, &'static [&'static str], &'static str) {
        match self {
            Self::Filter => {
                ("array_filter", &["list_filter"], "The elements of the first list for which the condition holds.")
            }
            Self::Transform => {
                ("array_transform", &["list_transform"], "The list of what the lambda makes of the elements.")
            }
            Self::AnyMatch => (
                "array_any_match",
                &["any_match", "list_any_match"],
                "Whether the condition holds for any elements; false if there are none.",
            ),
            Self::AllMatch => (
                "array_all_match",
                &["all_match", "list_all_match"],
                "Whether the condition holds for all elements; true if there are none.",
            ),
            Self::Count => ("array_count", &["list_count"], "For how many elements the condition holds."),
        }
    }
}

impl HigherOrderUDFImpl for ListFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    /// As the query has it.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let args: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(format!("{}({})", self.kind.described().0, args.join(",")))
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let as_list = |(at, data_type): (usize, &DataType)| match kernel_type(data_type) {
            list @ DataType::List(_) => Ok(list),
            DataType::Null => Ok(list_of(DataType::Null)),
            other => plan_err!("{} takes lists, but argument {} is {other}", self.kind.described().0, at + 1),
        };
        types.iter().enumerate().map(as_list).collect()
    }

    fn lambda_parameters(
        &self,
        _: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let (mut elements, mut lambdas) = (Vec::new(), 0);
        for field in fields {
            match field {
                ValueOrLambda::Value(list) => elements.push(element_of(list)?),
                ValueOrLambda::Lambda(_) => lambdas += 1,
            }
        }
        let mut parameters = elements;
        if let (Some(wanted), [element]) = (self.parameters, parameters.as_slice()) {
            match tuple_members(element.data_type(), wanted) {
                Some(members) => {
                    let nullable = |member: &FieldRef| Arc::new(member.as_ref().clone().with_nullable(true));
                    return Ok(LambdaParametersProgress::Complete(vec![
                        members.iter().map(nullable).collect();
                        lambdas
                    ]));
                }
                None if wanted > 2 => {
                    return plan_err!(
                        "{}: the lambda has {wanted} parameters, but an element is {}; write a list for each parameter, \
                         and an index if there is one more",
                        self.kind.described().0,
                        element.data_type()
                    );
                }
                None => {}
            }
        }
        parameters.push(Arc::new(Field::new("index", DataType::Int64, false)));
        Ok(LambdaParametersProgress::Complete(vec![parameters; lambdas]))
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        let name = self.kind.described().0;
        let (lists, result) = match args.arg_fields {
            [lists @ .., ValueOrLambda::Lambda(body)] if !lists.is_empty() => (lists, body.clone()),
            [lists @ .., ValueOrLambda::Value(last)] if !lists.is_empty() => (lists, element_of(last)?),
            _ => return plan_err!("{name} takes one list or more, and a lambda behind them"),
        };
        let mut elements = Vec::with_capacity(lists.len());
        let mut nullable = args.arg_fields.iter().any(|f| matches!(f, ValueOrLambda::Value(f) if f.is_nullable()));
        for list in lists {
            match list {
                ValueOrLambda::Value(list) => elements.push(element_of(list)?),
                ValueOrLambda::Lambda(_) => return plan_err!("{name} takes one lambda, behind the lists"),
            }
        }
        if self.kind != Kind::Transform && !matches!(result.data_type(), DataType::Boolean | DataType::Null) {
            return plan_err!("{name} needs a condition, but its lambda gives {}", result.data_type());
        }
        let data_type = match (self.kind, elements.first()) {
            (Kind::Filter, Some(element)) => DataType::List(element.clone()),
            (Kind::Transform, _) => list_of(result.data_type().clone()),
            (Kind::Count, _) => DataType::UInt64,
            _ => {
                nullable |= result.is_nullable();
                DataType::Boolean
            }
        };
        Ok(Arc::new(Field::new("", data_type, nullable)))
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let mapped = Mapped::evaluate(&args, self.parameters)?;
        let result = match self.kind {
            Kind::Transform => Arc::new(mapped.collection.wrap(mapped.results).map_err(failed)?),
            Kind::Filter => mapped.filtered(args.return_type())?,
            Kind::Count => {
                let counts =
                    Ranks::new(&mapped.flags()?.0).between(mapped.collection.offsets()).map(|n| n as u64).collect();
                Arc::new(UInt64Array::new(counts, mapped.collection.nulls().cloned()))
            }
            Kind::AnyMatch => mapped.matches(|flags| flags.values().clone(), true)?,
            Kind::AllMatch => mapped.matches(|flags| !flags.values(), false)?,
        };
        Ok(ColumnarValue::Array(result))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

fn element_of(list: &FieldRef) -> Result<FieldRef> {
    match list.data_type() {
        DataType::List(element) => Ok(element.clone()),
        other => plan_err!("a list is needed instead of {other}"),
    }
}

/// The members of a tuple of that many.
fn tuple_members(element: &DataType, size: usize) -> Option<&[FieldRef]> {
    let DataType::Struct(members) = element else { return None };
    let is_tuple = members.len() == size && members.iter().enumerate().all(|(at, m)| *m.name() == at.to_string());
    is_tuple.then_some(members.as_ref())
}

/// Lists and what the lambda made of each of their elements.
struct Mapped {
    /// The lists; the members are all elements, row by row.
    collection: Collection,
    results: ArrayRef,
}

impl Mapped {
    fn evaluate(args: &HigherOrderFunctionArgs, parameters: Option<usize>) -> Result<Self> {
        let mut lists: Vec<ListArray> = Vec::with_capacity(args.args.len());
        let mut lambda = None;
        for value in &args.args {
            match value {
                ValueOrLambda::Value(list) => lists.push(list.to_array(args.number_rows)?.as_list::<i32>().clone()),
                ValueOrLambda::Lambda(body) => lambda = Some(body),
            }
        }
        let collection = Collection::new(&lists.iter().collect::<Vec<_>>()).map_err(failed)?;
        let results = match (lambda, collection.members().last()) {
            (Some(lambda), _) => of_elements(lambda, &collection, parameters)?,
            (None, Some(last)) => last.clone(),
            (None, None) => return Err(exec_datafusion_err!("there is no list")),
        };
        Ok(Self { collection, results })
    }

    /// Which elements satisfy the condition, and of which this is not known.
    fn flags(&self) -> Result<(BooleanBuffer, BooleanArray)> {
        let results = match self.results.as_boolean_opt() {
            Some(flags) => flags.clone(),
            None => cast(&self.results, &DataType::Boolean)?.as_boolean().clone(),
        };
        let held = match results.nulls() {
            Some(nulls) => results.values() & nulls.inner(),
            None => results.values().clone(),
        };
        Ok((held, results))
    }

    fn filtered(&self, list_type: &DataType) -> Result<ArrayRef> {
        let (DataType::List(field), Some(values)) = (list_type, self.collection.members().first()) else {
            return Err(exec_datafusion_err!("a filtered list is no {list_type}"));
        };
        let (flags, _) = self.flags()?;
        let ranks = Ranks::new(&flags);
        let offsets = ranks.offsets(self.collection.offsets());
        // Most selections of physics keep few elements, but some keep all.
        let values = match ranks.total() == values.len() {
            true => values.clone(),
            false => filter(values, &BooleanArray::new(flags, None))?,
        };
        let nulls = self.collection.nulls().cloned();
        Ok(Arc::new(ListArray::try_new(field.clone(), offsets, values, nulls)?))
    }

    /// Whether there is an element that decides the answer, which then is `answer`; null if there is none, but there could
    /// be one among those of which it is not known.
    fn matches(&self, decides: impl Fn(&BooleanArray) -> BooleanBuffer, answer: bool) -> Result<ArrayRef> {
        let (_, flags) = self.flags()?;
        let offsets = self.collection.offsets();
        let (deciding, unknown) = match flags.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => (decides(&flags), None),
            Some(nulls) => (&decides(&flags) & nulls.inner(), Some(!nulls.inner())),
        };
        let found = Ranks::new(&deciding).any_between(offsets);
        let nulls = unknown.map(|unknown| NullBuffer::new(&!&Ranks::new(&unknown).any_between(offsets) | &found));
        let nulls = NullBuffer::union(self.collection.nulls(), nulls.as_ref());
        let answers = if answer { found } else { !&found };
        Ok(Arc::new(BooleanArray::new(answers, nulls)))
    }
}

/// What a lambda makes of all elements.
fn of_elements(lambda: &LambdaArgument, collection: &Collection, parameters: Option<usize>) -> Result<ArrayRef> {
    let members = collection.members();
    let [first, ..] = members else { return Err(exec_datafusion_err!("there is no list")) };
    let tuple = match (parameters, members) {
        (Some(size), [tuples]) => tuple_members(tuples.data_type(), size),
        _ => None,
    };
    type Parameter<'a> = Box<dyn Fn() -> Result<ArrayRef> + 'a>;
    let mut given: Vec<Parameter<'_>> = Vec::with_capacity(members.len() + 1);
    match tuple {
        Some(names) => given.extend(names.iter().map(|n| Box::new(|| member_of(first, n.name())) as Parameter<'_>)),
        None => {
            given.extend(members.iter().map(|values| Box::new(|| Ok(values.clone())) as Parameter<'_>));
            given.push(Box::new(|| Ok(indices(collection))));
        }
    }
    let given: Vec<&dyn Fn() -> Result<ArrayRef>> = given.iter().map(AsRef::as_ref).collect();
    let spread = |captured: &[ArrayRef]| {
        let mut rows = Vec::with_capacity(collection.elements());
        (0u32..).zip(collection.ranges()).for_each(|(row, range)| rows.resize(range.end, row));
        let rows = UInt32Array::from(rows);
        captured.iter().map(|column| taken(column, &rows).map_err(failed)).collect()
    };
    lambda.evaluate(&given, spread)?.into_array(collection.elements())
}

/// The index of each element within its list, counted from 1.
fn indices(collection: &Collection) -> ArrayRef {
    let mut indices = Vec::with_capacity(collection.elements());
    collection.ranges().for_each(|range| indices.extend(1..=range.len() as i64));
    Arc::new(Int64Array::from(indices))
}
