//! Histograms in SQL: aggregates that fill them, and functions that look into them.
//!
//! A histogram is a value of type LargeBinary, the state of a `root_hist::Histogram`, in a column that is marked as an Arrow
//! extension type. It is not Binary, because all groups of a query are put into one array, which may be larger than 2 GiB.
//! `call` reads the arguments of a call, `aggregate` fills and merges, `like` does so with any axes, `look` makes rows and JSON.

mod aggregate;
mod call;
mod like;
mod look;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, LargeBinaryArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use root_hist::Histogram;

use crate::error::Error;

pub(crate) use aggregate::aggregates;
pub(crate) use like::{fill_like, has_place_on};

/// The name of the Arrow extension type of columns that hold histograms.
pub const HISTOGRAM_EXTENSION: &str = "root-query.histogram";

/// The type of columns that hold histograms.
const HISTOGRAM_TYPE: DataType = DataType::LargeBinary;

/// Keys under which the metadata of a field name an extension type.
const EXTENSION_NAME: &str = "ARROW:extension:name";
const EXTENSION_METADATA: &str = "ARROW:extension:metadata";

/// Functions of histograms.
pub(crate) fn functions() -> [ScalarUDF; 6] {
    look::functions()
}

/// The histograms in a result: the name of the column, and the histogram, row by row.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data/Run2012B_SingleMu_1000.root");
/// let session = root_engine::RootSession::new();
/// let sql = format!("SELECT hist(MET_pt, 50, 0, 100) AS met FROM '{path}:Events'");
/// let batches = session.sql(&sql).await?.collect().await?;
/// let (name, met) = root_engine::histograms(&batches[0])?.remove(0);
/// assert_eq!((name.as_str(), met.tally().entries), ("met", 1000));
/// # Ok(())
/// # }
/// ```
pub fn histograms(batch: &RecordBatch) -> Result<Vec<(String, Histogram)>, Error> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).filter(|(field, _)| is_histogram(field));
    let mut found = Vec::new();
    for (field, column) in columns {
        let Some(states) = states(column) else { continue };
        for state in states.iter().flatten() {
            found.push((field.name().clone(), read(field.name(), state)?));
        }
    }
    Ok(found)
}

/// A result with a text in place of each histogram, for people and for formats of text; `text` makes it.
///
/// # Errors
/// Where a column that is marked as one of histograms holds something else.
pub fn spell_histograms(batch: &RecordBatch, text: impl Fn(&Histogram) -> String) -> Result<RecordBatch, Error> {
    let schema = batch.schema();
    if !schema.fields().iter().any(|field| is_histogram(field)) {
        return Ok(batch.clone());
    }
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let (field, column) = match states(column).filter(|_| is_histogram(field)) {
            None => (field.clone(), column.clone()),
            Some(states) => {
                let spelled = states.iter().map(|state| state.map(|state| read(field.name(), state)).transpose());
                let spelled = spelled.map(|histogram| Ok(histogram?.as_ref().map(&text)));
                let spelled: StringArray = spelled.collect::<Result<_, DataFusionError>>()?;
                let spelled: ArrayRef = Arc::new(spelled);
                (Arc::new(Field::new(field.name(), DataType::Utf8, true)), spelled)
            }
        };
        fields.push(field);
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| Error::Query(error.into()))
}

/// The states in a column, whichever type of bytes it has come to: that of files may be another one.
fn states(column: &ArrayRef) -> Option<LargeBinaryArray> {
    let is_bytes = matches!(column.data_type(), DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    let states = is_bytes.then(|| cast(column, &HISTOGRAM_TYPE))?.ok()?;
    states.as_binary_opt().cloned()
}

fn read(column: &str, state: &[u8]) -> Result<Histogram, DataFusionError> {
    Histogram::from_bytes(state).map_err(|error| DataFusionError::Execution(format!("column '{column}': {error}")))
}

/// Whether a column is marked as one of histograms.
fn is_histogram(field: &Field) -> bool {
    field.metadata().get(EXTENSION_NAME).is_some_and(|name| name == HISTOGRAM_EXTENSION)
}

/// A field that is marked as one of histograms with these axes.
fn histogram_field(name: &str, axes: &str) -> Field {
    let metadata = [(EXTENSION_NAME, HISTOGRAM_EXTENSION), (EXTENSION_METADATA, axes)];
    let metadata: HashMap<_, _> = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Field::new(name, HISTOGRAM_TYPE, true).with_metadata(metadata)
}
