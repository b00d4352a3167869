//! Functions that look into histograms: their bins as rows, JSON, the number of entries, sum, mean and deviation.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, Float64Array, Float64Builder, Int64Array, Int64Builder, LargeBinaryArray,
    ListArray, StringBuilder, StructArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{DataFusionError, Result, ScalarValue, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use root_hist::{Axis, Histogram, Interval, write_uhi};

use super::{EXTENSION_METADATA, HISTOGRAM_TYPE};

/// The most bins of one batch of histograms that are listed: rows of some GiB.
const MAX_BINS: usize = 1 << 26;

/// Functions of a histogram, and perhaps of an axis.
pub(super) fn functions() -> [ScalarUDF; 6] {
    let make = |what: What| {
        let form = format!("{}({})", what.name(), if what.takes_an_axis() { "h[, axis]" } else { "h" });
        let documentation = Documentation::builder(SECTION, what.description(), form).build();
        let signature = Signature::user_defined(Volatility::Immutable);
        ScalarUDF::new_from_impl(Look { what, signature, documentation })
    };
    [What::Bins, What::Json, What::Entries, What::Sum, What::Mean, What::Deviation].map(make)
}

const SECTION: DocSection = DocSection {
    include: true,
    label: "Histogram Functions",
    description: Some("What is in a histogram that an aggregate such as hist has filled."),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Bins,
    Json,
    Entries,
    Sum,
    Mean,
    Deviation,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Bins => "hist_bins",
            Self::Json => "hist_json",
            Self::Entries => "hist_entries",
            Self::Sum => "hist_sum",
            Self::Mean => "hist_mean",
            Self::Deviation => "hist_std",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Bins => {
                "A list of structs, one for each bin, underflow first and overflow last: the number of the bin, its edges or \
                 category, the value and its variance."
            }
            Self::Json => "The histogram as UHI JSON, which the Python package hist reads.",
            Self::Entries => {
                "How many entries were filled, whatever their weight, underflow and overflow included. NULLs are none."
            }
            Self::Sum => {
                "The sum of the contents of the bins, without underflow and overflow: numbers of entries, or of weights where \
                 there are such; of a profile those of its sample. As sum() in boost-histogram."
            }
            Self::Mean => {
                "The mean along an axis ('x', which it is if not given, 'y' or 'z') by the centres c of its bins: \
                 sum(w * c) / sum(w), w being the contents of the bins without underflow and overflow. It has the unit of the \
                 values that were filled, and is NULL where the contents add to nothing. The centre is half-way between the \
                 edges, for hist_log in the logarithm."
            }
            Self::Deviation => {
                "The standard deviation along an axis ('x', which it is if not given, 'y' or 'z') by the centres c of its bins: \
                 sqrt(sum(w * (c - mean)^2) / sum(w)), as for hist_mean. It has the unit of the values that were filled, and is \
                 NULL where it is not defined."
            }
        }
    }

    fn takes_an_axis(self) -> bool {
        matches!(self, Self::Mean | Self::Deviation)
    }
}

/// A function of a histogram.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Look {
    what: What,
    signature: Signature,
    documentation: Documentation,
}

