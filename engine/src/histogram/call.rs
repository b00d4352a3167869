//! The arguments of a call: columns, constants that say what the bins are, and perhaps a weight.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, plan_err};
use root_hist::{Axis, Histogram, Storage};

/// What is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Bins of equal width on as many axes.
    Regular(usize),
    /// One axis, with the edges given.
    Edges,
    /// One axis, with bins of equal width in the logarithm.
    Log,
    /// One axis, with a bin for every value there is.
    Category,
    /// The mean of y in bins of x.
    Profile,
}

impl Kind {
    pub(super) const ALL: [Self; 7] =
        [Self::Regular(1), Self::Regular(2), Self::Regular(3), Self::Edges, Self::Log, Self::Category, Self::Profile];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Regular(2) => "hist2d",
            Self::Regular(3) => "hist3d",
            Self::Regular(_) => "hist",
            Self::Edges => "hist_edges",
            Self::Log => "hist_log",
            Self::Category => "hist_category",
            Self::Profile => "profile",
        }
    }

    /// How it is called, for messages.
    pub(super) fn form(self) -> &'static str {
        match self {
            Self::Regular(2) => "hist2d(x, y, x bins, low, high, y bins, low, high[, weight])",
            Self::Regular(3) => "hist3d(x, y, z, x bins, low, high, y bins, low, high, z bins, low, high[, weight])",
            Self::Regular(_) => "hist(x, bins, low, high[, weight])",
            Self::Edges => "hist_edges(x, [edge, edge, …][, weight])",
            Self::Log => "hist_log(x, bins, low, high[, weight])",
            Self::Category => "hist_category(x[, weight])",
            Self::Profile => "profile(x, y, bins, low, high[, weight])",
        }
    }

    /// Columns that come first.
    pub(super) fn columns(self) -> usize {
        match self {
            Self::Regular(axes) => axes,
            Self::Profile => 2,
            Self::Edges | Self::Log | Self::Category => 1,
        }
    }

    /// Constants that come behind the columns.
    pub(super) fn constants(self) -> usize {
        match self {
            Self::Regular(axes) => 3 * axes,
            Self::Profile | Self::Log => 3,
            Self::Edges => 1,
            Self::Category => 0,
        }
    }

    /// Whether a call with so many arguments has a weight.
    pub(super) fn is_weighted(self, arguments: usize) -> Result<bool> {
        let least = self.columns() + self.constants();
        match arguments.checked_sub(least) {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => plan_err!("{} has {arguments} arguments; it is called as {}", self.name(), self.form()),
        }
    }

    /// What the axes are, for the metadata of the column.
    pub(super) fn axes(self) -> &'static str {
        match self {
            Self::Regular(2) => r#"{"axes":["range","range"]}"#,
            Self::Regular(3) => r#"{"axes":["range","range","range"]}"#,
            Self::Category => r#"{"axes":["category"]}"#,
            _ => r#"{"axes":["range"]}"#,
        }
    }

    /// The types in which the arguments are taken: their own, but for those that cannot be filled as they are.
    pub(super) fn accepts(self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.is_weighted(arguments.len())?;
        let constants = self.columns()..self.columns() + self.constants();
        let accept = |(place, found): (usize, &DataType)| {
            if constants.contains(&place) {
                return Ok(found.clone());
            }
            let is_category = self == Self::Category && place == 0;
            let Some(taken) = taken_as(found, is_category) else {
                let role = match place {
                    0 => "x",
                    1 if self.columns() > 1 => "y",
                    2 if self.columns() > 2 => "z",
                    _ => "the weight",
                };
                let what = if is_category { "texts, whole numbers or truth values" } else { "numbers" };
                return plan_err!("{}: {role} is {found}, and must be {what}, or lists of them; cast it", self.name());
            };
            Ok(taken)
        };
        arguments.iter().enumerate().map(accept).collect()
    }

    /// The empty histogram that constants describe, for values of this type.
    pub(super) fn histogram(self, values: &DataType, constants: &[&ScalarValue], weighted: bool) -> Result<Histogram> {
        let storage = match (self, weighted) {
            (Self::Profile, false) => Storage::Mean,
            (Self::Profile, true) => Storage::WeightedMean,
            (_, false) => Storage::Count,
            (_, true) => Storage::Weight,
        };
        let made = self.axes_of(values, constants)?;
        let made = made.and_then(|axes| Histogram::new(axes, storage));
        made.map_err(|error| {
            DataFusionError::Plan(format!("{}: {error}; it is called as {}", self.name(), self.form()))
        })
    }

    fn axes_of(self, values: &DataType, constants: &[&ScalarValue]) -> Result<root_hist::Result<Vec<Axis>>> {
        if self == Self::Edges {
            let edges = constants.first().map(|edges| self.edges(edges)).transpose()?.unwrap_or_default();
            return Ok(Axis::variable(edges).map(|axis| vec![axis]));
        }
        if self == Self::Category {
            return Ok(Ok(vec![match element(values) {
                DataType::Boolean => Axis::boolean(),
                text if is_text(text) => Axis::growing_str_category(),
                _ => Axis::growing_int_category(),
            }]));
        }
        let mut axes = Vec::new();
        for constants in constants.chunks(3) {
            let &[bins, low, high] = constants else { continue };
            let (bins, low, high) = (self.number(bins)?, self.number(low)?, self.number(high)?);
            if bins.fract() != 0.0 || !(1.0..=f64::from(u32::MAX)).contains(&bins) {
                return plan_err!("{}: {bins} bins; it is called as {}", self.name(), self.form());
            }
            let axis = match self {
                Self::Log => Axis::log(bins as usize, low, high),
                _ => Axis::regular(bins as usize, low, high),
            };
            axes.push(axis);
        }
        Ok(axes.into_iter().collect())
    }

    fn number(self, constant: &ScalarValue) -> Result<f64> {
        match constant.cast_to(&DataType::Float64) {
            Ok(ScalarValue::Float64(Some(number))) => Ok(number),
            _ => plan_err!("{}: '{constant}' is not a number; it is called as {}", self.name(), self.form()),
        }
    }

    fn edges(self, constant: &ScalarValue) -> Result<Vec<f64>> {
        let numbers = match constant {
            ScalarValue::List(list) => Some(list.values()),
            ScalarValue::LargeList(list) => Some(list.values()),
            ScalarValue::FixedSizeList(list) => Some(list.values()),
            _ => None,
        };
        let numbers = numbers.and_then(|numbers| cast(numbers, &DataType::Float64).ok());
        match numbers.as_ref().and_then(|numbers| numbers.as_primitive_opt::<Float64Type>()) {
            Some(numbers) if numbers.null_count() == 0 => Ok(numbers.values().to_vec()),
            _ => plan_err!("{}: '{constant}' is no list of numbers; it is called as {}", self.name(), self.form()),
        }
    }
}

