//! Functions that look into histograms: their bins as rows, JSON, the number of entries.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayBuilder, ArrayRef, AsArray, BinaryArray, Float64Builder, Int64Array, Int64Builder, ListArray,
    StringBuilder, StructArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use root_hist::{Axis, Histogram, Interval, write_uhi};

use super::EXTENSION_METADATA;

/// The most bins of one batch of histograms that are listed: rows of some GiB.
const MAX_BINS: usize = 1 << 26;

/// `hist_bins(h)`: a list of structs, one for each bin.
pub(super) fn bins() -> ScalarUDF {
    ScalarUDF::new_from_impl(Look { what: What::Bins, signature: of_a_histogram() })
}

/// `hist_json(h)`: UHI JSON.
pub(super) fn json() -> ScalarUDF {
    ScalarUDF::new_from_impl(Look { what: What::Json, signature: of_a_histogram() })
}

/// `hist_entries(h)`: how many entries are in some bin.
pub(super) fn entries() -> ScalarUDF {
    ScalarUDF::new_from_impl(Look { what: What::Entries, signature: of_a_histogram() })
}

fn of_a_histogram() -> Signature {
    Signature::exact(vec![DataType::Binary], Volatility::Immutable)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Bins,
    Json,
    Entries,
}

/// A function of a histogram.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Look {
    what: What,
    signature: Signature,
}

impl ScalarUDFImpl for Look {
    fn name(&self) -> &str {
        match self.what {
            What::Bins => "hist_bins",
            What::Json => "hist_json",
            What::Entries => "hist_entries",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("{} tells its type by its argument's field", self.name())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let data_type = match self.what {
            What::Bins => DataType::new_list(bin_type(&axes_of(args.arg_fields.first())), false),
            What::Json => DataType::Utf8,
            What::Entries => DataType::Int64,
        };
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let states = match args.args.as_slice() {
            [states] => states.to_array(args.number_rows)?,
            _ => return internal_err!("{} has one argument", self.name()),
        };
        let Some(states) = states.as_binary_opt::<i32>() else {
            return internal_err!("{} takes Binary", self.name());
        };
        let histograms = self.read(states)?;
        if self.what != What::Entries {
            Self::check_bins(&histograms)?;
        }
        let out: ArrayRef = match self.what {
            What::Bins => self.bins(&histograms, &axes_of(args.arg_fields.first()))?,
            What::Entries => {
                let entries = |h: &Histogram| i64::try_from(h.tally().entries).unwrap_or(i64::MAX);
                Arc::new(histograms.iter().map(|h| h.as_ref().map(entries)).collect::<Int64Array>())
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

    fn read(&self, states: &BinaryArray) -> Result<Vec<Option<Histogram>>> {
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