impl ScalarUDFImpl for Look {
    fn name(&self) -> &str {
        self.what.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [histogram] if is_bytes(histogram) => Ok(vec![HISTOGRAM_TYPE]),
            [histogram, axis] if is_bytes(histogram) && axis.is_string() && self.what.takes_an_axis() => {
                Ok(vec![HISTOGRAM_TYPE, DataType::Utf8])
            }
            _ => {
                let given: Vec<String> = types.iter().map(ToString::to_string).collect();
                let form = &self.documentation.syntax_example;
                plan_err!("it is called as {form}, h being a histogram, and was given ({})", given.join(", "))
            }
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("{} tells its type by its argument's field", self.name())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let data_type = match self.what {
            What::Bins => DataType::new_list(bin_type(&axes_of(args.arg_fields.first())), false),
            What::Json => DataType::Utf8,
            What::Entries => DataType::Int64,
            What::Sum | What::Mean | What::Deviation => DataType::Float64,
        };
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (states, axis) = match args.args.as_slice() {
            [states] => (states.to_array(args.number_rows)?, 0),
            [states, axis] => (states.to_array(args.number_rows)?, self.axis(axis)?),
            _ => return internal_err!("{} has one argument or two", self.name()),
        };
        let Some(states) = states.as_binary_opt::<i64>() else {
            return internal_err!("{} takes LargeBinary", self.name());
        };
        let histograms = self.read(states)?;
        if matches!(self.what, What::Bins | What::Json) {
            Self::check_bins(&histograms)?;
        }
        let out: ArrayRef = match self.what {
            What::Bins => self.bins(&histograms, &axes_of(args.arg_fields.first()))?,
            What::Entries => {
                let entries = |h: &Histogram| i64::try_from(h.tally().entries).unwrap_or(i64::MAX);
                Arc::new(histograms.iter().map(|h| h.as_ref().map(entries)).collect::<Int64Array>())
            }
            What::Sum => Arc::new(histograms.iter().map(|h| h.as_ref().map(Histogram::sum)).collect::<Float64Array>()),
            What::Mean | What::Deviation => {
                let moment = |h: &Option<Histogram>| h.as_ref().map_or(Ok(None), |h| self.moment(h, axis));
                Arc::new(histograms.iter().map(moment).collect::<Result<Float64Array>>()?)
            }
            What::Json => {
                let mut texts = StringBuilder::new();
                for histogram in &histograms {
                    let json = histogram.as_ref().map(|h| write_uhi(&[("hist", h)], &[])).transpose();
                    append_text(&mut texts, json.map_err(|error| self.fault(&error))?.as_deref())?;
                }
                Arc::new(texts.finish())
            }
        };
        Ok(ColumnarValue::Array(out))
    }
}

impl Look {
    fn fault(&self, error: &dyn std::fmt::Display) -> DataFusionError {
        DataFusionError::Execution(format!("{}: {error}", self.name()))
    }

    /// The number of an axis by its letter.
    fn axis(&self, letter: &ColumnarValue) -> Result<usize> {
        let letter = match letter {
            ColumnarValue::Scalar(ScalarValue::Utf8(letter)) => letter.as_deref(),
            _ => None,
        };
        let number = letter.and_then(|letter| ["x", "y", "z"].iter().position(|known| *known == letter));
        number.ok_or_else(|| self.fault(&"the axis is one of the constants 'x', 'y' and 'z'"))
    }

    fn moment(&self, histogram: &Histogram, axis: usize) -> Result<Option<f64>> {
        let Some(moments) = histogram.moments(axis) else {
            let problem = match histogram.axes().len() {
                axes if axis >= axes => format!("the histogram has only {axes} of these axes"),
                _ => "the axis has categories, which have no place; use hist_bins".to_owned(),
            };
            return Err(self.fault(&problem));
        };
        let moment = if self.what == What::Mean { moments.mean } else { moments.deviation };
        Ok(Some(moment).filter(|moment| !moment.is_nan()))
    }

    fn read(&self, states: &LargeBinaryArray) -> Result<Vec<Option<Histogram>>> {
        let read = |state: Option<&[u8]>| state.map(Histogram::from_bytes).transpose();
        states.iter().map(|state| read(state).map_err(|error| self.fault(&error))).collect()
    }

    /// A few bytes may be a histogram of many empty bins, and to list them is another matter than to hold them.
    fn check_bins(histograms: &[Option<Histogram>]) -> Result<()> {
        let bins_of = |histogram: &Histogram| histogram.axes().iter().map(Axis::extent).product::<usize>();
        let bins: usize = histograms.iter().flatten().map(bins_of).sum();
        match bins {
            0..=MAX_BINS => Ok(()),
            bins => Err(too_much(&format!("{bins} bins, where {MAX_BINS} can be listed"))),
        }
    }

    fn bins(&self, histograms: &[Option<Histogram>], axes: &[AxisForm]) -> Result<ArrayRef> {
        let mut columns: Vec<AxisColumns> = axes.iter().map(|_| AxisColumns::default()).collect();
        let (mut values, mut variances) = (Float64Builder::new(), Float64Builder::new());
        let mut lengths = Vec::with_capacity(histograms.len());
        for histogram in histograms {
            let Some(histogram) = histogram else {
                lengths.push(0);
                continue;
            };
            let fits = histogram.axes().len() == axes.len()
                && histogram
                    .axes()
                    .iter()
                    .zip(axes)
                    .all(|(axis, form)| axis.is_numeric() == (*form == AxisForm::Range));
            if !fits {
                let problem = "the axes are not those that the column was declared to have; call it on the result of an \
                               aggregate such as hist2d, or read the histogram in another program by hist_json";
                return Err(self.fault(&problem));
            }
            let before = values.len();
            for bin in histogram.bins() {
                for ((column, index), interval) in columns.iter_mut().zip(&bin.index).zip(&bin.intervals) {
                    column.append(*index, interval)?;
                }
                values.append_value(bin.content.value());
                variances.append_option(Some(bin.content.variance()).filter(|variance| !variance.is_nan()));
            }
            lengths.push(values.len() - before);
        }
        let DataType::Struct(fields) = bin_type(axes) else { return internal_err!("a bin is a struct") };
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(fields.len());
        for (column, form) in columns.into_iter().zip(axes) {
            arrays.extend(column.finish(*form));
        }
        arrays.push(Arc::new(values.finish()));
        arrays.push(Arc::new(variances.finish()));
        let bins = StructArray::try_new(fields, arrays, None)?;
        let element = Arc::new(Field::new_list_field(bins.data_type().clone(), false));
        let nulls: NullBuffer = histograms.iter().map(Option::is_some).collect();
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        Ok(Arc::new(ListArray::try_new(element, offsets, Arc::new(bins), Some(nulls))?))
    }
}