/// The type in which a column is taken; `None` if it cannot be filled.
pub(super) fn taken_as(found: &DataType, is_category: bool) -> Option<DataType> {
    let list = |field: &Arc<Field>, make: fn(Arc<Field>) -> DataType| {
        let element = taken_as(field.data_type(), is_category).filter(|element| !element.is_nested())?;
        Some(make(Arc::new(field.as_ref().clone().with_data_type(element))))
    };
    Some(match found {
        DataType::List(field) => list(field, DataType::List)?,
        DataType::LargeList(field) => list(field, DataType::LargeList)?,
        DataType::FixedSizeList(field, size) => {
            let element = taken_as(field.data_type(), is_category).filter(|element| !element.is_nested())?;
            DataType::FixedSizeList(Arc::new(field.as_ref().clone().with_data_type(element)), *size)
        }
        DataType::Boolean => DataType::Boolean,
        number if number.is_integer() => found.clone(),
        number if number.is_floating() && !is_category => found.clone(),
        DataType::Null if is_category => DataType::Int64,
        DataType::Null | DataType::Decimal128(..) | DataType::Decimal256(..) if !is_category => DataType::Float64,
        DataType::Dictionary(_, values) if is_text(values) && is_category => found.clone(),
        text if is_text(text) && is_category => found.clone(),
        _ => return None,
    })
}

fn element(values: &DataType) -> &DataType {
    match values {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => field.data_type(),
        other => other,
    }
}

fn is_text(values: &DataType) -> bool {
    match values {
        DataType::Dictionary(_, values) => is_text(values),
        other => matches!(other, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
    }
}

/// A constant as a dictionary of one value: making an array of it for each batch costs next to nothing.
pub(super) fn repeated(constant: ScalarValue) -> ScalarValue {
    match constant {
        ScalarValue::Dictionary(..) => constant,
        value => ScalarValue::Dictionary(Box::new(DataType::Int8), Box::new(value)),
    }
}

/// The value of a constant, whether it is a dictionary or not.
pub(super) fn value_of(constant: &ScalarValue) -> &ScalarValue {
    match constant {
        ScalarValue::Dictionary(_, value) => value,
        other => other,
    }
}
