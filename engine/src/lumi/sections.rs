//! Aggregates over the luminosity sections of events, each of which counts once, in however many files and partitions it
//! lies. Partial results are the sections themselves, so that merging them counts nothing twice.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, StructArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use root_physics::lumi::{LumiError, LumiSections, LumiTable};

/// What `lumi_sum` gives.
static INTEGRAL: LazyLock<Fields> = LazyLock::new(|| {
    Fields::from(vec![
        Field::new("recorded", DataType::Float64, false),
        Field::new("delivered", DataType::Float64, false),
        Field::new("sections", DataType::Int64, false),
        Field::new("missing", DataType::Int64, false),
    ])
});

/// `lumi_sections(run, luminosityBlock)` and `lumi_sum(run, luminosityBlock, 'lumi.csv')`, as the planner knows them.
pub(crate) fn aggregates() -> [AggregateUDF; 2] {
    [aggregate(What::Sections), aggregate(What::Sum(None))]
}

/// `lumi_sum` with its table.
pub(crate) fn sum_over(table: Arc<LumiTable>) -> AggregateUDF {
    aggregate(What::Sum(Some(table)))
}

/// Whether a function is `lumi_sum` without its table.
pub(super) fn is_unread(function: &AggregateUDF) -> bool {
    over_sections(function).is_some_and(|own| matches!(own.what, What::Sum(None)))
}

/// The table of a function that is `lumi_sum` and has one.
pub(crate) fn table_of(function: &AggregateUDF) -> Option<&LumiTable> {
    match &over_sections(function)?.what {
        What::Sum(table) => table.as_deref(),
        What::Sections => None,
    }
}

fn over_sections(function: &AggregateUDF) -> Option<&OverSections> {
    let function: &dyn AggregateUDFImpl = function.inner().as_ref();
    (function as &dyn Any).downcast_ref()
}

fn aggregate(what: What) -> AggregateUDF {
    AggregateUDF::new_from_impl(OverSections { what, signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, Clone)]
enum What {
    Sections,
    Sum(Option<Arc<LumiTable>>),
}

#[derive(Debug)]
struct OverSections {
    what: What,
    signature: Signature,
}

impl OverSections {
    /// What tells it from others.
    fn identity(&self) -> (&str, Option<*const LumiTable>) {
        let table = match &self.what {
            What::Sum(Some(table)) => Some(Arc::as_ptr(table)),
            _ => None,
        };
        (self.name(), table)
    }
}

impl PartialEq for OverSections {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for OverSections {}

impl Hash for OverSections {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl AggregateUDFImpl for OverSections {
    fn name(&self) -> &str {
        match self.what {
            What::Sections => "lumi_sections",
            What::Sum(_) => "lumi_sum",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let form = match (&self.what, types) {
            (What::Sections, [run, section]) if run.is_integer() && section.is_integer() => return Ok(types.to_vec()),
            (What::Sum(_), [run, section, file]) if run.is_integer() && section.is_integer() && file.is_string() => {
                return Ok(types.to_vec());
            }
            (What::Sections, _) => "lumi_sections(run, luminosityBlock)",
            (What::Sum(_), _) => "lumi_sum(run, luminosityBlock, 'lumi.csv')",
        };
        let given: Vec<String> = types.iter().map(ToString::to_string).collect();
        plan_err!("it is called as {form}, with integers, and was given ({})", given.join(", "))
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.what {
            What::Sections => DataType::Int64,
            What::Sum(_) => DataType::Struct(INTEGRAL.clone()),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[state]", args.name), DataType::LargeBinary, true))])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if matches!(self.what, What::Sum(None)) {
            return plan_err!("lumi_sum: the table was not read; plan the statement with RootSession::sql, which does");
        }
        Ok(Box::new(Collecting { what: self.what.clone(), sections: LumiSections::default() }))
    }
}

/// Sections as they are collected.
#[derive(Debug)]
struct Collecting {
    what: What,
    sections: LumiSections,
}

fn failed(error: LumiError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Accumulator for Collecting {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [runs, sections, ..] = values else { return internal_err!("a run and a section are needed") };
        self.sections.extend(runs, sections).map_err(failed)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(states) = states.first().and_then(|states| states.as_binary_opt::<i64>()) else {
            return internal_err!("the state of luminosity sections is LargeBinary");
        };
        for state in states.iter().flatten() {
            self.sections.merge(LumiSections::from_bytes(state).map_err(failed)?);
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::LargeBinary(Some(self.sections.to_bytes()))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let What::Sum(Some(table)) = &self.what else {
            return Ok(ScalarValue::Int64(Some(count(self.sections.len()))));
        };
        let integral = self.sections.integrate(table);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(vec![integral.luminosity.recorded])),
            Arc::new(Float64Array::from(vec![integral.luminosity.delivered])),
            Arc::new(Int64Array::from(vec![count(integral.found)])),
            Arc::new(Int64Array::from(vec![count(integral.missing)])),
        ];
        Ok(ScalarValue::Struct(Arc::new(StructArray::try_new(INTEGRAL.clone(), columns, None)?)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sections.memory()
    }
}