/// Appends a text if the array can hold it, which the builder would not ask.
fn append_text(texts: &mut StringBuilder, text: Option<&str>) -> Result<()> {
    if i32::try_from(texts.values_slice().len() + text.map_or(0, str::len)).is_err() {
        return Err(too_much("text of more than 2 GiB"));
    }
    texts.append_option(text);
    Ok(())
}

fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null)
}

fn too_much(what: &str) -> DataFusionError {
    DataFusionError::Execution(format!(
        "the histograms of one batch of rows would make {what}; use coarser bins or fewer groups, or fewer rows to a batch \
         (SET datafusion.execution.batch_size)"
    ))
}

/// What the bins of an axis are, as far as the type of rows goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AxisForm {
    /// Ranges of numbers.
    Range,
    /// Anything else.
    Category,
}

/// The axes that a field's metadata speak of; one of numbers where they say nothing.
fn axes_of(field: Option<&FieldRef>) -> Vec<AxisForm> {
    let metadata = field.and_then(|field| field.metadata().get(EXTENSION_METADATA));
    let metadata = metadata.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    let axes = metadata.as_ref().and_then(|value| value.get("axes")).and_then(|axes| axes.as_array());
    let form = |axis: &serde_json::Value| if axis == "category" { AxisForm::Category } else { AxisForm::Range };
    axes.map_or_else(|| vec![AxisForm::Range], |axes| axes.iter().map(form).collect())
}

/// The struct that a bin is.
fn bin_type(axes: &[AxisForm]) -> DataType {
    let prefixes = ["x_", "y_", "z_"].into_iter().map(|prefix| if axes.len() == 1 { "" } else { prefix });
    let mut fields = Vec::new();
    for (axis, prefix) in axes.iter().zip(prefixes) {
        fields.push(Field::new(format!("{prefix}bin"), DataType::Int64, false));
        match axis {
            AxisForm::Range => fields.extend([
                Field::new(format!("{prefix}low"), DataType::Float64, false),
                Field::new(format!("{prefix}high"), DataType::Float64, false),
            ]),
            AxisForm::Category => fields.push(Field::new(format!("{prefix}category"), DataType::Utf8, true)),
        }
    }
    fields.extend([Field::new("value", DataType::Float64, false), Field::new("variance", DataType::Float64, true)]);
    DataType::Struct(Fields::from(fields))
}

/// The columns of one axis.
#[derive(Default)]
struct AxisColumns {
    index: Int64Builder,
    low: Float64Builder,
    high: Float64Builder,
    category: StringBuilder,
}

impl AxisColumns {
    fn append(&mut self, index: i64, interval: &Interval) -> Result<()> {
        self.index.append_value(index);
        match interval {
            Interval::Range(low, high) => {
                self.low.append_value(*low);
                self.high.append_value(*high);
            }
            Interval::Int(number) => append_text(&mut self.category, Some(&number.to_string()))?,
            Interval::Str(text) => append_text(&mut self.category, Some(text))?,
            Interval::Bool(value) => append_text(&mut self.category, Some(&value.to_string()))?,
            Interval::Other => append_text(&mut self.category, None)?,
        }
        Ok(())
    }

    fn finish(mut self, form: AxisForm) -> Vec<ArrayRef> {
        let index: ArrayRef = Arc::new(self.index.finish());
        match form {
            AxisForm::Range => vec![index, Arc::new(self.low.finish()), Arc::new(self.high.finish())],
            AxisForm::Category => vec![index, Arc::new(self.category.finish())],
        }
    }
}
